//! Which other members each member of a presence channel knows of.
//!
//! Owns a view per connection: the roster of its confirmation, and what it was told since. Judges it against the truth that the
//! scenario knows. Pure accounting; it never talks to a server. Member i is on channel i modulo their number, as user `u<i>`.

use std::collections::{BTreeMap, BTreeSet};

use hdrhistogram::Histogram;
use serde_json::Value;

use crate::clients::client_session::{Parting, unfold};
use crate::clients::script::parse_user_id;
use crate::clients::socket_pool::Observer;
use crate::measure::ledger::Counts;
use crate::measure::tally::histogram;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Join,
    Leave,
}

pub(super) struct Views {
    /// None while a member is not in its channel.
    views: Vec<Option<BTreeSet<usize>>>,
    channels: usize,
    /// When the last change of a member was due.
    due_ns: Vec<u64>,
    gone: BTreeSet<usize>,
    pub(super) greeted: usize,
    /// Confirmed joins.
    pub(super) entered: usize,
    /// Changes told, and those told again.
    pub(super) counts: Counts,
    /// Microseconds from a change to when another member was told of it.
    pub(super) added: Histogram<u64>,
    pub(super) removed: Histogram<u64>,
    /// Microseconds from a join to its confirmation.
    pub(super) rosters: Histogram<u64>,
    /// Present members that a view lacked when a wave was over, and absent ones that it had.
    pub(super) missing: u64,
    pub(super) stale: u64,
    /// Told of users that are not of this channel, or told that an unknown user left.
    pub(super) strange: u64,
    pub(super) rosters_wrong: u64,
    pub(super) partings: BTreeMap<String, u64>,
}

impl Views {
    pub(super) fn new(members: usize, channels: usize) -> Self {
        Self {
            views: vec![None; members],
            channels,
            due_ns: vec![0; members],
            gone: BTreeSet::new(),
            greeted: 0,
            entered: 0,
            counts: Counts::default(),
            added: histogram(),
            removed: histogram(),
            rosters: histogram(),
            missing: 0,
            stale: 0,
            strange: 0,
            rosters_wrong: 0,
            partings: BTreeMap::new(),
        }
    }

    pub(super) fn members(&self) -> usize {
        self.views.len()
    }

    /// Figures count from here on; views stay.
    pub(super) fn forget_figures(&mut self) {
        self.counts = Counts::default();
        self.added.reset();
        self.removed.reset();
        self.rosters.reset();
    }

    /// The next change of this member counts from `due_ns`.
    pub(super) fn expect(&mut self, member: usize, due_ns: u64) {
        self.due_ns[member] = due_ns;
    }

    pub(super) fn leave(&mut self, member: usize) {
        self.views[member] = None;
    }

    /// Whether every member of a channel knows exactly its members.
    pub(super) fn are_right(&self, present: &BTreeSet<usize>) -> bool {
        let truth = self.truth(present);
        present.iter().all(|&member| {
            self.gone.contains(&member) || self.views[member].as_ref() == Some(&truth[member % self.channels])
        })
    }

    /// Counts what is wrong and puts it right, so that it is counted once. Members that lost their connection leave `present`.
    pub(super) fn judge(&mut self, present: &mut BTreeSet<usize>) {
        present.retain(|member| !self.gone.contains(member));
        let truth = self.truth(present);
        for &member in present.iter() {
            let truth = &truth[member % self.channels];
            let view = self.views[member].get_or_insert_default();
            self.missing += truth.difference(view).count() as u64;
            self.stale += view.difference(truth).count() as u64;
            view.clone_from(truth);
        }
    }

    fn truth(&self, present: &BTreeSet<usize>) -> Vec<BTreeSet<usize>> {
        let mut truth = vec![BTreeSet::new(); self.channels];
        for &member in present.difference(&self.gone) {
            truth[member % self.channels].insert(member);
        }
        truth
    }

    fn handle_change(&mut self, member: usize, change: Change, user_id: Option<&str>, now_ns: u64) {
        let of_this_channel =
            |&other: &usize| other < self.due_ns.len() && other % self.channels == member % self.channels;
        let other = user_id.and_then(parse_user_id).filter(of_this_channel);
        let Some((other, view)) = other.zip(self.views[member].as_mut()) else {
            // A change may be on its way to a member that has just left: that is no fault.
            self.strange += u64::from(self.views[member].is_some());
            return;
        };
        let us = now_ns.saturating_sub(self.due_ns[other]) / 1000;
        let (is_news, latency) = match change {
            Change::Join => (view.insert(other), &mut self.added),
            Change::Leave => (view.remove(&other), &mut self.removed),
        };
        if is_news {
            self.counts.delivered += 1;
            latency.saturating_record(us);
        } else {
            self.counts.duplicated += 1;
        }
    }

