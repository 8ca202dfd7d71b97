//! `soak`: everything at once, gently, for long: subscribers, publishes, presence, client events, and connections that come and go.
//!
//! Half of the connections only receive and check every event; a fifth are in presence channels, a fifth in groups that talk, a tenth
//! are dropped in turn and come back. A line is printed every minute, on standard error. What matters at the end is what was lost, which
//! connections were closed, and the slope of the server's memory after the first tenth of the time.

mod churn;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Args;

use self::churn::Churn;
use crate::actors::talk::{Said, Talk};
use crate::actors::waves::{Told, Waves};
use crate::clients::plan::Plan;
use crate::clients::subscribers::Subscribers;
use crate::clock::{Clock, SECOND_NS, nanoseconds};
use crate::failure::{Context, Failure, Outcome};
use crate::measure::late::Late;
use crate::measure::memory::Memory;
use crate::measure::stopwatch::{Cost, Reading, Stopwatch};
use crate::measure::tally::Tally;
use crate::measure::tally::name_partings;
use crate::measure::verdict::{Generator, Verdict};
use crate::options::Target;
use crate::options::help::{ONE_PROCESS, duration, rate, without};
use crate::options::values::{parse_rate, parse_seconds};
use crate::progress::{Readings, Ticker};
use crate::publish::schedule::{Pace, Schedule};
use crate::publish::{Audience, Limits, Publisher};
use crate::report::{Report, Unit};
use crate::scenario::Measure;
use crate::stamp::random_run;

const DURATION_DEFAULT: Duration = Duration::from_secs(3600);
const RATE_DEFAULT: f64 = 10.0;
const GROUP: u32 = 10;
/// Fewer than the 100 that servers allow.
const MEMBERS_PER_CHANNEL: u32 = 50;
const MOVERS_PERCENT: f64 = 20.0;
const CONNECTIONS_MIN: u32 = 50;
/// One garbage collection within a minute would stand for gigabytes per hour.
const SLOPE_SECONDS_MIN: f64 = 600.0;
/// How long the publisher goes on between two looks at the server's memory.
const LEG_NS: u64 = SECOND_NS;

/// Everything at once, at a low rate, for hours: what is lost, which clients are dropped, and how memory grows
#[derive(Args)]
#[command(mut_args(rate("Publishes per second to the half that only receives [default: 10]")), mut_args(without(&ONE_PROCESS)), mut_args(duration("Length of the run; also 90m or 8h [default: 1h]")))]
pub(crate) struct SoakOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Connections dropped per second, which come back at once
    #[arg(long, value_name = "PER_SECOND", default_value = "1", value_parser = parse_rate)]
    pub(crate) reconnects: f64,
    /// Joins and leaves per second in all presence channels
    #[arg(long, value_name = "PER_SECOND", default_value = "2", value_parser = parse_rate)]
    pub(crate) presence_rate: f64,
    /// Client events per second in all groups
    #[arg(long, value_name = "PER_SECOND", default_value = "5", value_parser = parse_rate)]
    pub(crate) client_event_rate: f64,
    /// Interval between two printed lines
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds)]
    pub(crate) every: Duration,
}

/// All connections that take part.
struct Town {
    subscribers: Subscribers,
    publisher: Publisher,
    readers: u64,
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
    churn: JoinHandle<Outcome<Churn>>,
    waves: JoinHandle<Outcome<Told>>,
    talk: JoinHandle<Outcome<Said>>,
}

/// How it went meanwhile.
struct Course {
    cost: Cost,
    memory: Memory,
    readings: Readings,
}

/// What came of it.
struct Ended {
    tally: Tally,
    publisher: Publisher,
    churn: Churn,
    told: Told,
    said: Said,
}

impl Measure for SoakOptions {
    fn target(&self) -> &Target {
        &self.target
    }

    fn measure(&self) -> Outcome<Report> {
        run(self)
    }
}

fn run(options: &SoakOptions) -> Outcome<Report> {
    let target = &options.target;
    target.check_one_process()?;
    target.check_descriptors(16)?;
    if target.connections < CONNECTIONS_MIN {
        return Err(Failure::new(format!("soak needs at least {CONNECTIONS_MIN} --connections")));
    }
    let clock = Clock::start();
    let stopwatch = Stopwatch::new(target.pid, clock)?;
    let mut town = Town::gather(options, clock)?;
    let before = stopwatch.read()?;
    let (ticker, duration) = (Ticker::start(), target.duration.unwrap_or(DURATION_DEFAULT));
    ticker.begin(town.subscribers.deliveries("soaking", duration).kept().memory_of(stopwatch.server()));
    let memory = town.live(options, &stopwatch, &before, &ticker)?;
    let readings = ticker.finish();
    let cost = stopwatch.cost_since(&before)?;
    let ended = town.end()?;
    report(options, &stopwatch, Course { cost, memory, readings }, &ended)
}

