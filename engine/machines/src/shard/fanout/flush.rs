//! Which connections have something to write, and whether that is already too much to take more input.
//!
//! Dirty connections stand in a FIFO that the driver drains slice by slice; those with nothing but a small frame of
//! their own (a pong, an error) stand in a second one and go first, up to a quarter. The gate is closed while any one
//! outbox may have gained more than `unflushed_bytes_max` that no write was tried for (`gain` bounds that), or all of
//! them together more than `unflushed_shard_bytes_max`.

use std::collections::VecDeque;

use crate::limits::SMALL_BYTES_MAX;
use crate::machine::Token;
use crate::outbox::Tails;
use crate::outbox::run::OpenRun;
use crate::shard::fanout::budget::Backlogs;
use crate::shard::fanout::connection::Connection;
use crate::shard::fanout::pacing::Holds;
use crate::shard::fanout::slots::Connections;
use crate::shard::fanout::unflushed::{Gain, TopicGain};

/// In place of an index of `Flush::open`: the topic has no event in this phase.
pub(super) const NO_RUN: u32 = u32::MAX;

/// The flushing side of a shard.
#[derive(Debug, Default)]
pub(super) struct Flush {
    dirty: Fifo,
    small: Fifo,
    picks: u32,
    /// What outboxes may have gained since an attempt.
    pub(super) gain: Gain,
    /// Who waits for a tick.
    pub(super) holds: Holds,
    /// When this phase began, in `mono_ms`.
    pub(super) phase_ms: u64,
    /// The Runs of this phase.
    pub(super) open: Vec<OpenRun>,
    /// Bytes of all Runs decided since the start.
    run_bytes: u64,
    /// `run_bytes` when this phase began.
    phase_mark: u64,
    /// The most private bytes that one outbox gained, while anything was dirty.
    private_gain_max: u32,
    /// What waits for connections that the kernel refused.
    pub(super) backlogs: Backlogs,
    /// Blocked connections that an open Run of this phase reaches, with where their range begins.
    pub(super) touched: Vec<Touched>,
    /// Spare parts of outboxes.
    pub(super) tails: Tails,
}

/// A connection that has something to write. Eight bytes, since an event for all has one for each.
#[derive(Debug)]
struct Dirty {
    slot: u32,
    /// The lower half of `run_bytes` when the phase began in which it came here. Far less has been decided since than that
    /// has room for: `unflushed_shard_bytes_max`, and one phase.
    mark: u32,
}

/// Dirty connections in their order.
#[derive(Debug, Default)]
struct Fifo {
    queue: VecDeque<Dirty>,
    /// How many of them, the first ones, were there when the round began.
    of_last_round: usize,
    /// The oldest mark of any of the first so many, where they do not stand in the order of their marks.
    floor: u64,
    under_floor: usize,
}

impl Fifo {
    fn push(&mut self, id: Token, mark: u64) {
        self.queue.push_back(Dirty { slot: id.slot, mark: mark as u32 });
    }

    fn pop(&mut self) -> Option<Dirty> {
        self.of_last_round = self.of_last_round.saturating_sub(1);
        self.under_floor = self.under_floor.saturating_sub(1);
        self.queue.pop_front()
    }

    fn begin_round(&mut self) {
        self.of_last_round = self.queue.len();
    }

    /// All that stand here may have gained since this mark, and if `old` since before this round.
    fn count_as_gaining_since(&mut self, mark: u64, old: bool) {
        self.floor = if self.under_floor > 0 { self.floor.min(mark) } else { mark };
        self.under_floor = self.queue.len();
        if old {
            self.of_last_round = self.queue.len();
        }
    }

    fn oldest_mark(&self, run_bytes: u64) -> Option<u64> {
        let front = self.queue.front()?;
        let front = run_bytes - u64::from((run_bytes as u32).wrapping_sub(front.mark));
        Some(if self.under_floor > 0 { front.min(self.floor) } else { front })
    }
}

/// A blocked connection and its range of an open Run.
#[derive(Debug)]
pub(super) struct Touched {
    /// The connection.
    pub(super) id: Token,
    /// Index of the Run in `Flush::open`.
    pub(super) run: u32,
    /// Where the range begins.
    pub(super) from: u32,
}

impl Flush {
    /// A decide phase begins.
    pub(super) fn begin_phase(&mut self, now_ms: u64) {
        self.phase_mark = self.run_bytes;
        self.phase_ms = now_ms;
        if self.is_clean() {
            self.gain.clear();
        }
    }

    /// Bytes were appended to a Run of this topic. Those of its Run for objects are not counted beside them: an outbox gains
    /// from one of the two, and what it gains is never longer as objects.
    pub(super) fn decided(&mut self, topic: &mut TopicGain, bytes: usize) {
        self.run_bytes += bytes as u64;
        self.gain.decided(topic, bytes);
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.dirty.queue.shrink_to_fit();
        self.small.queue.shrink_to_fit();
        self.holds.give_back_room();
        self.open.shrink_to_fit();
        self.backlogs.give_back_room();
        self.touched.shrink_to_fit();
        self.tails = Tails::default();
    }

