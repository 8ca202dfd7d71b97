//! The flush gate: how much may wait to be written before no more input is taken.

use crate::shard::fanout::Fanout;

impl Fanout {
    /// True when no more input may be taken, if one outbox may gain so many more bytes of what was promised. Past the budget
    /// of all outboxes, too: what was not tried to be written may be what is over it.
    pub(in crate::shard) fn gate_is_closed(&self, promised_bytes: u64) -> bool {
        let gained = self.flush.unflushed_bytes() + promised_bytes;
        let one = gained > self.limits.unflushed_bytes_max as u64;
        let full = one || self.all_have_gained_too_much();
        full || (self.is_over_budget() && !self.flush.is_clean())
    }

    /// True when that is because of what all connections together have not been tried with.
    pub(in crate::shard) fn all_have_gained_too_much(&self) -> bool {
        self.flush.untried_bytes() > self.limits.unflushed_shard_bytes_max as u64
    }
}
