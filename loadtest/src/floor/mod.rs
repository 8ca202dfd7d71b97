//! The floor: a server that does the least possible for these clients, as a yardstick for servers that do more.
//!
//! Upgrades, greets and confirms with ready-made bytes, takes `data` out of publishes by a string search and hands the same
//! bytes to every subscriber. One thread, no channels, no signatures, no limits, and never a check of the protocol: it
//! trusts every peer and is not a server to run. `wire` has the bytes, `peers` the sockets, `frame_log` what is to be delivered,
//! `fan` and `uring` deliver it; the modes differ in nothing but that. What it did is counted, syscall by syscall.

mod fan;
mod frame_log;
mod peers;
mod stats;
mod uring;
mod wire;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use socket2::{Domain, Socket, Type};

use self::fan::Fan;
use self::frame_log::FrameLog;
use self::peers::{Gone, Peers, Stage};
use self::stats::Stats;
use self::uring::Ring;
use self::wire::Words;
use crate::failure::{Context, Outcome};
use crate::options::{FloorMode, FloorOptions};
use crate::output::print;

const LISTENER: Token = Token(usize::MAX);
const BACKLOG: i32 = 4096;
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// From here on what all have is given up in the middle of a rotation too.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How late a signal may be noticed that came just before the poll.
const IDLE: Duration = Duration::from_millis(200);

/// Serves until SIGTERM or SIGINT, then reports.
pub(crate) fn run(options: &FloorOptions) -> Outcome<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot watch for signals")?;
    }
    let mut floor = Floor::bind(options)?;
    print(format_args!("floor listening on {}\n", floor.address()?))?;
    let mut events = Events::with_capacity(1024);
    while !stop.load(Ordering::Relaxed) {
        floor.turn(&mut events)?;
    }
    floor.stats.report(floor.mode).publish(options.json.as_deref(), None)
}

struct Floor {
    mode: FloorMode,
    poll: Poll,
    listener: TcpListener,
    peers: Peers,
    words: Words,
    log: FrameLog,
    fan: Fan,
    /// In the mode that has one.
    ring: Option<Ring>,
    buffer: Vec<u8>,
    /// Answers to what one read brought.
    answers: Vec<u8>,
    stats: Stats,
}

impl Floor {
    fn bind(options: &FloorOptions) -> Outcome<Self> {
        let poll = Poll::new().context("cannot create a poll set")?;
        let mut listener = listen(options.listen).context(format!("cannot listen on {}", options.listen))?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)
            .context("cannot watch a socket")?;
        let ring = (options.mode == FloorMode::Uring).then(Ring::new);
        Ok(Self {
            mode: options.mode,
            poll,
            listener,
            peers: Peers::default(),
            words: Words::new(&options.channel),
            log: FrameLog::default(),
            fan: Fan::default(),
            ring: ring.transpose().context("cannot set up an io_uring")?,
            buffer: vec![0; READ_BUFFER_BYTES],
            answers: Vec::new(),
            stats: Stats::default(),
        })
    }

    fn address(&self) -> Outcome<SocketAddr> {
        self.listener.local_addr().context("cannot read the listening address")
    }

    fn turn(&mut self, events: &mut Events) -> Outcome<()> {
        let timeout = if self.fan.is_behind() { Duration::ZERO } else { IDLE };
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled.context("cannot poll")?,
        }
        for event in events.iter() {
            if event.token() == LISTENER {
                self.accept()?;
            } else {
                self.handle_ready(event);
            }
        }
        self.deliver()
    }

    fn accept(&mut self) -> Outcome<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot accept"),
            };
            let interest = Interest::READABLE | Interest::WRITABLE;
            let token = Token(self.peers.vacancy());
            self.poll.registry().register(&mut stream, token, interest).context("cannot watch a socket")?;
            self.peers.admit(stream);
            self.stats.connections += 1;
        }
    }

    fn handle_ready(&mut self, event: &Event) {
        let Token(index) = event.token();
        let Some(peer) = self.peers.at_mut(index) else { return };
        let mut result = Ok(());
        if event.is_writable() && peer.is_blocked() {
            peer.unblock();
            result = peer.flush().and_then(|()| peer.send_log(&self.log, &mut self.stats));
        }
        if result.is_ok() && event.is_readable() {
            result = self.read(index, event.is_read_closed());
        }
        if result.is_err() {
            self.peers.remove(index);
        }
    }

    /// Reads to the first short read, or to the end when the peer has hung up.
    fn read(&mut self, index: usize, drain: bool) -> Result<(), Gone> {
        loop {
            let mut buffer = std::mem::take(&mut self.buffer);
            let read = self.peers.at_mut(index).ok_or(Gone)?.read(&mut buffer);
            let handled = match read {
                Ok(Some(read)) => self.handle_bytes(index, &buffer[..read]),
                Ok(None) => Ok(()),
                Err(gone) => Err(gone),
            };
            let is_short = read.is_ok_and(|read| read.is_none_or(|read| read < buffer.len() && !drain));
            self.buffer = buffer;
            handled?;
            if is_short {
                return Ok(());
            }
        }
    }

    /// Answers everything whole in `bytes` with one write.
    fn handle_bytes(&mut self, index: usize, bytes: &[u8]) -> Result<(), Gone> {
        let Self { peers, words, log, stats, answers, mode, .. } = self;
        let subscribers = peers.subscribers();
        let peer = peers.at_mut(index).ok_or(Gone)?;
        let began = peer.stage;
        let mut desk = wire::Desk { words, log, stats, answers, mode: *mode, subscribers };
        peer.take_in(bytes, |stage, bytes| desk.handle(stage, bytes))?;
        if !answers.is_empty() {
            stats.answers += 1;
            let written = peer.write(answers);
            answers.clear();
            written?;
        }
        if began != Stage::Subscribed && peer.stage == Stage::Subscribed {
            peers.join(index, log);
        }
        Ok(())
    }

    fn deliver(&mut self) -> Outcome<()> {
        if self.log.is_empty() {
            return Ok(());
        }
        match (&mut self.ring, self.mode) {
            (Some(ring), _) => self.fan.send_batch(ring, &mut self.peers, &self.log, &mut self.stats)?,
            (None, FloorMode::Each) => self.fan.send_each(&mut self.peers, &self.log, &mut self.stats),
            (None, _) => self.fan.send_slice(&mut self.peers, &self.log, &mut self.stats),
        }
        if !self.fan.is_behind() || self.log.len() > LOG_BYTES_MAX {
            self.peers.forget_delivered(&mut self.log);
        }
        Ok(())
    }
}

/// What is set on a listener is inherited: accepted sockets need no call of their own.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}
