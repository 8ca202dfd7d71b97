//! Accepting: the listeners of one core, each polled, at most 64 connections a turn.
//!
//! Owns the core's listeners until they are closed, and the pause when descriptors run out (arming a multishot accept
//! again would burn the core then, and could not be paced before). What must never happen here: a listener shut down
//! or dropped while clients wait in its queue. Called by the turn.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::introduction::{Introduction, STRANGER};
use super::limits::{
    ACCEPT_PAUSE_MS, ACCEPTS_PER_TURN_MAX, HANDSHAKES_WAITING_MAX, INHERITED_ACCEPTS_PER_TURN_MAX, YIELD_MS,
};
use super::listen::{accept, turn_newcomers_away};
use super::notices;
use super::ring::{Completion, Kind, Operation, Ring};
use super::sockets::{Sockets, Whereabouts};
use super::transport::TransportKind;
use machines::invariant::Expected;
use machines::machine::{Door, Machine, Now, Token};

/// A listener, what is behind it, and how its connections travel.
#[derive(Debug)]
pub struct Entrance {
    /// The listener.
    pub listener: OwnedFd,
    /// What is behind it.
    pub door: Door,
    /// How bytes travel on the connections that come through it.
    pub transport: TransportKind,
    /// A supervisor has passed it on: other cores accept from it too, and the next process will.
    pub inherited: bool,
    /// Whether each of them must begin with a PROXY header.
    pub introduction: Introduction,
}

/// The listeners of a core.
#[derive(Debug)]
pub struct Acceptor {
    listeners: Vec<Listener>,
    /// Newcomers wait in the queue.
    holds: bool,
    /// How long the queue of a closing listener must have been empty.
    quiet_ms: u64,
    paused_until: Option<u64>,
    /// The last call found no descriptor for somebody.
    ran_out: bool,
    /// Processes that want to take over, for the server.
    successors: Vec<OwnedFd>,
}

#[derive(Debug)]
struct Listener {
    entrance: Entrance,
    slot: u32,
    armed: bool,
    /// Its queue may hold somebody.
    ready: bool,
    /// Newcomers are turned away; since then, or since the last one was taken, in `mono_ms`.
    quiet_since: Option<u64>,
    /// Its queue is left to others until then, in `mono_ms`.
    yields_until: Option<u64>,
    /// Its queue is left to the next process.
    left: bool,
    /// Its poll is cancelled; it is dropped when that completes.
    spent: bool,
}

/// What an attempt to accept came to.
enum Accepted {
    One,
    None,
    Exhausted,
}

impl Acceptor {
    /// Polls these listeners.
    pub fn new(entrances: Vec<Entrance>, ring: &mut Ring) -> Self {
        let listener = |(slot, entrance)| Listener {
            entrance,
            slot: slot as u32,
            armed: false,
            ready: false,
            quiet_since: None,
            yields_until: None,
            left: false,
            spent: false,
        };
        let mut listeners: Vec<Listener> = entrances.into_iter().enumerate().map(listener).collect();
        listeners.iter_mut().for_each(|listener| listener.arm(ring));
        Self {
            listeners,
            holds: false,
            quiet_ms: 0,
            paused_until: None,
            ran_out: false,
            successors: Vec::new(),
        }
    }

    /// Takes in what the kernel says about a listener.
    pub fn handle_completion(&mut self, completion: Completion, ring: &mut Ring) {
        let slot = completion.operation.token.slot;
        let listener = self.listeners.iter_mut().find(|listener| listener.slot == slot);
        let Some(listener) = listener.expected("a listener outlives its poll") else { return };
        listener.ready = true;
        if !completion.more {
            listener.armed = false;
            if !listener.spent {
                listener.arm(ring);
            }
        }
    }

