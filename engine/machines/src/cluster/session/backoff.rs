//! How long a session without a connection waits before it tries again.

/// Pauses that double, between half and the whole of what they may be.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    pause_ms: u64,
}

const FIRST_MS: u64 = 100;
const LAST_MS: u64 = 10_000;
/// After a cut inbox: whoever reads too slowly would be cut again.
const FIRST_AFTER_CUT_MS: u64 = 1_000;
const LAST_AFTER_CUT_MS: u64 = 30_000;

impl Backoff {
    /// The next pause.
    pub(super) fn next(&mut self, cut: bool, random: u64) -> u64 {
        let (first, last) = if cut { (FIRST_AFTER_CUT_MS, LAST_AFTER_CUT_MS) } else { (FIRST_MS, LAST_MS) };
        self.pause_ms = (2 * self.pause_ms).clamp(first, LAST_AFTER_CUT_MS).min(last.max(self.pause_ms));
        self.pause_ms / 2 + random % (self.pause_ms / 2 + 1)
    }

    /// All is well.
    pub(super) fn reset(&mut self) {
        self.pause_ms = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound() {
        let mut backoff = Backoff::default();
        let longest: Vec<_> = (0..9)
            .map(|_| {
                backoff.next(false, 0);
                backoff.pause_ms
            })
            .collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.reset();
        assert!((50..=100).contains(&backoff.next(false, 77)));
    }

    #[test]
    fn after_a_cut_they_are_longer_and_do_not_shrink_by_the_next_failure() {
        let mut backoff = Backoff::default();
        let mut pause = |cut| {
            backoff.next(cut, 0);
            backoff.pause_ms
        };
        assert_eq!([pause(true), pause(false), pause(true), pause(true)], [1000, 2000, 4000, 8000]);
        let longest = (0..3).map(|_| pause(true)).max();
        assert_eq!(longest, Some(30_000));
        assert_eq!([pause(true), pause(false)], [30_000, 30_000]);
    }
}
