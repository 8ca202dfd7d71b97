//! `client-events`: groups on private channels whose members send to each other over their own connections.
//!
//! Every member checks every sender of its group by sequence number; latency counts from when the event was due, or from when it was sent if this program itself was late. Servers limit client
//! events per connection (Pusher: ten a second), so the default rate stays below that; an event that the server objects to is counted
//! as refused and not as lost, since its sender was told.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;

use crate::actors::talk::Talk;
use crate::clock::{Clock, SECOND_NS};
use crate::failure::Outcome;
use crate::measure::stopwatch::{Measured, Stopwatch};
use crate::measure::verdict::{Generator, Verdict};
use crate::options::Target;
use crate::options::help::{ONE_PROCESS, rate, without};
use crate::progress::{Phase, Readings, Ticker};
use crate::report::{Report, Unit};
use crate::scenario::Measure;

/// Groups on private channels whose members send to each other: latency, loss, order
#[derive(Args)]
#[command(mut_args(rate("Client events per second of all senders together [default: 5 of each sender]")), mut_args(without(&ONE_PROCESS)))]
pub(crate) struct ClientEventsOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Members per group, who share a private channel; --connections must be a multiple of it
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(crate) group: u32,
    /// Members who send in each group [default rate: 5 a second for each of them]
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) senders: u32,
}

impl Measure for ClientEventsOptions {
    fn target(&self) -> &Target {
        &self.target
    }

    fn measure(&self) -> Outcome<Report> {
        run(self)
    }
}

fn run(options: &ClientEventsOptions) -> Outcome<Report> {
    let target = &options.target;
    target.check_one_process()?;
    target.check_descriptors(0)?;
    let clock = Clock::start();
    let stopwatch = Stopwatch::new(target.pid, clock)?;
    let rss_before = stopwatch.server_rss()?;
    let mut talk = Talk::gather(target, options.group, options.senders, target.rate, clock)?;
    let (before, rss_gathered) = (stopwatch.read()?, stopwatch.server_rss()?);
    let readings = look_on(&mut talk, target.duration())?;
    let (cost, rss) = (stopwatch.cost_since(&before)?, stopwatch.server_rss()?);

    let rate = talk.rate;
    let said = talk.end();
    let tally = &said.tally;
    let seconds = tally.last_arrival_ns.saturating_sub(before.at_ns) as f64 / SECOND_NS as f64;
    let frames = tally.counts.delivered + tally.counts.duplicated;
    let mut report = Report::new("client-events");
    report.count("connections", "connections", u64::from(target.connections));
    report.count("groups", "groups", u64::from(target.connections / options.group));
    report.count("senders", "senders in each", u64::from(options.senders));
    report.count("size", "bytes of data per event", u64::from(target.size));
    report.figure("offered_per_second", "client events offered", rate, Unit::PerSecond);
    report.figure("seconds", "time", seconds, Unit::Seconds);
    report.count("sent", "client events sent", said.late.calls);
    report.count("refused", "refused by the server", said.refused);
    report.count("echoed", "came back to their sender", said.echoed);
    report.counts(tally.counts, tally.lost);
    report.count("parted", "connections closed", tally.parted_live);
    report.delivery_rate(frames, seconds);
    report.rate_over_time("deliveries", readings.counts());
    report.latency("latency", &tally.latency[1]);
    said.report_notes(&mut report);
    let growth = rss_before.zip(rss_gathered).map(|(before, after)| after as f64 - before as f64);
    let measured = Measured { frames, seconds, cost };
    report.server_cost(&measured, rss, growth.map(|bytes| bytes / f64::from(target.connections)));
    let generator = Generator {
        late: said.late,
        busy_max: readings.own_busy_max(),
        closed_as_slow: said.tally.parted_as_slow,
    };
    report.conditions(&Verdict::reach(&stopwatch, &measured.cost, generator)?);
    Ok(report)
}

fn look_on(talk: &mut Talk, duration: Duration) -> Outcome<Readings> {
    let (ticker, heard, latency, rest) = (Ticker::start(), talk.pulse(), talk.pulse(), talk.pulse());
    let phase = Phase::timed("talking", duration, "deliveries", move || heard.count());
    ticker.begin(phase.kept().p99(move || latency.p99_us()));
    talk.talk(duration, &AtomicBool::new(false))?;
    ticker.begin(Phase::counted("draining", talk.expected(), "deliveries", move || rest.count()));
    talk.wait_for_the_rest()?;
    Ok(ticker.finish())
}
