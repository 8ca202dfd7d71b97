//! The sending half: when to publish, what to send, over which connections, and what came of it.
//!
//! `schedule` says when (pure), `request` builds and signs REST calls (pure), `answer` reads what comes back (pure), `pool`
//! holds the HTTP connections. `Publisher` ties them together and owns the sequence numbers of a run.
//! A publish counts from its *intended* time: a stall of the server must never hide a latency. Only where the generator
//! itself was late does it count from when it was sent, and the report says by how much.

pub(crate) mod answer;
mod channel_sequence;
mod figures;
mod pool;
mod request;
pub(crate) mod schedule;

use std::sync::Arc;
use std::time::Duration;

use mio::Waker;

use self::channel_sequence::ChannelSequence;
use self::pool::{Batch, Pool};
pub(crate) use self::pool::{Limits, Results};
use self::request::{Event, Requests};
use self::schedule::{Schedule, Step};
use crate::clock::{Clock, MILLISECOND_NS, SECOND_NS, nanoseconds};
use crate::failure::Outcome;
use crate::link::Door;
use crate::measure::late::LATE_NS;
use crate::measure::ledger::Promise;
use crate::options::Target;
use crate::progress::Pulse;
use crate::stamp::Stamp;

/// With nothing seen for this long, a closed loop publishes all the same, and a drain gives up.
const PATIENCE_NS: u64 = 2 * SECOND_NS;
const POLL_MAX: Duration = Duration::from_millis(100);

/// What subscribers have seen so far, as far as a publisher has to know.
pub(crate) trait Audience {
    /// Every connected subscriber is past all sequence numbers below this one.
    fn seen_by_all(&self) -> u64;
    /// Asks to be woken once `seen_by_all` reaches `sequence`.
    fn wake_at(&self, sequence: u64);
    /// Frames received, a sign of life.
    fn frames(&self) -> u64;
}

pub(crate) struct Publisher {
    requests: Requests,
    pool: Pool,
    channel_sequence: ChannelSequence,
    clock: Clock,
    run: u32,
    size: usize,
    events: Vec<Event>,
    next_sequence: u64,
    sends: Sends,
    /// Calls answered.
    pulse: Arc<Pulse>,
}

/// How well the generator kept to its schedule.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sends {
    /// Calls sent.
    pub(crate) calls: u64,
    /// Calls sent late although a connection had room: the generator's fault.
    pub(crate) late: u64,
    pub(crate) late_max_ns: u64,
    /// Calls sent late because the server had not answered earlier ones.
    pub(crate) held: u64,
    /// Events not sent at all, under overload, for the same reason.
    pub(crate) withheld: u64,
    /// Times a closed loop went on although nothing was seen for two seconds.
    pub(crate) stalls: u64,
}

impl Publisher {
    /// Publishes to these channels in turn; with a `seed`, at random.
    pub(crate) fn new(
        target: &Target,
        channels: Vec<String>,
        seed: Option<u64>,
        limits: Limits,
        run: u32,
        clock: Clock,
    ) -> Outcome<Self> {
        Ok(Self {
            channel_sequence: ChannelSequence::new(channels.len(), seed),
            requests: Requests::new(target, channels),
            pool: Pool::new(Door::new(target.http().clone(), target.encryption()), limits, clock)?,
            clock,
            run,
            size: target.size as usize,
            events: Vec::new(),
            next_sequence: 0,
            sends: Sends::default(),
            pulse: Arc::default(),
        })
    }

