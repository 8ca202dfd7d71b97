//! `client-events`: groups on private channels whose members send to each other over their own connections.
//!
//! Every member checks every sender of its group by sequence number; latency counts from when the event was due, or from when it was sent if this program itself was late. Servers limit client
//! events per connection (Pusher: ten a second), so the default rate stays below that; an event that the server objects to is counted
//! as refused and not as lost, since its sender was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
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
use crate::measure::stopwatch::{Measured, Stopwatch};
use crate::measure::tally::Tally;
use crate::measure::tally::name_partings;
use crate::measure::verdict::{Generator, Verdict};
use crate::options::Target;
use crate::options::help::{ONE_PROCESS, rate, without};
use crate::progress::{Phase, Pulse, Readings, Ticker};
use crate::report::{Report, Unit};
use crate::scenario::Measure;
use crate::stamp::random_run;
use crate::stamp::{Reader, Stamp, encode_data, in_stream, split_stream};

/// Per sender, half of what Pusher allows.
const RATE_PER_SENDER: f64 = 5.0;
const POLL_MAX: Duration = Duration::from_millis(20);
/// With nothing new for this long, what is missing is lost.
const PATIENCE_NS: u64 = SECOND_NS;

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
    let (ticker, heard, latency, rest) =
        (Ticker::start(), Arc::clone(&talk.pulse), Arc::clone(&talk.pulse), Arc::clone(&talk.pulse));
    let phase = Phase::timed("talking", duration, "deliveries", move || heard.count());
    ticker.begin(phase.kept().p99(move || latency.p99_us()));
    talk.talk(duration, &AtomicBool::new(false))?;
    ticker.begin(Phase::counted("draining", talk.expected(), "deliveries", move || rest.count()));
    talk.wait_for_the_rest()?;
    Ok(ticker.finish())
}

/// Groups that talk, until their time is over.
pub(super) struct Talk {
    pool: SocketPool,
    ears: Ears,
    plan: Plan,
    run: u32,
    size: usize,
    senders: usize,
    clock: Clock,
    pub(super) rate: f64,
    /// For the live line.
    pulse: Arc<Pulse>,
    /// Events sent, by sender.
    sent: Vec<u64>,
    late: Late,
}

/// What came of it.
pub(super) struct Said {
    pub(super) tally: Tally,
    pub(super) late: Late,
    pub(super) refused: u64,
    pub(super) echoed: u64,
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
    pub(super) fn gather(
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
    pub(super) fn talk(&mut self, duration: Duration, stop: &AtomicBool) -> Outcome<()> {
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

    pub(super) fn end(self) -> Said {
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
    fn expected(&self) -> u64 {
        self.sent.iter().sum::<u64>() * (self.ears.group as u64 - 1)
    }

    /// Waits for what is on its way.
    pub(super) fn wait_for_the_rest(&mut self) -> Outcome<()> {
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
    fn report_notes(&self, report: &mut Report) {
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
