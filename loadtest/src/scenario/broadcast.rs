//! One round of publishing to subscribers: gather, publish over the REST API for a while, and see what became of it.
//!
//! Shared by the scenarios whose events come from back ends. Owns the phases of a round and what is read at their borders: CPU and
//! rates are those of the measured phase, from its first publish until nothing moves any more.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::clients::plan::Plan;
use crate::clients::subscribers::Subscribers;
use crate::clock::{Clock, SECOND_NS};
use crate::failure::Outcome;
use crate::measure::late::Late;
use crate::measure::stopwatch::{Measured, Stopwatch};
use crate::measure::tally::Tally;
use crate::measure::verdict::Generator;
use crate::options::Target;
use crate::options::values::parse_rate;
use crate::progress::{Phase, Readings, Ticker};
use crate::publish::schedule::{Pace, Schedule};
use crate::publish::{Audience, Limits, Publisher, end_ns};
use crate::report::{Report, Unit};
use crate::stamp::random_run;

const BATCH_DEFAULT: u32 = 10;
const CALIBRATION: Duration = Duration::from_secs(2);
/// Lets the server finish what connecting left behind before its CPU is read.
const SETTLE: Duration = Duration::from_millis(200);

/// How events are published.
#[derive(Args, Clone)]
pub(crate) struct PublishOptions {
    /// Closed loop: keeps --window publishes in flight, each until every subscriber has seen it
    #[arg(long, conflicts_with_all = ["rate", "overload"])]
    pub(crate) saturate: bool,
    /// Publishes in flight with --saturate, and while --overload calibrates
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) window: u32,
    /// Measures the throughput of a closed loop for 2 s, then offers K times as much
    #[arg(long, value_name = "K", conflicts_with = "rate", value_parser = parse_rate)]
    pub(crate) overload: Option<f64>,
    /// Events per batch_events call [default: 1 when paced, otherwise 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) batch: Option<u32>,
    /// Publishing connections, used with --overload or if the server closes each after its answer; otherwise one keeps events in order
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) publishers: u32,
    /// Calls in flight per publishing connection; always 1 if the server closes connections or answers out of order
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) pipeline: u32,
}

/// What one round does.
pub(super) struct Broadcast<'a> {
    pub(super) target: &'a Target,
    pub(super) options: &'a PublishOptions,
    pub(super) plan: Plan,
    /// Channels at random instead of in turn.
    pub(super) seed: Option<u64>,
    /// Events per second where --rate does not say.
    pub(super) rate_default: f64,
}

/// What came of it.
pub(super) struct Round {
    pub(super) tally: Tally,
    pub(super) measured: Measured,
    /// Deliveries over the time of publishing.
    pub(super) readings: Readings,
    pub(super) publisher: Publisher,
    pub(super) pace: Pace,
    pub(super) late: Late,
    pub(super) rss: Option<u64>,
    pub(super) rss_per_connection: Option<f64>,
}

impl Round {
    /// What was asked of the server.
    pub(super) fn report_load(&self, report: &mut Report, target: &Target, options: &PublishOptions) {
        let (name, offered) = match self.pace {
            Pace::Paced(rate) => ("paced", Some(rate)),
            Pace::Window(_) => ("saturate", None),
            Pace::Overload(rate) => ("overload", Some(rate)),
        };
        report.text("mode", "mode", name);
        report.count("connections", "subscribers", u64::from(target.connections));
        report.count("size", "bytes of data per event", u64::from(target.size));
        report.figure("offered_per_second", "publishes offered", offered, Unit::PerSecond);
        report.figure("window", "window", options.saturate.then_some(f64::from(options.window)), Unit::Count);
    }

    /// Everything about a round but the conditions under which it came about.
    pub(super) fn report(&self, report: &mut Report) {
        report.tally(&self.tally, &self.measured);
        report.rate_over_time("deliveries", self.readings.counts());
        self.publisher.report(report);
        if self.publisher.connections() > 1 {
            report.note(
                "Publishes went over several connections: reordering between those is not the server's fault.",
            );
        }
        report.server_cost(&self.measured, self.rss, self.rss_per_connection);
    }

    pub(super) fn generator(&self) -> Generator {
        Generator {
            late: self.late,
            busy_max: self.readings.own_busy_max(),
            closed_as_slow: self.tally.parted_as_slow,
        }
    }
}

