//! `connect`: how fast subscribers come in, what each costs the server, and what it keeps of them in memory.
//!
//! A connection counts from its connect (with --rate: from when it was due) to its confirmed subscription. Failures are a
//! result. Memory is the growth of the server's RSS, so a freshly started server gives the truest figure.

mod storm;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use self::storm::{Storm, StormOptions, Witnesses, ride};
use crate::clients::plan::Plan;
use crate::clients::subscribers::Subscribers;
use crate::clock::{Clock, SECOND_NS};
use crate::failure::Outcome;
use crate::measure::late::Late;
use crate::measure::ledger::Counts;
use crate::measure::stopwatch::{Cost, Stopwatch};
use crate::measure::tally::Tally;
use crate::measure::tally::name_partings;
use crate::measure::verdict::{Generator, Verdict};
use crate::options::Target;
use crate::options::help::{duration, rate};
use crate::progress::{Phase, Ticker};
use crate::report::{Report, Unit};
use crate::scenario::Measure;
use crate::stamp::random_run;

/// Opens connections and subscribes each one: rate, failures, CPU and memory per connection; --storm drops them all at once
#[derive(Args)]
#[command(
    mut_args(rate("Connects per second [default: as fast as --opening allows]")),
    mut_args(duration("How long to wait for the last connection [default: 10]"))
)]
pub(crate) struct ConnectOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Spread the connections over this many channels, NAME-0, NAME-1, … (1: all on NAME)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) channels: u32,
    #[command(flatten)]
    pub(crate) storm: StormOptions,
}

/// The first time that all come in.
struct Arrival {
    live: u64,
    start_ns: u64,
    cost: Cost,
    rss_before: Option<u64>,
    rss: Option<u64>,
}

impl Measure for ConnectOptions {
    fn target(&self) -> &Target {
        &self.target
    }

    fn measure(&self) -> Outcome<Report> {
        run(self)
    }
}

fn run(options: &ConnectOptions) -> Outcome<Report> {
    let target = &options.target;
    let is_storm = options.storm.storm;
    target.check_descriptors(if is_storm { options.storm.witnesses } else { 0 })?;
    let (clock, run) = (Clock::start(), random_run());
    let stopwatch = Stopwatch::new(target.pid, clock)?;
    let witnesses = is_storm.then(|| Witnesses::gather(target, &options.storm, run, clock)).transpose()?;
    let (before, rss_before) = (stopwatch.read()?, stopwatch.server_rss()?);

    let period_ns = target.rate.map(|rate| (SECOND_NS as f64 / rate) as u64);
    let plan = Plan { period_ns, ..Plan::new(target, target.several_channels(options.channels)) };
    let subscribers = Subscribers::gather(&plan, target.processes, run, clock)?;
    let (ticker, progress) = (Ticker::start(), Arc::clone(subscribers.progress()));
    ticker
        .begin(Phase::timed("connecting", target.duration(), "connections", move || progress.live()).kept());
    let planned = Duration::from_nanos(period_ns.unwrap_or(0) * u64::from(target.connections));
    let live = subscribers.wait_until_settled(planned + target.duration());
    let readings = ticker.finish();
    let (cost, rss) = (stopwatch.cost_since(&before)?, stopwatch.server_rss()?);
    let arrival = Arrival { live, start_ns: before.at_ns, cost, rss_before, rss };

    let first_ns = clock.now_ns();
    let storm = witnesses
        .map(|witnesses| ride(&subscribers, witnesses, &options.storm, &stopwatch, clock))
        .transpose()?;
    let tally = subscribers.dismiss(&[])?;
    let mut report = Report::new("connect");
    // After a storm the last subscription is that of the storm; the first time ended when all had settled.
    let end_ns = if is_storm { first_ns } else { tally.last_subscribed_ns };
    report_connects(&mut report, options, &tally, &arrival, end_ns);
    report.rate_over_time("connects", readings.counts());
    match &storm {
        Some(storm) => storm.report(&mut report, &tally),
        None => {
            report.counts(Counts::default(), 0);
            report.delivery_rate(0, 0.0);
        }
    }
    report_server(&mut report, &arrival);
    let late = storm.as_ref().map_or_else(Late::default, Storm::late);
    let shares = readings.own_busy_max().into_iter().chain(storm.and_then(|storm| storm.own_busy_max()));
    let generator = Generator { late, busy_max: shares.reduce(f64::max), ..Generator::default() };
    report.conditions(&Verdict::reach(&stopwatch, &arrival.cost, generator)?);
    Ok(report)
}

fn report_connects(
    report: &mut Report,
    options: &ConnectOptions,
    tally: &Tally,
    arrival: &Arrival,
    end_ns: u64,
) {
    let asked = u64::from(options.target.connections);
    let failed: u64 = tally.partings.values().sum();
    let seconds = end_ns.saturating_sub(arrival.start_ns) as f64 / SECOND_NS as f64;
    report.count("connections", "connections", asked);
    report.count("subscribed", "subscribed", arrival.live);
    report.count("failed", "failed", failed);
    report.count("unfinished", "not finished in time", asked.saturating_sub(arrival.live + failed));
    report.figure("seconds", "time", seconds, Unit::Seconds);
    report.figure("connects_per_second", "connects", arrival.live as f64 / seconds, Unit::PerSecond);
    report.latency("connect to subscribed", &tally.took[0]);
    if failed > 0 {
        report.note(format!("Connections that ended: {}", name_partings(&tally.partings)));
    }
}

fn report_server(report: &mut Report, arrival: &Arrival) {
    let per_connection = |value: Option<f64>| value.map(|value| value / arrival.live as f64);
    let server = arrival.cost.server;
    let (cpu, ksoftirqd) = (
        per_connection(server.map(|spent| spent.total_ns as f64)),
        per_connection(server.map(|spent| spent.ksoftirqd_ns as f64)),
    );
    let growth = arrival.rss_before.zip(arrival.rss).map(|(before, after)| after as f64 - before as f64);
    let memory = per_connection(growth);
    report.figure("server.cpu_ns_per_connect", "server CPU per connect", cpu, Unit::Nanoseconds);
    report.figure("server.ksoftirqd_ns_per_connect", "ksoftirqd per connect", ksoftirqd, Unit::Nanoseconds);
    report.figure("server.rss_bytes", "server memory", arrival.rss.map(|bytes| bytes as f64), Unit::Bytes);
    report.figure("server.rss_bytes_per_connection", "server memory per connection", memory, Unit::Bytes);
    report.figure("server.cpu_ns_per_delivery", "server CPU per delivery", None, Unit::Nanoseconds);
}