    /// Takes the connections that wait. Of a queue that other cores share, a core that is ahead of them takes one now and
    /// then, so that none waits for a core that hangs. Returns whether there was one, or a listener to close.
    pub fn accept_some<M: Machine>(
        &mut self,
        sockets: &mut Sockets,
        machine: &mut M,
        is_ahead: impl Fn() -> bool,
        now: Now,
    ) -> bool {
        self.ran_out = false;
        if self.holds || self.paused_until.is_some_and(|until| now.mono_ms < until) {
            return false;
        }
        self.paused_until = None;
        let mut budget = ACCEPTS_PER_TURN_MAX;
        let mut any = false;
        let crowded = sockets.handshakes() >= HANDSHAKES_WAITING_MAX;
        for listener in &mut self.listeners {
            if crowded && matches!(listener.entrance.transport, TransportKind::Tls(_)) {
                continue;
            }
            let mut of_this = listener.budget(&is_ahead, now);
            while listener.ready && of_this > 0 && budget > 0 && self.paused_until.is_none() {
                budget -= 1;
                of_this -= 1;
                match listener.accept(sockets, machine, &mut self.successors, now) {
                    Accepted::One => any = true,
                    Accepted::None => listener.ready = false,
                    Accepted::Exhausted => self.paused_until = Some(now.mono_ms + ACCEPT_PAUSE_MS),
                }
            }
            any |= listener.close_if_quiet(now.mono_ms, self.quiet_ms, sockets.ring());
        }
        // A connection that came between the cancellation and its completion was still taken.
        self.listeners.retain(|listener| listener.armed || listener.has_newcomers() || !listener.spent);
        if self.paused_until.is_some() {
            self.ran_out = true;
            machine.handle_no_descriptors(now);
        }
        any
    }

    /// Processes that want to take over, once each.
    pub fn take_successors(&mut self) -> impl Iterator<Item = OwnedFd> {
        self.successors.drain(..)
    }

    /// True when the last call of `accept_some` found no descriptor for somebody.
    pub fn ran_out(&self) -> bool {
        self.ran_out
    }

    /// Leaves newcomers in the queue until `begin_close`, as far as there is room.
    pub fn hold(&mut self) {
        self.holds = true;
        self.listeners.iter_mut().for_each(|listener| listener.yields_until = None);
    }

    /// Turns newcomers away; each listener is closed when its queue has been empty for so long.
    pub fn begin_close(&mut self, mono_ms: u64, quiet_ms: u64) {
        (self.holds, self.quiet_ms) = (false, quiet_ms);
        for listener in self.listeners.iter_mut().filter(|listener| listener.entrance.door != Door::Successor)
        {
            if listener.entrance.inherited {
                (listener.left, listener.yields_until) = (true, None);
                listener.quiet_since = Some(mono_ms.saturating_sub(quiet_ms));
                continue;
            }
            // Where filters are refused, a client that comes in the listener's last instant meets a reset.
            let _ = turn_newcomers_away(&listener.entrance.listener);
            listener.quiet_since = Some(mono_ms);
            listener.ready = true;
        }
    }

    /// Leaves all who come from now on to the next process, where a queue outlives this one.
    pub fn leave_inherited(&mut self) {
        for listener in self.listeners.iter_mut().filter(|listener| listener.entrance.inherited) {
            (listener.left, listener.yields_until) = (true, None);
        }
    }

    /// Whether there is a queue that outlives this process.
    pub fn has_inherited(&self) -> bool {
        self.listeners.iter().any(|listener| listener.entrance.inherited)
    }

    /// True when no listener is left but those for successors, which may come to the end.
    pub fn is_closed(&self) -> bool {
        self.listeners.iter().all(|listener| listener.entrance.door == Door::Successor)
    }