    /// Wakes a publisher that waits for its audience.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        self.pool.waker()
    }

    /// Publishes events to a channel without subscribers: shows a wrong secret at once, whether connections are kept, and whether
    /// answers come in order.
    pub(crate) fn probe(&mut self) -> Outcome<()> {
        let good = self.requests.encode_probe();
        self.pool.probe(&good)?;
        self.pool.probe_pipelining(&good, &self.requests.encode_bad_probe())?;
        self.pool.forget_results();
        Ok(())
    }

    pub(crate) fn is_pipelined(&self) -> bool {
        self.pool.is_pipelined()
    }

    pub(crate) fn keeps_connections(&self) -> bool {
        self.pool.keeps_connections()
    }

    /// What subscribers of each channel can expect, as far as `run` and `drain` have come.
    pub(crate) fn promises(&self) -> Vec<Promise> {
        self.channel_sequence.promises(self.next_sequence, &self.pool.results().excused())
    }

    /// Sequence numbers used so far.
    pub(crate) fn sent(&self) -> u64 {
        self.next_sequence
    }

    pub(crate) fn sends(&self) -> Sends {
        self.sends
    }

    pub(crate) fn results(&self) -> &Results {
        self.pool.results()
    }

    /// Calls answered so far, for the live line.
    pub(crate) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Connections used so far.
    pub(crate) fn connections(&self) -> usize {
        self.pool.connections()
    }

    /// Publishes as the schedule says until it ends.
    pub(crate) fn run(&mut self, schedule: &mut Schedule, audience: &impl Audience) -> Outcome<()> {
        let mut held = false;
        let mut patience = Patience::start(self.clock.now_ns());
        loop {
            let now_ns = self.clock.now_ns();
            self.pulse.note(now_ns, self.results().answers(), &self.results().latency);
            match schedule.poll(now_ns, self.next_sequence, audience.seen_by_all()) {
                Step::Done => return Ok(()),
                Step::Send { intended_ns } if self.pool.has_room() => {
                    let counts_from_ns = self.note_lateness(now_ns, intended_ns, std::mem::take(&mut held));
                    self.send(schedule, counts_from_ns)?;
                }
                Step::Send { .. } if schedule.may_skip() => {
                    self.sends.withheld += schedule.skip();
                    self.pool.poll(Duration::ZERO)?;
                }
                Step::Send { .. } => {
                    held = true;
                    self.pool.poll(POLL_MAX)?;
                }
                Step::Sleep { until_ns } => self.sleep(until_ns)?,
                Step::Await { sequence } if patience.is_over(now_ns, audience.frames()) => {
                    self.sends.stalls += 1;
                    patience = Patience::start(now_ns);
                    schedule.widen(sequence);
                }
                Step::Await { sequence } => self.wait_for(sequence, audience)?,
            }
        }
    }

    /// Waits until all that was accepted has reached `is_complete`, or nothing moves any more.
    pub(crate) fn drain(
        &mut self,
        audience: &impl Audience,
        is_complete: impl Fn(&Results) -> bool,
    ) -> Outcome<()> {
        let mut patience = Patience::start(self.clock.now_ns());
        while self.pool.in_flight() > 0 || !is_complete(self.pool.results()) {
            self.pool.poll(Duration::from_millis(1))?;
            let signs = audience.frames() + self.pool.results().answers();
            if patience.is_over(self.clock.now_ns(), signs) {
                break;
            }
        }
        self.pool.give_up();
        Ok(())
    }

    fn send(&mut self, schedule: &mut Schedule, counts_from_ns: u64) -> Outcome<()> {
        let batch = Batch { first: self.next_sequence, events: schedule.batch(), counts_from_ns };
        self.events.clear();
        for sequence in batch.range() {
            let (channel, number) = self.channel_sequence.place(sequence);
            self.events
                .push(Event { channel, stamp: Stamp { sequence: number, intended_ns: counts_from_ns } });
        }
        let call = self.requests.encode_publish(self.run, &self.events, self.size);
        self.pool.send(batch, &call)?;
        self.next_sequence += u64::from(batch.events);
        self.sends.calls += 1;
        schedule.advance();
        Ok(())
    }

    /// Returns from when the publish counts: what the server held back counts from when it was due, what this program
    /// itself was late with is told as its own lateness and must not look like the server's.
    fn note_lateness(&mut self, now_ns: u64, intended_ns: u64, held: bool) -> u64 {
        let behind_ns = now_ns.saturating_sub(intended_ns);
        if behind_ns <= LATE_NS {
            return intended_ns;
        }
        if held {
            self.sends.held += 1;
            return intended_ns;
        }
        self.sends.late += 1;
        self.sends.late_max_ns = self.sends.late_max_ns.max(behind_ns);
        now_ns
    }

    /// A poll can only wait for whole milliseconds; the rest is slept, so that sends at any rate are on time.
    fn sleep(&mut self, until_ns: u64) -> Outcome<()> {
        let left_ns = until_ns.saturating_sub(self.clock.now_ns());
        if left_ns >= 2 * MILLISECOND_NS {
            return self.pool.poll(Duration::from_millis(left_ns / MILLISECOND_NS - 1).min(POLL_MAX));
        }
        self.pool.poll(Duration::ZERO)?;
        std::thread::sleep(Duration::from_nanos(until_ns.saturating_sub(self.clock.now_ns())));
        Ok(())
    }

    fn wait_for(&mut self, sequence: u64, audience: &impl Audience) -> Outcome<()> {
        audience.wake_at(sequence);
        // Seen between the last look and the request to be woken: no thread would wake us for it.
        let timeout = if audience.seen_by_all() >= sequence { Duration::ZERO } else { POLL_MAX };
        self.pool.poll(timeout)
    }
}

/// Notices that nothing has moved for `PATIENCE_NS`.
struct Patience {
    since_ns: u64,
    signs: u64,
}

impl Patience {
    fn start(now_ns: u64) -> Self {
        Self { since_ns: now_ns, signs: 0 }
    }

    fn is_over(&mut self, now_ns: u64, signs: u64) -> bool {
        if signs != self.signs {
            *self = Self { since_ns: now_ns, signs };
        }
        now_ns.saturating_sub(self.since_ns) > PATIENCE_NS
    }
}

/// The end of a schedule that starts now.
pub(crate) fn end_ns(start_ns: u64, duration: Duration) -> u64 {
    start_ns.saturating_add(nanoseconds(duration))
}
