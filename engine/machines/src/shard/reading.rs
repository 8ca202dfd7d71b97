//! A shard is read: its counters, and how much there is of everything in it. How long its gates are closed is noted here.

use super::Shard;
use crate::machine::Now;
use crate::readings::gated::GatedTime;
use crate::readings::stats::{Parts, Stats};
use crate::readings::{GatedMs, QueueBytes, Reading};

/// The clocks of a shard's gates.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gates {
    pub(super) flush: GatedTime,
    pub(super) roots: GatedTime,
    pub(super) commands: GatedTime,
}

impl Shard {
    /// What has happened so far.
    pub fn stats(&self) -> Stats {
        Stats::from(Parts {
            inbound: &self.inbound_stats,
            home: self.home.stats(),
            links: self.links.stats(),
            fanout: self.fanout.stats(),
            ending: self.ending.stats(),
            border: &self.border_stats,
        })
    }

    /// How it stands.
    pub(super) fn read(&self) -> Reading {
        Reading {
            stats: self.stats(),
            closes: self.ending.closes().clone(),
            gated_ms: GatedMs {
                flush: self.gates.flush.ms(),
                roots: self.gates.roots.ms(),
                commands: self.gates.commands.ms(),
            },
            connections: self.fanout.connections() as u64,
            half_open: self.lobby.half_open() as u64,
            subscriptions: self.fanout.subscriptions() as u64,
            channels: self.home.len() as u64,
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

    /// Which gates are closed at the end of a phase.
    pub(super) fn note_gates(&mut self, flush_gated: bool, now: Now) {
        self.gates.flush.note(flush_gated, now.mono_ms);
        self.gates.roots.note(self.home.is_backed_up(), now.mono_ms);
        self.gates.commands.note(self.stalled.any_gated(), now.mono_ms);
    }
}
