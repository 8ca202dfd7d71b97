//! Connections that have not shown yet that their app's back end knows them. Where the app sets `authorization_timeout_s`,
//! one that neither signs in nor subscribes to a channel that needs a signature in that time is closed.
//!
//! Apps without that setting have nothing here. A connection whose next message waits for a gate is not at fault, so it has
//! more time.

use protocol::close::Close;

use crate::machine::{Now, Token};
use crate::shard::Shard;

/// How much more time one has whose next message waits, in milliseconds.
const MORE_MS: u64 = 1000;

impl Shard {
    /// A connection has come.
    pub(in crate::shard) fn await_authorization(&mut self, id: Token, now: Now) {
        let timeout_ms =
            self.fanout.app_of(id).map_or(0, |app| u64::from(app.authorization_timeout_s) * 1000);
        if timeout_ms > 0 {
            self.ending.unauthorized.set(id.slot, now.mono_ms + timeout_ms);
        }
    }

    /// The connection has shown what was waited for.
    pub(in crate::shard) fn note_authorized(&mut self, id: Token) {
        self.ending.unauthorized.cancel(id.slot);
    }

    /// When the next connection must have shown it, in `mono_ms`.
    pub(in crate::shard) fn authorization_deadline(&self) -> Option<u64> {
        self.ending.unauthorized.next_ms()
    }

    /// Closes those whose time is over, at most a turn's share of them.
    pub(in crate::shard) fn check_authorization(&mut self, now: Now) {
        for _ in 0..self.limits.idle_checks_per_turn_max {
            let Some(slot) = self.ending.unauthorized.pop_due(now.mono_ms) else { break };
            let Some(id) = self.fanout.connection_in(slot) else { continue };
            if self.fanout.is_stalled(id) {
                self.ending.unauthorized.set(slot, now.mono_ms + MORE_MS);
                continue;
            }
            self.ending.stats.not_authorized_in_time += 1;
            self.close(id, Close::NOT_AUTHORIZED_IN_TIME);
        }
        self.finish_closes();
    }
}
