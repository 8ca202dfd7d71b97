//! What a thread shows of itself while it works: a few words that it alone writes and the live line reads.
//!
//! Owns how often a percentile is worked out: once a second, since looking for it takes microseconds. Exact figures come after the
//! run, from their owners.

use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;

use crate::clock::SECOND_NS;

/// Of a scenario whose connections act on its own thread.
#[derive(Default)]
pub(crate) struct Pulse {
    /// Connections that have come in.
    live: AtomicU64,
    count: AtomicU64,
    p99: CoarseP99,
}

/// As it was up to a second ago, in microseconds; 0 while there is nothing to tell.
#[derive(Default)]
pub(crate) struct CoarseP99 {
    us: AtomicU64,
    due_ns: AtomicU64,
}

impl Pulse {
    pub(crate) fn note_live(&self, live: usize) {
        self.live.store(live as u64, Ordering::Relaxed);
    }

    pub(crate) fn note(&self, now_ns: u64, count: u64, latency: &Histogram<u64>) {
        self.count.store(count, Ordering::Relaxed);
        self.p99.note(now_ns, latency);
    }

    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn p99_us(&self) -> u64 {
        self.p99.us()
    }
}

impl CoarseP99 {
    #[inline]
    pub(crate) fn note(&self, now_ns: u64, latency: &Histogram<u64>) {
        if now_ns >= self.due_ns.load(Ordering::Relaxed) {
            self.due_ns.store(now_ns + SECOND_NS, Ordering::Relaxed);
            self.show(if latency.is_empty() { 0 } else { latency.value_at_quantile(0.99) });
        }
    }

    pub(crate) fn show(&self, us: u64) {
        self.us.store(us, Ordering::Relaxed);
    }

    pub(crate) fn us(&self) -> u64 {
        self.us.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::tally::histogram;

    #[test]
    fn percentile_is_that_of_the_last_whole_second() {
        let (pulse, mut latency) = (Pulse::default(), histogram());
        pulse.note(0, 0, &latency);
        latency.saturating_record(700);
        pulse.note(SECOND_NS - 1, 1, &latency);
        assert_eq!((pulse.count(), pulse.p99_us()), (1, 0));
        pulse.note(SECOND_NS, 2, &latency);
        assert_eq!((pulse.count(), pulse.p99_us()), (2, 700));
    }
}
