//! For how long the gates of a shard have been closed.

use crate::machine::Now;
use crate::readings::GatedMs;
use crate::readings::gated::GatedTime;

/// The clocks of the gates.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GateClocks {
    flush: GatedTime,
    roots: GatedTime,
    commands: GatedTime,
}

impl GateClocks {
    /// Which gates are closed at the end of a phase.
    pub(super) fn note(&mut self, flush: bool, roots: bool, commands: bool, now: Now) {
        self.flush.note(flush, now.mono_ms);
        self.roots.note(roots, now.mono_ms);
        self.commands.note(commands, now.mono_ms);
    }

    /// How long each was closed.
    pub(super) fn ms(&self) -> GatedMs {
        GatedMs { flush: self.flush.ms(), roots: self.roots.ms(), commands: self.commands.ms() }
    }
}
