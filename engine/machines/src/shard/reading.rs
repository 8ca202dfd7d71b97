//! A shard is read: its counters, and how much there is of everything in it.

use super::Shard;
use crate::invariant::violations;
use crate::readings::stats::{Parts, Stats};
use crate::readings::{QueueBytes, Reading};

impl Shard {
    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        Stats::from(Parts {
            inbound: self.inbound.stats(),
            home: self.home.stats(),
            cluster: self.home.cluster_stats(),
            links: self.links.stats(),
            fanout: self.fanout.stats(),
            users: self.users.stats(),
            ending: self.ending.stats(),
            border: &self.border_stats,
        })
    }

    /// How it stands.
    pub(super) fn read(&self) -> Reading {
        Reading {
            stats: self.stats(),
            closes: self.ending.closes().clone(),
            fanout: self.fanout.latencies(),
            violations: violations().count,
            gated_ms: self.inbound.gated_ms(),
            connections: self.fanout.connections() as u64,
            half_open: self.inbound.half_open() as u64,
            subscriptions: self.fanout.subscriptions() as u64,
            signed_in: self.users.signed_in() as u64,
            watched_users: self.users.watches() as u64,
            channels: self.home.len() as u64,
            cache_events: self.home.cache().len() as u64,
            cache_bytes: self.home.cache().bytes() as u64,
            blocked: self.fanout.blocked() as u64,
            outbox_bytes: self.fanout.held_bytes() as u64,
            parting_bytes: self.ending.parting_bytes() as u64,
            departed: self.fanout.departed() as u64,
            queue_bytes: QueueBytes {
                roots: self.links.queue_bytes() as u64,
                leaves: self.home.queue_bytes() as u64,
            },
        }
    }
}
