//! `publish`: REST calls alone, to a channel without subscribers: what a signed publish costs and how long its answer takes.
//!
//! Without --rate it is a closed loop: each publishing connection always has as many calls in flight as --pipeline says. With it, an
//! answer counts from when its call was due. A server that closes its connections is driven with as many as --publishers says.

use std::sync::Arc;

use clap::Args;

use crate::clock::{Clock, SECOND_NS};
use crate::failure::Outcome;
use crate::measure::late::Late;
use crate::measure::ledger::Counts;
use crate::measure::stopwatch::Stopwatch;
use crate::measure::verdict::{Generator, Verdict};
use crate::options::Target;
use crate::options::help::{ONE_PROCESS, SUBSCRIBERS, rate, without};
use crate::progress::{Phase, Ticker};
use crate::publish::schedule::{Pace, Schedule};
use crate::publish::{Audience, Limits, Publisher, end_ns};
use crate::report::{Report, Unit};
use crate::scenario::Measure;
use crate::stamp::random_run;

/// REST calls to a channel without subscribers: rate, cost and response time
#[derive(Args)]
#[command(mut_args(rate("Publishes per second [default: as fast as answers come]")), mut_args(without(&ONE_PROCESS)), mut_args(without(&SUBSCRIBERS)))]
pub(crate) struct PublishOnlyOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Publishing connections; there are no subscribers, so --connections has no effect
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) publishers: u32,
    /// Calls in flight on each; 1 waits for every answer. Servers that close connections or answer out of order get 1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) pipeline: u32,
    /// Events per call; several go to batch_events
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) batch: u32,
}

/// The audience of a channel without subscribers.
struct Nobody;

impl Audience for Nobody {
    fn seen_by_all(&self) -> u64 {
        0
    }

    fn wake_at(&self, _sequence: u64) {}

    fn frames(&self) -> u64 {
        0
    }
}

impl Measure for PublishOnlyOptions {
    fn target(&self) -> &Target {
        &self.target
    }

    fn measure(&self) -> Outcome<Report> {
        run(self)
    }
}

fn run(options: &PublishOnlyOptions) -> Outcome<Report> {
    let target = &options.target;
    let clock = Clock::start();
    let stopwatch = Stopwatch::new(target.pid, clock)?;
    let lines = options.publishers as usize;
    let limits = Limits { lines, lines_closing: lines, depth: options.pipeline as usize };
    let channels = vec![format!("{}-unheard", target.channel)];
    let mut publisher = Publisher::new(target, channels, None, limits, random_run(), clock)?;
    publisher.probe()?;

    let pace = target.rate.map_or(Pace::Window(u64::MAX), Pace::Paced);
    let (ticker, pulse) = (Ticker::start(), [(); 2].map(|()| Arc::clone(publisher.pulse())));
    let [answers, latency] = pulse;
    let phase = Phase::timed("publishing", target.duration(), "answers", move || answers.count());
    ticker.begin(phase.kept().p99(move || latency.p99_us()));
    let before = stopwatch.read()?;
    let end_ns = end_ns(before.at_ns, target.duration());
    publisher.run(&mut Schedule::new(pace, options.batch, before.at_ns, end_ns), &Nobody)?;
    let readings = ticker.finish();
    publisher.drain(&Nobody, |_| true)?;
    let seconds = (clock.now_ns() - before.at_ns) as f64 / SECOND_NS as f64;
    let cost = stopwatch.cost_since(&before)?;

    let mut report = Report::new("publish");
    report_asked(&mut report, options, &publisher);
    report.figure("seconds", "time", seconds, Unit::Seconds);
    let (results, sends) = (publisher.results(), publisher.sends());
    let per_second = |count: u64| count as f64 / seconds;
    report.figure("calls_per_second", "calls answered", per_second(results.answers()), Unit::PerSecond);
    report.figure("publishes_per_second", "events accepted", per_second(results.accepted), Unit::PerSecond);
    report.rate_over_time("answers", readings.counts());
    report.latency("time to the answer", &results.latency);
    publisher.report(&mut report);
    report.counts(Counts::default(), 0);
    let per_publish = |ns: u64| (results.accepted > 0).then(|| ns as f64 / results.accepted as f64);
    let cpu = cost.server.and_then(|spent| per_publish(spent.total_ns));
    let rss = stopwatch.server_rss()?.map(|bytes| bytes as f64);
    report.figure("server.cpu_ns_per_publish", "server CPU per event", cpu, Unit::Nanoseconds);
    report.figure("server.cpu_ns_per_delivery", "server CPU per delivery", None, Unit::Nanoseconds);
    report.figure("server.rss_bytes", "server memory", rss, Unit::Bytes);
    let late = Late { calls: sends.calls, sends: sends.late, max_ns: sends.late_max_ns };
    let generator = Generator { late, busy_max: readings.own_busy_max(), ..Generator::default() };
    report.conditions(&Verdict::reach(&stopwatch, &cost, generator)?);
    Ok(report)
}

fn report_asked(report: &mut Report, options: &PublishOnlyOptions, publisher: &Publisher) {
    let depth = if publisher.is_pipelined() { options.pipeline } else { 1 };
    report.text("mode", "mode", if options.target.rate.is_some() { "paced" } else { "closed loop" });
    report.count("publishers", "publishing connections", u64::from(options.publishers));
    report.count("pipeline", "calls in flight on each", u64::from(depth));
    report.count("batch", "events per call", u64::from(options.batch));
    report.count("size", "bytes of data per event", u64::from(options.target.size));
    report.figure("offered_per_second", "publishes offered", options.target.rate, Unit::PerSecond);
}
