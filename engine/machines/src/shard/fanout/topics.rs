//! The topics that have subscribers on this shard, and who of its connections these are.

use std::sync::Arc;

use hashbrown::HashTable;
use protocol::app::App;
use slab::Slab;

use crate::invariant;
use crate::mesh::SubRef;
use crate::shard::fanout::connection::Needs;
use crate::shard::fanout::flush::NO_RUN;
use crate::shard::fanout::unflushed::TopicGain;
use crate::topic::{Topic, TopicKey};

/// All of them, each in a slot of its own.
#[derive(Debug, Default)]
pub(super) struct LocalTopics {
    slots: Slab<LocalTopic>,
    table: HashTable<u32>,
}

/// A topic with local subscribers, or with none and a home that has not been told yet.
#[derive(Debug)]
pub(super) struct LocalTopic {
    pub(super) topic: Arc<Topic>,
    /// Its fan-out list: the acknowledged subscribers.
    pub(super) acknowledged: Vec<Subscriber>,
    /// Subscriptions without acknowledgement.
    pub(super) waiting: u32,
    /// Index of its Run of this phase, or [`NO_RUN`].
    pub(super) run: u32,
    /// The same of the Run for subscribers that take objects. There is one while any of them has a part of it.
    pub(super) object_run: u32,
    pub(super) gain: TopicGain,
}

/// A place in a fan-out list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscriber {
    /// The connection's slot.
    pub(super) slot: u32,
    /// Index among the connection's subscriptions.
    pub(super) subscription_index: u32,
}

/// What there is to say of a subscription that has ended.
#[derive(Debug)]
pub(in crate::shard) struct Gone {
    /// To which topic it was.
    pub topic: Arc<Topic>,
    /// The slot of that topic, which has not been removed yet.
    pub topic_slot: u32,
    /// What home knows it by.
    pub sub: SubRef,
    /// What home has done for it, or was asked to do.
    pub needs: Needs,
    /// The end of the sequence number that its Enter or Replay had among the roots to its home.
    pub entered: u32,
    /// It was not acknowledged yet.
    pub waited: bool,
}

impl LocalTopic {
    pub(super) fn flush_interval_ms(&self) -> u32 {
        self.topic.app.flush_interval_ms
    }

    /// Local subscribers, waiting ones included.
    pub(super) fn subscribers(&self) -> u32 {
        self.acknowledged.len() as u32 + self.waiting
    }
}

impl LocalTopics {
    pub(super) fn find(&self, hash: u64, app: &App, key: TopicKey<&str>) -> Option<u32> {
        self.table.find(hash, |slot| self.get(*slot).is_some_and(|it| it.topic.is(app, key))).copied()
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&LocalTopic> {
        self.slots.get(slot as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut LocalTopic> {
        self.slots.get_mut(slot as usize)
    }

    pub(super) fn add(&mut self, topic: Arc<Topic>) -> u32 {
        let hash = topic.hash;
        let (acknowledged, gain) = (Vec::new(), TopicGain::default());
        let (run, object_run) = (NO_RUN, NO_RUN);
        let topic = LocalTopic { topic, acknowledged, waiting: 0, run, object_run, gain };
        let slot = self.slots.insert(topic) as u32;
        let slots = &self.slots;
        self.table.insert_unique(hash, slot, |slot| hash_of(slots, *slot));
        slot
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<LocalTopic> {
        let topic = self.slots.try_remove(slot as usize)?;
        invariant::check(topic.subscribers() == 0, "only a topic without subscribers goes");
        match self.table.find_entry(topic.topic.hash, |other| *other == slot) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => invariant::violated("each topic is in the table"),
        }
        Some(topic)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.slots.shrink_to_fit();
        let slots = &self.slots;
        self.table.shrink_to_fit(|slot| hash_of(slots, *slot));
    }
}

fn hash_of(slots: &Slab<LocalTopic>, slot: u32) -> u64 {
    slots.get(slot as usize).map_or(0, |it| it.topic.hash)
}
