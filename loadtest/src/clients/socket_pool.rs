//! One thread's subscribers: opens them, keeps them talking, hands what they hear to an observer.
//!
//! Owns the sockets, one poll set and one read buffer for all of them, so that ten thousand idle subscribers cost a few
//! hundred bytes each. Edge-triggered: after a short read the socket is known to be empty and is not asked again, unless its
//! peer has hung up. Must never block on one connection, and never let one that misbehaves stop the others.
//! Subscribers are numbered from 0 within their pool.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Poll, Token};
use serde_json::Value;

use super::client_session::{ClientSession, Heard, Part, Parting};
use super::frame::PAYLOAD_BYTES_MAX;
use super::pings::Pings;
use super::plan::Plan;
use super::script::{Script, encode_ping};
use crate::clock::Clock;
use crate::failure::{Context, Outcome};
use crate::link::{Door, Link, is_for_later};
use crate::measure::late::Late;

/// Room for the largest frame beside what a read of a busy socket brings.
const READ_BUFFER_BYTES: usize = PAYLOAD_BYTES_MAX + 64 * 1024;
const EVENTS_PER_POLL: usize = 1024;
/// What the kernel may take for a connection that never reads, so that the server feels it soon.
const MUTE_BUFFER_BYTES: usize = 4096;

/// A connection that never read is given up when nothing has come for so many rounds.
const STILL_ROUNDS: u32 = 50;
const STILL_ROUND: Duration = Duration::from_millis(10);

/// What a scenario wants to know.
pub(crate) trait Observer {
    /// A text message; true when it was one of the scenario's own events.
    fn handle_message(&mut self, subscriber: usize, message: &[u8], now_ns: u64) -> bool;
    /// Subscription confirmed; `took_ns` counts from the connect, or from when the schedule wanted it.
    fn handle_subscribed(&mut self, subscriber: usize, took_ns: u64, data: &Value, now_ns: u64);
    /// The connection is gone, whatever stage it was in.
    fn handle_parted(&mut self, subscriber: usize, was_live: bool, parting: &Parting);
    /// Connected and greeted, where that is all there is to do.
    fn handle_greeted(&mut self, _subscriber: usize) {}
    /// A message of the protocol.
    fn handle_event(&mut self, _subscriber: usize, _event: &str, _message: &Value, _now_ns: u64) {}
    /// The server objects to something and goes on.
    fn handle_complaint(&mut self, _subscriber: usize, _data: &Value) {}
    /// A ping was answered, counted from when it was due.
    fn handle_pong(&mut self, _took_ns: u64) {}
    /// A ping was due while the one before had no answer.
    fn handle_silence(&mut self) {}
}

/// How a connection is ended from this side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// An orderly end of the stream, without a close frame.
    Fin,
    /// As after a crash.
    Reset,
}

pub(crate) struct SocketPool {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    plan: Plan,
    script: Script,
    door: Door,
    clock: Clock,
    start_ns: u64,
    under_way: usize,
    /// Ended by us and to be opened again, with the time from which they count.
    again: VecDeque<(usize, u64)>,
    pings: Option<Pings>,
    pings_late: Late,
    /// None once parted.
    connections: Vec<Option<Connection>>,
}

struct Connection {
    link: Link,
    session: ClientSession,
    opened_ns: u64,
    /// It counts among those under way.
    is_opening: bool,
    /// When the ping without an answer was due.
    pinged_ns: Option<u64>,
    /// The beginning of a frame whose end has not come.
    carry: Vec<u8>,
    /// What the socket would not take.
    out: Vec<u8>,
}

/// What a read of one connection needs beside it.
struct Reading<'a> {
    part: Part<'a>,
    subscriber: usize,
    buffer: &'a mut [u8],
    clock: Clock,
    /// The peer has hung up: read to the end of the stream.
    drain: bool,
}

