//! Logs that an invariant did not hold on this thread, which is a bug of ours: where that was last, and how often in all.
//!
//! Owns what was logged already. What must never happen here: more than one line a second. Called by the turn and by the takeover thread.

use super::limits::VIOLATION_LOG_PAUSE_MS;
use machines::cores::CoreId;
use machines::invariant::{Violations, violations};

/// What a core has logged of its violations.
#[derive(Debug, Default)]
pub struct ViolationLog {
    logged: u64,
    next_ms: u64,
}

impl ViolationLog {
    /// Logs the violations that came since the last call, unless a line was logged just before.
    pub fn update(&mut self, core: CoreId, mono_ms: u64) {
        if let Some(line) = self.next_line(violations(), core, mono_ms) {
            logging::warn!("{line}");
        }
    }

    fn next_line(&mut self, violations: Violations, core: CoreId, mono_ms: u64) -> Option<String> {
        let Violations { count, last } = violations;
        if count == self.logged || mono_ms < self.next_ms {
            return None;
        }
        (self.logged, self.next_ms) = (count, mono_ms + VIOLATION_LOG_PAUSE_MS);
        let last = last?;
        Some(format!(
            "this is a bug, please report it: {core} violates \"{}\" at {} ({count} violations since the start)",
            last.invariant, last.at
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use machines::invariant::Violation;

    use super::*;

    const CORE: CoreId = CoreId::Shard(2);

    #[test]
    fn violations_are_logged_once_a_second_with_the_last_place_and_their_count() {
        let at = Location::caller();
        let after = |count| Violations { count, last: Some(Violation { invariant: "it is there", at }) };
        let mut log = ViolationLog::default();
        assert_eq!(log.next_line(Violations { count: 0, last: None }, CORE, 0), None);
        let line = log.next_line(after(1), CORE, 10).unwrap();
        assert!(line.contains("shard 2 violates \"it is there\" at "), "{line}");
        assert!(line.contains(&at.to_string()) && line.ends_with("(1 violations since the start)"), "{line}");
        assert_eq!(log.next_line(after(1), CORE, 5_000), None, "it was logged");
        assert!(log.next_line(after(2), CORE, 5_000).is_some());
        assert_eq!(log.next_line(after(9), CORE, 5_999), None, "within a second");
        assert!(log.next_line(after(9), CORE, 6_000).unwrap().contains("(9 violations"));
    }
}
