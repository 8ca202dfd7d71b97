//! Groups on private channels whose members send to each other over their own connections.
//!
//! Every member checks every sender of its group by sequence number. An event that the server objects to is counted as refused
//! and not as lost, since its sender was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::clients::arrival::CONNECT_PATIENCE;
use crate::clients::client_session::Parting;
use crate::clients::plan::Plan;
use crate::clients::script::encode_text;
use crate::clients::socket_pool::{Observer, SocketPool};
use crate::clock::{Clock, SECOND_NS, nanoseconds};
use crate::failure::{Failure, Outcome};
use crate::measure::late::Late;
use crate::measure::ledger::{Ledger, Promise};
use crate::measure::tally::{Tally, name_partings};
use crate::options::Target;
use crate::progress::{Phase, Pulse, Ticker};
use crate::report::Report;
use crate::stamp::{Reader, Stamp, encode_data, in_stream, random_run, split_stream};

/// Per sender, half of what Pusher allows.
const RATE_PER_SENDER: f64 = 5.0;
const POLL_MAX: Duration = Duration::from_millis(20);
/// With nothing new for this long, what is missing is lost.
const PATIENCE_NS: u64 = SECOND_NS;

/// Groups that talk, until their time is over.
pub(crate) struct Talk {
    pool: SocketPool,
    ears: Ears,
    plan: Plan,
    run: u32,
    size: usize,
    senders: usize,
    clock: Clock,
    pub(crate) rate: f64,
    /// For the live line.
    pulse: Arc<Pulse>,
    /// Events sent, by sender.
    sent: Vec<u64>,
    late: Late,
}

/// What came of it.
pub(crate) struct Said {
    pub(crate) tally: Tally,
    pub(crate) late: Late,
    pub(crate) refused: u64,
    pub(crate) echoed: u64,
    complaint: Option<String>,
}

/// Which member has heard which. A place in the ledger for each member and each place of a sender in its group.
struct Ears {
    reader: Reader,
    ledger: Ledger,
    tally: Tally,
    group: usize,
    groups: usize,
    live: usize,
    refused: u64,
    echoed: u64,
    complaint: Option<String>,
}

impl Talk {
    pub(crate) fn gather(
        target: &Target,
        group: u32,
        senders: u32,
        rate: Option<f64>,
        clock: Clock,
    ) -> Outcome<Self> {
        let connections = target.connections;
        if !connections.is_multiple_of(group) || senders > group {
            return Err(Failure::new(format!(
                "{connections} connections cannot be groups of {group} with {senders} senders each"
            )));
        }
        let groups = (connections / group) as usize;
        let name = target.channel.strip_prefix("private-").unwrap_or(&target.channel);
        let channels = (0..groups).map(|index| format!("private-{name}-{index}")).collect();
        let plan = Plan::new(target, channels);
        let run = random_run();
        let mut talk = Self {
            pool: SocketPool::new(plan.clone(), clock)?,
            ears: Ears::new(run, group as usize, groups),
            plan,
            run,
            size: target.size as usize,
            senders: senders as usize,
            clock,
            rate: rate.unwrap_or_else(|| RATE_PER_SENDER * f64::from(senders) * groups as f64),
            pulse: Arc::default(),
            sent: vec![0; connections as usize],
            late: Late::default(),
        };
        talk.come_in()?;
        Ok(talk)
    }

    /// Sends for `duration`, or until it is stopped.
    pub(crate) fn talk(&mut self, duration: Duration, stop: &AtomicBool) -> Outcome<()> {
        let start_ns = self.clock.now_ns();
        let end_ns = start_ns + nanoseconds(duration);
        for number in 0_u64.. {
            let due_ns = start_ns + (number as f64 / self.rate * SECOND_NS as f64) as u64;
            self.poll_until(due_ns.min(end_ns))?;
            if due_ns >= end_ns || stop.load(Ordering::Relaxed) {
                break;
            }
            self.send(number, due_ns);
        }
        Ok(())
    }

    /// For the live line.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// It is over.
    pub(crate) fn end(self) -> Said {
        let Ears { ledger, mut tally, refused, echoed, complaint, group, groups, .. } = self.ears;
        let promises: Vec<Promise> =
            self.sent.iter().map(|&sent| Promise { sent, excused: Vec::new() }).collect();
        let nothing = Promise::default();
        tally.counts = ledger.counts();
        tally.lost = ledger.lost(|place| {
            let (member, rank) = (place / group, place % group);
            let sender = member % groups + rank * groups;
            if sender == member { &nothing } else { &promises[sender] }
        });
        tally.lost = tally.lost.saturating_sub(refused * (group as u64 - 1));
        Said { tally, late: self.late, refused, echoed, complaint }
    }

    fn come_in(&mut self) -> Outcome<()> {
        let end_ns = self.clock.now_ns() + nanoseconds(CONNECT_PATIENCE);
        let (ticker, pulse, wanted) = (Ticker::start(), Arc::clone(&self.pulse), self.plan.subscribers.len());
        ticker.begin(Phase::counted("connecting", wanted as u64, "connections", move || pulse.live()));
        while !self.pool.is_settled() && self.clock.now_ns() < end_ns {
            self.poll(POLL_MAX)?;
        }
        let live = self.ears.live;
        if live == wanted {
            return Ok(());
        }
        let why = name_partings(&self.ears.tally.partings);
        Err(Failure::new(format!("only {live} of {wanted} members came in: {why}")))
    }

