//! What can be read of a shard from outside, at one instant: counters, and how much there is of everything. Taken from
//! the live tables when somebody asks, so that no gauge can drift. No walk over connections or topics: a reading takes
//! as long on a full shard as on an empty one.

pub mod closes;
pub mod gated;
pub mod latencies;
pub mod stats;

use closes::Closes;
use latencies::Latencies;
use stats::Stats;

/// The state of a shard in numbers.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Counters since the start.
    pub stats: Stats,
    /// How connections have ended.
    pub closes: Closes,
    /// How long published events took, from when they were received until they were written to all subscribers here.
    pub fanout: Latencies,
    /// How often an invariant did not hold on its core.
    pub violations: u64,
    /// How long gates have been closed.
    pub gated_ms: GatedMs,
    /// WebSocket connections.
    pub connections: u64,
    /// Connections without a complete head.
    pub half_open: u64,
    /// Subscriptions of the shard's connections.
    pub subscriptions: u64,
    /// Connections that are signed in as users.
    pub signed_in: u64,
    /// Users on the watchlists of the shard's connections.
    pub watched_users: u64,
    /// Occupied channels that have their home here.
    pub channels: u64,
    /// Events that cache channels remember which have their home here.
    pub cache_events: u64,
    /// What they take, in bytes.
    pub cache_bytes: u64,
    /// Connections that the kernel takes nothing more for.
    pub blocked: u64,
    /// What all outboxes keep together, each frame once, in bytes.
    pub outbox_bytes: u64,
    /// What is kept for connections that are closed, in bytes.
    pub parting_bytes: u64,
    /// Connections that have gone and whose subscriptions are still to be given up.
    pub departed: u64,
    /// Roots and leaves that are not sent yet, in bytes.
    pub queue_bytes: QueueBytes,
}

/// Milliseconds behind each gate.
#[derive(Clone, Copy, Debug, Default)]
pub struct GatedMs {
    /// Everything waited until sockets were written.
    pub flush: u64,
    /// Roots waited for room in the leaf batches.
    pub roots: u64,
    /// Some message of a client waited for room in a root batch.
    pub commands: u64,
}

/// Bytes in the open batches of a lane, over all receivers.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueBytes {
    /// To home shards.
    pub roots: u64,
    /// From this shard as a home.
    pub leaves: u64,
}

impl Reading {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.stats.add(&other.stats);
        self.closes.add(&other.closes);
        self.fanout.add(&other.fanout);
        self.violations += other.violations;
        self.gated_ms.flush += other.gated_ms.flush;
        self.gated_ms.roots += other.gated_ms.roots;
        self.gated_ms.commands += other.gated_ms.commands;
        self.connections += other.connections;
        self.half_open += other.half_open;
        self.subscriptions += other.subscriptions;
        self.signed_in += other.signed_in;
        self.watched_users += other.watched_users;
        self.channels += other.channels;
        self.cache_events += other.cache_events;
        self.cache_bytes += other.cache_bytes;
        self.blocked += other.blocked;
        self.outbox_bytes += other.outbox_bytes;
        self.parting_bytes += other.parting_bytes;
        self.departed += other.departed;
        self.queue_bytes.roots += other.queue_bytes.roots;
        self.queue_bytes.leaves += other.queue_bytes.leaves;
    }
}
