//! Which connections have something to write, and whether that is already too much to take more input.
//!
//! Dirty connections stand in a FIFO that the driver drains slice by slice; those with nothing but a small frame of
//! their own (a pong, an error) stand in a second one and go first, up to a quarter. The gate is closed while more
//! than `unflushed_bytes_max` was decided that no write was tried for, so no outbox can have gained more than that.

use std::collections::VecDeque;

use super::budget::Backlogs;
use super::connection::{Connection, ConnectionId};
use super::outbox::Tails;
use super::run::OpenRun;

/// In place of an index of [`Flush::open`]: the topic has no event in this phase.
pub const NO_RUN: u32 = u32::MAX;

/// Private bytes up to which a connection counts as having only a small frame.
const SMALL_BYTES_MAX: usize = 1024;

/// The flushing side of a shard.
#[derive(Debug, Default)]
pub struct Flush {
    dirty: VecDeque<Dirty>,
    small: VecDeque<Dirty>,
    picks: u32,
    /// The Runs of this phase.
    pub open: Vec<OpenRun>,
    /// Bytes of all Runs decided since the start.
    run_bytes: u64,
    /// `run_bytes` when this phase began.
    phase_mark: u64,
    /// The most private bytes that one outbox gained, while anything was dirty.
    private_gain_max: u32,
    /// What waits for connections that the kernel refused.
    pub backlogs: Backlogs,
    /// Blocked connections that an open Run of this phase reaches, with where their range begins.
    pub touched: Vec<Touched>,
    /// Spare parts of outboxes.
    pub tails: Tails,
}

#[derive(Debug)]
struct Dirty {
    id: ConnectionId,
    mark: u64,
}

/// A blocked connection and its range of an open Run.
#[derive(Debug)]
pub struct Touched {
    /// The connection.
    pub id: ConnectionId,
    /// Index of the Run in [`Flush::open`].
    pub run: u32,
    /// Where the range begins.
    pub from: u32,
}

impl Flush {
    /// A decide phase begins.
    pub fn begin_phase(&mut self) {
        self.phase_mark = self.run_bytes;
    }

    /// Bytes were appended to a Run.
    pub fn decided(&mut self, bytes: usize) {
        self.run_bytes += bytes as u64;
    }

    /// Gives back what nothing needs now.
    pub fn give_back_room(&mut self) {
        self.dirty.shrink_to_fit();
        self.small.shrink_to_fit();
        self.open.shrink_to_fit();
        self.backlogs.give_back_room();
        self.touched.shrink_to_fit();
        self.tails = Tails::default();
    }

    /// The connection has something to write.
    pub fn mark(&mut self, id: ConnectionId, connection: &mut Connection) {
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push_back(Dirty { id, mark: self.phase_mark });
        }
    }

    /// The connection has a private frame of so many bytes to write.
    pub fn mark_private(&mut self, id: ConnectionId, connection: &mut Connection, bytes: usize) {
        connection.private_gain = connection.private_gain.saturating_add(bytes as u32);
        self.private_gain_max = self.private_gain_max.max(connection.private_gain);
        if !connection.dirty {
            connection.dirty = true;
            let fifo = if bytes <= SMALL_BYTES_MAX { &mut self.small } else { &mut self.dirty };
            fifo.push_back(Dirty { id, mark: self.phase_mark });
        }
    }

    /// The connection whose turn it is to be written. May be gone by now, or have nothing.
    pub fn pop(&mut self) -> Option<ConnectionId> {
        self.picks = self.picks.wrapping_add(1);
        let small_first = self.picks % 4 == 1 || self.dirty.is_empty();
        let fifo = if small_first && !self.small.is_empty() { &mut self.small } else { &mut self.dirty };
        let id = fifo.pop_front()?.id;
        if self.is_clean() {
            self.private_gain_max = 0;
        }
        Some(id)
    }

    /// True when no connection waits to be written.
    pub fn is_clean(&self) -> bool {
        self.dirty.is_empty() && self.small.is_empty()
    }

    /// An upper bound of what any outbox has gained since a write was last tried for it, in bytes.
    pub fn unflushed_bytes(&self) -> u64 {
        let oldest = |fifo: &VecDeque<Dirty>| fifo.front().map_or(self.phase_mark, |dirty| dirty.mark);
        let mark = oldest(&self.dirty).min(oldest(&self.small)).min(self.phase_mark);
        self.run_bytes - mark + u64::from(self.private_gain_max)
    }
}
