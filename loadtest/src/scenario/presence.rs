//! `presence`: members come to presence channels and leave them again, wave after wave, and all others must be told.
//!
//! Residents stay; movers join one by one at --rate until all are in, then leave one by one. Between waves each connected member's view
//! (its roster, with what it was told since) is compared with the truth: a member that a view lacks counts as lost, one that it should not
//! have as stale. Latency counts from when the join was due to when another member was told.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;

use crate::actors::waves::Waves;
use crate::clock::{Clock, SECOND_NS};
use crate::failure::Outcome;
use crate::measure::stopwatch::{Measured, Stopwatch};
use crate::measure::verdict::{Generator, Verdict};
use crate::options::Target;
use crate::options::help::{ONE_PROCESS, rate, without};
use crate::options::values::parse_percent;
use crate::progress::{Phase, Readings, Ticker};
use crate::report::{Report, Unit};
use crate::scenario::Measure;

const RATE_DEFAULT: f64 = 100.0;

/// Members join and leave in waves: which members were told, how late, and whether every roster is right
#[derive(Args)]
#[command(mut_args(rate("Joins and leaves per second in all channels together [default: 100]")), mut_args(without(&ONE_PROCESS)), mut_args(without(&["size"])))]
pub(crate) struct PresenceOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Presence channels, among which the connections are divided; servers allow 100 members in each by default
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) channels: u32,
    /// Share of the connections that join and leave, at --rate [default rate: 100 joins or leaves a second]
    #[arg(long, value_name = "PERCENT", default_value = "20", value_parser = parse_percent)]
    pub(crate) movers_percent: f64,
}

impl Measure for PresenceOptions {
    fn target(&self) -> &Target {
        &self.target
    }

    fn measure(&self) -> Outcome<Report> {
        run(self)
    }
}

fn run(options: &PresenceOptions) -> Outcome<Report> {
    let target = &options.target;
    target.check_one_process()?;
    target.check_descriptors(0)?;
    let clock = Clock::start();
    let stopwatch = Stopwatch::new(target.pid, clock)?;
    let rss_before = stopwatch.server_rss()?;
    let rate = target.rate.unwrap_or(RATE_DEFAULT);
    let mut waves = Waves::gather(target, options.channels, options.movers_percent, rate, clock)?;
    let (before, rss_gathered) = (stopwatch.read()?, stopwatch.server_rss()?);
    let readings = look_on(&mut waves, target.duration())?;
    let (cost, rss) = (stopwatch.cost_since(&before)?, stopwatch.server_rss()?);

    let told = waves.end();
    let mut report = Report::new("presence");
    report.count("connections", "connections", u64::from(target.connections));
    report.count("channels", "channels", u64::from(options.channels));
    report.count("movers", "of them come and go", told.movers as u64);
    report.figure("offered_per_second", "joins and leaves", rate, Unit::PerSecond);
    let seconds = cost.wall_ns as f64 / SECOND_NS as f64;
    report.figure("seconds", "time", seconds, Unit::Seconds);
    told.report(&mut report);
    report.delivery_rate(told.counts().delivered, seconds);
    report.rate_over_time("members told", readings.counts());
    report.latency("join until told", told.added());
    report.percentiles("leave_us", "leave until told", told.removed());
    report.percentiles("roster_us", "join until confirmed with roster", told.entered());
    let growth = rss_before.zip(rss_gathered).map(|(before, after)| after as f64 - before as f64);
    let measured = Measured { frames: told.counts().delivered, seconds, cost };
    report.server_cost(&measured, rss, growth.map(|bytes| bytes / f64::from(target.connections)));
    let generator = Generator { late: told.late, busy_max: readings.own_busy_max(), ..Generator::default() };
    report.conditions(&Verdict::reach(&stopwatch, &measured.cost, generator)?);
    Ok(report)
}

fn look_on(waves: &mut Waves, duration: Duration) -> Outcome<Readings> {
    let (ticker, told, latency) = (Ticker::start(), waves.pulse(), waves.pulse());
    let phase = Phase::timed("waves", duration, "members told", move || told.count());
    ticker.begin(phase.kept().p99(move || latency.p99_us()));
    waves.run(duration, &AtomicBool::new(false))?;
    Ok(ticker.finish())
}
