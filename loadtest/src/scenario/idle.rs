//! `idle`: connections that do nothing but ping, as clients do on a quiet day: what they cost in memory and CPU.
//!
//! Memory is the growth of the server's RSS, so a freshly started server gives the truest figure; what the kernel keeps for a socket is not
//! in it. `delivered` counts answers to pings, `lost` pings without one.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::clients::plan::Plan;
use crate::clients::subscribers::Subscribers;
use crate::clock::{Clock, SECOND_NS, nanoseconds};
use crate::failure::Outcome;
use crate::measure::ledger::Counts;
use crate::measure::stopwatch::Stopwatch;
use crate::measure::tally::Tally;
use crate::measure::tally::name_partings;
use crate::measure::verdict::{Generator, Verdict};
use crate::options::Target;
use crate::options::help::without;
use crate::options::values::parse_seconds;
use crate::progress::{Phase, Readings, Ticker};
use crate::report::{Report, Unit};
use crate::scenario::Measure;
use crate::stamp::random_run;

/// Lets the server finish what connecting left behind.
const SETTLE: Duration = Duration::from_secs(1);

/// Connections that only ping: memory per connection, and the server's CPU
#[derive(Args)]
#[command(mut_args(without(&["rate", "size"])))]
pub(crate) struct IdleOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Interval between the pings of a connection; official clients ping after 120 s of silence, or as the server tells them
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds)]
    pub(crate) ping_every: Duration,
    /// Spread the connections over this many channels, NAME-0, NAME-1, … (1: all on NAME)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) channels: u32,
}

impl Measure for IdleOptions {
    fn target(&self) -> &Target {
        &self.target
    }

    fn measure(&self) -> Outcome<Report> {
        run(self)
    }
}

fn run(options: &IdleOptions) -> Outcome<Report> {
    let target = &options.target;
    target.check_descriptors(0)?;
    let clock = Clock::start();
    let stopwatch = Stopwatch::new(target.pid, clock)?;
    let rss_before = stopwatch.server_rss()?;
    let ping_period_ns = Some(nanoseconds(options.ping_every));
    let plan = Plan { ping_period_ns, ..Plan::new(target, target.several_channels(options.channels)) };
    let subscribers = Subscribers::gather_all(&plan, target.processes, random_run(), clock)?;
    std::thread::sleep(SETTLE);
    let before = stopwatch.read()?;
    let readings = look_on(target.duration(), &subscribers, &stopwatch);
    let (cost, rss) = (stopwatch.cost_since(&before)?, stopwatch.server_rss()?);
    let tally = subscribers.dismiss(&[])?;

    let mut report = Report::new("idle");
    report.count("connections", "connections", u64::from(target.connections));
    report.figure("ping_every_seconds", "each pings every", options.ping_every.as_secs_f64(), Unit::Seconds);
    report.figure("seconds", "time", cost.wall_ns as f64 / SECOND_NS as f64, Unit::Seconds);
    report_pings(&mut report, &tally);
    report.rate_over_time("answers to pings", readings.counts());
    report.level_over_time("server memory", Unit::Bytes, readings.memory());
    let growth = rss_before.zip(rss).map(|(before, after)| after as f64 - before as f64);
    let per_connection = growth.map(|bytes| bytes / f64::from(target.connections));
    let ratio = cost.server.map(|spent| spent.total_ns as f64 / cost.wall_ns as f64);
    report.figure("server.cpu_ratio", "server CPU, of one core", ratio, Unit::Ratio);
    report.figure("server.cpu_ns_per_delivery", "server CPU per delivery", None, Unit::Nanoseconds);
    report.figure("server.rss_bytes", "server memory", rss.map(|bytes| bytes as f64), Unit::Bytes);
    report.figure(
        "server.rss_bytes_per_connection",
        "server memory per connection",
        per_connection,
        Unit::Bytes,
    );
    let generator =
        Generator { late: tally.pings_late, busy_max: readings.own_busy_max(), ..Generator::default() };
    report.conditions(&Verdict::reach(&stopwatch, &cost, generator)?);
    Ok(report)
}

fn look_on(duration: Duration, subscribers: &Subscribers, stopwatch: &Stopwatch) -> Readings {
    let (ticker, pongs, latency) =
        (Ticker::start(), Arc::clone(subscribers.progress()), Arc::clone(subscribers.progress()));
    let phase = Phase::timed("idling", duration, "answers to pings", move || pongs.pongs());
    ticker.begin(phase.kept().p99(move || latency.p99_us()).memory_of(stopwatch.server()));
    std::thread::sleep(duration);
    ticker.finish()
}

fn report_pings(report: &mut Report, tally: &Tally) {
    let answered = Counts { delivered: tally.pongs.len(), ..Counts::default() };
    report.counts(answered, tally.silences);
    report.count("parted", "connections closed", tally.parted_live);
    report.latency("ping to pong", &tally.pongs);
    if tally.parted_live > 0 {
        report.note(format!("Connections closed: {}", name_partings(&tally.partings)));
    }
}