    /// The listeners, as long as each may be accepted from at any time.
    pub fn listeners(&self) -> Option<impl Iterator<Item = BorrowedFd<'_>>> {
        let left = self.listeners.iter().any(|listener| listener.left);
        let idle = !self.holds && !left && self.next_deadline().is_none();
        idle.then(|| self.listeners.iter().map(|listener| listener.entrance.listener.as_fd()))
    }

    /// When `accept_some` must be called next though nobody came, in `mono_ms`.
    pub fn next_deadline(&self) -> Option<u64> {
        let quiet = self
            .listeners
            .iter()
            .filter(|listener| !listener.spent)
            .filter_map(|listener| listener.quiet_since);
        let accepts = self.paused_until.is_none();
        let yields = self.listeners.iter().filter(|_| accepts).filter_map(|listener| listener.yields_until);
        let quiet = quiet.map(|since| since + self.quiet_ms);
        self.paused_until.into_iter().chain(quiet).chain(yields).min()
    }
}

impl Listener {
    fn arm(&mut self, ring: &mut Ring) {
        self.armed = true;
        ring.poll_input(self.entrance.listener.as_fd(), self.operation());
    }

    fn operation(&self) -> Operation {
        Operation { kind: Kind::Listener, token: Token { slot: self.slot, generation: 0 } }
    }

    /// Whether its queue may hold somebody who is to be taken.
    fn has_newcomers(&self) -> bool {
        self.ready && !self.left
    }

    /// How many may be taken from its queue now.
    fn budget(&mut self, is_ahead: &impl Fn() -> bool, now: Now) -> usize {
        let waited = self.yields_until.is_some_and(|until| until <= now.mono_ms);
        if !self.has_newcomers() {
            self.yields_until = None;
            return 0;
        }
        if !self.entrance.inherited {
            return ACCEPTS_PER_TURN_MAX;
        }
        if !is_ahead() {
            self.yields_until = None;
            return INHERITED_ACCEPTS_PER_TURN_MAX;
        }
        if waited || self.yields_until.is_none() {
            self.yields_until = Some(now.mono_ms + YIELD_MS);
        }
        usize::from(waited)
    }

    fn accept<M: Machine>(
        &mut self,
        sockets: &mut Sockets,
        machine: &mut M,
        successors: &mut Vec<OwnedFd>,
        now: Now,
    ) -> Accepted {
        let (fd, peer) = match accept(self.entrance.listener.as_fd()) {
            Ok(accepted) => accepted,
            Err(error) => return judge(&error),
        };
        if self.entrance.door == Door::Successor {
            successors.push(fd);
            return Accepted::One;
        }
        if let Some(since) = &mut self.quiet_since {
            *since = now.mono_ms;
        }
        if !self.entrance.introduction.admits(peer) {
            notices::log_unmet(Some(Whereabouts::of(peer)), STRANGER, now);
            return Accepted::One;
        }
        let Some(transport) = self.entrance.transport.over(fd) else { return Accepted::One };
        let secure = transport.is_secure();
        match sockets.attach_newcomer(transport) {
            Some(token) => {
                machine.handle_open(token, self.entrance.door, secure, now);
                sockets.set_client(token, peer);
                match self.entrance.introduction {
                    Introduction::None => machine.handle_peer(token, peer),
                    Introduction::By(..) => sockets.expect_introduction(token),
                }
                Accepted::One
            }
            None => Accepted::Exhausted,
        }
    }

    fn close_if_quiet(&mut self, mono_ms: u64, quiet_ms: u64, ring: &mut Ring) -> bool {
        let quiet = self.quiet_since.is_some_and(|since| mono_ms >= since + quiet_ms);
        if !quiet || self.has_newcomers() || self.spent {
            return false;
        }
        self.spent = true;
        ring.cancel(self.operation());
        true
    }
}

fn judge(error: &io::Error) -> Accepted {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Accepted::None,
        // That one has given up, or its network failed it: the next may be fine.
        Some(libc::ECONNABORTED | libc::EINTR | libc::EPROTO | libc::EPERM) => Accepted::One,
        Some(libc::ENETDOWN | libc::EHOSTDOWN | libc::EHOSTUNREACH | libc::ENETUNREACH) => Accepted::One,
        _ => Accepted::Exhausted,
    }
}
