//! `fanout`: one channel, many subscribers, publishes over the REST API.
//!
//! Paced it shows latency and the cost of one delivery at a known load; saturated, what the server can fan out; overloaded,
//! what becomes of subscribers when more is offered than that. Every subscriber checks every event by its sequence number.
//! CPU and rates are those of the measured phase, from its first publish until nothing moves any more.

use std::time::Duration;

use super::{Cost, Late, Watch, check_descriptors, name_partings, random_run};
use crate::clock::{Clock, SECOND_NS};
use crate::failure::{Failure, Outcome};
use crate::options::{FanoutOptions, Target};
use crate::publish::schedule::{Pace, Schedule};
use crate::publish::{Audience, Limits, Publisher, end_ns};
use crate::report::{Report, Unit};
use crate::subscribe::crowd::{Crowd, Tally};

const RATE_DEFAULT: f64 = 100.0;
const BATCH_DEFAULT: u32 = 10;
const CALIBRATION: Duration = Duration::from_secs(2);
const CONNECT_PATIENCE: Duration = Duration::from_secs(60);
/// Lets the server finish what connecting left behind before its CPU is read.
const SETTLE: Duration = Duration::from_millis(200);

pub(crate) fn run(options: &FanoutOptions) -> Outcome<Report> {
    let target = &options.target;
    check_descriptors(target, options.publishers)?;
    let (clock, run) = (Clock::start(), random_run());
    let watch = Watch::new(target, clock)?;
    let mut publisher = Publisher::new(target, limits(options), run, clock)?;
    publisher.probe()?;
    let rss_before = watch.server_rss()?;
    let crowd = gather(target, run, clock)?;
    std::thread::sleep(SETTLE);
    let rss_gathered = watch.server_rss()?;

    let pace = pace(options, &mut publisher, &crowd, clock)?;
    crowd.progress().measure_from(publisher.sent());
    let (before, frames_before) = (watch.read()?, crowd.progress().frames());
    let sends_before = publisher.sends().calls;
    drive(options, pace, target.duration, &mut publisher, &crowd, clock)?;
    let cost = watch.cost_since(&before)?;
    let rss_after = watch.server_rss()?;

    let tally = crowd.dismiss(publisher.sent(), &publisher.results().excused())?;
    let measured = Measured {
        frames: (tally.counts.delivered + tally.counts.duplicated).saturating_sub(frames_before),
        seconds: tally.last_arrival_ns.saturating_sub(before.at_ns) as f64 / SECOND_NS as f64,
        cost,
    };
    let mut report = Report::new("fanout");
    report_load(&mut report, options, pace);
    report_deliveries(&mut report, &tally, &measured);
    report_publishes(&mut report, &publisher);
    let growth = rss_before.zip(rss_gathered).map(|(before, after)| after as f64 - before as f64);
    report_server(
        &mut report,
        &measured,
        rss_after,
        growth.map(|bytes| bytes / f64::from(target.connections)),
    );
    let sends = publisher.sends();
    let late = Late { calls: sends.calls - sends_before, sends: sends.late, max_ns: sends.late_max_ns };
    watch.report_conditions(&mut report, &measured.cost, late)?;
    Ok(report)
}

/// Figures of the measured phase alone.
struct Measured {
    frames: u64,
    seconds: f64,
    cost: Cost,
}

fn limits(options: &FanoutOptions) -> Limits {
    // Publishes stay in order on one connection only; overload is about many publishers.
    let lines = if options.overload.is_some() { options.publishers as usize } else { 1 };
    Limits { lines, lines_closing: options.publishers as usize, depth: options.pipeline as usize }
}

fn gather(target: &Target, run: u32, clock: Clock) -> Outcome<Crowd> {
    let crowd = Crowd::gather(target, std::slice::from_ref(&target.channel), None, run, clock)?;
    let live = crowd.wait_until_settled(CONNECT_PATIENCE);
    if live == u64::from(target.connections) {
        return Ok(crowd);
    }
    let partings = name_partings(&crowd.dismiss(0, &[])?.partings);
    let why = if partings.is_empty() { "the server is silent".to_owned() } else { partings };
    Err(Failure::new(format!("only {live} of {} subscribers came in: {why}", target.connections)))
}

