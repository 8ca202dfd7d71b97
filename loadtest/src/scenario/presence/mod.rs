//! `presence`: members come to presence channels and leave them again, wave after wave, and all others must be told.
//!
//! Residents stay; movers join one by one at --rate until all are in, then leave one by one. Between waves each connected member's view
//! (its roster, with what it was told since) is compared with the truth: a member that a view lacks counts as lost, one that it should not
//! have as stale. Latency counts from when the join was due to when another member was told.

mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;

use self::views::{Change, Views};
use crate::clients::arrival::CONNECT_PATIENCE;
use crate::clients::plan::Plan;
use crate::clients::socket_pool::SocketPool;
use crate::clock::{Clock, MILLISECOND_NS, SECOND_NS, nanoseconds};
use crate::failure::{Failure, Outcome};
use crate::measure::late::Late;
use crate::measure::ledger::Counts;
use crate::measure::stopwatch::{Measured, Stopwatch};
use crate::measure::tally::name_partings;
use crate::measure::verdict::{Generator, Verdict};
use crate::options::Target;
use crate::options::help::{ONE_PROCESS, rate, without};
use crate::options::values::parse_percent;
use crate::progress::{Phase, Pulse, Readings, Ticker};
use crate::report::{Report, Unit};
use crate::scenario::Measure;

const RATE_DEFAULT: f64 = 100.0;
const POLL_MAX: Duration = Duration::from_millis(20);
/// Quiet for this long with all views right, a wave is over; quiet for the second with some wrong, it is over too.
const QUIET_NS: u64 = 100 * MILLISECOND_NS;
const PATIENCE_NS: u64 = 2 * SECOND_NS;
/// Residents that are on their way in at once.
const ENTERING_MAX: usize = 64;

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
    report.delivery_rate(told.views.counts.delivered, seconds);
    report.rate_over_time("members told", readings.counts());
    report.latency("join until told", &told.views.added);
    report.percentiles("leave_us", "leave until told", &told.views.removed);
    report.percentiles("roster_us", "join until confirmed with roster", &told.entered());
    let growth = rss_before.zip(rss_gathered).map(|(before, after)| after as f64 - before as f64);
    let measured = Measured { frames: told.views.counts.delivered, seconds, cost };
    report.server_cost(&measured, rss, growth.map(|bytes| bytes / f64::from(target.connections)));
    let generator = Generator { late: told.late, busy_max: readings.own_busy_max(), ..Generator::default() };
    report.conditions(&Verdict::reach(&stopwatch, &measured.cost, generator)?);
    Ok(report)
}

fn look_on(waves: &mut Waves, duration: Duration) -> Outcome<Readings> {
    let (ticker, told, latency) = (Ticker::start(), Arc::clone(&waves.pulse), Arc::clone(&waves.pulse));
    let phase = Phase::timed("waves", duration, "members told", move || told.count());
    ticker.begin(phase.kept().p99(move || latency.p99_us()));
    waves.run(duration, &AtomicBool::new(false))?;
    Ok(ticker.finish())
}

/// Residents and movers of presence channels, on connections that all stand from the beginning.
pub(super) struct Waves {
    pool: SocketPool,
    views: Views,
    /// For the live line.
    pulse: Arc<Pulse>,
    channels: Vec<String>,
    residents: usize,
    /// Members that should be in their channel now.
    present: BTreeSet<usize>,
    rate: f64,
    clock: Clock,
    next_ns: u64,
    waves: u64,
    joins: u64,
    leaves: u64,
    late: Late,
}

/// What came of it.
pub(super) struct Told {
    views: Views,
    pub(super) late: Late,
    movers: usize,
    waves: u64,
    joins: u64,
    leaves: u64,
}

impl Waves {
    /// Connects all members and lets the residents in.
    pub(super) fn gather(
        target: &Target,
        channels: u32,
        movers_percent: f64,
        rate: f64,
        clock: Clock,
    ) -> Outcome<Self> {
        let name = target.channel.strip_prefix("presence-").unwrap_or(&target.channel);
        let channels: Vec<String> = (0..channels).map(|index| format!("presence-{name}-{index}")).collect();
        let connections = target.connections as usize;
        let movers = (connections as f64 * movers_percent / 100.0) as usize;
        let mut waves = Self {
            pool: SocketPool::new(Plan::new(target, Vec::new()), clock)?,
            views: Views::new(connections, channels.len()),
            pulse: Arc::default(),
            channels,
            residents: connections - movers,
            present: BTreeSet::new(),
            rate,
            clock,
            next_ns: 0,
            waves: 0,
            joins: 0,
            leaves: 0,
            late: Late::default(),
        };
        waves.connect(connections)?;
        waves.settle_residents()?;
        Ok(waves)
    }

    /// Whole waves until `duration` has passed, one at least; a stop ends it between two steps.
    pub(super) fn run(&mut self, duration: Duration, stop: &AtomicBool) -> Outcome<()> {
        self.views.forget_figures();
        (self.joins, self.leaves) = (0, 0);
        self.next_ns = self.clock.now_ns();
        let end_ns = self.next_ns + nanoseconds(duration);
        let everybody = self.residents..self.views.members();
        loop {
            for change in [Change::Join, Change::Leave] {
                for member in everybody.clone() {
                    if stop.load(Ordering::Relaxed) {
                        return self.compare();
                    }
                    self.step(member, change)?;
                }
                self.compare()?;
            }
            self.waves += 1;
            if self.next_ns >= end_ns {
                return Ok(());
            }
        }
    }

    pub(super) fn end(self) -> Told {
        Told {
            movers: self.views.members() - self.residents,
            views: self.views,
            late: self.late,
            waves: self.waves,
            joins: self.joins,
            leaves: self.leaves,
        }
    }