impl SocketPool {
    pub(crate) fn new(plan: Plan, clock: Clock) -> Outcome<Self> {
        let start_ns = clock.now_ns();
        Ok(Self {
            poll: Poll::new().context("cannot create a poll set")?,
            events: Events::with_capacity(EVENTS_PER_POLL),
            buffer: vec![0; READ_BUFFER_BYTES],
            script: Script::new(&plan.site, &plan.channels),
            door: Door::new(plan.site.ws.clone(), plan.site.encryption),
            connections: Vec::with_capacity(plan.subscribers.len()),
            start_ns,
            under_way: 0,
            again: VecDeque::new(),
            pings: plan
                .ping_period_ns
                .map(|period_ns| Pings::new(period_ns, plan.subscribers.len(), start_ns)),
            pings_late: Late::default(),
            plan,
            clock,
        })
    }

    /// Opens and pings what is due, waits up to `timeout` for sockets, and handles all that is ready.
    pub(crate) fn poll(&mut self, timeout: Duration, observer: &mut impl Observer) -> Outcome<()> {
        let until_open = self.open_due(observer)?;
        let until_ping = self.ping_due(observer);
        let timeout = timeout.min(until_open).min(until_ping);
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error).context("cannot poll"),
            _ => {}
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        events.iter().for_each(|event| self.handle_ready(event, observer));
        self.events = events;
        Ok(())
    }

    /// Every connection was begun and none is under way.
    pub(crate) fn is_settled(&self) -> bool {
        self.under_way == 0 && self.again.is_empty() && self.connections.len() == self.plan.subscribers.len()
    }

    /// Subscribes a greeted connection to a private or presence channel; false when it cannot be done now. The confirmation
    /// counts from `due_ns`.
    pub(crate) fn subscribe(&mut self, subscriber: usize, channel: &str, due_ns: u64) -> bool {
        let part = Part { script: &self.script, index: self.plan.subscribers.start + subscriber };
        let Some(Some(connection)) = self.connections.get_mut(subscriber) else { return false };
        connection.opened_ns = due_ns;
        // A socket that breaks here tells so by its next event.
        connection.session.subscribe(part, channel, &mut connection.out) && connection.flush().is_ok()
    }

    pub(crate) fn unsubscribe(&mut self, subscriber: usize, channel: &str) -> bool {
        let Some(Some(connection)) = self.connections.get_mut(subscriber) else { return false };
        connection.session.unsubscribe(channel, &mut connection.out) && connection.flush().is_ok()
    }

    /// Sends ready-made frames; false when the connection is gone.
    pub(crate) fn say(&mut self, subscriber: usize, frames: &[u8]) -> bool {
        let Some(Some(connection)) = self.connections.get_mut(subscriber) else { return false };
        connection.out.extend_from_slice(frames);
        connection.flush().is_ok()
    }

    /// Ends one connection and opens it again; what it takes counts from `due_ns`.
    pub(crate) fn reopen(&mut self, subscriber: usize, ending: Ending, due_ns: u64) {
        let Some(slot) = self.connections.get_mut(subscriber) else { return };
        let Some(connection) = slot.take() else { return };
        self.under_way -= usize::from(connection.is_opening);
        if ending == Ending::Reset {
            connection.link.reset();
        }
        self.again.push_back((subscriber, due_ns));
    }

    /// Ends all connections at once and opens them again as fast as `under_way_max` allows.
    pub(crate) fn reopen_all(&mut self, ending: Ending) {
        let now_ns = self.clock.now_ns();
        (0..self.connections.len()).for_each(|subscriber| self.reopen(subscriber, ending, now_ns));
    }

    /// How well pings kept to their times.
    pub(crate) fn pings_late(&self) -> Late {
        self.pings_late
    }

    /// Pings that were due at least `patience_ns` ago and have no answer.
    pub(crate) fn unanswered_pings(&self, patience_ns: u64) -> u64 {
        let before_ns = self.clock.now_ns().saturating_sub(patience_ns);
        let pinged = self.connections.iter().flatten().filter_map(|connection| connection.pinged_ns);
        pinged.filter(|&due_ns| due_ns < before_ns).count() as u64
    }

    /// How many of those that never read were closed by the server. Ends them all: reads away what still comes, until the stream
    /// ends or stands still.
    pub(crate) fn dismiss_mutes(&mut self) -> u64 {
        let mutes = self.plan.subscribers.clone().enumerate().filter(|&(_, index)| self.plan.is_mute(index));
        let mutes: Vec<usize> = mutes.map(|(subscriber, _)| subscriber).collect();
        let mut left: Vec<Connection> =
            mutes.into_iter().filter_map(|subscriber| self.connections.get_mut(subscriber)?.take()).collect();
        let (mut closed, mut still) = (0, 0);
        while !left.is_empty() && still < STILL_ROUNDS {
            still += 1;
            left.retain_mut(|connection| match connection.drain(&mut self.buffer) {
                Drained::Ended => {
                    closed += 1;
                    false
                }
                Drained::Some => {
                    still = 0;
                    true
                }
                Drained::Nothing => true,
            });
            std::thread::sleep(STILL_ROUND);
        }
        closed
    }

    /// Returns how long until the next one is due; without a schedule that is never.
    fn open_due(&mut self, observer: &mut impl Observer) -> Outcome<Duration> {
        while self.under_way < self.plan.under_way_max {
            if let Some((subscriber, due_ns)) = self.again.pop_front() {
                self.open(subscriber, due_ns, observer)?;
                continue;
            }
            if self.connections.len() == self.plan.subscribers.len() {
                break;
            }
            let now_ns = self.clock.now_ns();
            let due_ns = self.due_ns(now_ns);
            if due_ns > now_ns {
                return Ok(Duration::from_nanos(due_ns - now_ns));
            }
            self.connections.push(None);
            self.open(self.connections.len() - 1, due_ns, observer)?;
        }
        Ok(Duration::MAX)
    }

    fn due_ns(&self, now_ns: u64) -> u64 {
        let index = self.connections.len() as u64;
        self.plan.period_ns.map_or(now_ns, |period| self.start_ns + index * period)
    }

    fn open(&mut self, subscriber: usize, opened_ns: u64, observer: &mut impl Observer) -> Outcome<()> {
        let index = self.plan.subscribers.start + subscriber;
        let receive_buffer = self.plan.is_mute(index).then_some(MUTE_BUFFER_BYTES);
        let mut link = match self.door.connect(self.plan.source_of(index), receive_buffer) {
            Ok(link) => link,
            Err(error) => {
                observer.handle_parted(subscriber, false, &Parting::Socket(error.to_string()));
                return Ok(());
            }
        };
        link.register(self.poll.registry(), Token(subscriber)).context("cannot watch a socket")?;
        let mut out = Vec::new();
        let session = ClientSession::open(&self.script, &mut out);
        self.connections[subscriber] = Some(Connection {
            link,
            session,
            opened_ns,
            is_opening: true,
            pinged_ns: None,
            carry: Vec::new(),
            out,
        });
        self.under_way += 1;
        Ok(())
    }

    /// Returns how long until the next ping is due.
    fn ping_due(&mut self, observer: &mut impl Observer) -> Duration {
        let Some(pings) = &mut self.pings else { return Duration::MAX };
        let now_ns = self.clock.now_ns();
        while let Some((subscriber, due_ns)) = pings.poll(now_ns) {
            let Some(Some(connection)) = self.connections.get_mut(subscriber) else { continue };
            if connection.session.has_arrived() {
                connection.ping(self.pings_late.note(now_ns, due_ns), observer);
            }
        }
        pings.until_next(now_ns)
    }

    fn handle_ready(&mut self, event: &Event, observer: &mut impl Observer) {
        let Token(subscriber) = event.token();
        let index = self.plan.subscribers.start + subscriber;
        let Some(connection) = &mut self.connections[subscriber] else { return };
        let was_opening = connection.is_opening;
        let mut result = connection.flush();
        if result.is_ok() && event.is_readable() {
            let part = Part { script: &self.script, index };
            let (clock, drain) = (self.clock, event.is_read_closed());
            let reading = Reading { part, subscriber, buffer: &mut self.buffer, clock, drain };
            result = connection.read(reading, observer);
        }
        connection.is_opening &= !connection.session.has_arrived();
        let has_arrived = was_opening && !connection.is_opening;
        if result.is_ok() && has_arrived && self.plan.is_mute(index) {
            // From now on it is never read.
            result = connection.link.deregister(self.poll.registry()).map_err(socket_parting);
        }
        if let Err(parting) = &result {
            let is_live = connection.session.is_live();
            self.connections[subscriber] = None;
            observer.handle_parted(subscriber, is_live, parting);
        }
        self.under_way -= usize::from(has_arrived || (was_opening && result.is_err()));
    }
}

