//! HTTP connections to the REST API: kept alive and pipelined where the server allows it, opened anew where it closes.
//!
//! Owns the sockets, the order of requests in flight on each, and what the answers said. Never resends: a request whose
//! connection broke is unanswered, and its events are neither lost nor accepted. Must not block; `publish::Publisher` polls it.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll, Token, Waker};

use super::answer::{Answer, parse_answer};
use crate::clock::Clock;
use crate::failure::{Context, Failure, Outcome};
use crate::link::{Door, Link, is_for_later};
use crate::measure::tally::histogram;

const WAKER: Token = Token(usize::MAX);
const PROBE_PATIENCE: Duration = Duration::from_secs(5);
const PIPELINE_PATIENCE: Duration = Duration::from_secs(1);
const CLOSE_PATIENCE: Duration = Duration::from_millis(50);
/// What one connection may hold in this process, unread by the server, before it counts as full.
const OUT_BYTES_MAX: usize = 256 * 1024;

/// How many connections, and requests in flight on each.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// On a server that keeps connections. Over one connection publishes stay in order.
    pub(crate) lines: usize,
    /// On a server that closes after each answer.
    pub(crate) lines_closing: usize,
    pub(crate) depth: usize,
}

/// Consecutive events that share one call.
#[derive(Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) first: u64,
    pub(crate) events: u32,
    /// From when its answer counts.
    pub(crate) counts_from_ns: u64,
}

impl Batch {
    /// The numbers of its events in the run.
    pub(crate) fn range(self) -> Range<u64> {
        self.first..self.first + u64::from(self.events)
    }
}

/// What came of the events published so far.
pub(crate) struct Results {
    /// Events answered with 200.
    pub(crate) accepted: u64,
    /// Calls refused, by status.
    pub(crate) refusals: BTreeMap<u16, u64>,
    /// Events refused, and events whose connection broke before the answer.
    pub(crate) refused: u64,
    pub(crate) unanswered: u64,
    /// Sequence numbers of both: no subscriber can expect them.
    excused: Vec<u64>,
    answers: u64,
    /// Microseconds from when a call counts to its answer, whatever it says.
    pub(crate) latency: Histogram<u64>,
}

impl Results {
    fn new() -> Self {
        Self {
            accepted: 0,
            refusals: BTreeMap::new(),
            refused: 0,
            unanswered: 0,
            excused: Vec::new(),
            answers: 0,
            latency: histogram(),
        }
    }

    pub(crate) fn answers(&self) -> u64 {
        self.answers
    }

    pub(crate) fn excused(&self) -> Vec<u64> {
        let mut sorted = self.excused.clone();
        sorted.sort_unstable();
        sorted
    }

    fn note_answer(&mut self, batch: Batch, status: u16, now_ns: u64) {
        self.answers += 1;
        self.latency.saturating_record(now_ns.saturating_sub(batch.counts_from_ns) / 1000);
        if status == 200 {
            self.accepted += u64::from(batch.events);
        } else {
            *self.refusals.entry(status).or_default() += 1;
            self.refused += u64::from(batch.events);
            self.excused.extend(batch.range());
        }
    }

    fn note_unanswered(&mut self, batch: Batch) {
        self.unanswered += u64::from(batch.events);
        self.excused.extend(batch.range());
    }
}

pub(crate) struct Pool {
    door: Door,
    limits: Limits,
    clock: Clock,
    /// The server has been seen to close after its answer.
    closing: bool,
    /// The server has been seen not to answer in order what comes without waiting.
    one_by_one: bool,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    lines: Vec<Line>,
    results: Results,
}

/// One connection, or the place of one.
#[derive(Default)]
struct Line {
    link: Option<Link>,
    out: Vec<u8>,
    inbox: Vec<u8>,
    flight: VecDeque<Batch>,
    /// Answers to a probe.
    statuses: Vec<u16>,
}

