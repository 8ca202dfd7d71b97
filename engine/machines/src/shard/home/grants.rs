//! Letting subscriptions into presence and cache channels: those that come in one phase share one encoded roster, and one
//! replay of the last event.
//!
//! Who enters is in the roster and announced at once, and is told so at the end of the phase: with all who have entered
//! meanwhile, whose announcements it has not heard since it is in no fan-out list yet. A roster for each of a thousand who
//! come together would be a million members encoded. What is put off counts at once, in the open batch to its shard and
//! against what one outbox may gain, or the gates would let in more than there is room for.

use std::sync::Arc;

use crate::cores::CoreId;
use crate::invariant::Expected;
use crate::mesh::{Granted, Leaf, SubRef};
use crate::shard::home::Home;
use crate::topic::Topic;

/// What a message of grants weighs without its roster and its subscriptions.
const GRANT_BYTES: usize = 64;

/// Topics with grants that were put off.
#[derive(Debug, Default)]
pub(super) struct Grants {
    topics: Vec<Arc<Topic>>,
    /// How many of them replay their last event.
    cached: usize,
    /// What their rosters and replays come to.
    bytes: usize,
}

impl Grants {
    /// How many channels may have a number of subscriptions to tell at the end of the phase.
    pub(super) fn counts_coming(&self) -> usize {
        self.cached
    }
}

impl Home {
    /// What a connection that enters each topic with grants that were put off may gain at the end of the phase, in bytes.
    /// The only one of a connection does not count, as it does not when slow readers are judged.
    pub(in crate::shard) fn grants_gain_bytes_max(&self) -> u64 {
        if self.grants.topics.len() > 1 { self.grants.bytes as u64 } else { 0 }
    }

    /// A subscription to a cache channel asks for the last event.
    pub(super) fn replay(&mut self, from: CoreId, topic: &Arc<Topic>, epoch: u64, sub: SubRef) {
        if self.topics.view(topic).is_none_or(|home| !home.links.has(from, epoch)) {
            self.stats.roots_stale += 1;
            return;
        }
        if self.may_replay(from, topic, epoch, sub) {
            self.put_off_grant(from, topic, sub);
        }
    }

    /// The same of one that has waited for the cluster.
    pub(super) fn replay_now(&mut self, from: CoreId, topic: &Arc<Topic>, epoch: u64, sub: SubRef) {
        if self.topics.view(topic).is_some_and(|home| home.links.has(from, epoch)) {
            self.put_off_grant(from, topic, sub);
        }
    }

    /// The subscription of shard `from` has entered the roster, and will be told so.
    pub(super) fn admit(&mut self, from: CoreId, topic: &Arc<Topic>, sub: SubRef) {
        self.stats.granted += 1;
        let shared = self.topics.view(topic).is_some_and(|home| !home.entered.is_empty());
        self.stats.rosters_shared += u64::from(shared);
        self.put_off_grant(from, topic, sub);
    }

    fn put_off_grant(&mut self, from: CoreId, topic: &Arc<Topic>, sub: SubRef) {
        let grant_bytes = self.grant_bytes(topic);
        let found = self.topics.find(topic).expected("a topic with a subscription that is let in is known");
        let (Some(home), Some(grant_bytes)) = (found, grant_bytes) else { return };
        if home.entered.is_empty() {
            self.grants.topics.push(Arc::clone(topic));
            self.grants.cached += usize::from(topic.key.is_cached());
        }
        self.grants.bytes += grant_bytes.saturating_sub(home.entered_bytes);
        home.entered_bytes = home.entered_bytes.max(grant_bytes);
        let first_of_shard = home.entered.iter().rev().all(|(shard, _)| *shard != from);
        home.entered.push((from, sub));
        if from != self.me {
            let message =
                if first_of_shard { (1, GRANT_BYTES + grant_bytes) } else { (0, size_of::<SubRef>()) };
            self.leaves.promise(from, message.0, message.1);
        }
    }

    /// How long it is what each gets who is let in now. Encodes nothing for those who share all of it with others.
    fn grant_bytes(&self, topic: &Arc<Topic>) -> Option<usize> {
        let home = self.topics.view(topic)?;
        if !topic.key.is_presence() {
            return Some(match home.entered_bytes {
                0 => home.succeeded_bytes() + self.replay_bytes_max(topic),
                counted => counted,
            });
        }
        let replay_bytes = if topic.key.is_cached() { self.replay_bytes_max(topic) } else { 0 };
        Some(home.roster_bytes() + replay_bytes)
    }

    /// The channel has another event for those whose grants were put off.
    pub(super) fn count_grants_again(&mut self, topic: &Arc<Topic>) {
        let replay_bytes = self.replay_bytes_max(topic);
        let Some(home) = self.topics.find(topic).filter(|home| !home.entered.is_empty()) else { return };
        let grant_bytes = home.succeeded_bytes() + replay_bytes;
        let more = grant_bytes.saturating_sub(home.entered_bytes);
        home.entered_bytes += more;
        self.grants.bytes += more;
        for shard in home.links.shards().filter(|shard| *shard != self.me) {
            self.leaves.promise(shard, 0, more);
        }
    }

    /// Tells all who have entered. Returns what is said to those of this shard.
    #[must_use]
    pub(super) fn grant_all(&mut self) -> Vec<Leaf> {
        let mut here = Vec::new();
        if self.grants.topics.is_empty() {
            return here;
        }
        self.leaves.keep_promises();
        (self.grants.bytes, self.grants.cached) = (0, 0);
        for topic in std::mem::take(&mut self.grants.topics) {
            self.grant(&topic, &mut here);
        }
        here
    }

    fn grant(&mut self, topic: &Arc<Topic>, here: &mut Vec<Leaf>) {
        // A topic that was vacated meanwhile is gone, or has come back without them.
        let Some(home) = self.topics.find(topic).filter(|home| !home.entered.is_empty()) else { return };
        let (mut entered, succeeded) = home.take_entered();
        let replay = topic.key.is_cached().then(|| self.replay_to(topic, entered.len() as u64));
        if replay.is_some() {
            // The number that their coming has made may have been told in this phase, which they do not hear.
            self.note_count(topic);
        }
        // In the order of their coming within each shard.
        entered.sort_by_key(|(shard, _)| *shard);
        for of_shard in entered.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((shard, _)) = of_shard.first() else { continue };
            let subs = of_shard.iter().map(|(_, sub)| *sub).collect();
            let (topic, succeeded, replay) = (Arc::clone(topic), succeeded.clone(), replay.clone());
            let granted = Box::new(Granted { topic, subs, succeeded, replay });
            here.extend(self.say(*shard, Leaf::Granted(granted)));
        }
    }
}