impl Town {
    fn gather(options: &SoakOptions, clock: Clock) -> Outcome<Self> {
        let target = &options.target;
        let run = random_run();
        let part = |connections: u32, name: &str| Target {
            connections,
            channel: format!("{}-{name}", target.channel),
            ..target.clone()
        };
        let fifth = target.connections / 5 / GROUP * GROUP;
        let (members, talkers) = (part(fifth, "soak"), part(fifth, "soak"));
        let steady = part(target.connections / 2, "soak");
        let churning = part(target.connections - 2 * fifth - target.connections / 2, "soak");
        let channel = vec![steady.channel.clone()];

        let limits = Limits { lines: 1, lines_closing: 16, depth: 16 };
        let mut publisher = Publisher::new(&steady, channel.clone(), None, limits, run, clock)?;
        publisher.probe()?;
        let plan = Plan::new(&steady, channel.clone());
        let subscribers = Subscribers::gather_all(&plan, 1, run, clock)?;
        let channels = fifth.div_ceil(MEMBERS_PER_CHANNEL);
        let waves = Waves::gather(&members, channels, MOVERS_PERCENT, options.presence_rate, clock)?;
        let talk = Talk::gather(&talkers, GROUP, 1, Some(options.client_event_rate), clock)?;
        let churn = Churn::new(Plan::new(&churning, channel), options.reconnects, run, clock)?;

        let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let duration = target.duration.unwrap_or(DURATION_DEFAULT);
        let (waves_stop, talk_stop, churn_stop) = (Arc::clone(&stop), Arc::clone(&stop), Arc::clone(&stop));
        Ok(Self {
            readers: plan.readers() as u64,
            subscribers,
            publisher,
            waves: start("waves", &failed, move || {
                let mut waves = waves;
                waves.run(duration, &waves_stop)?;
                Ok(waves.end())
            })?,
            talk: start("talk", &failed, move || {
                let mut talk = talk;
                talk.talk(duration, &talk_stop)?;
                talk.wait_for_the_rest()?;
                Ok(talk.end())
            })?,
            churn: start("churn", &failed, move || {
                let mut churn = churn;
                churn.run(&churn_stop)?;
                Ok(churn)
            })?,
            stop,
            failed,
        })
    }

    /// Publishes until the time is over, or a part has failed.
    fn live(
        &mut self,
        options: &SoakOptions,
        stopwatch: &Stopwatch,
        before: &Reading,
        ticker: &Ticker,
    ) -> Outcome<Memory> {
        let (target, clock) = (&options.target, stopwatch.clock());
        let duration_ns = nanoseconds(target.duration.unwrap_or(DURATION_DEFAULT));
        let (start_ns, end_ns) = (before.at_ns, before.at_ns + duration_ns);
        let mut memory = Memory::new(start_ns + duration_ns / 10);
        let progress = Arc::clone(self.subscribers.progress());
        progress.begin_phase(1, self.publisher.sent());
        let rate = target.rate.unwrap_or(RATE_DEFAULT);
        let (mut leg_ns, mut line_ns) = (start_ns, start_ns + nanoseconds(options.every));
        while leg_ns < end_ns && !self.failed.load(Ordering::Relaxed) {
            // Whole periods, so that legs do not change the rate.
            let period_ns = (SECOND_NS as f64 / rate) as u64;
            let next_ns = (leg_ns + period_ns.max(1) * LEG_NS.div_ceil(period_ns.max(1))).min(end_ns);
            self.publisher.run(&mut Schedule::new(Pace::Paced(rate), 1, leg_ns, next_ns), &*progress)?;
            leg_ns = next_ns;
            memory.note(clock.now_ns(), stopwatch.server_rss()?);
            if clock.now_ns() >= line_ns {
                line_ns += nanoseconds(options.every);
                ticker.say(self.line(clock.now_ns() - start_ns, &memory, stopwatch.cost_since(before)?));
            }
        }
        Ok(memory)
    }

    fn line(&self, age_ns: u64, memory: &Memory, cost: Cost) -> String {
        let results = self.publisher.results();
        let megabytes = memory.last().map_or_else(|| "?".to_owned(), |rss| format!("{:.1}", rss / 1e6));
        let slope =
            memory.slope_per_hour().map_or_else(|| "?".to_owned(), |slope| format!("{:+.2}", slope / 1e6));
        let cpu = cost.server.map_or(f64::NAN, |spent| spent.total_ns as f64 / cost.wall_ns as f64 * 100.0);
        format!(
            "{:>6} s  subscribers {}  events {} accepted {} refused {}  deliveries {}  answer p99 {:.1} ms  server {megabytes} MB ({slope} MB/h), {cpu:.1} % of a core",
            age_ns / SECOND_NS,
            self.subscribers.progress().live(),
            self.publisher.sent(),
            results.accepted,
            results.refused + results.unanswered,
            self.subscribers.progress().frames(),
            results.latency.value_at_quantile(0.99) as f64 / 1e3,
        )
    }

    fn end(mut self) -> Outcome<Ended> {
        let progress = Arc::clone(self.subscribers.progress());
        self.publisher.drain(&*progress, |results| progress.frames() >= results.accepted * self.readers)?;
        self.stop.store(true, Ordering::Relaxed);
        let (churn, told, said) = (join(self.churn)?, join(self.waves)?, join(self.talk)?);
        let tally = self.subscribers.dismiss(&self.publisher.promises())?;
        Ok(Ended { tally, publisher: self.publisher, churn, told, said })
    }
}