impl Pool {
    pub(crate) fn new(door: Door, limits: Limits, clock: Clock) -> Outcome<Self> {
        let poll = Poll::new().context("cannot create a poll set")?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).context("cannot create a waker")?);
        let events = Events::with_capacity(256);
        Ok(Self {
            door,
            limits,
            clock,
            closing: false,
            one_by_one: false,
            poll,
            events,
            waker,
            lines: Vec::new(),
            results: Results::new(),
        })
    }

    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(crate) fn results(&self) -> &Results {
        &self.results
    }

    pub(crate) fn connections(&self) -> usize {
        self.lines.len()
    }

    /// Requests without an answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.lines.iter().map(|line| line.flight.len()).sum()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.lines.len() < self.lines_max() || self.lines.iter().any(|line| self.line_has_room(line))
    }

    /// Sends one call over the idlest connection; `has_room` must have said yes.
    pub(crate) fn send(&mut self, batch: Batch, call: &[u8]) -> Outcome<()> {
        let index = self.pick();
        let line = &mut self.lines[index];
        if line.link.is_none() {
            line.connect(&self.door, Token(index), &self.poll)?;
        }
        line.flight.push_back(batch);
        line.out.extend_from_slice(call);
        if line.flush().is_err() {
            self.break_line(index);
        }
        Ok(())
    }

    /// What came so far is forgotten: a probe, or a phase that is not measured.
    pub(crate) fn forget_results(&mut self) {
        self.results = Results::new();
    }

    /// Whether the server keeps connections, and answers in order what is sent without waiting.
    pub(crate) fn is_pipelined(&self) -> bool {
        !self.closing && !self.one_by_one && self.limits.depth > 1
    }

    pub(crate) fn keeps_connections(&self) -> bool {
        !self.closing
    }

    /// One call, one answer, nothing else in flight. Anything but 200 is a failure of the run.
    pub(crate) fn probe(&mut self, call: &[u8]) -> Outcome<()> {
        self.send(self.probe_batch(), call)?;
        let server = self.door.endpoint().name.clone();
        if !self.poll_until_answered(PROBE_PATIENCE)? {
            return Err(Failure::new(format!("no answer to a publish from {server} within 5 s")));
        }
        // A server may close without having said so in its answer.
        self.poll(CLOSE_PATIENCE)?;
        self.closing |= self.lines.iter().all(|line| line.link.is_none());
        match self.results.refusals.keys().next() {
            Some(401) => {
                Err(Failure::new("a publish was answered with HTTP 401: is --app ID:KEY:SECRET right?"))
            }
            Some(status) => Err(Failure::new(format!("a publish was answered with HTTP {status}"))),
            None if self.results.answers == 0 => {
                Err(Failure::new(format!("{server} accepts no publishes: the connection broke")))
            }
            None => Ok(()),
        }
    }

    /// Three calls without waiting, the second of them wrong, so that answers out of order show.
    pub(crate) fn probe_pipelining(&mut self, good: &[u8], bad: &[u8]) -> Outcome<()> {
        if !self.is_pipelined() {
            return Ok(());
        }
        let calls = [good, bad, good].concat();
        self.send(self.probe_batch(), &calls)?;
        let line = &mut self.lines[0];
        let batch = line.flight[0];
        line.flight.extend([batch, batch]);
        line.statuses.clear();
        let all_came = self.poll_until_answered(PIPELINE_PATIENCE)?;
        let statuses = std::mem::take(&mut self.lines[0].statuses);
        let in_order = matches!(statuses.as_slice(), [200, _, 200]);
        self.one_by_one = !all_came || !in_order || self.lines[0].link.is_none();
        self.give_up();
        Ok(())
    }

    fn probe_batch(&self) -> Batch {
        Batch { first: 0, events: 0, counts_from_ns: self.clock.now_ns() }
    }

    fn poll_until_answered(&mut self, patience: Duration) -> Outcome<bool> {
        let start = Instant::now();
        while self.in_flight() > 0 && start.elapsed() < patience {
            self.poll(Duration::from_millis(100))?;
        }
        Ok(self.in_flight() == 0)
    }

    /// Waits for sockets or the waker, and handles all that is ready.
    pub(crate) fn poll(&mut self, timeout: Duration) -> Outcome<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error).context("cannot poll"),
            _ => {}
        }
        let ready: Vec<usize> =
            self.events.iter().filter(|event| event.token() != WAKER).map(|event| event.token().0).collect();
        ready.into_iter().for_each(|index| self.handle_ready(index));
        Ok(())
    }

    /// Breaks what is still unanswered.
    pub(crate) fn give_up(&mut self) {
        let busy: Vec<usize> =
            (0..self.lines.len()).filter(|&index| !self.lines[index].flight.is_empty()).collect();
        busy.into_iter().for_each(|index| self.break_line(index));
    }

    fn lines_max(&self) -> usize {
        if self.closing { self.limits.lines_closing } else { self.limits.lines }
    }

    fn line_has_room(&self, line: &Line) -> bool {
        let depth = if self.closing || self.one_by_one { 1 } else { self.limits.depth };
        line.flight.len() < depth && line.out.len() < OUT_BYTES_MAX
    }

    /// An idle line if there is one, then a new one, then the one with least in flight.
    fn pick(&mut self) -> usize {
        let idlest = (0..self.lines.len()).min_by_key(|&index| self.lines[index].flight.len());
        match idlest {
            Some(index) if self.lines[index].flight.is_empty() || self.lines.len() >= self.lines_max() => {
                index
            }
            _ => {
                self.lines.push(Line::default());
                self.lines.len() - 1
            }
        }
    }

    fn handle_ready(&mut self, index: usize) {
        let line = &mut self.lines[index];
        let alive = line.flush().is_ok() && line.read().is_ok();
        let answers = line.take_answers();
        let now_ns = self.clock.now_ns();
        // Bytes that are not an answer end the connection as surely as its end does.
        let mut broken = !alive || answers.is_err();
        for (batch, answer) in answers.unwrap_or_default() {
            self.results.note_answer(batch, answer.status, now_ns);
            broken |= !answer.keep_alive;
            self.closing |= !answer.keep_alive;
        }
        if broken {
            self.break_line(index);
        }
    }

    fn break_line(&mut self, index: usize) {
        let line = std::mem::take(&mut self.lines[index]);
        line.flight.into_iter().for_each(|batch| self.results.note_unanswered(batch));
    }
}

