//! The fan-out is read: how much there is of everything in it, for metrics, and for those who judge it in tests.

use crate::machine::Token;
use crate::now::Moment;
use crate::outbox::Backlog;
use crate::readings::latencies::Latencies;
use crate::readings::stats::FanoutStats;
use crate::shard::fanout::Fanout;

/// How one outbox stands.
#[derive(Clone, Copy, Debug)]
pub struct OutboxReading {
    /// The connection.
    pub token: Token,
    /// All that waits, refused or not.
    pub backlog: Backlog,
    /// It waits for nothing but a tick.
    pub held: bool,
    /// The kernel has refused its bytes.
    pub blocked: bool,
}

impl Fanout {
    /// What happened.
    pub(in crate::shard) fn stats(&self) -> &FanoutStats {
        &self.stats
    }

    /// How long published events took.
    pub(in crate::shard) fn latencies(&self) -> Latencies {
        self.timing.latencies()
    }

    /// How many published events are not written to all, as far as is measured, for tests.
    pub fn untimed(&self) -> u64 {
        self.timing.untimed()
    }

    /// Whether published events are measured when those who are dirty are written.
    pub(in crate::shard) fn is_timing(&self) -> bool {
        self.timing.untimed() > 0 && self.flush.tried_until() < self.flush.run_bytes()
    }

    /// When this phase began.
    pub(in crate::shard) fn phase_began(&self) -> Moment {
        self.timing.began()
    }

    /// How many connections there are.
    #[inline]
    pub(in crate::shard) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// How many connections have gone and left subscriptions behind.
    pub(in crate::shard) fn departed(&self) -> usize {
        self.departed.len()
    }

    /// How many connections the kernel takes nothing more for.
    pub(in crate::shard) fn blocked(&self) -> usize {
        self.flush.backlogs.len()
    }

    /// True when nothing waits to be written, nor to be given up.
    pub(in crate::shard) fn is_at_rest(&self) -> bool {
        self.flush.is_clean() && self.flush.backlogs.is_empty() && self.departed.is_empty()
    }

    /// What the outboxes may keep together, in bytes.
    pub(in crate::shard) fn outboxes_bytes_max(&self) -> usize {
        self.outboxes_bytes_max
    }

    /// When the next tick is that somebody waits for, in `mono_ms`.
    pub fn next_tick_ms(&self) -> Option<u64> {
        self.flush.next_tick_ms()
    }

    /// How many topics have local subscribers.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// How many subscriptions there are, those that wait included.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// What all outboxes keep alive, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.held.bytes() + self.flush.backlogs.range_bytes()
    }

    /// True when no connection waits to be written, or for its tick.
    pub fn is_clean(&self) -> bool {
        self.flush.is_clean()
    }

    /// An upper bound of what any outbox has gained since a write was last tried for it, in bytes.
    pub fn unflushed_bytes(&self) -> u64 {
        self.flush.unflushed_bytes()
    }

    /// An upper bound of what all Runs have together that somebody's write was not tried for yet, in bytes.
    pub fn untried_bytes(&self) -> u64 {
        self.flush.untried_bytes()
    }

    /// The slots of connections that the kernel has refused, with what waits for them.
    pub fn backlogs(&self) -> impl Iterator<Item = (u32, Backlog)> {
        self.flush.backlogs.iter()
    }

    /// How all outboxes stand, for tests.
    pub fn outboxes(&self) -> impl Iterator<Item = OutboxReading> {
        let connections = (0..self.connections.slots()).filter_map(|slot| {
            let token = self.connections.id_at(slot)?;
            Some((token, self.connections.view(token)?))
        });
        connections.map(|(token, connection)| OutboxReading {
            token,
            backlog: connection.outbox.backlog(),
            held: connection.held && !connection.dirty && !connection.blocked,
            blocked: connection.blocked,
        })
    }
}
