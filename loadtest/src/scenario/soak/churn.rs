//! Subscribers that lose their connection now and then and come back, as browsers do all day.
//!
//! Owns what each of them has heard since it last came in: within one connection events must come without gaps and in order, whatever
//! was published while it was away. Runs on a thread of its own until it is stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::Value;

use crate::clients::client_session::Parting;
use crate::clients::plan::Plan;
use crate::clients::socket_pool::{Ending, Observer, SocketPool};
use crate::clock::{Clock, SECOND_NS};
use crate::failure::Outcome;
use crate::measure::late::Late;
use crate::measure::ledger::Counts;
use crate::measure::tally::histogram;
use crate::stamp::Reader;

const POLL_MAX: Duration = Duration::from_millis(20);

pub(super) struct Churn {
    pool: SocketPool,
    sessions: Sessions,
    connections: usize,
    rate: f64,
    clock: Clock,
    pub(super) reopened: u64,
    pub(super) late: Late,
}

/// What they have heard.
pub(super) struct Sessions {
    reader: Reader,
    /// The number that must come next; None until the first one after coming in.
    next: Vec<Option<u64>>,
    pub(super) counts: Counts,
    /// Events left out within a connection.
    pub(super) lost: u64,
    pub(super) subscribed: u64,
    /// Connections that ended without our doing, and why the last one did.
    pub(super) parted: u64,
    pub(super) parting: Option<String>,
    /// Microseconds from when a connection was dropped until it was back.
    pub(super) back: Histogram<u64>,
}

impl Churn {
    pub(super) fn new(plan: Plan, rate: f64, run: u32, clock: Clock) -> Outcome<Self> {
        let connections = plan.subscribers.len();
        Ok(Self {
            pool: SocketPool::new(plan, clock)?,
            sessions: Sessions::new(connections, run),
            connections,
            rate,
            clock,
            reopened: 0,
            late: Late::default(),
        })
    }

    pub(super) fn run(&mut self, stop: &AtomicBool) -> Outcome<()> {
        while !self.pool.is_settled() && !stop.load(Ordering::Relaxed) {
            self.pool.poll(POLL_MAX, &mut self.sessions)?;
        }
        let start_ns = self.clock.now_ns();
        while !stop.load(Ordering::Relaxed) {
            let due_ns = start_ns + ((self.reopened + 1) as f64 / self.rate * SECOND_NS as f64) as u64;
            let left = Duration::from_nanos(due_ns.saturating_sub(self.clock.now_ns()));
            self.pool.poll(left.min(POLL_MAX), &mut self.sessions)?;
            if self.connections > 0 && self.clock.now_ns() >= due_ns {
                self.reopen(due_ns);
            }
        }
        Ok(())
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Each in its turn, half of them with a reset.
    fn reopen(&mut self, due_ns: u64) {
        let subscriber = (self.reopened % self.connections as u64) as usize;
        let ending = if self.reopened.is_multiple_of(2) { Ending::Fin } else { Ending::Reset };
        let counts_from_ns = self.late.note(self.clock.now_ns(), due_ns);
        self.sessions.next[subscriber] = None;
        self.pool.reopen(subscriber, ending, counts_from_ns);
        self.reopened += 1;
    }
}

impl Sessions {
    fn new(connections: usize, run: u32) -> Self {
        Self {
            reader: Reader::new(run),
            next: vec![None; connections],
            counts: Counts::default(),
            lost: 0,
            subscribed: 0,
            parted: 0,
            parting: None,
            back: histogram(),
        }
    }

    fn handle_number(&mut self, subscriber: usize, number: u64) {
        let expected = self.next[subscriber].unwrap_or(number);
        if number < expected {
            self.counts.duplicated += 1;
            return;
        }
        self.lost += number - expected;
        self.counts.delivered += 1;
        self.next[subscriber] = Some(number + 1);
    }
}

impl Observer for Sessions {
    fn handle_message(&mut self, subscriber: usize, message: &[u8], _now_ns: u64) -> bool {
        let Some(stamp) = self.reader.parse_message(message) else { return false };
        self.handle_number(subscriber, stamp.sequence);
        true
    }

    fn handle_subscribed(&mut self, _subscriber: usize, took_ns: u64, _data: &Value, _now_ns: u64) {
        self.subscribed += 1;
        if self.subscribed > self.next.len() as u64 {
            self.back.saturating_record(took_ns / 1000);
        }
    }

    fn handle_parted(&mut self, _subscriber: usize, _was_live: bool, parting: &Parting) {
        self.parted += 1;
        self.parting = Some(parting.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_count_within_a_connection_and_not_between_two() {
        let mut sessions = Sessions::new(1, 1);
        for number in [7, 8, 11, 11] {
            sessions.handle_number(0, number);
        }
        assert_eq!((sessions.lost, sessions.counts.delivered, sessions.counts.duplicated), (2, 3, 1));
        sessions.next[0] = None;
        sessions.handle_number(0, 90);
        assert_eq!((sessions.lost, sessions.counts.delivered), (2, 4));
    }
}
