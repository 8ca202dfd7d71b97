//! The times of a session. The lease sets the pace of all of them.

/// How long what may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// From the answer to a beat to the next beat.
    pub beat_ms: u64,
    /// The same while the node stops soon.
    pub leaving_beat_ms: u64,
    /// How long an answer may take before its connection counts as broken.
    pub silence_ms: u64,
    /// How long a session holds without a connection before it is lost.
    pub holding_ms: u64,
    /// How long a read waits for an entry.
    pub block_ms: u64,
}

impl Pace {
    /// That of a lease.
    pub fn of_lease(lease_ms: u64) -> Self {
        let silence_ms = (lease_ms / 2).min(3000);
        Self {
            beat_ms: lease_ms / 4,
            leaving_beat_ms: (lease_ms / 4).min(100),
            silence_ms,
            holding_ms: (lease_ms / 3).min(2000),
            block_ms: (silence_ms / 3).min(1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_ten_seconds_has_the_times_of_the_documentation() {
        let pace =
            Pace { beat_ms: 2500, leaving_beat_ms: 100, silence_ms: 3000, holding_ms: 2000, block_ms: 1000 };
        assert_eq!(Pace::of_lease(10_000), pace);
        assert_eq!(Pace::of_lease(60_000), Pace { beat_ms: 15_000, ..pace });
    }

    #[test]
    fn a_read_that_hears_nothing_is_never_taken_for_silence() {
        for lease_ms in 1_000..20_000 {
            let Pace { silence_ms, block_ms, .. } = Pace::of_lease(lease_ms);
            assert!(block_ms > 0 && 2 * block_ms < silence_ms, "{lease_ms}");
        }
    }
}
