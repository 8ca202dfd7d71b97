//! Whether a shard with many connections has lately heard nothing but signs of life: pings, pongs, and their silence.
//!
//! Then nobody waits for it, and its core may let such signs gather before it looks again. Whatever else comes (a
//! message, a newcomer, anything from another core) ends the quiet at once. What must never happen here: quiet while
//! somebody's bytes wait to be written or a step of a walk to be taken.

use crate::machine::Now;
use crate::shard::Shard;

/// How long a shard must have heard nothing else, in milliseconds: who has just spoken will speak again.
const QUIET_AFTER_MS: u64 = 250;

/// When something else was last heard.
#[derive(Debug, Default)]
pub(in crate::shard) struct Quiet {
    active: bool,
    active_ms: u64,
}

impl Shard {
    /// Something has come that is more than a sign of life.
    pub(in crate::shard) fn note_activity(&mut self) {
        self.inbound.quiet.active = true;
    }

    /// A decide phase ends.
    pub(in crate::shard) fn note_quiet(&mut self, now: Now) {
        if std::mem::take(&mut self.inbound.quiet.active) {
            self.inbound.quiet.active_ms = now.mono_ms;
        }
        if self.has_been_quiet(now) {
            self.inbound.stats.quiet_phases += 1;
        }
    }

    /// True when nothing but signs of life came lately from many connections, and nothing waits.
    pub(in crate::shard) fn has_been_quiet(&self, now: Now) -> bool {
        let few = self.fanout.connections() < self.limits.nap_connections_min;
        let waits = self.inbound.quiet.active
            || !self.fanout.is_at_rest()
            || self.inbound.half_open() > 0
            || self.budgeted() > 0
            || self.inbound.stalled.any_gated()
            || self.ending.is_draining();
        !few && !waits && now.mono_ms >= self.inbound.quiet.active_ms + QUIET_AFTER_MS
    }
}
