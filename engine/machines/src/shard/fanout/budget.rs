//! The budget for all outboxes of a shard together: how much memory they keep, and who goes when it is too much.
//!
//! What counts is what would be freed: each Run once, however many outboxes share it, from its sealing until its last
//! holder lets go, and the ranges of connections that the kernel has refused. Past the budget those of them go for whom
//! most is waiting, until an eighth of it is free again: so the blocked are looked through once per eighth, and a
//! delivery pays nothing. What must never happen here: closing a connection for which no write was tried.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;
use protocol::close::Close;

use crate::invariant::Expected;
use crate::outbox::{Backlog, Range};
use crate::shard::Shard;
use crate::shard::fanout::Fanout;

/// What waits for each connection that the kernel has refused, by slot.
#[derive(Debug, Default)]
pub(super) struct Backlogs {
    of: HashMap<u32, Backlog>,
    /// Since when something has waited that was refused, in `mono_ms`, by slot; also while it is tried again.
    since_ms: HashMap<u32, u64>,
    ranges: usize,
}

/// What a range may take in an outbox, whose memory grows by doubling.
const RANGE_BYTES: usize = 2 * size_of::<Range>();

impl Backlogs {
    /// The kernel has refused the connection in this slot, and this is what is left.
    pub(super) fn insert(&mut self, slot: u32, backlog: Backlog) {
        self.ranges += backlog.ranges;
        if let Some(old) = self.of.insert(slot, backlog) {
            self.ranges -= old.ranges;
        }
    }

    /// The connection in this slot is gone, or takes bytes again.
    pub(super) fn remove(&mut self, slot: u32) {
        if let Some(old) = self.of.remove(&slot) {
            self.ranges -= old.ranges;
        }
    }

    /// The connection in this slot begins to wait.
    pub(super) fn begin_wait(&mut self, slot: u32, now_ms: u64) {
        self.since_ms.insert(slot, now_ms);
    }

    /// All that has waited in this slot was written, or will never be.
    pub(super) fn end_wait(&mut self, slot: u32) {
        self.since_ms.remove(&slot);
    }

    /// Since when the connection in this slot has waited.
    pub(super) fn waits_since(&self, slot: u32) -> Option<u64> {
        self.since_ms.get(&slot).copied()
    }

    /// How many bytes wait in this slot, if its connection is blocked.
    pub(super) fn waiting_in(&self, slot: u32) -> Option<usize> {
        self.of.get(&slot).map(|backlog| backlog.waiting)
    }

    /// One more range waits in this slot. Returns what waits now, if the connection is blocked.
    pub(super) fn add(&mut self, slot: u32, bytes: usize, frames: usize) -> Option<Backlog> {
        let backlog = self.of.get_mut(&slot)?;
        backlog.bytes += bytes;
        backlog.waiting += bytes;
        backlog.frames += frames;
        backlog.ranges += 1;
        self.ranges += 1;
        Some(*backlog)
    }

    /// The blocked connections' slots, with what waits for them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Backlog)> {
        self.of.iter().map(|(slot, backlog)| (*slot, *backlog))
    }

    /// How many connections are blocked.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.of.shrink_to_fit();
        self.since_ms.shrink_to_fit();
    }

    /// True when no connection is blocked.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The memory of their ranges, in bytes.
    pub(super) fn range_bytes(&self) -> usize {
        self.ranges * RANGE_BYTES
    }

    /// All of them; those for whom most is waiting come out first.
    fn worst_first(&self) -> BinaryHeap<(usize, Reverse<u32>)> {
        self.iter().map(|(slot, backlog)| (backlog.waiting, Reverse(slot))).collect()
    }
}

/// How much of the budget is free after it was exceeded: one part of so many.
const FREED_PART: usize = 8;

impl Fanout {
    /// True when the outboxes keep more than they may together.
    pub(super) fn is_over_budget(&self) -> bool {
        self.held_bytes() > self.outboxes_bytes_max
    }
}

impl Shard {
    /// Closes blocked connections, the worst first, if the outboxes are over their budget. All Runs are sealed.
    pub(in crate::shard) fn keep_to_budget(&mut self) {
        if !self.fanout.is_over_budget() {
            return;
        }
        let enough = self.fanout.outboxes_bytes_max / FREED_PART * (FREED_PART - 1);
        let mut worst = self.fanout.flush.backlogs.worst_first();
        while self.fanout.held_bytes() > enough
            && let Some((_, Reverse(slot))) = worst.pop()
        {
            self.shed(slot);
        }
    }

    fn shed(&mut self, slot: u32) {
        let id = self.fanout.connections.id_at(slot);
        let Some(id) = id.expected("only a connection has a backlog") else { return };
        self.fanout.stats.outboxes_shed += 1;
        self.close(id, Close::OUTBOXES_FULL);
        self.finish_closes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(waiting: usize, ranges: usize) -> Backlog {
        Backlog { bytes: waiting, frames: 1, waiting, ranges }
    }

    #[test]
    fn the_worst_come_first_and_among_equals_the_lowest_slot() {
        let mut backlogs = Backlogs::default();
        for (slot, waiting) in [(7, 10), (1, 30), (2, 10), (9, 20)] {
            backlogs.insert(slot, backlog(waiting, 1));
        }
        backlogs.add(2, 5, 1);
        let mut worst = backlogs.worst_first();
        let order: Vec<u32> = std::iter::from_fn(|| worst.pop()).map(|(_, Reverse(slot))| slot).collect();
        assert_eq!(order, [1, 9, 2, 7]);
    }

    #[test]
    fn ranges_are_counted_while_their_connection_is_blocked() {
        let mut backlogs = Backlogs::default();
        backlogs.insert(1, backlog(0, 3));
        backlogs.insert(2, backlog(0, 1));
        backlogs.add(1, 1, 1);
        assert_eq!(backlogs.range_bytes(), 5 * RANGE_BYTES);
        backlogs.insert(1, backlog(0, 2));
        backlogs.remove(2);
        assert_eq!(backlogs.range_bytes(), 2 * RANGE_BYTES);
        assert_eq!(backlogs.add(2, 1, 1), None);
        backlogs.remove(1);
        assert_eq!((backlogs.range_bytes(), backlogs.is_empty()), (0, true));
    }
}
