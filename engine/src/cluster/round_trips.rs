//! How long a server took to answer of late: the counts of a session grow for ever, and an operator wants to know about now.

use machines::machine::Now;
use machines::readings::latencies::Latencies;

/// What is shown is of one to two such spans: with the longest usual lease at least a few signs of life.
const SPAN_MS: u64 = 30_000;

/// Two readings, the older of which is what the counts of now are compared with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecentRoundTrips {
    older: Latencies,
    newer: Latencies,
    /// When the newer one was read, in `mono_ms`.
    read_ms: Option<u64>,
    now: Latencies,
}

impl RecentRoundTrips {
    /// So the counts stand now.
    pub(super) fn note(&mut self, all: &Latencies, now: Now) {
        self.now = *all;
        if self.read_ms.is_none_or(|read_ms| now.mono_ms >= read_ms + SPAN_MS) {
            (self.older, self.newer) = (self.newer, *all);
            self.read_ms = Some(now.mono_ms);
        }
    }

    /// What this part of the recent ones took at most, in microseconds. None: there were none.
    pub(super) fn quantile_us(&self, part: f64) -> Option<u64> {
        self.now.since(&self.older).quantile_us(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let (mut recent, mut all) = (RecentRoundTrips::default(), Latencies::default());
        recent.note(&all, Now::at(1, 0));
        assert_eq!(recent.quantile_us(0.5), None);
        all.note(4_000_000, 1);
        recent.note(&all, Now::at(2, 0));
        assert!(recent.quantile_us(0.5).is_some_and(|took_us| took_us > 1_000_000));
        recent.note(&all, Now::at(1 + SPAN_MS, 0));
        assert!(recent.quantile_us(0.5).is_some(), "a span ends, and the one before still counts");
        all.note(150, 1);
        recent.note(&all, Now::at(1 + 2 * SPAN_MS, 0));
        assert!(recent.quantile_us(1.0).is_some_and(|took_us| took_us <= 200));
        recent.note(&all, Now::at(1 + 3 * SPAN_MS, 0));
        recent.note(&all, Now::at(1 + 4 * SPAN_MS, 0));
        assert_eq!(recent.quantile_us(0.5), None);
    }
}
