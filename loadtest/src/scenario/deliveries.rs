//! Figures that scenarios with deliveries share: what arrived, what was published, what it cost the server.
//!
//! Owns their paths in the JSON and their labels, so that all scenarios tell them alike. Nothing is measured here.

use hdrhistogram::Histogram;

use super::broadcast::{Measured, Round};
use super::name_partings;
use crate::measure::ledger::Counts;
use crate::measure::tally::Tally;
use crate::publish::Publisher;
use crate::report::{Report, Unit};

/// Everything about a round but the conditions under which it came about.
pub(super) fn report_round(report: &mut Report, round: &Round) {
    report_tally(report, &round.tally, &round.measured);
    report.rate_over_time("deliveries", round.readings.counts());
    report_publishes(report, &round.publisher);
    if round.publisher.connections() > 1 {
        report.note(
            "Publishes went over several connections: reordering between those is not the server's fault.",
        );
    }
    report_server(report, &round.measured, round.rss, round.rss_per_connection);
}

pub(super) fn report_counts(report: &mut Report, counts: Counts, lost: u64) {
    report.count("delivered", "delivered", counts.delivered);
    report.count("lost", "lost", lost);
    report.count("duplicated", "duplicated", counts.duplicated);
    report.count("reordered", "reordered", counts.reordered);
}

fn report_tally(report: &mut Report, tally: &Tally, measured: &Measured) {
    report.figure("seconds", "time", measured.seconds, Unit::Seconds);
    report_counts(report, tally.counts, tally.lost);
    report.count("parted", "subscribers closed", tally.parted_live);
    report_rate(report, measured.frames, measured.seconds);
    report.latency("latency", tally.measured());
    if tally.parted_live > 0 {
        report.note(format!("Subscribers closed: {}", name_partings(&tally.partings)));
    }
}

pub(super) fn report_rate(report: &mut Report, frames: u64, seconds: f64) {
    let per_second = (frames > 0).then(|| frames as f64 / seconds);
    report.figure("deliveries_per_second", "deliveries", per_second.unwrap_or(0.0), Unit::PerSecond);
}

/// Latencies beside the one of the scenario: a group of the JSON, a row for each of three percentiles, a line in the plot.
pub(super) fn report_percentiles(report: &mut Report, group: &str, label: &str, latency: &Histogram<u64>) {
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        let us = (!latency.is_empty()).then(|| latency.value_at_quantile(quantile) as f64);
        report.figure(&format!("{group}.{name}"), &format!("{label}, {name}"), us, Unit::Microseconds);
    }
    report.distribution(label, latency);
}

pub(super) fn report_publishes(report: &mut Report, publisher: &Publisher) {
    let (results, sends) = (publisher.results(), publisher.sends());
    report.count("publishes.sent", "events published", publisher.sent());
    report.count("publishes.accepted", "events accepted", results.accepted);
    report.count("publishes.refused", "events refused", results.refused);
    report.count("publishes.unanswered", "events without an answer", results.unanswered);
    report.count("publishes.withheld", "events not sent for lack of room", sends.withheld);
    report.count("publishes.held", "calls that waited for the server", sends.held);
    report.flag("publishes.keep_alive", "server keeps publishing connections", publisher.keeps_connections());
    report.flag("publishes.pipelined", "publishes pipelined", publisher.is_pipelined());
    if !results.refusals.is_empty() {
        let named = results.refusals.iter().map(|(status, count)| format!("{count} × HTTP {status}"));
        report.note(format!("Calls refused: {}", named.collect::<Vec<_>>().join(", ")));
    }
    if sends.stalls > 0 {
        report.note(format!(
            "The closed loop stood still for 2 s, {} times: events are lost or late.",
            sends.stalls
        ));
    }
}

pub(super) fn report_server(
    report: &mut Report,
    measured: &Measured,
    rss: Option<u64>,
    rss_per_connection: Option<f64>,
) {
    let server = measured.cost.server;
    let per_delivery = |ns: u64| (measured.frames > 0).then(|| ns as f64 / measured.frames as f64);
    let cpu = server.and_then(|spent| per_delivery(spent.total_ns));
    let ksoftirqd = server.and_then(|spent| per_delivery(spent.ksoftirqd_ns));
    let ratio = server.map(|spent| spent.total_ns as f64 / measured.cost.wall_ns as f64);
    report.figure("server.cpu_ns_per_delivery", "server CPU per delivery", cpu, Unit::Nanoseconds);
    report.figure("server.ksoftirqd_ns_per_delivery", "ksoftirqd per delivery", ksoftirqd, Unit::Nanoseconds);
    report.figure("server.cpu_ratio", "server CPU, of one core", ratio, Unit::Ratio);
    report.figure("server.rss_bytes", "server memory", rss.map(|bytes| bytes as f64), Unit::Bytes);
    report.figure(
        "server.rss_bytes_per_connection",
        "server memory per connection",
        rss_per_connection,
        Unit::Bytes,
    );
}