impl Line {
    fn connect(&mut self, door: &Door, token: Token, poll: &Poll) -> Outcome<()> {
        let name = &door.endpoint().name;
        let mut link = door.connect(None, None).context(format!("cannot connect to {name}"))?;
        link.register(poll.registry(), token).context("cannot watch a socket")?;
        self.link = Some(link);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        link.write_from(&mut self.out).map_err(|_| ())
    }

    /// Reads all there is; Err at the end of the stream, with what came before it in the inbox.
    fn read(&mut self) -> Result<(), ()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let mut chunk = [0; 16 * 1024];
        loop {
            match link.read(&mut chunk) {
                Ok(0) => return Err(()),
                Ok(read) => self.inbox.extend_from_slice(&chunk[..read]),
                Err(error) if is_for_later(&error) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(()),
            }
        }
    }

    fn take_answers(&mut self) -> Result<Vec<(Batch, Answer)>, ()> {
        let mut answers = Vec::new();
        let mut used = 0;
        while let Some(&batch) = self.flight.front() {
            let Some((answer, len)) = parse_answer(&self.inbox[used..]).map_err(|_| ())? else { break };
            used += len;
            self.flight.pop_front();
            if batch.events == 0 {
                self.statuses.push(answer.status);
            }
            answers.push((batch, answer));
        }
        self.inbox.drain(..used);
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::options::Encryption;
    use crate::options::values::parse_endpoint;

    const LIMITS: Limits = Limits { lines: 1, lines_closing: 4, depth: 3 };

    fn pool() -> (Pool, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = parse_endpoint(&listener.local_addr().unwrap().to_string()).unwrap();
        (Pool::new(Door::new(endpoint, Encryption::None), LIMITS, Clock::start()).unwrap(), listener)
    }

    fn batch(first: u64) -> Batch {
        Batch { first, events: 2, counts_from_ns: 0 }
    }

    fn poll_until(pool: &mut Pool, done: impl Fn(&Pool) -> bool) {
        let start = Instant::now();
        while !done(pool) {
            pool.poll(Duration::from_millis(10)).unwrap();
            assert!(start.elapsed() < Duration::from_secs(10), "nothing came");
        }
    }

    #[test]
    fn calls_are_pipelined_up_to_the_depth_and_answered_in_order() {
        let (mut pool, listener) = pool();
        for first in [0, 2, 4] {
            assert!(pool.has_room());
            pool.send(batch(first), b"call").unwrap();
        }
        assert!(!pool.has_room());
        let (mut peer, _) = listener.accept().unwrap();
        poll_until(&mut pool, |pool| pool.lines[0].out.is_empty());
        peer.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        )
        .unwrap();
        poll_until(&mut pool, |pool| pool.in_flight() == 1);
        assert!(pool.has_room());
        assert_eq!(pool.results.accepted, 2);
        assert_eq!(pool.results.refusals, BTreeMap::from([(503, 1)]));
        drop(peer);
        poll_until(&mut pool, |pool| pool.in_flight() == 0);
        assert_eq!(pool.results.unanswered, 2);
        assert_eq!(pool.results.excused(), [2, 3, 4, 5]);
    }

    #[test]
    fn server_that_closes_gets_a_connection_per_call_and_no_pipelining() {
        let (mut pool, listener) = pool();
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        pool.send(batch(0), b"call").unwrap();
        listener.accept().unwrap().0.write_all(answer).unwrap();
        poll_until(&mut pool, |pool| pool.in_flight() == 0);
        assert_eq!((pool.results.accepted, pool.results.unanswered), (2, 0));
        for first in [2, 4, 6, 8] {
            assert!(pool.has_room());
            pool.send(batch(first), b"call").unwrap();
        }
        assert!(!pool.has_room());
        assert!(pool.lines.iter().all(|line| line.flight.len() == 1));
    }

    /// Answers three calls that come without waiting with these statuses.
    fn pipelined_after(statuses: [u16; 3]) -> bool {
        let (mut pool, listener) = pool();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut calls = [0; 10];
            peer.read_exact(&mut calls).unwrap();
            assert_eq!(&calls, b"goodbadgoo");
            let answers = statuses.map(|status| format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
            peer.write_all(answers.concat().as_bytes()).unwrap();
            peer
        });
        pool.probe_pipelining(b"good", b"bad").unwrap();
        drop(server.join());
        pool.is_pipelined()
    }

    #[test]
    fn only_a_server_that_answers_in_order_is_pipelined() {
        assert!(pipelined_after([200, 401, 200]));
        assert!(pipelined_after([200, 200, 200]), "one that checks nothing");
        assert!(!pipelined_after([401, 200, 200]));
        assert!(!pipelined_after([200, 200, 401]));
    }

    #[test]
    fn probe_says_what_is_wrong() {
        let (mut pool, listener) = pool();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").unwrap();
            peer
        });
        let failure = pool.probe(b"call").unwrap_err();
        assert!(failure.to_string().contains("401"), "{failure}");
        drop(server.join());
    }
}
