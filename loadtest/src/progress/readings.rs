//! What a phase has shown over time, in bounded room: an eight-hour run keeps no more than a plot can show.
//!
//! Owns how long runs are thinned. Values only; `mod` takes the readings.

use std::collections::VecDeque;

use super::TICKS_PER_SECOND;

/// Twice as coarse when there are more than this; even, so that the next one fits into the coarser grid.
const SAMPLES_MAX: usize = 12_000;

#[derive(Default)]
pub(crate) struct Readings {
    counts: Samples,
    memory: Samples,
    /// The last second of counts, at full resolution.
    recent: VecDeque<(f64, u64)>,
    taken: usize,
    own_busy_max: Option<f64>,
}

impl Readings {
    pub(super) fn note_count(&mut self, seconds: f64, count: u64) {
        self.taken += 1;
        self.counts.push((seconds, count));
        self.recent.push_back((seconds, count));
        if self.recent.len() > TICKS_PER_SECOND + 1 {
            self.recent.pop_front();
        }
    }

    pub(super) fn note_memory(&mut self, seconds: f64, bytes: u64) {
        self.memory.push((seconds, bytes));
    }

    pub(super) fn note_own_busy(&mut self, share: Option<f64>) {
        self.own_busy_max = self.own_busy_max.into_iter().chain(share).reduce(f64::max);
    }

    /// (seconds since the phase began, count)
    pub(crate) fn counts(&self) -> &[(f64, u64)] {
        &self.counts.kept
    }

    /// (seconds since the phase began, bytes)
    pub(crate) fn memory(&self) -> &[(f64, u64)] {
        &self.memory.kept
    }

    /// In the second of it, and of what came after, in which this program rested least: the share that it was busy, or waited for a core.
    pub(crate) fn own_busy_max(&self) -> Option<f64> {
        self.own_busy_max
    }

    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    pub(super) fn last(&self) -> (f64, u64) {
        self.recent.back().copied().unwrap_or_default()
    }

    /// Over the last second. What shrinks has no rate.
    pub(super) fn rate_now(&self) -> f64 {
        let ((from, before), (to, now)) = (self.recent.front().copied().unwrap_or_default(), self.last());
        if to > from { now.saturating_sub(before) as f64 / (to - from) } else { 0.0 }
    }
}

/// Every `stride`th of what was pushed.
struct Samples {
    kept: Vec<(f64, u64)>,
    stride: usize,
    pushed: usize,
}

impl Default for Samples {
    fn default() -> Self {
        Self { kept: Vec::new(), stride: 1, pushed: 0 }
    }
}

impl Samples {
    fn push(&mut self, sample: (f64, u64)) {
        if self.kept.len() == SAMPLES_MAX {
            let mut is_odd = true;
            self.kept.retain(|_| {
                is_odd = !is_odd;
                !is_odd
            });
            self.stride *= 2;
        }
        if self.pushed.is_multiple_of(self.stride) {
            self.kept.push(sample);
        }
        self.pushed += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_phases_are_thinned_evenly() {
        let mut readings = Readings::default();
        (0..100_000_u64).for_each(|tick| readings.note_count(tick as f64, tick));
        let counts = readings.counts();
        assert!(counts.len() <= SAMPLES_MAX && counts.len() >= SAMPLES_MAX / 2, "{}", counts.len());
        let step = counts[1].1;
        assert!(counts.iter().zip(0..).all(|(&(_, count), place)| count == place * step));
        assert_eq!((readings.last().1, readings.rate_now()), (99_999, 1.0));
    }
}
