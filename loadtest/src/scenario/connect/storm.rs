//! `connect --storm`: all connections are lost at once and all come back, while a small group goes on receiving.
//!
//! Owns the storm and its witnesses: a second group of subscribers on a channel of its own, published to at a steady rate, whose latency before and during
//! tells what the storm did to live traffic. Those that come back count from the moment of the drop, since that is what people wait for.
//! Connections that fail on their way back are counted and not tried again.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::clients::arrival::CONNECT_PATIENCE;
use crate::clients::plan::Plan;
use crate::clients::socket_pool::Ending;
use crate::clients::subscribers::Subscribers;
use crate::clock::{Clock, MILLISECOND_NS, SECOND_NS, nanoseconds};
use crate::failure::Outcome;
use crate::measure::late::Late;
use crate::measure::stopwatch::Stopwatch;
use crate::measure::tally::Tally;
use crate::options::Target;
use crate::progress::{Phase, Readings, Ticker};
use crate::publish::schedule::{Pace, Schedule};
use crate::publish::{Audience, Limits, Publisher};
use crate::report::{Report, Unit};

const BEFORE: usize = 1;
const DURING: usize = 2;
const AFTER: usize = 3;
/// The publisher looks up this often whether the storm is over.
const LEG_NS: u64 = 20 * MILLISECOND_NS;

#[derive(Args)]
pub(crate) struct StormOptions {
    /// Once all are subscribed, drops all connections at once and lets them come back
    #[arg(long)]
    pub(crate) storm: bool,
    /// How connections are dropped in the storm
    #[arg(long, value_enum, default_value_t = Drops::Reset)]
    pub(crate) drops: Drops,
    /// Subscribers of a separate channel that stay connected, to show what the storm does to live traffic
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) witnesses: u32,
    /// Events per second for the witnesses
    #[arg(long, value_name = "PER_SECOND", default_value = "100", value_parser = crate::options::values::parse_rate)]
    pub(crate) witness_rate: f64,
    /// How long the witnesses are watched before and after the storm
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = crate::options::values::parse_seconds)]
    pub(crate) calm: Duration,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Drops {
    /// As when clients or their network fail
    Reset,
    /// An orderly end, without a close frame
    Fin,
}

/// The small group and its publisher.
pub(super) struct Witnesses {
    subscribers: Subscribers,
    publisher: Publisher,
    rate: f64,
    count: u64,
    next_ns: u64,
}

/// What a storm did.
pub(super) struct Storm {
    dropped: u64,
    back: u64,
    start_ns: u64,
    server_cpu_ns: Option<u64>,
    /// Connections that stand, while they come back.
    readings: Readings,
    witnesses: Tally,
    publisher: Publisher,
}

impl Witnesses {
    pub(super) fn gather(target: &Target, options: &StormOptions, run: u32, clock: Clock) -> Outcome<Self> {
        let channel = format!("{}-witness", target.channel);
        let limits = Limits { lines: 1, lines_closing: 16, depth: 16 };
        let mut publisher = Publisher::new(target, vec![channel.clone()], None, limits, run, clock)?;
        publisher.probe()?;
        let count = options.witnesses as usize;
        let plan = Plan { subscribers: 0..count, threads: 1, ..Plan::new(target, vec![channel]) };
        let subscribers = Subscribers::gather_all(&plan, 1, run, clock)?;
        Ok(Self {
            subscribers,
            publisher,
            rate: options.witness_rate,
            count: count as u64,
            next_ns: clock.now_ns(),
        })
    }

    /// Publishes at its rate for a while, without a gap to the time before.
    fn publish_for(&mut self, length_ns: u64) -> Outcome<()> {
        let (start_ns, end_ns) = (self.next_ns, self.next_ns + length_ns);
        self.next_ns = end_ns;
        self.publisher.run(
            &mut Schedule::new(Pace::Paced(self.rate), 1, start_ns, end_ns),
            &**self.subscribers.progress(),
        )
    }

    fn begin_phase(&self, phase: usize) {
        self.subscribers.progress().begin_phase(phase, self.publisher.sent());
    }

    fn dismiss(mut self) -> Outcome<(Tally, Publisher)> {
        let progress = &**self.subscribers.progress();
        self.publisher.drain(progress, |results| progress.frames() >= results.accepted * self.count)?;
        Ok((self.subscribers.dismiss(&self.publisher.promises())?, self.publisher))
    }
}