    /// The connection has something to write.
    #[inline]
    pub(super) fn mark(&mut self, id: Token, connection: &mut Connection) {
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(id, self.phase_mark);
        }
    }

    /// So many connections may have something to write at once. A queue that doubles, and doubles again, would need three
    /// times as much.
    pub(super) fn make_room(&mut self, connections: usize) {
        let queue = &mut self.dirty.queue;
        if queue.capacity() < connections {
            queue.reserve_exact(connections + connections / 16 - queue.len());
        }
    }

    /// The connection has something to write when its app's interval ends; with an interval of 0, now.
    #[inline]
    pub(super) fn mark_or_hold(&mut self, id: Token, connection: &mut Connection, interval_ms: u32) -> bool {
        if interval_ms == 0 {
            self.mark(id, connection);
            return false;
        }
        let begins = !connection.dirty && !connection.held;
        if begins {
            connection.held = true;
            self.holds.hold(id, interval_ms, self.phase_ms, self.phase_mark);
        }
        begins
    }

    /// A group of holds has ended: those of it who still have something become dirty.
    pub(super) fn release(&mut self, mark: u64, old: bool, held: &[Token], connections: &mut Connections) {
        for id in held {
            let Some(connection) = connections.by_id(*id) else { continue };
            connection.held = false;
            if !connection.outbox.is_empty() && !connection.blocked {
                self.mark(*id, connection);
            }
        }
        // Those who had a small frame meanwhile stand in the other line.
        self.dirty.count_as_gaining_since(mark, old);
        self.small.count_as_gaining_since(mark, old);
    }

    /// The connection has a private frame of so many bytes to write.
    pub(super) fn mark_private(&mut self, id: Token, connection: &mut Connection, bytes: usize) {
        self.count_private(connection, bytes);
        if !connection.dirty {
            connection.dirty = true;
            let fifo = if bytes <= SMALL_BYTES_MAX { &mut self.small } else { &mut self.dirty };
            fifo.push(id, self.phase_mark);
        }
    }

    /// A dirty or held connection loses its subscription to this topic: what that has gained counts as its own from now on.
    /// Returns whether it was anything.
    pub(super) fn count_gone(&mut self, connection: &mut Connection, topic: TopicGain) -> bool {
        let bytes = if connection.dirty || connection.held { self.gain.bytes_of(topic) as usize } else { 0 };
        self.count_private(connection, bytes);
        bytes > 0
    }

    fn count_private(&mut self, connection: &mut Connection, bytes: usize) {
        connection.private_gain = connection.private_gain.saturating_add(bytes as u32);
        self.private_gain_max = self.private_gain_max.max(connection.private_gain);
    }

    /// The slot of the connection whose turn it is to be written. May be gone by now, or have nothing. Another one in its slot
    /// has its turn, if it has something, sooner than its own.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.picks = self.picks.wrapping_add(1);
        let small_first = self.picks % 4 == 1 || self.dirty.queue.is_empty();
        let small_first = small_first && !self.small.queue.is_empty();
        let slot = if small_first { self.small.pop() } else { self.dirty.pop() }?.slot;
        self.end_round_when_due();
        Some(slot)
    }

    fn end_round_when_due(&mut self) {
        let old = self.dirty.of_last_round + self.small.of_last_round;
        if old == 0 && !self.holds.any_of_last_round() {
            self.dirty.begin_round();
            self.small.begin_round();
            self.holds.begin_round();
            self.gain.end_round();
        }
        if self.is_clean() {
            self.private_gain_max = 0;
        }
    }

    /// True when no connection waits to be written, or for its tick.
    pub(super) fn is_clean(&self) -> bool {
        self.dirty.queue.is_empty() && self.small.queue.is_empty() && self.holds.is_empty()
    }

    /// How far into all Runs a write was tried for everybody who does not wait for a tick.
    pub(super) fn tried_until(&self) -> u64 {
        let (dirty, small) = (self.dirty.oldest_mark(self.run_bytes), self.small.oldest_mark(self.run_bytes));
        [dirty, small].into_iter().flatten().fold(self.run_bytes, u64::min)
    }

    /// Bytes of all Runs decided since the start.
    pub(super) fn run_bytes(&self) -> u64 {
        self.run_bytes
    }

    /// When the next tick is that somebody waits for, in `mono_ms`.
    pub(super) fn next_tick_ms(&self) -> Option<u64> {
        self.holds.deadline_ms()
    }

    /// The most ranges of events that any one outbox can have gained.
    pub(super) fn ranges_max(&self) -> u64 {
        self.gain.ranges_max()
    }

    /// An upper bound of what any outbox has gained since a write was last tried for it, in bytes.
    pub(super) fn unflushed_bytes(&self) -> u64 {
        self.untried_bytes().min(self.gain.bytes_max()) + u64::from(self.private_gain_max)
    }

    /// An upper bound of what all Runs have together that somebody's write was not tried for yet, in bytes.
    pub(super) fn untried_bytes(&self) -> u64 {
        let (dirty, small) = (self.dirty.oldest_mark(self.run_bytes), self.small.oldest_mark(self.run_bytes));
        let oldest = [dirty, small, self.holds.oldest_mark()];
        let mark = oldest.into_iter().flatten().fold(self.phase_mark, u64::min);
        self.run_bytes - mark
    }
}
