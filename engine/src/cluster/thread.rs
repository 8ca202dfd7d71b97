//! A bus thread: it waits for what homes say, for what the server says, and for time, and gives its bus a turn.
//!
//! What must never happen here: a wait for the server.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::counts::Counts;
use super::nodes;
use super::standing::Standings;
use crate::driver::bus_lines::BusLines;
use crate::driver::control::{Clock, Control, Health, Phase};
use crate::limits::{BUS_END_MAX, BUS_SLEEP_MAX};
use bus::bus::{Bus, Homes};
use bus::keys::Keys;
use bus::leaving::leave;
use bus::link::Link;
use bus::server::Server;
use machines::cluster::bus::{FromBus, ToBus};
use machines::cluster::nodes::Nodes;
use machines::cluster::session::pace::Pace;
use machines::cluster::session::{Session, SessionConfig};
use machines::cores::CoreId;
use machines::limits::{ClusterLimits, Limits};
use machines::topic::TopicHash;

/// How long to wait where even sleeping fails.
const RESPITE: Duration = Duration::from_millis(10);

/// What a bus thread is made of.
pub(super) struct Setup {
    pub(super) server: Server,
    pub(super) keys: Keys,
    pub(super) lease: Duration,
    pub(super) topics: TopicHash,
    pub(super) limits: Limits,
    pub(super) digest: Arc<str>,
    pub(super) random: Box<dyn FnMut() -> u64 + Send>,
    pub(super) standings: Arc<Standings>,
    pub(super) control: Arc<Control>,
    pub(super) health: Arc<Health>,
    pub(super) clock: Clock,
    pub(super) counts: Option<Counts>,
    pub(super) lines: BusLines,
}

/// The homes as a bus sees them.
struct Lines<'a> {
    lines: &'a BusLines,
    counts: Option<Counts>,
}

/// Until the server has ended, and what was said before has gone out.
pub(super) fn run(setup: Setup) {
    let Setup {
        server,
        keys,
        lease,
        topics,
        limits,
        digest,
        random,
        standings,
        control,
        health,
        clock,
        counts,
        lines,
    } = setup;
    let lease_ms = lease.as_millis() as u64;
    let config = SessionConfig {
        server: lines.server(),
        topics,
        lease_ms,
        limits: ClusterLimits::default(),
        batches: limits,
        digest,
        random,
    };
    let patience = Duration::from_millis(Pace::of_lease(lease_ms).silence_ms);
    let mut nodes = Nodes::default();
    let (at, its_keys) = (server.clone(), keys.clone());
    let link = Link::new(server, keys, patience, Arc::new(lines.waker()));
    let mut bus = Bus::new(Session::new(config, clock.now()), link);
    let mut homes = Lines { lines: &lines, counts };
    let mut had_session = false;
    let mut end: Option<Instant> = None;
    loop {
        lines.bell().clear();
        let now = clock.now();
        if health.is_draining() {
            bus.session_mut().handle_leaving(now);
        }
        if let Some(counts) = &mut homes.counts {
            counts.tell(bus.session_mut());
        }
        let did_anything = bus.turn(&mut homes, now);
        let reading = bus.session().reading();
        standings.note(reading, bus.fault(), now);
        for change in nodes.see(reading.epoch, bus.session().shown()) {
            nodes::tell(at.name(), change);
        }
        standings.note_others(reading.server, reading.has_session.then(|| nodes.any_stays()));
        if had_session && !reading.has_session {
            // Alone, a node counts its own.
            homes.elsewhere(Vec::new());
        }
        had_session = reading.has_session;
        if control.phase() >= Phase::Stopping {
            let end = *end.get_or_insert_with(|| Instant::now() + BUS_END_MAX);
            if reading.commands == 0 && !did_anything || Instant::now() >= end {
                if let Some(epoch) = reading.epoch.filter(|_| reading.is_up) {
                    // Others find out by themselves if this is not heard.
                    let _ = leave(&at, &its_keys, &epoch.to_string(), BUS_END_MAX);
                }
                return;
            }
        }
        if !did_anything {
            let deadline = bus.session().poll_deadline();
            let left = deadline.map(|it| Duration::from_millis(it.saturating_sub(now.mono_ms)));
            sleep(&lines, left.map_or(BUS_SLEEP_MAX, |left| left.min(BUS_SLEEP_MAX)));
        }
    }
}

fn sleep(lines: &BusLines, patience: Duration) {
    let mut polled = [PollFd::new(lines, PollFlags::IN)];
    let waited = Timespec::try_from(patience).ok().map(|patience| poll(&mut polled, Some(&patience)));
    let is_rung = !polled[0].revents().is_empty();
    // The homes rely on this thread, so it goes on as it can.
    if waited.is_none_or(|waited| waited.is_err()) {
        thread::sleep(RESPITE);
    } else if is_rung && let Ok(bell) = lines.as_fd().try_clone_to_owned() {
        let _ = File::from(bell).read_exact(&mut [0; 8]);
    }
}

impl Homes for Lines<'_> {
    fn next_said(&mut self) -> Option<(CoreId, Vec<ToBus>)> {
        self.lines.next_said()
    }

    fn release(&mut self, home: CoreId) {
        self.lines.release(home);
    }

    fn open(&self) -> impl Iterator<Item = CoreId> {
        self.lines.open()
    }

    fn send(&mut self, home: CoreId, news: Vec<FromBus>) {
        self.lines.send(home, news);
    }

    fn elsewhere(&mut self, connections: Vec<(Box<str>, u64)>) {
        if let Some(counts) = &self.counts {
            counts.hear(&connections);
        }
    }
}