    /// The roster, if it is one: as many users as it says, each once, this member among them.
    fn handle_roster(&mut self, member: usize, data: &Value) {
        let data = unfold(data);
        let presence = &data["presence"];
        let ids = presence["ids"].as_array().map(Vec::as_slice).unwrap_or_default();
        let view: BTreeSet<usize> = ids.iter().filter_map(|id| parse_user_id(id.as_str()?)).collect();
        let is_right = presence["count"].as_u64() == Some(ids.len() as u64)
            && presence["hash"].as_object().is_some_and(|hash| hash.len() == ids.len())
            && view.len() == ids.len()
            && view.contains(&member);
        self.rosters_wrong += u64::from(!is_right);
        self.views[member] = Some(view);
    }
}

impl Observer for Views {
    fn handle_message(&mut self, _member: usize, _message: &[u8], _now_ns: u64) -> bool {
        false
    }

    fn handle_greeted(&mut self, _member: usize) {
        self.greeted += 1;
    }

    fn handle_subscribed(&mut self, member: usize, took_ns: u64, data: &Value, _now_ns: u64) {
        self.entered += 1;
        self.rosters.saturating_record(took_ns / 1000);
        self.handle_roster(member, data);
    }

    fn handle_event(&mut self, member: usize, event: &str, message: &Value, now_ns: u64) {
        let change = match event {
            "pusher_internal:member_added" => Change::Join,
            "pusher_internal:member_removed" => Change::Leave,
            _ => return,
        };
        let data = unfold(&message["data"]);
        self.handle_change(member, change, data["user_id"].as_str(), now_ns);
    }

    fn handle_parted(&mut self, member: usize, _was_live: bool, parting: &Parting) {
        self.gone.insert(member);
        self.views[member] = None;
        *self.partings.entry(parting.to_string()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn roster(ids: &[&str]) -> Value {
        let hash: serde_json::Map<_, _> = ids.iter().map(|&id| (id.to_owned(), json!({}))).collect();
        json!({"presence": {"count": ids.len(), "ids": ids, "hash": hash}})
    }

    fn told(views: &mut Views, member: usize, event: &str, user: &str) {
        let data = json!({ "user_id": user }).to_string();
        views.handle_event(
            member,
            &format!("pusher_internal:member_{event}"),
            &json!({ "data": data }),
            5000,
        );
    }

    #[test]
    fn view_is_its_roster_with_what_was_told_since() {
        let mut views = Views::new(6, 2);
        // As a string, as Pusher sends it, and as an object.
        views.handle_subscribed(0, 0, &json!(roster(&["u0"]).to_string()), 0);
        views.handle_subscribed(2, 0, &roster(&["u0", "u2"]), 0);
        told(&mut views, 0, "added", "u2");
        let mut present = BTreeSet::from([0, 2]);
        assert!(views.are_right(&present));
        views.expect(4, 1000);
        told(&mut views, 0, "added", "u4");
        present.insert(4);
        assert!(!views.are_right(&present));
        views.handle_subscribed(4, 0, &roster(&["u0", "u2", "u4"]), 0);
        assert!(!views.are_right(&present), "2 was not told");
        views.judge(&mut present);
        assert_eq!((views.missing, views.stale, views.strange, views.rosters_wrong), (1, 0, 0, 0));
        assert_eq!((views.counts.delivered, views.added.len(), views.added.max()), (2, 2, 5));
        assert!(views.are_right(&present), "it is counted once");
    }

    #[test]
    fn wrong_words_are_counted() {
        let mut views = Views::new(6, 2);
        views.handle_subscribed(0, 0, &roster(&["u0"]), 0);
        told(&mut views, 0, "added", "u3");
        told(&mut views, 0, "added", "stranger");
        told(&mut views, 0, "added", "u2");
        told(&mut views, 0, "added", "u2");
        assert_eq!((views.strange, views.counts.duplicated), (2, 1));
        views.judge(&mut BTreeSet::from([0]));
        assert_eq!((views.missing, views.stale), (0, 1), "u2 is not there");
        for wrong in [
            roster(&["u1"]),
            json!({"presence": {"count": 2, "ids": ["u0"], "hash": {"u0": {}}}}),
            json!("{}"),
        ] {
            views.handle_subscribed(0, 0, &wrong, 0);
        }
        assert_eq!(views.rosters_wrong, 3);
    }

    #[test]
    fn whoever_lost_its_connection_is_expected_nowhere() {
        let mut views = Views::new(4, 1);
        views.handle_subscribed(0, 0, &roster(&["u0"]), 0);
        views.handle_subscribed(1, 0, &roster(&["u0", "u1"]), 0);
        views.handle_parted(1, true, &Parting::Dropped);
        let mut present = BTreeSet::from([0, 1]);
        assert!(views.are_right(&present));
        views.judge(&mut present);
        assert_eq!((present, views.missing), (BTreeSet::from([0]), 0));
    }
}
