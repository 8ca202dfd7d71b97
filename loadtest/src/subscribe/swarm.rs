//! One thread's subscribers: opens them, keeps them talking, hands what they hear to an observer.
//!
//! Owns the sockets, one poll set and one read buffer for all of them, so that ten thousand idle subscribers cost a few
//! hundred bytes each. Edge-triggered: after a short read the socket is known to be empty and is not asked again, unless its
//! peer has hung up. Must never block on one connection, and never let one that misbehaves stop the others.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::dialogue::{Dialogue, Heard, Parting, Script};
use super::frame::PAYLOAD_BYTES_MAX;
use crate::clock::Clock;
use crate::failure::{Context, Outcome};

/// Room for the largest frame beside what a read of a busy socket brings.
const READ_BUFFER_BYTES: usize = PAYLOAD_BYTES_MAX + 64 * 1024;
const EVENTS_PER_POLL: usize = 1024;

/// What a scenario wants to know. Subscribers are numbered from 0 within their swarm.
pub(crate) trait Observer {
    /// A text message; true when it was one of the scenario's own events.
    fn handle_message(&mut self, subscriber: usize, message: &[u8], now_ns: u64) -> bool;
    /// Subscription confirmed; `took_ns` counts from the connect, or from when the schedule wanted it.
    fn handle_subscribed(&mut self, subscriber: usize, took_ns: u64);
    /// The connection is gone, whatever stage it was in.
    fn handle_parted(&mut self, subscriber: usize, was_live: bool, parting: &Parting);
}

/// How the connections of a swarm come about.
#[derive(Clone)]
pub(crate) struct Opening {
    pub(crate) server: SocketAddr,
    /// Subscriber i says what script i modulo their number has.
    pub(crate) scripts: Arc<[Script]>,
    pub(crate) subscribers: usize,
    /// Connections that may be under way at once.
    pub(crate) under_way_max: usize,
    /// Nanoseconds from one connect to the next; None opens as fast as `under_way_max` allows.
    pub(crate) period_ns: Option<u64>,
}

pub(crate) struct Swarm {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    opening: Opening,
    clock: Clock,
    start_ns: u64,
    under_way: usize,
    /// None once parted.
    connections: Vec<Option<Connection>>,
}

struct Connection {
    stream: TcpStream,
    dialogue: Dialogue,
    opened_ns: u64,
    /// The beginning of a frame whose end has not come.
    carry: Vec<u8>,
    /// What the socket would not take.
    out: Vec<u8>,
}

impl Swarm {
    pub(crate) fn new(opening: Opening, clock: Clock) -> Outcome<Self> {
        Ok(Self {
            poll: Poll::new().context("cannot create a poll set")?,
            events: Events::with_capacity(EVENTS_PER_POLL),
            buffer: vec![0; READ_BUFFER_BYTES],
            connections: Vec::with_capacity(opening.subscribers),
            start_ns: clock.now_ns(),
            under_way: 0,
            opening,
            clock,
        })
    }

    /// Opens what is due, waits up to `timeout` for sockets, and handles all that is ready.
    pub(crate) fn poll(&mut self, timeout: Duration, observer: &mut impl Observer) -> Outcome<()> {
        let until_next = self.open_due(observer)?;
        match self.poll.poll(&mut self.events, Some(timeout.min(until_next))) {
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
        self.under_way == 0 && self.connections.len() == self.opening.subscribers
    }

    /// Returns how long until the next one is due; without a schedule that is never.
    fn open_due(&mut self, observer: &mut impl Observer) -> Outcome<Duration> {
        while self.connections.len() < self.opening.subscribers && self.under_way < self.opening.under_way_max
        {
            let now_ns = self.clock.now_ns();
            let due_ns = self.due_ns(now_ns);
            if due_ns > now_ns {
                return Ok(Duration::from_nanos(due_ns - now_ns));
            }
            self.open(due_ns, observer)?;
        }
        Ok(Duration::MAX)
    }

    fn due_ns(&self, now_ns: u64) -> u64 {
        let index = self.connections.len() as u64;
        self.opening.period_ns.map_or(now_ns, |period| self.start_ns + index * period)
    }

    fn open(&mut self, opened_ns: u64, observer: &mut impl Observer) -> Outcome<()> {
        let index = self.connections.len();
        let mut stream = match TcpStream::connect(self.opening.server) {
            Ok(stream) => stream,
            Err(error) => {
                self.connections.push(None);
                observer.handle_parted(index, false, &Parting::Socket(error.to_string()));
                return Ok(());
            }
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(index), interest)
            .context("cannot watch a socket")?;
        let mut out = Vec::new();
        let dialogue = Dialogue::open(script_of(&self.opening, index), &mut out);
        self.connections.push(Some(Connection { stream, dialogue, opened_ns, carry: Vec::new(), out }));
        self.under_way += 1;
        Ok(())
    }

    fn handle_ready(&mut self, event: &Event, observer: &mut impl Observer) {
        let Token(index) = event.token();
        let Some(connection) = &mut self.connections[index] else { return };
        let was_live = connection.dialogue.is_live();
        let script = script_of(&self.opening, index);
        let mut result = connection.flush();
        if result.is_ok() && event.is_readable() {
            let drain = event.is_read_closed();
            result = connection.read(index, &mut self.buffer, script, self.clock, drain, observer);
        }
        let is_live = connection.dialogue.is_live();
        if let Err(parting) = &result {
            self.connections[index] = None;
            observer.handle_parted(index, is_live, parting);
        }
        if !was_live && (is_live || result.is_err()) {
            self.under_way -= 1;
        }
    }
}

impl Connection {
    /// Reads to the first short read, or to the end of the stream when `drain` says that the peer has hung up.
    #[inline]
    fn read(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        script: &Script,
        clock: Clock,
        drain: bool,
        observer: &mut impl Observer,
    ) -> Result<(), Parting> {
        loop {
            let carried = self.carry.len();
            buffer[..carried].copy_from_slice(&self.carry);
            let read = match self.stream.read(&mut buffer[carried..]) {
                Ok(0) => return Err(Parting::Dropped),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Parting::Socket(error.to_string())),
            };
            let filled = &buffer[..carried + read];
            let used = self.handle_bytes(index, filled, script, clock.now_ns(), observer)?;
            self.carry.clear();
            self.carry.extend_from_slice(&filled[used..]);
            if carried + read < buffer.len() && !drain {
                return Ok(());
            }
        }
    }

    fn handle_bytes(
        &mut self,
        index: usize,
        bytes: &[u8],
        script: &Script,
        now_ns: u64,
        observer: &mut impl Observer,
    ) -> Result<usize, Parting> {
        let opened_ns = self.opened_ns;
        let used = self.dialogue.handle_bytes(bytes, script, &mut self.out, |heard| match heard {
            Heard::Message(message) => observer.handle_message(index, message, now_ns),
            Heard::Subscribed => {
                observer.handle_subscribed(index, now_ns.saturating_sub(opened_ns));
                true
            }
        })?;
        self.flush()?;
        Ok(used)
    }

    fn flush(&mut self) -> Result<(), Parting> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if is_for_later(error.kind()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Parting::Socket(error.to_string())),
            }
        }
        Ok(())
    }
}

fn script_of(opening: &Opening, index: usize) -> &Script {
    &opening.scripts[index % opening.scripts.len()]
}

/// A socket that is still connecting says NotConnected.
fn is_for_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::NotConnected)
}
