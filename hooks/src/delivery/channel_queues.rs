//! The waiting rows of one endpoint, in a queue per channel, so that order is kept within each.
//!
//! A queue with a row on its way is busy: nothing behind that row moves. Rows stay here until they are put into a batch.
//! What must never happen here: a row that overtakes another of its channel, or a queue that is kept for an idle channel.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use slab::Slab;

use crate::row::Row;

/// A row that waits or is on its way.
#[derive(Clone, Debug)]
pub(crate) struct HeldRow {
    /// Its place among all that this endpoint holds.
    pub(crate) order: u64,
    /// The row.
    pub(crate) row: Arc<Row>,
    /// Where it came from, which hears when it is done.
    pub(crate) origin: Origin,
    /// When it came here.
    pub(crate) arrived_ms: u64,
    /// When it happened, on the same clock.
    pub(crate) happened_ms: u64,
    /// About what it keeps in memory.
    pub(crate) bytes: usize,
}

/// Where a row came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// The source, with this ticket.
    Source(u64),
    /// A dead letter of this number that is tried again.
    DeadLetter(i64),
}

/// The queues of all channels of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct ChannelQueues {
    by_channel: HashMap<Arc<str>, usize, RandomState>,
    queues: Slab<ChannelQueue>,
    /// Queues that have rows and are not busy, by their oldest row.
    ready: BTreeMap<u64, usize>,
    rows_ready: usize,
}

#[derive(Debug)]
struct ChannelQueue {
    channel: Arc<str>,
    waiting: VecDeque<HeldRow>,
    busy: bool,
    /// Rows were given up after tries that began then, and none was accepted since.
    failing_since_ms: Option<u64>,
}

impl ChannelQueues {
    /// A row comes behind all others.
    pub(crate) fn push(&mut self, held: HeldRow) {
        let channel = held.row.event.channel();
        let key = match self.by_channel.get(channel) {
            Some(key) => *key,
            None => self.insert(Arc::clone(channel)),
        };
        let queue = self.queues.get_mut(key);
        debug_assert!(queue.is_some(), "a channel that is known has a queue");
        let Some(queue) = queue else { return };
        if !queue.busy {
            self.rows_ready += 1;
            if queue.waiting.is_empty() {
                self.ready.insert(held.order, key);
            }
        }
        queue.waiting.push_back(held);
    }

    fn insert(&mut self, channel: Arc<str>) -> usize {
        let queue = ChannelQueue {
            channel: Arc::clone(&channel),
            waiting: VecDeque::new(),
            busy: false,
            failing_since_ms: None,
        };
        let key = self.queues.insert(queue);
        self.by_channel.insert(channel, key);
        key
    }

    /// The oldest row that may move.
    pub(crate) fn oldest_ready(&self) -> Option<&HeldRow> {
        let (_, key) = self.ready.first_key_value()?;
        self.queues.get(*key)?.waiting.front()
    }

    /// How many rows may move.
    pub(crate) fn rows_ready(&self) -> usize {
        self.rows_ready
    }

    /// Takes the oldest rows that may move and that `wanted` lets go, at most `rows_max`, and the keys of the queues
    /// that are busy with them from now on.
    pub(crate) fn take(
        &mut self,
        rows_max: usize,
        wanted: impl Fn(&HeldRow) -> bool,
    ) -> (Vec<HeldRow>, Vec<usize>) {
        let mut taken = Vec::new();
        let mut keys = Vec::new();
        while taken.len() < rows_max && self.oldest_ready().is_some_and(&wanted) {
            let Some((_, key)) = self.ready.pop_first() else { break };
            let queue = self.queues.get_mut(key);
            debug_assert!(queue.is_some(), "a queue that is ready is there");
            let Some(queue) = queue else { break };
            taken.extend(queue.waiting.pop_front());
            if let Some(next) = queue.waiting.front() {
                self.ready.insert(next.order, key);
            }
            if !queue.busy {
                queue.busy = true;
                keys.push(key);
            }
        }
        self.rows_ready -= taken.len();
        for queue in keys.iter().filter_map(|key| self.queues.get(*key)) {
            if let Some(next) = queue.waiting.front() {
                self.ready.remove(&next.order);
                self.rows_ready -= queue.waiting.len();
            }
        }
        (taken, keys)
    }

