//! Rows of one endpoint that wait, in a line per channel, and which of these lines may move.
//!
//! A line whose head is on its way is busy: nothing behind it moves. It owns the rows that were not yet put into a batch.
//! What must never happen here: a row that overtakes one of its own channel, or a line kept for a channel that is idle.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use slab::Slab;

use crate::row::Row;

/// A row that waits or is on its way.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Its place among all that this endpoint holds.
    pub(crate) order: u64,
    /// The row.
    pub(crate) row: Arc<Row>,
    /// Whom to tell when it is done.
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
    Letter(i64),
}

/// All lines of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    by_channel: HashMap<Arc<str>, usize, RandomState>,
    lines: Slab<Line>,
    /// Lines that may move and have rows, by their oldest.
    ready: BTreeMap<u64, usize>,
    rows_ready: usize,
}

#[derive(Debug)]
struct Line {
    channel: Arc<str>,
    waiting: VecDeque<Held>,
    busy: bool,
    /// Rows were given up after tries that began then, and none was accepted since.
    failing_since_ms: Option<u64>,
}

impl Lines {
    /// A row comes behind all others.
    pub(crate) fn push(&mut self, held: Held) {
        let channel = held.row.event.channel();
        let key = match self.by_channel.get(channel) {
            Some(key) => *key,
            None => self.insert(Arc::clone(channel)),
        };
        let Some(line) = self.lines.get_mut(key) else { return };
        if !line.busy {
            self.rows_ready += 1;
            if line.waiting.is_empty() {
                self.ready.insert(held.order, key);
            }
        }
        line.waiting.push_back(held);
    }

    fn insert(&mut self, channel: Arc<str>) -> usize {
        let line = Line {
            channel: Arc::clone(&channel),
            waiting: VecDeque::new(),
            busy: false,
            failing_since_ms: None,
        };
        let key = self.lines.insert(line);
        self.by_channel.insert(channel, key);
        key
    }

    /// The oldest row that may move.
    pub(crate) fn oldest_ready(&self) -> Option<&Held> {
        let (_, key) = self.ready.first_key_value()?;
        self.lines.get(*key)?.waiting.front()
    }

    /// How many rows may move.
    pub(crate) fn rows_ready(&self) -> usize {
        self.rows_ready
    }

    /// Takes the oldest rows that may move and that `wanted` lets go, at most `rows_max`, and the lines that are busy with
    /// them from now on.
    pub(crate) fn take(
        &mut self,
        rows_max: usize,
        wanted: impl Fn(&Held) -> bool,
    ) -> (Vec<Held>, Vec<usize>) {
        let mut taken = Vec::new();
        let mut keys = Vec::new();
        while taken.len() < rows_max && self.oldest_ready().is_some_and(&wanted) {
            let Some((_, key)) = self.ready.pop_first() else { break };
            let Some(line) = self.lines.get_mut(key) else { break };
            taken.extend(line.waiting.pop_front());
            if let Some(next) = line.waiting.front() {
                self.ready.insert(next.order, key);
            }
            if !line.busy {
                line.busy = true;
                keys.push(key);
            }
        }
        self.rows_ready -= taken.len();
        for line in keys.iter().filter_map(|key| self.lines.get(*key)) {
            if let Some(next) = line.waiting.front() {
                self.ready.remove(&next.order);
                self.rows_ready -= line.waiting.len();
            }
        }
        (taken, keys)
    }

    /// What these lines were busy with is done: they move again, or are forgotten.
    pub(crate) fn release(&mut self, keys: &[usize]) {
        for key in keys {
            let Some(line) = self.lines.get_mut(*key) else { continue };
            line.busy = false;
            if let Some(head) = line.waiting.front() {
                self.ready.insert(head.order, *key);
                self.rows_ready += line.waiting.len();
            } else {
                let line = self.lines.remove(*key);
                self.by_channel.remove(&line.channel);
            }
        }
    }

    /// Rows of these lines were given up after tries that began at that time.
    pub(crate) fn begin_failing(&mut self, keys: &[usize], since_ms: u64) {
        for key in keys {
            if let Some(line) = self.lines.get_mut(*key) {
                line.failing_since_ms.get_or_insert(since_ms);
            }
        }
    }

    /// Rows of these lines were accepted.
    pub(crate) fn end_failing(&mut self, keys: &[usize]) {
        for key in keys {
            if let Some(line) = self.lines.get_mut(*key) {
                line.failing_since_ms = None;
            }
        }
    }

    /// Since when all of these lines have been failing, if they have.
    pub(crate) fn failing_since_ms(&self, keys: &[usize]) -> Option<u64> {
        keys.iter().try_fold(0, |newest, key| Some(self.lines.get(*key)?.failing_since_ms?.max(newest)))
    }

    /// The line of a row's channel.
    pub(crate) fn key_of(&self, row: &Row) -> Option<usize> {
        self.by_channel.get(row.event.channel()).copied()
    }

    /// How many channels have a line.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }
}

#[cfg(test)]
mod tests {
    use protocol::app::App;
    use protocol::hook_event::HookEvent;

    use super::*;

    fn held(order: u64, channel: &str) -> Held {
        let event =
            HookEvent::ChannelVacated { app: Arc::new(App::new("1", "k", "s")), channel: channel.into() };
        let row = Arc::new(Row { id: order, time_ms: 0, event });
        Held { order, row, origin: Origin::Source(order), arrived_ms: 0, happened_ms: 0, bytes: 1 }
    }

    fn orders(taken: &[Held]) -> Vec<u64> {
        taken.iter().map(|held| held.order).collect()
    }

    #[test]
    fn oldest_rows_go_first_and_busy_channels_stand() {
        let mut lines = Lines::default();
        for (order, channel) in [(1, "a"), (2, "b"), (3, "a"), (4, "c"), (5, "b")] {
            lines.push(held(order, channel));
        }
        let (first, busy) = lines.take(3, |_| true);
        assert_eq!(orders(&first), [1, 2, 3]);
        assert_eq!(lines.rows_ready(), 1, "b is busy, so only c moves");
        lines.push(held(6, "a"));
        lines.push(held(7, "c"));
        let (second, others) = lines.take(9, |_| true);
        assert_eq!(orders(&second), [4, 7]);
        assert_eq!((lines.rows_ready(), lines.oldest_ready().is_none()), (0, true));
        lines.release(&busy);
        assert_eq!(orders(&lines.take(9, |_| true).0), [5, 6]);
        lines.release(&others);
    }

    #[test]
    fn an_idle_channel_is_forgotten() {
        let mut lines = Lines::default();
        lines.push(held(1, "a"));
        let (_, keys) = lines.take(9, |_| true);
        assert_eq!(lines.len(), 1);
        lines.release(&keys);
        assert_eq!((lines.len(), lines.by_channel.len(), lines.ready.len()), (0, 0, 0));
    }

    #[test]
    fn only_wanted_rows_are_taken() {
        let mut lines = Lines::default();
        for order in 1..=4 {
            lines.push(held(order, "a"));
        }
        let (taken, keys) = lines.take(9, |held| held.order < 3);
        assert_eq!(orders(&taken), [1, 2]);
        lines.release(&keys);
        assert_eq!((lines.rows_ready(), lines.oldest_ready().map(|held| held.order)), (2, Some(3)));
    }
}