/// The pace of the measured phase; overload has to find out first what can be fanned out.
fn pace(options: &FanoutOptions, publisher: &mut Publisher, crowd: &Crowd, clock: Clock) -> Outcome<Pace> {
    let window = Pace::Window(u64::from(options.window));
    let Some(factor) = options.overload else {
        let paced = Pace::Paced(options.target.rate.unwrap_or(RATE_DEFAULT));
        return Ok(if options.saturate { window } else { paced });
    };
    let (start_ns, sent) = (clock.now_ns(), publisher.sent());
    drive(options, window, CALIBRATION, publisher, crowd, clock)?;
    let seconds = clock.now_ns().saturating_sub(start_ns) as f64 / SECOND_NS as f64;
    Ok(Pace::Overload(factor * (publisher.sent() - sent) as f64 / seconds))
}

/// Publishes for `duration` and waits until all that was accepted has arrived, or nothing moves.
fn drive(
    options: &FanoutOptions,
    pace: Pace,
    duration: Duration,
    publisher: &mut Publisher,
    crowd: &Crowd,
    clock: Clock,
) -> Outcome<()> {
    let progress = crowd.progress();
    let is_paced = matches!(pace, Pace::Paced(_));
    if matches!(pace, Pace::Window(_)) {
        progress.follow(publisher.waker());
    }
    let batch = options.batch.unwrap_or(if is_paced { 1 } else { BATCH_DEFAULT });
    let start_ns = clock.now_ns();
    publisher.run(&mut Schedule::new(pace, batch, start_ns, end_ns(start_ns, duration)), progress)?;
    progress.unfollow();
    let subscribers = u64::from(options.target.connections);
    publisher.drain(progress, |results| progress.frames() >= results.accepted * subscribers)
}

fn report_load(report: &mut Report, options: &FanoutOptions, pace: Pace) {
    let (name, offered) = match pace {
        Pace::Paced(rate) => ("paced", Some(rate)),
        Pace::Window(_) => ("saturate", None),
        Pace::Overload(rate) => ("overload", Some(rate)),
    };
    report.text("mode", "mode", name);
    report.count("connections", "subscribers", u64::from(options.target.connections));
    report.count("size", "bytes of data per event", u64::from(options.target.size));
    report.figure("offered_per_second", "publishes offered", offered, Unit::PerSecond);
    report.figure("window", "window", options.saturate.then_some(f64::from(options.window)), Unit::Count);
}

fn report_deliveries(report: &mut Report, tally: &Tally, measured: &Measured) {
    report.figure("seconds", "time", measured.seconds, Unit::Seconds);
    report.count("delivered", "delivered", tally.counts.delivered);
    report.count("lost", "lost", tally.lost);
    report.count("duplicated", "duplicated", tally.counts.duplicated);
    report.count("reordered", "reordered", tally.counts.reordered);
    report.count("parted", "subscribers closed", tally.parted_live);
    let per_second = (measured.frames > 0).then(|| measured.frames as f64 / measured.seconds);
    report.figure("deliveries_per_second", "deliveries", per_second.unwrap_or(0.0), Unit::PerSecond);
    report.latency("latency", &tally.latency);
    if tally.parted_live > 0 {
        report.note(format!("Subscribers closed: {}", name_partings(&tally.partings)));
    }
}

fn report_publishes(report: &mut Report, publisher: &Publisher) {
    let (results, sends) = (publisher.results(), publisher.sends());
    report.count("publishes.sent", "events published", publisher.sent());
    report.count("publishes.accepted", "events accepted", results.accepted);
    report.count("publishes.refused", "events refused", results.refused);
    report.count("publishes.unanswered", "events without an answer", results.unanswered);
    report.count("publishes.withheld", "events not sent for lack of room", sends.withheld);
    report.count("publishes.held", "calls that waited for the server", sends.held);
    if !results.refusals.is_empty() {
        let named = results.refusals.iter().map(|(status, count)| format!("{count} × HTTP {status}"));
        report.note(format!("Calls refused: {}", named.collect::<Vec<_>>().join(", ")));
    }
    if publisher.connections() > 1 {
        report.note(
            "Publishes went over several connections: reordering between those is not the server's fault.",
        );
    }
    if sends.stalls > 0 {
        report.note(format!(
            "The closed loop stood still for 2 s, {} times: events are lost or late.",
            sends.stalls
        ));
    }
}

fn report_server(
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