fn start<T: Send + 'static>(
    name: &str,
    failed: &Arc<AtomicBool>,
    body: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<JoinHandle<Outcome<T>>> {
    let failed = Arc::clone(failed);
    let body = move || {
        let result = body();
        failed.fetch_or(result.is_err(), Ordering::Relaxed);
        result
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(body).context("cannot start a thread")
}

fn join<T>(thread: JoinHandle<Outcome<T>>) -> Outcome<T> {
    thread.join().map_err(|_| Failure::new("a thread panicked"))?
}

fn report(options: &SoakOptions, stopwatch: &Stopwatch, course: Course, ended: &Ended) -> Outcome<Report> {
    let Course { cost, memory, readings } = course;
    let Ended { tally, publisher, churn, told, said } = ended;
    let sessions = churn.sessions();
    let mut counts = tally.counts;
    for part in [sessions.counts, told.counts(), said.tally.counts] {
        counts.delivered += part.delivered;
        counts.duplicated += part.duplicated;
        counts.reordered += part.reordered;
    }
    let (lost, seconds) = (
        tally.lost + sessions.lost + told.missing() + said.tally.lost,
        cost.wall_ns as f64 / SECOND_NS as f64,
    );
    let mut report = Report::new("soak");
    report.count("connections", "connections", u64::from(options.target.connections));
    report.figure("seconds", "time", seconds, Unit::Seconds);
    report.counts(counts, lost);
    report.delivery_rate(counts.delivered, seconds);
    report.rate_over_time("deliveries to steady subscribers", readings.counts());
    report.level_over_time("server memory", Unit::Bytes, readings.memory());
    report.latency("latency of events by REST", tally.measured());
    report_parts(&mut report, ended);
    publisher.report(&mut report);
    let per_delivery = cost.server.map(|spent| spent.total_ns as f64 / counts.delivered.max(1) as f64);
    let ratio = cost.server.map(|spent| spent.total_ns as f64 / cost.wall_ns as f64);
    let rss = memory.last();
    report.figure("server.cpu_ns_per_delivery", "server CPU per delivery", per_delivery, Unit::Nanoseconds);
    report.figure("server.cpu_ratio", "server CPU, of one core", ratio, Unit::Ratio);
    report.figure("server.rss_bytes", "server memory", rss, Unit::Bytes);
    let slope = memory.slope_per_hour().filter(|_| seconds >= SLOPE_SECONDS_MIN);
    report.figure("server.rss_bytes_per_hour", "server memory grows per hour", slope, Unit::Bytes);
    if seconds < SLOPE_SECONDS_MIN && rss.is_some() {
        report.note(
            "How the server's memory grows is told from ten minutes on: below that its noise is larger.",
        );
    }
    let sends = publisher.sends();
    let mut late = Late { calls: sends.calls, sends: sends.late, max_ns: sends.late_max_ns };
    [churn.late, told.late, said.late].into_iter().for_each(|part| late.add(part));
    let generator =
        Generator { late, busy_max: readings.own_busy_max(), closed_as_slow: tally.parted_as_slow };
    report.conditions(&Verdict::reach(stopwatch, &cost, generator)?);
    Ok(report)
}

/// Who lost what, and who fell out.
fn report_parts(report: &mut Report, ended: &Ended) {
    let Ended { tally, churn, told, said, .. } = ended;
    let sessions = churn.sessions();
    let presence_parted: u64 = told.partings().values().sum();
    let parted = tally.parted_live + sessions.parted + presence_parted + said.tally.parted_live;
    report.count("parted", "connections closed", parted);
    report.count("soak.subscribers_lost", "lost by steady subscribers", tally.lost);
    report.count("soak.reconnects", "connections dropped to come back", churn.reopened);
    report.count("soak.reconnected_lost", "lost by those", sessions.lost);
    report.percentiles("reconnect_us", "dropped until back", &sessions.back);
    report.count("soak.presence_changes", "told of joins and leaves", told.counts().delivered);
    report.count("soak.presence_lost", "members missing in a view", told.missing());
    report.count("soak.presence_stale", "members shown that had left", told.stale());
    report.percentiles("member_added_us", "join until told", told.added());
    report.count("soak.client_events", "client events delivered", said.tally.counts.delivered);
    report.count("soak.client_events_lost", "client events lost", said.tally.lost);
    report.count("soak.client_events_refused", "client events refused", said.refused);
    report.percentiles("client_event_us", "client events", &said.tally.latency[1]);
    for partings in [&tally.partings, told.partings(), &said.tally.partings] {
        if !partings.is_empty() {
            report.note(format!("Connections closed: {}", name_partings(partings)));
        }
    }
    if let Some(parting) = &sessions.parting {
        report.note(format!(
            "Of those that come back, {} were closed, the last one: {parting}",
            sessions.parted
        ));
    }
}