impl Connection {
    /// Reads to the first short read, or to the end of the stream when the peer has hung up.
    #[inline]
    fn read(&mut self, reading: Reading<'_>, observer: &mut impl Observer) -> Result<(), Parting> {
        let Reading { part, subscriber, buffer, clock, drain } = reading;
        loop {
            let carried = self.carry.len();
            buffer[..carried].copy_from_slice(&self.carry);
            let read = match self.link.read(&mut buffer[carried..]) {
                Ok(0) => return Err(Parting::Dropped),
                Ok(read) => read,
                Err(error) if is_for_later(&error) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(socket_parting(error)),
            };
            let filled = &buffer[..carried + read];
            let used = self.handle_bytes(subscriber, filled, part, clock.now_ns(), observer)?;
            self.carry.clear();
            self.carry.extend_from_slice(&filled[used..]);
            if self.link.is_emptied_by(read, buffer.len() - carried) && !drain {
                return Ok(());
            }
        }
    }

    fn handle_bytes(
        &mut self,
        subscriber: usize,
        bytes: &[u8],
        part: Part<'_>,
        now_ns: u64,
        observer: &mut impl Observer,
    ) -> Result<usize, Parting> {
        let (opened_ns, pinged_ns) = (self.opened_ns, &mut self.pinged_ns);
        let used = self.session.handle_bytes(bytes, part, &mut self.out, |heard| {
            match heard {
                Heard::Message(message) => return observer.handle_message(subscriber, message, now_ns),
                Heard::Greeted => observer.handle_greeted(subscriber),
                Heard::Subscribed(data) => {
                    let took_ns = now_ns.saturating_sub(opened_ns);
                    observer.handle_subscribed(subscriber, took_ns, data, now_ns);
                }
                Heard::Event("pusher:pong", _) => {
                    pinged_ns
                        .take()
                        .into_iter()
                        .for_each(|due_ns| observer.handle_pong(now_ns.saturating_sub(due_ns)));
                }
                Heard::Event(event, message) => observer.handle_event(subscriber, event, message, now_ns),
                Heard::Complaint(data) => observer.handle_complaint(subscriber, data),
            }
            true
        })?;
        if !self.out.is_empty() {
            self.flush()?;
        }
        Ok(used)
    }

    fn ping(&mut self, due_ns: u64, observer: &mut impl Observer) {
        if self.pinged_ns.replace(due_ns).is_some() {
            observer.handle_silence();
        }
        encode_ping(&mut self.out);
        // A socket that breaks here tells so by its next event.
        let _ = self.flush();
    }

    fn flush(&mut self) -> Result<(), Parting> {
        self.link.write_from(&mut self.out).map_err(socket_parting)
    }

    /// Reads away what is there.
    fn drain(&mut self, buffer: &mut [u8]) -> Drained {
        let mut drained = Drained::Nothing;
        loop {
            match self.link.read(buffer) {
                Ok(0) => return Drained::Ended,
                Ok(_) => drained = Drained::Some,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_for_later(&error) => return drained,
                Err(_) => return Drained::Ended,
            }
        }
    }
}

/// What was left in a stream that was never read.
enum Drained {
    Nothing,
    Some,
    Ended,
}

fn socket_parting(error: std::io::Error) -> Parting {
    Parting::Socket(error.to_string())
}
