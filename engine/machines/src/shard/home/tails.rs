//! Live tails: what is sent to a channel, told to an operator as well, for as long as one watches.
//!
//! A home that tails nothing asks once per event whether it does. What is told is sampled and cut before it is copied, and
//! left out where the batch to the watcher is half full, so a channel never waits for its tail.

use std::sync::Arc;

use protocol::ws::Frame;

use crate::cores::CoreId;
use crate::limits::{TAILED_PER_SECOND_MAX, WATCHES_MAX};
use crate::mesh::{Found, Leaf};
use crate::shard::home::Home;
use crate::topic::Topic;
use crate::watching::{Excerpt, Seen, Sight, Watch};

/// The topics of a home that are tailed.
#[derive(Debug, Default)]
pub(super) struct Tails {
    of: Vec<Tail>,
    /// Of this phase, in `mono_ms`.
    now_ms: u64,
}

#[derive(Debug)]
struct Tail {
    topic: Arc<Topic>,
    watch: Watch,
}

impl Tails {
    /// When something of them is due, in `mono_ms`.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.of.iter().map(|tail| tail.watch.deadline_ms()).min()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}

impl Home {
    /// Whether the batch to a watcher has room for what nobody waits for.
    pub(in crate::shard) fn has_room_for(&self, watcher: CoreId) -> bool {
        self.leaves.has_spare_room(watcher)
    }

    /// Tells a watcher what was seen.
    pub(in crate::shard) fn tell_seen(&mut self, watcher: CoreId, seen: Seen) {
        self.leaves.push(watcher, Leaf::Seen(Box::new(seen)));
    }

    /// One who watches was not told of something.
    pub(in crate::shard) fn note_watched_left_out(&mut self) {
        self.stats.watched_left_out += 1;
    }

    /// Nobody more may watch.
    pub(in crate::shard) fn note_watch_refused(&mut self) {
        self.stats.watches_refused += 1;
    }

    /// A decide phase begins: forgets tails that are over, and tells what was left out.
    pub(super) fn look_at_tails(&mut self, now_ms: u64) {
        self.tails.now_ms = now_ms;
        if self.tails.is_empty() {
            return;
        }
        self.tails.of.retain(|tail| tail.watch.is_kept(now_ms));
        for tail in &mut self.tails.of {
            let watcher = tail.watch.watcher;
            let has_room = self.leaves.has_spare_room(watcher);
            if let Some(seen) = tail.watch.count_left_out(now_ms, has_room) {
                self.leaves.push(watcher, Leaf::Seen(Box::new(seen)));
            }
        }
    }

    /// Begins a tail, lets it go on, or ends it where it is wanted for no time.
    pub(super) fn tail(&mut self, watcher: CoreId, topic: &Arc<Topic>, name: u64, for_ms: u64) -> Found {
        let until_ms = self.tails.now_ms + for_ms;
        if let Some(tail) = self.tails.of.iter_mut().find(|tail| tail.watch.name == name) {
            tail.watch.renew(until_ms);
            self.tails.of.retain(|tail| tail.watch.is_kept(self.tails.now_ms));
            return Found::Done(true);
        }
        if for_ms == 0 {
            return Found::Done(false);
        }
        if self.tails.len() >= WATCHES_MAX {
            self.stats.watches_refused += 1;
            return Found::Busy;
        }
        self.stats.tails += 1;
        let watch = Watch::new(name, watcher, until_ms, TAILED_PER_SECOND_MAX);
        self.tails.of.push(Tail { topic: Arc::clone(topic), watch });
        Found::Done(true)
    }

    /// A frame is sent to the subscribers of a topic.
    #[inline]
    pub(super) fn note_for_tails(&mut self, topic: &Topic, frame: &Frame) {
        if !self.tails.is_empty() {
            self.tell_tails(topic, frame);
        }
    }

    #[cold]
    fn tell_tails(&mut self, topic: &Topic, frame: &Frame) {
        let Tails { of, now_ms } = &mut self.tails;
        for tail in of.iter_mut().filter(|tail| tail.topic.hash == topic.hash && *tail.topic == *topic) {
            let watcher = tail.watch.watcher;
            let has_room = self.leaves.has_spare_room(watcher);
            let seen = tail.watch.see(*now_ms, has_room, || Sight::Event(Excerpt::of(frame.payload())));
            match seen {
                Some(seen) => {
                    self.leaves.push(watcher, Leaf::Seen(Box::new(seen)));
                }
                None => self.stats.watched_left_out += 1,
            }
        }
    }
}
