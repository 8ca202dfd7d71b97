//! How well this program kept to its own schedules.
//!
//! Owns what counts as late, and from when a late act counts: what this program itself was late with is told as its own lateness and
//! must not look like the server's. Pure; every part that acts by a schedule keeps one.

use serde::{Deserialize, Serialize};

use crate::clock::MILLISECOND_NS;

/// An act this much behind its schedule is late: well above timer slack, well below what people feel.
pub(crate) const LATE_NS: u64 = MILLISECOND_NS;

/// Acts by a schedule, and those of them that came late by the generator's own fault.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Late {
    pub(crate) calls: u64,
    pub(crate) sends: u64,
    pub(crate) max_ns: u64,
}

impl Late {
    /// Notes one act at `now_ns` that was due at `intended_ns`; returns the time from which it counts.
    pub(crate) fn note(&mut self, now_ns: u64, intended_ns: u64) -> u64 {
        let behind_ns = now_ns.saturating_sub(intended_ns);
        self.calls += 1;
        if behind_ns <= LATE_NS {
            return intended_ns;
        }
        self.sends += 1;
        self.max_ns = self.max_ns.max(behind_ns);
        now_ns
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.sends += other.sends;
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn act_counts_from_its_time_unless_the_generator_was_late() {
        let mut late = Late::default();
        assert_eq!(late.note(LATE_NS + 5, 5), 5);
        assert_eq!(late, Late { calls: 1, sends: 0, max_ns: 0 });
        assert_eq!(late.note(LATE_NS + 6, 5), LATE_NS + 6);
        assert_eq!(late, Late { calls: 2, sends: 1, max_ns: LATE_NS + 1 });
    }
}
