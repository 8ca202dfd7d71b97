//! Resident memory of the server over time, and how fast it grows.
//!
//! Owns the samples of a long run, one for each look. Pure.

use crate::clock::SECOND_NS;

/// Resident memory of the server over time.
pub(crate) struct Memory {
    /// Before this, buffers and heaps still grow to their size.
    warm_ns: u64,
    samples: Vec<(u64, f64)>,
}

impl Memory {
    /// Samples before `warm_ns` have no part in the slope.
    pub(crate) fn new(warm_ns: u64) -> Self {
        Self { warm_ns, samples: Vec::new() }
    }

    pub(crate) fn note(&mut self, now_ns: u64, rss: Option<u64>) {
        self.samples.extend(rss.map(|bytes| (now_ns, bytes as f64)));
    }

    pub(crate) fn last(&self) -> Option<f64> {
        self.samples.last().map(|&(_, rss)| rss)
    }

    /// Bytes per hour, by least squares; None while there is too little to say.
    pub(crate) fn slope_per_hour(&self) -> Option<f64> {
        let warm: Vec<_> = self.samples.iter().filter(|(at_ns, _)| *at_ns >= self.warm_ns).collect();
        let count = warm.len() as f64;
        let hours = |at_ns: u64| (at_ns - self.warm_ns) as f64 / (3600.0 * SECOND_NS as f64);
        let mean_x = warm.iter().map(|&&(at_ns, _)| hours(at_ns)).sum::<f64>() / count;
        let mean_y = warm.iter().map(|&&(_, rss)| rss).sum::<f64>() / count;
        let products =
            warm.iter().map(|&&(at_ns, rss)| (hours(at_ns) - mean_x) * (rss - mean_y)).sum::<f64>();
        let squares = warm.iter().map(|&&(at_ns, _)| (hours(at_ns) - mean_x).powi(2)).sum::<f64>();
        (warm.len() >= 3 && squares > 0.0).then(|| products / squares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slope_is_that_of_a_line_and_leaves_the_beginning_out() {
        let mut memory = Memory { warm_ns: 100 * SECOND_NS, samples: Vec::new() };
        for second in 0..100 {
            memory.note(second * SECOND_NS, Some(1_000_000 * second));
        }
        assert_eq!(memory.slope_per_hour(), None);
        for second in 100..200 {
            memory.note(second * SECOND_NS, Some(5_000_000 + 10 * second));
        }
        assert!((memory.slope_per_hour().unwrap() - 36_000.0).abs() < 1.0);
    }
}
