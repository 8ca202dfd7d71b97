//! Figures that scenarios with deliveries share: what arrived, how late, and what it cost the server.
//!
//! Owns their paths in the JSON and their labels, so that all scenarios report them alike. Nothing is measured here.

use hdrhistogram::Histogram;

use super::{Report, Unit};
use crate::measure::ledger::Counts;
use crate::measure::stopwatch::Measured;
use crate::measure::tally::{Tally, name_partings};

impl Report {
    pub(crate) fn counts(&mut self, counts: Counts, lost: u64) {
        self.count("delivered", "delivered", counts.delivered);
        self.count("lost", "lost", lost);
        self.count("duplicated", "duplicated", counts.duplicated);
        self.count("reordered", "reordered", counts.reordered);
    }

    pub(crate) fn tally(&mut self, tally: &Tally, measured: &Measured) {
        self.figure("seconds", "time", measured.seconds, Unit::Seconds);
        self.counts(tally.counts, tally.lost);
        self.count("parted", "subscribers closed", tally.parted_live);
        self.delivery_rate(measured.frames, measured.seconds);
        self.latency("latency", tally.measured());
        if tally.parted_live > 0 {
            self.note(format!("Subscribers closed: {}", name_partings(&tally.partings)));
        }
    }

    pub(crate) fn delivery_rate(&mut self, frames: u64, seconds: f64) {
        let per_second = (frames > 0).then(|| frames as f64 / seconds);
        self.figure("deliveries_per_second", "deliveries", per_second.unwrap_or(0.0), Unit::PerSecond);
    }

    /// Latencies beside the one of the scenario: a group of the JSON, a row for each of three percentiles, a line in the plot.
    pub(crate) fn percentiles(&mut self, group: &str, label: &str, latency: &Histogram<u64>) {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            let us = (!latency.is_empty()).then(|| latency.value_at_quantile(quantile) as f64);
            self.figure(&format!("{group}.{name}"), &format!("{label}, {name}"), us, Unit::Microseconds);
        }
        self.distribution(label, latency);
    }

    pub(crate) fn server_cost(
        &mut self,
        measured: &Measured,
        rss: Option<u64>,
        rss_per_connection: Option<f64>,
    ) {
        let server = measured.cost.server;
        let per_delivery = |ns: u64| (measured.frames > 0).then(|| ns as f64 / measured.frames as f64);
        let cpu = server.and_then(|spent| per_delivery(spent.total_ns));
        let ksoftirqd = server.and_then(|spent| per_delivery(spent.ksoftirqd_ns));
        let ratio = server.map(|spent| spent.total_ns as f64 / measured.cost.wall_ns as f64);
        self.figure("server.cpu_ns_per_delivery", "server CPU per delivery", cpu, Unit::Nanoseconds);
        self.figure(
            "server.ksoftirqd_ns_per_delivery",
            "ksoftirqd per delivery",
            ksoftirqd,
            Unit::Nanoseconds,
        );
        self.figure("server.cpu_ratio", "server CPU, of one core", ratio, Unit::Ratio);
        self.figure("server.rss_bytes", "server memory", rss.map(|bytes| bytes as f64), Unit::Bytes);
        self.figure(
            "server.rss_bytes_per_connection",
            "server memory per connection",
            rss_per_connection,
            Unit::Bytes,
        );
    }
}
