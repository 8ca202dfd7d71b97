//! `connect`: how fast subscribers come in, what each costs the server, and what it keeps of them in memory.
//!
//! A connection counts from its connect (with --rate: from when it was due) to its confirmed subscription. Failures are a
//! result. Memory is the growth of the server's RSS, so a freshly started server gives the truest figure.

use std::time::Duration;

use clap::Args;

use super::{Late, Watch, check_descriptors, name_partings, random_run, several_channels};
use crate::clock::{Clock, SECOND_NS};
use crate::failure::Outcome;
use crate::options::Target;
use crate::report::{Report, Unit};
use crate::subscribe::crowd::Crowd;
use crate::subscribe::plan::Plan;
use crate::subscribe::tally::Tally;

#[derive(Args)]
pub(crate) struct ConnectOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Spread the connections over this many channels, NAME-0, NAME-1, … (1: all on NAME)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) channels: u32,
}

pub(super) fn run(options: &ConnectOptions) -> Outcome<Report> {
    let target = &options.target;
    check_descriptors(target, 0)?;
    let clock = Clock::start();
    let watch = Watch::new(target, clock)?;
    let (before, rss_before) = (watch.read()?, watch.server_rss()?);

    let period_ns = target.rate.map(|rate| (SECOND_NS as f64 / rate) as u64);
    let plan = Plan { period_ns, ..Plan::new(target, several_channels(target, options.channels)) };
    let crowd = Crowd::gather(&plan, target.processes, random_run(), clock)?;
    let planned = Duration::from_nanos(period_ns.unwrap_or(0) * u64::from(target.connections));
    let live = crowd.wait_until_settled(planned + target.duration);

    let (cost, rss_after) = (watch.cost_since(&before)?, watch.server_rss()?);
    let tally = crowd.dismiss(&[])?;
    let mut report = Report::new("connect");
    report_connects(&mut report, options, &tally, live, before.at_ns);
    let spent = cost.server.map(|server| server.total_ns as f64);
    let ksoftirqd = cost.server.map(|server| server.ksoftirqd_ns as f64);
    let growth = rss_before.zip(rss_after).map(|(before, after)| after as f64 - before as f64);
    let per_connection = |value: Option<f64>| value.map(|value| value / live as f64);
    report.figure(
        "server.cpu_ns_per_connect",
        "server CPU per connect",
        per_connection(spent),
        Unit::Nanoseconds,
    );
    report.figure(
        "server.ksoftirqd_ns_per_connect",
        "ksoftirqd per connect",
        per_connection(ksoftirqd),
        Unit::Nanoseconds,
    );
    report.figure("server.rss_bytes", "server memory", rss_after.map(|bytes| bytes as f64), Unit::Bytes);
    report.figure(
        "server.rss_bytes_per_connection",
        "server memory per connection",
        per_connection(growth),
        Unit::Bytes,
    );
    report.figure("server.cpu_ns_per_delivery", "server CPU per delivery", None, Unit::Nanoseconds);
    watch.report_conditions(&mut report, &cost, Late::default())?;
    Ok(report)
}

fn report_connects(report: &mut Report, options: &ConnectOptions, tally: &Tally, live: u64, start_ns: u64) {
    let asked = u64::from(options.target.connections);
    let failed: u64 = tally.partings.values().sum();
    let seconds = tally.last_subscribed_ns.saturating_sub(start_ns) as f64 / SECOND_NS as f64;
    report.count("connections", "connections", asked);
    report.count("subscribed", "subscribed", live);
    report.count("failed", "failed", failed);
    report.count("unfinished", "not finished in time", asked.saturating_sub(live + failed));
    report.figure("seconds", "time", seconds, Unit::Seconds);
    report.figure("connects_per_second", "connects", live as f64 / seconds, Unit::PerSecond);
    report.latency("connect to subscribed", &tally.took[0]);
    for (path, label) in [
        ("delivered", "delivered"),
        ("lost", "lost"),
        ("duplicated", "duplicated"),
        ("reordered", "reordered"),
    ] {
        report.count(path, label, 0);
    }
    report.figure("deliveries_per_second", "deliveries", 0.0, Unit::PerSecond);
    if failed > 0 {
        report.note(format!("Connections that ended: {}", name_partings(&tally.partings)));
    }
}