    fn connect(&mut self, connections: usize) -> Outcome<()> {
        let end_ns = self.clock.now_ns() + nanoseconds(CONNECT_PATIENCE);
        let (ticker, pulse) = (Ticker::start(), Arc::clone(&self.pulse));
        ticker.begin(Phase::counted("connecting", connections as u64, "connections", move || pulse.live()));
        while !self.pool.is_settled() && self.clock.now_ns() < end_ns {
            self.poll(POLL_MAX)?;
        }
        let greeted = self.views.greeted;
        if greeted == connections {
            return Ok(());
        }
        let why = name_partings(&self.views.partings);
        Err(Failure::new(format!("only {greeted} of {connections} connections came in: {why}")))
    }

    fn settle_residents(&mut self) -> Outcome<()> {
        let end_ns = self.clock.now_ns() + nanoseconds(CONNECT_PATIENCE);
        let mut asked = 0;
        while self.views.entered < self.residents && self.clock.now_ns() < end_ns {
            while asked < self.residents && asked < self.views.entered + ENTERING_MAX {
                self.change(asked, Change::Join, self.clock.now_ns());
                asked += 1;
            }
            self.poll(POLL_MAX)?;
            if !self.views.partings.is_empty() {
                break;
            }
        }
        if self.views.entered < self.residents {
            let (entered, residents) = (self.views.entered, self.residents);
            let why = name_partings(&self.views.partings);
            return Err(Failure::new(format!("only {entered} of {residents} residents came in: {why}")));
        }
        self.compare()
    }

    fn poll(&mut self, timeout: Duration) -> Outcome<()> {
        self.pool.poll(timeout, &mut self.views)?;
        self.pulse.note_live(self.views.greeted);
        self.pulse.note(self.clock.now_ns(), self.views.counts.delivered, &self.views.added);
        Ok(())
    }

    /// One join or leave when it is due.
    fn step(&mut self, member: usize, change: Change) -> Outcome<()> {
        let due_ns = self.next_ns;
        self.next_ns += (SECOND_NS as f64 / self.rate) as u64;
        loop {
            let left = Duration::from_nanos(due_ns.saturating_sub(self.clock.now_ns()));
            // A poll can only wait for whole milliseconds; the rest is slept, so that steps are on time.
            if left < Duration::from_millis(2) {
                self.poll(Duration::ZERO)?;
                std::thread::sleep(Duration::from_nanos(due_ns.saturating_sub(self.clock.now_ns())));
                break;
            }
            let whole = Duration::from_millis(left.as_millis() as u64 - 1);
            self.poll(whole.min(POLL_MAX))?;
        }
        let counts_from_ns = self.late.note(self.clock.now_ns(), due_ns);
        self.change(member, change, counts_from_ns);
        Ok(())
    }

    /// A member whose connection is gone does nothing.
    fn change(&mut self, member: usize, change: Change, due_ns: u64) {
        let channel = &self.channels[member % self.channels.len()];
        self.views.expect(member, due_ns);
        match change {
            Change::Join if self.pool.subscribe(member, channel, due_ns) => {
                self.present.insert(member);
                self.joins += 1;
            }
            Change::Leave if self.pool.unsubscribe(member, channel) => {
                self.present.remove(&member);
                self.views.leave(member);
                self.leaves += 1;
            }
            _ => {}
        }
    }

    /// Waits until all views are right or nothing comes any more, and counts what is wrong then.
    fn compare(&mut self) -> Outcome<()> {
        let (mut seen, mut since_ns) = (self.views.counts, self.clock.now_ns());
        loop {
            self.poll(POLL_MAX)?;
            let now_ns = self.clock.now_ns();
            if self.views.counts != seen {
                (seen, since_ns) = (self.views.counts, now_ns);
            }
            let quiet_ns = now_ns - since_ns;
            let is_right = quiet_ns >= QUIET_NS && self.views.are_right(&self.present);
            if is_right || quiet_ns >= PATIENCE_NS {
                break;
            }
        }
        self.views.judge(&mut self.present);
        // Time went by without a plan: the next step is due now.
        self.next_ns = self.next_ns.max(self.clock.now_ns());
        Ok(())
    }
}

impl Told {
    /// Changes told, and those told again.
    pub(super) fn counts(&self) -> Counts {
        self.views.counts
    }

    /// Members that a view lacked.
    pub(super) fn missing(&self) -> u64 {
        self.views.missing
    }

    /// Members that a view should not have had.
    pub(super) fn stale(&self) -> u64 {
        self.views.stale + self.views.strange
    }

    /// Microseconds from a join to when another member was told of it.
    pub(super) fn added(&self) -> &Histogram<u64> {
        &self.views.added
    }

    pub(super) fn partings(&self) -> &BTreeMap<String, u64> {
        &self.views.partings
    }

    fn entered(&self) -> Histogram<u64> {
        self.views.rosters.clone()
    }

    fn report(&self, report: &mut Report) {
        let views = &self.views;
        report.count("waves", "waves of joins and leaves", self.waves);
        report.count("joins", "joins", self.joins);
        report.count("leaves", "leaves", self.leaves);
        report.count("member_added", "told of a join", views.added.len());
        report.count("member_removed", "told of a leave", views.removed.len());
        report.counts(views.counts, views.missing);
        report.count("stale", "members shown that had left", views.stale);
        report.count("strange", "told of what cannot be", views.strange);
        report.count("rosters_wrong", "rosters that contradict themselves", views.rosters_wrong);
        report.count("parted", "connections closed", views.partings.values().sum());
        if !views.partings.is_empty() {
            report.note(format!("Connections closed: {}", name_partings(&views.partings)));
        }
    }
}