    /// What these channels were busy with is done: they move again, or are forgotten.
    pub(crate) fn release(&mut self, keys: &[usize]) {
        for key in keys {
            let queue = self.queues.get_mut(*key);
            debug_assert!(queue.as_ref().is_some_and(|queue| queue.busy), "what is released was taken");
            let Some(queue) = queue else { continue };
            queue.busy = false;
            if let Some(head) = queue.waiting.front() {
                self.ready.insert(head.order, *key);
                self.rows_ready += queue.waiting.len();
            } else {
                let queue = self.queues.remove(*key);
                self.by_channel.remove(&queue.channel);
            }
        }
    }

    /// Rows of these channels were given up after tries that began at that time.
    pub(crate) fn begin_failing(&mut self, keys: &[usize], since_ms: u64) {
        for key in keys {
            if let Some(queue) = self.queues.get_mut(*key) {
                queue.failing_since_ms.get_or_insert(since_ms);
            }
        }
    }

    /// Rows of these channels were accepted.
    pub(crate) fn end_failing(&mut self, keys: &[usize]) {
        for key in keys {
            if let Some(queue) = self.queues.get_mut(*key) {
                queue.failing_since_ms = None;
            }
        }
    }

    /// Since when all of these channels have been failing, if they have.
    pub(crate) fn failing_since_ms(&self, keys: &[usize]) -> Option<u64> {
        keys.iter().try_fold(0, |newest, key| Some(self.queues.get(*key)?.failing_since_ms?.max(newest)))
    }

    /// The queue of a row's channel.
    pub(crate) fn key_of(&self, row: &Row) -> Option<usize> {
        self.by_channel.get(row.event.channel()).copied()
    }

    /// How many channels have a queue.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.queues.len()
    }
}

#[cfg(test)]
mod tests {
    use protocol::app::App;
    use protocol::hook_event::HookEvent;

    use super::*;

    fn held(order: u64, channel: &str) -> HeldRow {
        let event =
            HookEvent::ChannelVacated { app: Arc::new(App::new("1", "k", "s")), channel: channel.into() };
        let row = Arc::new(Row { id: order, time_ms: 0, event });
        HeldRow { order, row, origin: Origin::Source(order), arrived_ms: 0, happened_ms: 0, bytes: 1 }
    }

    fn orders(taken: &[HeldRow]) -> Vec<u64> {
        taken.iter().map(|held| held.order).collect()
    }

    #[test]
    fn oldest_rows_go_first_and_busy_channels_stand() {
        let mut channels = ChannelQueues::default();
        for (order, channel) in [(1, "a"), (2, "b"), (3, "a"), (4, "c"), (5, "b")] {
            channels.push(held(order, channel));
        }
        let (first, busy) = channels.take(3, |_| true);
        assert_eq!(orders(&first), [1, 2, 3]);
        assert_eq!(channels.rows_ready(), 1, "b is busy, so only c moves");
        channels.push(held(6, "a"));
        channels.push(held(7, "c"));
        let (second, others) = channels.take(9, |_| true);
        assert_eq!(orders(&second), [4, 7]);
        assert_eq!((channels.rows_ready(), channels.oldest_ready().is_none()), (0, true));
        channels.release(&busy);
        assert_eq!(orders(&channels.take(9, |_| true).0), [5, 6]);
        channels.release(&others);
    }

    #[test]
    fn an_idle_channel_is_forgotten() {
        let mut channels = ChannelQueues::default();
        channels.push(held(1, "a"));
        let (_, keys) = channels.take(9, |_| true);
        assert_eq!(channels.len(), 1);
        channels.release(&keys);
        assert_eq!((channels.len(), channels.by_channel.len(), channels.ready.len()), (0, 0, 0));
    }

    #[test]
    fn only_wanted_rows_are_taken() {
        let mut channels = ChannelQueues::default();
        for order in 1..=4 {
            channels.push(held(order, "a"));
        }
        let (taken, keys) = channels.take(9, |held| held.order < 3);
        assert_eq!(orders(&taken), [1, 2]);
        channels.release(&keys);
        assert_eq!((channels.rows_ready(), channels.oldest_ready().map(|held| held.order)), (2, Some(3)));
    }
}