impl Broadcast<'_> {
    pub(super) fn run(&self, stopwatch: &Stopwatch, clock: Clock) -> Outcome<Round> {
        let run = random_run();
        let channels = self.plan.channels.clone();
        let mut publisher = Publisher::new(self.target, channels, self.seed, self.limits(), run, clock)?;
        publisher.probe()?;
        let rss_before = stopwatch.server_rss()?;
        let subscribers = Subscribers::gather_all(&self.plan, self.target.processes, run, clock)?;
        std::thread::sleep(SETTLE);
        let rss_gathered = stopwatch.server_rss()?;

        let ticker = Ticker::start();
        let pace = self.pace(&ticker, &mut publisher, &subscribers, clock)?;
        subscribers.progress().begin_phase(1, publisher.sent());
        let (before, frames_before) = (stopwatch.read()?, subscribers.progress().frames());
        let sends_before = publisher.sends().calls;
        let duration = self.target.duration();
        ticker.begin(subscribers.deliveries("publishing", duration).kept());
        self.publish(pace, duration, &mut publisher, &subscribers, clock)?;
        self.drain(&ticker, &mut publisher, &subscribers)?;
        let readings = ticker.finish();
        let cost = stopwatch.cost_since(&before)?;
        let rss = stopwatch.server_rss()?;

        let tally = subscribers.dismiss(&publisher.promises())?;
        let sends = publisher.sends();
        let growth = rss_before.zip(rss_gathered).map(|(before, after)| after as f64 - before as f64);
        Ok(Round {
            measured: Measured {
                frames: (tally.counts.delivered + tally.counts.duplicated).saturating_sub(frames_before),
                seconds: tally.last_arrival_ns.saturating_sub(before.at_ns) as f64 / SECOND_NS as f64,
                cost,
            },
            tally,
            readings,
            pace,
            late: Late { calls: sends.calls - sends_before, sends: sends.late, max_ns: sends.late_max_ns },
            publisher,
            rss,
            rss_per_connection: growth.map(|bytes| bytes / self.plan.subscribers.len() as f64),
        })
    }

    fn limits(&self) -> Limits {
        let PublishOptions { overload, publishers, pipeline, .. } = *self.options;
        // Publishes stay in order on one connection only; overload is about many publishers.
        let lines = if overload.is_some() { publishers as usize } else { 1 };
        Limits { lines, lines_closing: publishers as usize, depth: pipeline as usize }
    }

    /// Subscribers of one channel that read.
    fn readers(&self) -> u64 {
        (self.plan.readers() / self.plan.channels.len()) as u64
    }

    /// The pace of the measured phase; overload has to find out first how much arrives.
    fn pace(
        &self,
        ticker: &Ticker,
        publisher: &mut Publisher,
        subscribers: &Subscribers,
        clock: Clock,
    ) -> Outcome<Pace> {
        let window = Pace::Window(u64::from(self.options.window));
        let Some(factor) = self.options.overload else {
            let paced = Pace::Paced(self.target.rate.unwrap_or(self.rate_default));
            return Ok(if self.options.saturate { window } else { paced });
        };
        let (start_ns, frames) = (clock.now_ns(), subscribers.progress().frames());
        ticker.begin(subscribers.deliveries("calibrating", CALIBRATION));
        self.publish(window, CALIBRATION, publisher, subscribers, clock)?;
        self.drain(ticker, publisher, subscribers)?;
        let seconds = clock.now_ns().saturating_sub(start_ns) as f64 / SECOND_NS as f64;
        let arrived = (subscribers.progress().frames() - frames) as f64 / self.readers() as f64;
        Ok(Pace::Overload(factor * (arrived / seconds).max(1.0)))
    }

    /// Publishes for `duration`.
    fn publish(
        &self,
        pace: Pace,
        duration: Duration,
        publisher: &mut Publisher,
        subscribers: &Subscribers,
        clock: Clock,
    ) -> Outcome<()> {
        let progress = &**subscribers.progress();
        let is_paced = matches!(pace, Pace::Paced(_));
        let readers = self.readers();
        if matches!(pace, Pace::Window(_)) {
            let several = self.plan.channels.len() > 1;
            progress.follow(publisher.waker(), several.then_some(readers.max(1)));
        }
        let batch = self.options.batch.unwrap_or(if is_paced { 1 } else { BATCH_DEFAULT });
        let start_ns = clock.now_ns();
        publisher.run(&mut Schedule::new(pace, batch, start_ns, end_ns(start_ns, duration)), progress)?;
        progress.unfollow();
        Ok(())
    }

    /// Waits until all that was accepted has arrived, or nothing moves.
    fn drain(&self, ticker: &Ticker, publisher: &mut Publisher, subscribers: &Subscribers) -> Outcome<()> {
        let (progress, readers) = (Arc::clone(subscribers.progress()), self.readers());
        let (shown, goal) = (Arc::clone(&progress), publisher.sent() * readers);
        ticker.begin(Phase::counted("draining", goal, "deliveries", move || shown.frames()));
        publisher.drain(&*progress, |results| progress.frames() >= results.accepted * readers)
    }
}