    /// Groups take turns, and in each its senders.
    fn send(&mut self, number: u64, due_ns: u64) {
        let (groups, turn) = (self.ears.groups as u64, number / self.ears.groups as u64);
        let rank = (turn % self.senders as u64) as usize;
        let sender = (number % groups) as usize + rank * self.ears.groups;
        let intended_ns = self.late.note(self.clock.now_ns(), due_ns);
        let stamp = Stamp { sequence: in_stream(rank as u16, self.sent[sender]), intended_ns };
        let channel = &self.plan.channels[self.plan.channel_of(sender)];
        let mut message =
            format!(r#"{{"event":"client-loadtest","channel":"{channel}","data":""#).into_bytes();
        encode_data(&mut message, self.run, stamp, self.size);
        message.extend_from_slice(b"\"}");
        let mut frame = Vec::with_capacity(message.len() + 14);
        encode_text(&mut frame, &String::from_utf8_lossy(&message));
        // A sender whose connection is gone sends nothing, and nothing is promised.
        if self.pool.say(sender, &frame) {
            self.sent[sender] += 1;
        }
    }

    /// A poll can only wait for whole milliseconds; the rest is slept, so that sends are on time.
    fn poll_until(&mut self, due_ns: u64) -> Outcome<()> {
        loop {
            let left = Duration::from_nanos(due_ns.saturating_sub(self.clock.now_ns()));
            if left < Duration::from_millis(2) {
                self.poll(Duration::ZERO)?;
                std::thread::sleep(Duration::from_nanos(due_ns.saturating_sub(self.clock.now_ns())));
                return Ok(());
            }
            let whole = Duration::from_millis(left.as_millis() as u64 - 1);
            self.poll(whole.min(POLL_MAX))?;
        }
    }

    fn poll(&mut self, timeout: Duration) -> Outcome<()> {
        self.pool.poll(timeout, &mut self.ears)?;
        let counts = self.ears.ledger.counts();
        self.pulse.note_live(self.ears.live);
        self.pulse.note(
            self.clock.now_ns(),
            counts.delivered + counts.duplicated,
            self.ears.tally.measured(),
        );
        Ok(())
    }

    /// Deliveries of what was sent so far.
    pub(crate) fn expected(&self) -> u64 {
        self.sent.iter().sum::<u64>() * (self.ears.group as u64 - 1)
    }

    /// Waits for what is on its way.
    pub(crate) fn wait_for_the_rest(&mut self) -> Outcome<()> {
        let expected = self.expected();
        let (mut frames, mut since_ns) = (0, self.clock.now_ns());
        while self.clock.now_ns() < since_ns + PATIENCE_NS {
            self.poll(POLL_MAX)?;
            let now = self.ears.ledger.counts();
            if now.delivered + now.duplicated != frames {
                (frames, since_ns) = (now.delivered + now.duplicated, self.clock.now_ns());
            }
            if now.delivered >= expected {
                break;
            }
        }
        Ok(())
    }
}

impl Said {
    /// Says in the report what went wrong.
    pub(crate) fn report_notes(&self, report: &mut Report) {
        if let Some(complaint) = &self.complaint {
            report.note(format!("The server objected to client events: {complaint}"));
        }
        if self.tally.parted_live > 0 {
            report.note(format!("Connections closed: {}", name_partings(&self.tally.partings)));
        }
    }
}

impl Ears {
    fn new(run: u32, group: usize, groups: usize) -> Self {
        Self {
            reader: Reader::new(run),
            ledger: Ledger::new(group * groups * group),
            tally: Tally::new(),
            group,
            groups,
            live: 0,
            refused: 0,
            echoed: 0,
            complaint: None,
        }
    }
}

impl Observer for Ears {
    fn handle_message(&mut self, member: usize, message: &[u8], now_ns: u64) -> bool {
        let Some(stamp) = self.reader.parse_message(message) else { return false };
        let (rank, number) = split_stream(stamp.sequence);
        let rank = usize::from(rank);
        if rank >= self.group {
            return false;
        }
        self.echoed += u64::from(member / self.groups == rank);
        self.ledger.handle_event(member * self.group + rank, number);
        self.tally.last_arrival_ns = now_ns;
        self.tally.latency[1].saturating_record(now_ns.saturating_sub(stamp.intended_ns) / 1000);
        true
    }

    fn handle_subscribed(&mut self, _member: usize, _took_ns: u64, _data: &Value, _now_ns: u64) {
        self.live += 1;
    }

    fn handle_parted(&mut self, member: usize, was_live: bool, parting: &Parting) {
        (0..self.group).for_each(|rank| self.ledger.handle_parted(member * self.group + rank));
        *self.tally.partings.entry(parting.to_string()).or_default() += 1;
        self.live -= usize::from(was_live);
        self.tally.parted_live += u64::from(was_live);
        self.tally.parted_as_slow += u64::from(was_live && parting.is_over_capacity());
    }

    fn handle_complaint(&mut self, _member: usize, data: &Value) {
        self.refused += 1;
        self.complaint.get_or_insert_with(|| data.to_string());
    }
}
