//! Topics with an edge that is due and that the queue has no room for: of these nothing else may be told before it.
//!
//! They are counted only while the queue is full, each edge once, in the order of the listings and up to a stamp, so that a
//! turn does not walk through all that waits. What must never happen here: an edge that counts after it was told.

use std::sync::Arc;

use hashbrown::HashTable;
use protocol::app::App;

use crate::invariant;
use crate::topic::{Topic, TopicKey};

/// How many such edges each topic has.
#[derive(Debug, Default)]
pub(super) struct DirtyTopics {
    table: HashTable<Dirty>,
    /// The rises that were counted have stamps up to this one, falls up to the other.
    pub(super) rises_to: u64,
    pub(super) falls_to: u64,
}

#[derive(Debug)]
struct Dirty {
    topic: Arc<Topic>,
    edges: u32,
}

impl DirtyTopics {
    /// Whether something of this channel, which has this hash, must be told first.
    pub(super) fn has(&self, hash: u64, app: &App, channel: &str) -> bool {
        let key = TopicKey::of(channel);
        self.table.find(hash, |it| it.topic.is(app, key)).is_some()
    }

    /// One more edge of this topic waits.
    pub(super) fn add(&mut self, topic: &Arc<Topic>) {
        let is = |it: &Dirty| it.topic == *topic;
        match self.table.find_mut(topic.hash, is) {
            Some(dirty) => dirty.edges += 1,
            None => {
                let dirty = Dirty { topic: Arc::clone(topic), edges: 1 };
                self.table.insert_unique(topic.hash, dirty, |it| it.topic.hash);
            }
        }
    }

    /// A rise with this stamp was told, or is none any more.
    pub(super) fn rise_is_over(&mut self, topic: &Topic, stamp: u64) {
        if stamp <= self.rises_to {
            self.remove(topic);
        }
    }

    /// The same of a fall.
    pub(super) fn fall_is_over(&mut self, topic: &Topic, stamp: u64) {
        if stamp <= self.falls_to {
            self.remove(topic);
        }
    }

    /// True when all that was counted has been told.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.table.shrink_to_fit(|it| it.topic.hash);
    }

    fn remove(&mut self, topic: &Topic) {
        let is = |it: &Dirty| *it.topic == *topic;
        let Ok(mut entry) = self.table.find_entry(topic.hash, is) else {
            return invariant::violated("what was counted is in the table");
        };
        entry.get_mut().edges -= 1;
        if entry.get().edges == 0 {
            entry.remove();
        }
    }
}
