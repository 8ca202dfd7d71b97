//! Letting subscriptions into presence channels: those that enter in one phase share one encoded roster.
//!
//! Who enters is in the roster and announced at once, and is told so at the end of the phase: with all who have entered
//! meanwhile, whose announcements it has not heard since it is in no fan-out list yet. A roster for each of a thousand who
//! come together would be a million members encoded. What is put off counts at once, in the open batch to its shard and
//! against what one outbox may gain, or the gates would let in more than there is room for.

use std::sync::Arc;

use crate::invariant::Expected;
use crate::mesh::{Leaf, SubRef};
use crate::shard::home::Home;
use crate::topic::Topic;

/// What a message of grants weighs without its roster and its subscriptions.
const GRANT_BYTES: usize = 64;

/// Topics with grants that were put off.
#[derive(Debug, Default)]
pub(super) struct Grants {
    topics: Vec<Arc<Topic>>,
    /// What their rosters come to.
    bytes: usize,
}

impl Home {
    /// What a connection that enters each topic with grants that were put off may gain at the end of the phase, in bytes.
    /// The only roster of a connection does not count, as it does not when slow readers are judged.
    pub(in crate::shard) fn grants_gain_bytes_max(&self) -> u64 {
        if self.grants.topics.len() > 1 { self.grants.bytes as u64 } else { 0 }
    }

    /// The subscription of shard `from` has entered the roster, and will be told so.
    pub(super) fn put_off_grant(&mut self, from: usize, topic: &Arc<Topic>, sub: SubRef) {
        self.stats.granted += 1;
        let Some(home) = self.topics.find(topic).expected("a member that entered is in the roster") else {
            return;
        };
        let roster_bytes = home.roster_bytes();
        if home.entered.is_empty() {
            self.grants.topics.push(Arc::clone(topic));
        } else {
            self.stats.rosters_shared += 1;
        }
        self.grants.bytes += roster_bytes.saturating_sub(home.entered_bytes);
        home.entered_bytes = home.entered_bytes.max(roster_bytes);
        let first_of_shard = home.entered.iter().rev().all(|(shard, _)| *shard != from);
        home.entered.push((from, sub));
        if from != self.index {
            let message =
                if first_of_shard { (1, GRANT_BYTES + roster_bytes) } else { (0, size_of::<SubRef>()) };
            self.leaves.promise(from, message.0, message.1);
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
        self.grants.bytes = 0;
        for topic in std::mem::take(&mut self.grants.topics) {
            self.grant(&topic, &mut here);
        }
        here
    }

    fn grant(&mut self, topic: &Arc<Topic>, here: &mut Vec<Leaf>) {
        // A topic that was vacated meanwhile is gone, or has come back without them.
        let Some(home) = self.topics.find(topic).filter(|home| !home.entered.is_empty()) else { return };
        let (mut entered, succeeded) = home.take_entered();
        // In the order of their coming within each shard.
        entered.sort_by_key(|(shard, _)| *shard);
        for of_shard in entered.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((shard, _)) = of_shard.first() else { continue };
            let subs = of_shard.iter().map(|(_, sub)| *sub).collect();
            let granted = Leaf::Granted { topic: Arc::clone(topic), subs, succeeded: succeeded.clone() };
            here.extend(self.say(*shard, granted));
        }
    }
}