/// Calm, storm, calm. The subscribers must be settled.
pub(super) fn ride(
    subscribers: &Subscribers,
    mut witnesses: Witnesses,
    options: &StormOptions,
    stopwatch: &Stopwatch,
    clock: Clock,
) -> Outcome<Storm> {
    let (calm_ns, ticker) = (nanoseconds(options.calm), Ticker::start());
    ticker.begin(witnesses.subscribers.deliveries("calm before", options.calm));
    witnesses.next_ns = clock.now_ns();
    witnesses.begin_phase(BEFORE);
    witnesses.publish_for(calm_ns)?;
    witnesses.begin_phase(DURING);
    let (dropped, before) = (subscribers.progress().live(), stopwatch.read()?);
    ticker.begin(return_of(subscribers, dropped, &witnesses));
    subscribers.storm(match options.drops {
        Drops::Reset => Ending::Reset,
        Drops::Fin => Ending::Fin,
    });
    let patience_ns = before.at_ns + nanoseconds(CONNECT_PATIENCE);
    // At least one leg, so that the order has reached every thread.
    loop {
        witnesses.publish_for(leg_ns(options.witness_rate))?;
        if subscribers.progress().is_settled() || clock.now_ns() > patience_ns {
            break;
        }
    }
    let cost = stopwatch.cost_since(&before)?;
    let back = subscribers.progress().live();
    witnesses.begin_phase(AFTER);
    ticker.begin(witnesses.subscribers.deliveries("calm after", options.calm));
    witnesses.publish_for(calm_ns)?;
    let (tally, publisher) = witnesses.dismiss()?;
    Ok(Storm {
        dropped,
        back,
        start_ns: before.at_ns,
        server_cpu_ns: cost.server.map(|spent| spent.total_ns),
        readings: ticker.finish(),
        witnesses: tally,
        publisher,
    })
}

fn return_of(subscribers: &Subscribers, dropped: u64, witnesses: &Witnesses) -> Phase {
    let (subscribers, latency) =
        (Arc::clone(subscribers.progress()), Arc::clone(witnesses.subscribers.progress()));
    let phase = Phase::counted("coming back", dropped, "connections", move || subscribers.live());
    phase.kept().p99(move || latency.p99_us())
}

/// Whole periods, so that legs do not change the rate.
fn leg_ns(rate: f64) -> u64 {
    let period_ns = (SECOND_NS as f64 / rate) as u64;
    period_ns * LEG_NS.div_ceil(period_ns.max(1)).max(1)
}

impl Storm {
    /// See `Readings`.
    pub(super) fn own_busy_max(&self) -> Option<f64> {
        self.readings.own_busy_max()
    }

    pub(super) fn late(&self) -> Late {
        let sends = self.publisher.sends();
        Late { calls: sends.calls, sends: sends.late, max_ns: sends.late_max_ns }
    }

    /// `tally` is that of the subscribers that were dropped.
    pub(super) fn report(&self, report: &mut Report, tally: &Tally) {
        let took = &tally.took[1];
        let seconds = tally.last_subscribed_ns.saturating_sub(self.start_ns) as f64 / SECOND_NS as f64;
        let cpu = self.server_cpu_ns.map(|ns| ns as f64 / self.back as f64);
        report.count("storm.dropped", "dropped in the storm", self.dropped);
        report.count("storm.back", "back and subscribed", self.back);
        report.count("storm.failed", "not back", self.dropped.saturating_sub(self.back));
        report.figure("storm.seconds", "until the last was back", seconds, Unit::Seconds);
        report.figure(
            "storm.reconnects_per_second",
            "came back",
            self.back as f64 / seconds,
            Unit::PerSecond,
        );
        report.rate_over_time("returns", self.readings.counts());
        report.figure("storm.cpu_ns_per_reconnect", "server CPU per return", cpu, Unit::Nanoseconds);
        report.percentiles("storm_return_us", "from the drop until back", took);
        let [_, before, during, after] = &self.witnesses.latency;
        for (group, label, latency) in [
            ("live_before_us", "live traffic before", before),
            ("live_during_us", "live traffic during", during),
            ("live_after_us", "live traffic after", after),
        ] {
            report.percentiles(group, label, latency);
        }
        let p99 = |phase: usize| self.witnesses.latency[phase].value_at_quantile(0.99).max(1) as f64;
        let ratio = (!during.is_empty()).then(|| p99(DURING) / p99(BEFORE));
        report.figure("storm.live_p99_ratio", "live p99 during ÷ before", ratio, Unit::Ratio);
        report.counts(self.witnesses.counts, self.witnesses.lost);
        self.publisher.report(report);
        if during.len() < 100 * 20 {
            report.note("The storm was so short that its p99 rests on few events: raise --witness-rate or --connections.");
        }
    }
}
