//! Members who come to presence channels and leave them again, wave after wave.
//!
//! Residents stay; movers join one by one until all are in, then leave one by one. Between waves each connected member's view
//! (its roster, with what it was told since) is compared with the truth.

mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

use self::views::{Change, Views};
use crate::clients::arrival::CONNECT_PATIENCE;
use crate::clients::plan::Plan;
use crate::clients::socket_pool::SocketPool;
use crate::clock::{Clock, MILLISECOND_NS, SECOND_NS, nanoseconds};
use crate::failure::{Failure, Outcome};
use crate::measure::late::Late;
use crate::measure::ledger::Counts;
use crate::measure::tally::name_partings;
use crate::options::Target;
use crate::progress::{Phase, Pulse, Ticker};
use crate::report::Report;

const POLL_MAX: Duration = Duration::from_millis(20);
/// Quiet for this long with all views right, a wave is over; quiet for the second with some wrong, it is over too.
const QUIET_NS: u64 = 100 * MILLISECOND_NS;
const PATIENCE_NS: u64 = 2 * SECOND_NS;
/// Residents that are on their way in at once.
const ENTERING_MAX: usize = 64;

/// Residents and movers of presence channels, on connections that all stand from the beginning.
pub(crate) struct Waves {
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
pub(crate) struct Told {
    views: Views,
    pub(crate) late: Late,
    pub(crate) movers: usize,
    waves: u64,
    joins: u64,
    leaves: u64,
}

impl Waves {
    /// Connects all members and lets the residents in.
    pub(crate) fn gather(
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
    pub(crate) fn run(&mut self, duration: Duration, stop: &AtomicBool) -> Outcome<()> {
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

    /// For the live line.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// It is over.
    pub(crate) fn end(self) -> Told {
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
    pub(crate) fn counts(&self) -> Counts {
        self.views.counts
    }

    /// Members that a view lacked.
    pub(crate) fn missing(&self) -> u64 {
        self.views.missing
    }

    /// Members that a view should not have had.
    pub(crate) fn stale(&self) -> u64 {
        self.views.stale + self.views.strange
    }

    /// Microseconds from a leave to when another member was told of it.
    pub(crate) fn removed(&self) -> &Histogram<u64> {
        &self.views.removed
    }

    /// Microseconds from a join to when another member was told of it.
    pub(crate) fn added(&self) -> &Histogram<u64> {
        &self.views.added
    }

    pub(crate) fn partings(&self) -> &BTreeMap<String, u64> {
        &self.views.partings
    }

    /// Microseconds from a join to its confirmation.
    pub(crate) fn entered(&self) -> &Histogram<u64> {
        &self.views.rosters
    }

    /// Reports what was done, and what members were told.
    pub(crate) fn report(&self, report: &mut Report) {
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
