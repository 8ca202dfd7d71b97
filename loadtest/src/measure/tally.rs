//! What subscribers have heard, all threads and processes together.
//!
//! Owns the sums. Histograms travel between processes as their buckets, so that adding them up is exact. Nothing here knows a
//! socket; a listener fills one, and scenarios read it when the run is over.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::late::Late;
use super::ledger::Counts;
use crate::failure::{Context, Outcome};

/// Phase 0 is the time before anything is measured.
pub(crate) const PHASES: usize = 4;
const HOUR_US: u64 = 3_600_000_000;

pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) lost: u64,
    /// Microseconds from the intended send time to arrival, by the phase in which it was sent. Phase 0 is not measured.
    pub(crate) latency: [Histogram<u64>; PHASES],
    /// Microseconds from connect to confirmed subscription; the second for those that came back after a storm.
    pub(crate) took: [Histogram<u64>; 2],
    /// Microseconds from when a ping was due to its answer.
    pub(crate) pongs: Histogram<u64>,
    /// Pings that had no answer when the next one was due.
    pub(crate) silences: u64,
    /// How well pings kept to their times.
    pub(crate) pings_late: Late,
    /// Why connections ended, and how many of them had been subscribed.
    pub(crate) partings: BTreeMap<String, u64>,
    pub(crate) parted_live: u64,
    /// Those of them that the server closed with 4100.
    pub(crate) parted_as_slow: u64,
    /// Subscribers that never read, and were closed by the server.
    pub(crate) mutes_closed: u64,
    pub(crate) last_arrival_ns: u64,
    pub(crate) last_subscribed_ns: u64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            counts: Counts::default(),
            lost: 0,
            latency: std::array::from_fn(|_| histogram()),
            took: [histogram(), histogram()],
            pongs: histogram(),
            silences: 0,
            pings_late: Late::default(),
            partings: BTreeMap::new(),
            parted_live: 0,
            parted_as_slow: 0,
            mutes_closed: 0,
            last_arrival_ns: 0,
            last_subscribed_ns: 0,
        }
    }

    /// Latency of the one measured phase of most scenarios.
    pub(crate) fn measured(&self) -> &Histogram<u64> {
        &self.latency[1]
    }

    /// Of the last phase in which something arrived; of pings, where nothing else is measured.
    pub(crate) fn latest(&self) -> &Histogram<u64> {
        self.latency.iter().rev().find(|latency| !latency.is_empty()).unwrap_or(&self.pongs)
    }

    pub(crate) fn add(&mut self, other: Self) -> Outcome<()> {
        self.counts.delivered += other.counts.delivered;
        self.counts.duplicated += other.counts.duplicated;
        self.counts.reordered += other.counts.reordered;
        self.lost += other.lost;
        let sums = self.latency.iter_mut().chain(&mut self.took).chain([&mut self.pongs]);
        for (sum, part) in sums.zip(other.latency.iter().chain(&other.took).chain([&other.pongs])) {
            sum.add(part).context("cannot add up latencies")?;
        }
        self.silences += other.silences;
        self.pings_late.add(other.pings_late);
        for (why, count) in other.partings {
            *self.partings.entry(why).or_default() += count;
        }
        self.parted_live += other.parted_live;
        self.parted_as_slow += other.parted_as_slow;
        self.mutes_closed += other.mutes_closed;
        self.last_arrival_ns = self.last_arrival_ns.max(other.last_arrival_ns);
        self.last_subscribed_ns = self.last_subscribed_ns.max(other.last_subscribed_ns);
        Ok(())
    }

    pub(crate) fn pack(&self) -> Packed {
        Packed {
            counts: self.counts,
            lost: self.lost,
            histograms: self.latency.iter().chain(&self.took).chain([&self.pongs]).map(buckets).collect(),
            silences: self.silences,
            pings_late: self.pings_late,
            partings: self.partings.clone(),
            parted_live: self.parted_live,
            parted_as_slow: self.parted_as_slow,
            mutes_closed: self.mutes_closed,
            last_arrival_ns: self.last_arrival_ns,
            last_subscribed_ns: self.last_subscribed_ns,
        }
    }
}

/// A tally on its way between processes of one version.
#[derive(Serialize, Deserialize)]
pub(crate) struct Packed {
    counts: Counts,
    lost: u64,
    /// Each as values with their counts.
    histograms: Vec<Vec<(u64, u64)>>,
    silences: u64,
    pings_late: Late,
    partings: BTreeMap<String, u64>,
    parted_live: u64,
    parted_as_slow: u64,
    mutes_closed: u64,
    last_arrival_ns: u64,
    last_subscribed_ns: u64,
}

impl Packed {
    pub(crate) fn unpack(self) -> Tally {
        let mut tally = Tally::new();
        let histograms = tally.latency.iter_mut().chain(&mut tally.took).chain([&mut tally.pongs]);
        for (histogram, buckets) in histograms.zip(&self.histograms) {
            buckets.iter().for_each(|&(value, count)| histogram.saturating_record_n(value, count));
        }
        Tally {
            counts: self.counts,
            lost: self.lost,
            silences: self.silences,
            pings_late: self.pings_late,
            partings: self.partings,
            parted_live: self.parted_live,
            parted_as_slow: self.parted_as_slow,
            mutes_closed: self.mutes_closed,
            last_arrival_ns: self.last_arrival_ns,
            last_subscribed_ns: self.last_subscribed_ns,
            ..tally
        }
    }
}

/// Reasons with their counts, the most frequent first.
pub(crate) fn name_partings(partings: &BTreeMap<String, u64>) -> String {
    let mut reasons: Vec<_> = partings.iter().collect();
    reasons.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
    let named = reasons.iter().take(3).map(|(why, count)| format!("{count} × {why}"));
    named.collect::<Vec<_>>().join("; ")
}

/// Microseconds up to an hour, three digits exact.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HOUR_US, 3).expect("these bounds are valid")
}

fn buckets(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    histogram.iter_recorded().map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tally_survives_the_way_to_another_process_exactly() {
        let mut tally = Tally::new();
        for us in (0..5000).map(|n| n * n * 7 % 1_234_567_890) {
            tally.latency[1].saturating_record(us);
        }
        tally.took[1].saturating_record(9);
        tally.partings.insert("gone".to_owned(), 3);
        tally.counts.delivered = 17;
        let text = serde_json::to_string(&tally.pack()).unwrap();
        let mut back = serde_json::from_str::<Packed>(&text).unwrap().unpack();
        assert_eq!((&back.latency, &back.took), (&tally.latency, &tally.took));
        assert_eq!((back.counts.delivered, back.partings["gone"]), (17, 3));
        back.add(tally).unwrap();
        assert_eq!((back.measured().len(), back.partings["gone"]), (10_000, 6));
    }
}
