//! One thread of subscribers: its sockets, what they have seen, and how long it took.
//!
//! Owns the thread's figures while it runs; no other thread touches them before the end. It carries out storms, and tells the
//! shared `Progress` where it is after each wake-up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use super::client_session::Parting;
use super::plan::Plan;
use super::progress::Progress;
use super::socket_pool::{Observer, SocketPool};
use crate::clock::{Clock, SECOND_NS};
use crate::failure::Outcome;
use crate::measure::ledger::{Ledger, Promise};
use crate::measure::tally::Tally;
use crate::stamp::Reader;

/// How often a thread looks up although no socket is ready.
const IDLE: Duration = Duration::from_millis(50);

pub(crate) struct Listener {
    plan: Plan,
    reader: Reader,
    ledger: Ledger,
    tally: Tally,
    live: u64,
    storms: u64,
    clock: Clock,
    progress: Arc<Progress>,
}

impl Listener {
    pub(crate) fn new(plan: Plan, run: u32, clock: Clock, progress: Arc<Progress>) -> Self {
        Self {
            reader: Reader::new(run),
            ledger: Ledger::new(plan.subscribers.len()),
            tally: Tally::new(),
            live: 0,
            storms: 0,
            plan,
            clock,
            progress,
        }
    }

    /// Runs until it is told to stop, as member `index` of the run.
    pub(crate) fn run(mut self, index: usize) -> Outcome<Self> {
        let mut pool = SocketPool::new(self.plan.clone(), self.clock)?;
        while !self.progress.is_stopped() {
            if self.storms < self.progress.storms() {
                self.storms += 1;
                self.live = 0;
                pool.reopen_all(self.progress.ending());
            }
            pool.poll(IDLE, &mut self)?;
            self.show(index, &pool);
        }
        self.tally.silences += pool.unanswered_pings(SECOND_NS);
        self.tally.pings_late = pool.pings_late();
        self.tally.mutes_closed = pool.dismiss_mutes();
        Ok(self)
    }

    /// What it has heard in all. A promise for each channel.
    pub(crate) fn tally(mut self, promises: &[Promise]) -> Tally {
        let nothing = Promise::default();
        let first = self.plan.subscribers.start;
        self.tally.counts = self.ledger.counts();
        self.tally.lost = self
            .ledger
            .lost(|subscriber| promises.get(self.plan.channel_of(first + subscriber)).unwrap_or(&nothing));
        self.tally
    }

    fn show(&self, index: usize, pool: &SocketPool) {
        let member = self.progress.member(index);
        let counts = self.ledger.counts();
        member.live.store(self.live, Ordering::Release);
        member.settled.store(pool.is_settled(), Ordering::Release);
        member.storms.store(self.storms, Ordering::Release);
        member.frames.store(counts.delivered + counts.duplicated, Ordering::SeqCst);
        member.pongs.store(self.tally.pongs.len(), Ordering::Relaxed);
        member.p99.note(self.clock.now_ns(), self.tally.latest());
        if self.progress.is_followed() {
            member.seen.store(self.ledger.seen_by_all(), Ordering::SeqCst);
            self.progress.wake_if_wanted();
        }
    }
}

impl Observer for Listener {
    #[inline]
    fn handle_message(&mut self, subscriber: usize, message: &[u8], now_ns: u64) -> bool {
        let Some(stamp) = self.reader.parse_message(message) else { return false };
        self.ledger.handle_event(subscriber, stamp.sequence);
        self.tally.last_arrival_ns = now_ns;
        let phase = self.progress.phase_of(stamp.sequence);
        if phase > 0 {
            self.tally.latency[phase].saturating_record(now_ns.saturating_sub(stamp.intended_ns) / 1000);
        }
        true
    }

    fn handle_subscribed(&mut self, subscriber: usize, took_ns: u64, _data: &Value, now_ns: u64) {
        self.live += 1;
        self.tally.took[usize::from(self.storms > 0)].saturating_record(took_ns / 1000);
        self.tally.last_subscribed_ns = now_ns;
        if self.plan.is_mute(self.plan.subscribers.start + subscriber) {
            self.ledger.excuse(subscriber);
        }
    }

    fn handle_greeted(&mut self, _subscriber: usize) {
        self.live += 1;
    }

    fn handle_parted(&mut self, subscriber: usize, was_live: bool, parting: &Parting) {
        self.ledger.handle_parted(subscriber);
        *self.tally.partings.entry(parting.to_string()).or_default() += 1;
        self.live -= u64::from(was_live);
        self.tally.parted_live += u64::from(was_live);
        self.tally.parted_as_slow += u64::from(was_live && parting.is_over_capacity());
    }

    fn handle_pong(&mut self, took_ns: u64) {
        self.tally.pongs.saturating_record(took_ns / 1000);
    }

    fn handle_silence(&mut self) {
        self.tally.silences += 1;
    }
}
