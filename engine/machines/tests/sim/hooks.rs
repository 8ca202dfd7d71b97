//! What the hooks core must be told of a schedule: edges as levels, in order, whatever its queue has room for. Knows what
//! homes did, and nothing of how they tell it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use corecast_machines::hook_port::HookPort;
use protocol::hook_event::{Happened, HookEvent, OpenEdges};
use protocol::hook_kind::{HookKind, HookKinds};

use crate::channels::{CHANNELS, OWN_CHANNELS, is_own, user_on};
use crate::deeds::number_in_literal;
use crate::model::Done;
use crate::rng::Rng;

/// Ids of numbers of subscriptions begin here: they are told as events are.
const COUNT_ID: u64 = 1 << 60;

/// A channel, or a member of it.
type Place = (String, Option<String>);

/// The far end of a shard's line, and what is known of it.
#[derive(Debug)]
pub struct HooksCore {
    pub kinds: HookKinds,
    pub grace_ms: u64,
    rng: Rng,
    /// Takes nothing before.
    open: bool,
    /// Takes nothing for so many offers.
    jammed: usize,
    jams: bool,
    room: usize,
    now_ms: u64,
    /// What it was told, or found as told before.
    told: BTreeMap<Place, bool>,
    /// What is, and since when.
    truth: BTreeMap<Place, (bool, u64)>,
    /// What has come or gone since the hooks were last told something.
    changed: BTreeSet<Place>,
    /// Edges that were refused and are still to be told.
    refused: BTreeSet<Place>,
    refusals: u64,
    /// Events that it wants to know of, by channel, in the order of their home.
    events: BTreeMap<String, VecDeque<u64>>,
    /// Those of this phase that were not offered yet.
    fresh: BTreeSet<(String, u64)>,
    /// Cache channels that are empty and were told so, and those of them that must be told in this phase.
    missed: BTreeSet<String>,
    fresh_misses: BTreeSet<String>,
    events_done: u64,
    events_told: u64,
    fault: Option<String>,
    /// The server ends: a member who has gone may come back after the next start, if there is a grace.
    ends: bool,
}

