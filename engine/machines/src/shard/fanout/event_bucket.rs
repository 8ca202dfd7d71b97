//! How many client events a connection may send: a bucket of one second's worth, refilled evenly.

/// Kept as the time at which the bucket is full again, in milliseconds of the monotonic clock (low 32 bits).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EventBucket {
    full_ms: u32,
}

impl EventBucket {
    /// Takes one, if there is one.
    pub(super) fn take(&mut self, per_second: u32, now_ms: u64) -> bool {
        let Some(each_ms) = 1000_u32.checked_div(per_second) else { return false };
        let now_ms = now_ms as u32;
        let until_full_ms = self.full_ms.wrapping_sub(now_ms);
        // More than a second ahead is behind: the clock has wrapped or the bucket has long been full.
        let until_full_ms = if until_full_ms > 1000 { 0 } else { until_full_ms };
        if until_full_ms + each_ms > 1000 {
            return false;
        }
        self.full_ms = now_ms.wrapping_add(until_full_ms + each_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_passes_at_once_and_then_so_many_per_second_also_when_the_clock_wraps() {
        for start_ms in [0, 5_000, u64::from(u32::MAX) - 500] {
            let mut bucket = EventBucket::default();
            let mut passed = |at_ms| (0..100).filter(|_| bucket.take(10, start_ms + at_ms)).count();
            assert_eq!([2_000, 2_099, 2_100, 2_300, 60_000].map(&mut passed), [10, 0, 1, 2, 10]);
        }
    }

    #[test]
    fn who_may_send_none_sends_none() {
        assert!(!EventBucket::default().take(0, 5_000));
    }
}
