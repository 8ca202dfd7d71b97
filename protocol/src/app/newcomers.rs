//! How fast the clients of an app may connect: one second's worth at once, which fills again as time goes by.

use std::sync::atomic::{AtomicU64, Ordering};

const SECOND_US: u64 = 1_000_000;

/// What all cores take from.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    /// When it will be full, on the monotonic clock of all cores.
    full_us: AtomicU64,
}

impl Newcomers {
    /// Takes one, if there is one.
    pub(super) fn take(&self, per_second: u32, mono_ms: u64) -> bool {
        let now_us = mono_ms.saturating_mul(1_000);
        let each_us = (SECOND_US / u64::from(per_second.max(1))).max(1);
        let one_taken = |full_us: u64| {
            let full_us = full_us.max(now_us).saturating_add(each_us);
            (full_us <= now_us.saturating_add(SECOND_US)).then_some(full_us)
        };
        self.full_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_taken).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_as_many_as_it_may_whenever_they_come() {
        for per_second in [1, 3, 1000, 1_000_000] {
            let newcomers = Newcomers::default();
            let at =
                |mono_ms| (0..2 * per_second).filter(|_| newcomers.take(per_second, mono_ms)).count() as u32;
            assert_eq!(at(5_000), per_second);
            assert_eq!(at(5_000), 0);
            assert_eq!(at(5_500), per_second / 2);
            assert_eq!(at(60_000), per_second, "what was not taken does not add up");
            // A core whose clock was read a moment earlier.
            assert_eq!(at(59_999), 0);
        }
    }
}