impl HooksCore {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng(seed ^ 0x400c);
        let all = HookKinds::USUAL.with(HookKind::ServerEvent).with(HookKind::SubscriptionCount);
        let all = all.with(HookKind::UserOnline).in_pairs();
        let channels = HookKinds::NONE.with(HookKind::ChannelVacated).in_pairs();
        let members = HookKinds::NONE.with(HookKind::MemberAdded).with(HookKind::ClientEvent).in_pairs();
        let kinds = [all, all, all, HookKinds::USUAL, channels, members, HookKinds::NONE][rng.below(7)];
        let grace_ms = [0, 0, 40, 1500, 3000][rng.below(5)];
        Self {
            kinds,
            grace_ms,
            open: false,
            jammed: 0,
            jams: rng.chance(50),
            room: usize::MAX,
            now_ms: 0,
            told: BTreeMap::new(),
            truth: BTreeMap::new(),
            changed: BTreeSet::new(),
            refused: BTreeSet::new(),
            refusals: 0,
            events: BTreeMap::new(),
            fresh: BTreeSet::new(),
            missed: BTreeSet::new(),
            fresh_misses: BTreeSet::new(),
            events_done: 0,
            events_told: 0,
            fault: None,
            ends: false,
            rng,
        }
    }

    /// Whether it opens now, after so many steps of the schedule.
    pub fn opens(&mut self, step: u64) -> bool {
        !self.open && (step > 150 || self.rng.chance(if step <= 1 { 70 } else { 2 }))
    }

    /// It opens, and this is what it was told before.
    pub fn open(&mut self, now_ms: u64) -> Vec<OpenEdges> {
        self.open = true;
        self.now_ms = now_ms;
        let mut open = Vec::new();
        for channel in CHANNELS {
            if !self.rng.chance(30) {
                continue;
            }
            let occupied = self.kinds.has(HookKind::ChannelVacated);
            let presence = channel.starts_with("presence-") && self.kinds.has(HookKind::MemberRemoved);
            let users: BTreeSet<String> = (0..if presence { self.rng.between(1, 4) } else { 0 })
                .map(|client| user_on(client, channel))
                .collect();
            let members = users.iter().map(|user| user.as_str().into()).collect();
            open.push(OpenEdges { app_id: "1".into(), channel: channel.into(), occupied, members });
            let places = users.into_iter().map(Some).chain(occupied.then_some(None));
            places.for_each(|user| self.was_told((channel.to_owned(), user)));
        }
        if self.kinds.has(HookKind::UserOffline) {
            for channel in OWN_CHANNELS {
                let members = Vec::new();
                open.push(OpenEdges { app_id: "1".into(), channel: channel.into(), occupied: true, members });
                self.was_told((channel.to_owned(), None));
            }
        }
        open.push(OpenEdges {
            app_id: "gone".into(),
            channel: "a".into(),
            occupied: true,
            members: Vec::new(),
        });
        open
    }

    fn was_told(&mut self, place: Place) {
        let truth = self.truth.entry(place.clone()).or_insert((false, 0));
        if truth.0 {
            self.refused.remove(&place);
        } else {
            truth.1 = self.now_ms;
        }
        self.told.insert(place, true);
    }

    /// What a home has done.
    pub fn done(&mut self, channel: &str, done: &Done, hooked: bool, now_ms: u64) {
        let (user, there) = match done {
            Done::Occupied | Done::Vacated if is_own(channel) => return,
            Done::Occupied => (None, true),
            Done::Vacated => (None, false),
            Done::Online => (None, true),
            Done::Offline => (None, false),
            Done::Added(user) => (Some(user.clone()), true),
            Done::Removed(user) => (Some(user.clone()), false),
            Done::Replayed(found) => {
                let wanted = self.kinds.has(HookKind::CacheMiss) && found.is_none();
                if wanted && self.missed.insert(channel.to_owned()) {
                    self.fresh_misses.insert(channel.to_owned());
                }
                return;
            }
            Done::Event { id, of_client, .. } => {
                if !of_client {
                    self.missed.remove(channel);
                }
                return self.event_done(channel, *id, hooked);
            }
            Done::Counted(subscriptions) => {
                return self.event_done(channel, COUNT_ID + subscriptions, hooked);
            }
        };
        let place = (channel.to_owned(), user);
        self.truth.insert(place.clone(), (there, now_ms));
        if self.is_told(&place) == there {
            self.refused.remove(&place);
        }
        self.changed.insert(place);
    }

    fn event_done(&mut self, channel: &str, id: u64, hooked: bool) {
        if hooked {
            self.events_done += 1;
            self.events.entry(channel.to_owned()).or_default().push_back(id);
            self.fresh.insert((channel.to_owned(), id));
        }
    }

    /// All has been told that could be.
    pub fn heard(&mut self) -> Result<(), String> {
        let innocent = self.fresh.iter().find(|(channel, _)| !self.is_behind(channel));
        if let Some((channel, id)) = innocent {
            let why = format!("event {id} of {channel} was dropped, and no edge of its channel waits");
            self.fault.get_or_insert(why);
        }
        for channel in std::mem::take(&mut self.fresh_misses) {
            if !self.is_behind(&channel) {
                self.fault.get_or_insert_with(|| format!("{channel} is empty and was not told so"));
            }
            self.missed.remove(&channel);
        }
        self.fresh.clear();
        self.changed.clear();
        self.fault.take().map_or(Ok(()), Err)
    }

    /// A phase has ended at this time, and something may be told.
    pub fn listen(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.room = if self.jams { self.rng.below(6) } else { usize::MAX };
        if self.jams && self.jammed == 0 && self.rng.chance(5) {
            self.jammed = self.rng.between(1, 60);
        }
    }

    /// The server ends.
    pub fn end(&mut self) {
        self.ends = true;
    }

    /// Nobody is told as gone any more.
    pub fn is_over(&self) -> bool {
        self.ends && self.grace_ms > 0
    }

    /// From now on everything is taken.
    pub fn unjam(&mut self) {
        self.jams = false;
        self.jammed = 0;
    }

    /// Everything has come to rest: what has lasted for the grace is known.
    pub fn check(&self, now_ms: u64, dropped: u64) -> Result<(), String> {
        for ((channel, user), (there, since_ms)) in self.truth.iter().filter(|(place, _)| self.wants(place)) {
            let waits = !there && (since_ms + self.grace_ms >= now_ms || self.is_over());
            if !waits && self.is_told(&(channel.clone(), user.clone())) != *there {
                return Err(format!("{channel} {user:?} is there: {there}, and the hooks know the reverse"));
            }
        }
        if self.events_done - self.events_told != dropped {
            let (done, told) = (self.events_done, self.events_told);
            return Err(format!("{done} events, {told} of them told, {dropped} counted as dropped"));
        }
        if dropped > 0 && self.refusals == 0 {
            return Err(format!("{dropped} events were dropped, and nothing was refused"));
        }
        Ok(())
    }

    /// Whether something of this channel should have been told by now, or has changed in this phase.
    fn is_behind(&self, channel: &str) -> bool {
        let of_channel = self.truth.iter().filter(|((name, _), _)| name == channel);
        of_channel.filter(|(place, _)| self.wants(place)).any(|(place, (there, since_ms))| {
            let due = *there || since_ms + self.grace_ms <= self.now_ms && !self.is_over();
            self.changed.contains(place) || due && self.is_told(place) != *there
        })
    }

    fn wants(&self, (channel, user): &Place) -> bool {
        let kind = match user {
            None if is_own(channel) => HookKind::UserOnline,
            None => HookKind::ChannelOccupied,
            Some(_) => HookKind::MemberAdded,
        };
        self.kinds.has(kind)
    }

    fn is_told(&self, place: &Place) -> bool {
        self.told.get(place).copied().unwrap_or(false)
    }

    fn takes(&mut self) -> bool {
        let jammed = self.jammed > 0;
        self.jammed = self.jammed.saturating_sub(1);
        let takes = self.open && !jammed && self.room > 0;
        self.room = self.room.saturating_sub(usize::from(takes));
        self.refusals += u64::from(!takes);
        takes
    }

    fn hear(&mut self, event: &HookEvent) -> Result<bool, String> {
        if !self.kinds.has(event.kind()) {
            return Err(format!("{event:?} was told, and nobody wants it"));
        }
        let channel = event.channel().to_string();
        if is_own(&channel) != event.online_user().is_some() {
            return Err(format!("{event:?} was told of {channel}"));
        }
        let (user, there) = match event {
            HookEvent::ChannelOccupied { .. } => (None, true),
            HookEvent::ChannelVacated { .. } => (None, false),
            HookEvent::UserOnline { .. } => (None, true),
            HookEvent::UserOffline { .. } => (None, false),
            HookEvent::MemberAdded { user_id, .. } => (Some(user_id.to_string()), true),
            HookEvent::MemberRemoved { user_id, .. } => (Some(user_id.to_string()), false),
            HookEvent::ClientEvent { user_id, data_literal, .. } => {
                let id = number_in_literal(data_literal.trim_start_matches('"')).unwrap_or("");
                return self.hear_event(channel, id, user_id.as_ref().map(|user| user.to_string()), true);
            }
            HookEvent::ServerEvent { event, .. } => return self.hear_event(channel, event, None, false),
            HookEvent::SubscriptionCount { subscriptions, .. } => {
                let id = (COUNT_ID + subscriptions).to_string();
                return self.hear_event(channel, &id, None, false);
            }
            HookEvent::CacheMiss { .. } => return self.hear_miss(channel),
        };
        self.hear_edge((channel, user), there)
    }

    fn hear_edge(&mut self, place: Place, there: bool) -> Result<bool, String> {
        let (truth, since_ms) = self.truth.get(&place).copied().unwrap_or((false, 0));
        if truth != there && !(there && self.changed.contains(&place)) {
            return Err(format!("{place:?} was told as there: {there}, and is not"));
        }
        if !there && since_ms + self.grace_ms > self.now_ms {
            return Err(format!("{place:?} was told as gone after {} ms", self.now_ms - since_ms));
        }
        if !there && self.is_over() {
            return Err(format!("{place:?} was told as gone while the server ends"));
        }
        if self.is_told(&place) == there {
            return Err(format!("{place:?} was told twice as there: {there}"));
        }
        if !self.takes() {
            if truth == there {
                self.refused.insert(place);
            }
            return Ok(false);
        }
        let both = self.kinds.has(HookKind::ChannelOccupied) && self.kinds.has(HookKind::MemberAdded);
        if both && place.1.is_some() && there && !self.is_told(&(place.0.clone(), None)) {
            return Err(format!("{place:?} was added before its channel was occupied"));
        }
        if both && place.1.is_none() && !there {
            let member = self
                .told
                .iter()
                .find(|((channel, user), told)| *channel == place.0 && user.is_some() && **told);
            if let Some((member, _)) = member {
                return Err(format!("{place:?} was vacated before {member:?} was removed"));
            }
        }
        self.refused.remove(&place);
        self.told.insert(place, there);
        Ok(true)
    }

    fn hear_miss(&mut self, channel: String) -> Result<bool, String> {
        if !self.fresh_misses.remove(&channel) {
            return Err(format!("{channel} was told as empty twice, or is not"));
        }
        if let Some(place) = self.untold_of(&channel) {
            return Err(format!("{channel} was told as empty ahead of {place:?}"));
        }
        let takes = self.takes();
        if !takes {
            // The next subscriber is another chance.
            self.missed.remove(&channel);
        }
        Ok(takes)
    }

    /// What of a channel should have been told before any event of it.
    fn untold_of(&self, channel: &str) -> Option<&Place> {
        let not_told =
            |it: &&Place| it.0 == channel && self.wants(it) && self.truth[*it].0 && !self.is_told(it);
        self.refused.iter().find(|it| it.0 == channel).or_else(|| self.truth.keys().find(not_told))
    }

    fn hear_event(
        &mut self,
        channel: String,
        id: &str,
        user: Option<String>,
        of_client: bool,
    ) -> Result<bool, String> {
        self.fresh.retain(|(of, fresh)| *of != channel || fresh.to_string() != id);
        if let Some(place) = self.untold_of(&channel) {
            return Err(format!("event {id} was told ahead of {place:?}"));
        }
        if !self.takes() {
            return Ok(false);
        }
        let order = self.events.entry(channel.clone()).or_default();
        while let Some(next) = order.pop_front() {
            if next.to_string() == id {
                self.events_told += 1;
                return self.check_sender(channel, user, of_client);
            }
        }
        Err(format!("event {id} of {channel} was told twice, out of order, or never happened"))
    }

    fn check_sender(&self, channel: String, user: Option<String>, of_client: bool) -> Result<bool, String> {
        let mut places = Vec::new();
        if of_client && self.kinds.has(HookKind::ChannelOccupied) {
            places.push((channel.clone(), None));
        }
        if user.is_some() && self.kinds.has(HookKind::MemberAdded) {
            places.push((channel, user));
        }
        match places.iter().find(|place| !self.is_told(place)) {
            Some(place) => Err(format!("a client event came from {place:?}, which is not there")),
            None => Ok(true),
        }
    }
}

impl HookPort for HooksCore {
    fn offer(&mut self, happened: Happened) -> Result<(), Happened> {
        match self.hear(&happened.event) {
            Ok(true) => Ok(()),
            Ok(false) => Err(happened),
            Err(why) => {
                self.fault.get_or_insert(why);
                Ok(())
            }
        }
    }
}
