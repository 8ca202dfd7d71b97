//! How long something took, as counts in fixed buckets: what a histogram of Prometheus is made of.

/// The upper bounds of the buckets, in microseconds: 1, 2 and 5 of each decade from 50 µs to 5 s. What takes longer has a bucket
/// of its own.
const BOUNDS_US: [u32; 16] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000,
];

/// Counts since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Latencies {
    buckets: [u64; BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Latencies {
    /// So many took so long.
    pub fn note(&mut self, took_us: u32, times: u64) {
        let at = BOUNDS_US.partition_point(|bound_us| *bound_us < took_us);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += times;
        }
        self.sum_us += u64::from(took_us) * times;
    }

    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(mine, more)| *mine += more);
        self.sum_us += other.sum_us;
    }

    /// What was noted after `before` was read.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut since = *self;
        since.buckets.iter_mut().zip(before.buckets).for_each(|(now, then)| *now = now.saturating_sub(then));
        since.sum_us = since.sum_us.saturating_sub(before.sum_us);
        since
    }

    /// How many were noted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long all of them took together, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Each bound, with how many took no longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (u32, u64)> {
        let sums = self.buckets.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        BOUNDS_US.into_iter().zip(sums)
    }

    /// The time that this part of them took at most, by the buckets, as Prometheus estimates it: between the bounds of a bucket its
    /// counts lie evenly. None: there are none.
    pub fn quantile_us(&self, part: f64) -> Option<u64> {
        let rank = part * Some(self.count()).filter(|count| *count > 0)? as f64;
        let (mut below, mut from_us) = (0, 0);
        for (to_us, until) in self.cumulative() {
            let here = (until - below) as f64;
            if until as f64 >= rank && until > below {
                let share = ((rank - below as f64) / here).max(0.0);
                return Some(u64::from(from_us) + (share * f64::from(to_us - from_us)) as u64);
            }
            (below, from_us) = (until, to_us);
        }
        Some(u64::from(from_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut all = Latencies::default();
        for (took_us, times) in [(0, 1), (50, 2), (51, 4), (5_000_000, 8), (5_000_001, 16), (u32::MAX, 32)] {
            all.note(took_us, times);
        }
        let cumulative: Vec<_> = all.cumulative().collect();
        assert_eq!((cumulative[0], cumulative[1]), ((50, 3), (100, 7)));
        assert_eq!((cumulative[14], cumulative[15], all.count()), ((2_000_000, 7), (5_000_000, 15), 63));
    }

    #[test]
    fn what_was_noted_between_two_readings_is_their_difference() {
        let mut all = Latencies::default();
        all.note(70, 3);
        let before = all;
        all.note(70, 1);
        all.note(700, 9);
        let since = all.since(&before);
        assert_eq!((since.count(), since.sum_us()), (10, 6_370));
        let mut sum = since;
        sum.add(&before);
        assert_eq!(sum, all);
    }

    #[test]
    fn a_quantile_lies_in_its_bucket() {
        let mut all = Latencies::default();
        assert_eq!(all.quantile_us(0.5), None);
        all.note(150, 100);
        assert_eq!((all.quantile_us(0.5), all.quantile_us(1.0)), (Some(150), Some(200)));
        all.note(30_000, 2);
        assert_eq!(all.quantile_us(0.5), Some(151));
        assert!((20_000..=50_000).contains(&all.quantile_us(0.99).unwrap()));
        all.note(u32::MAX, 1_000);
        assert_eq!(all.quantile_us(0.99), Some(5_000_000), "no more is known of those");
    }
}
