//! How a connection is closed: last bytes, shutdown(Write), read and discard, drop.
//!
//! Owns the closes in progress. Dropping a socket alone would delay its FIN behind the armed poll, and unread input
//! would turn it into a reset that destroys the last bytes on their way. What must never happen here: a close that
//! waits without a deadline, or a descriptor dropped while an operation holds it. Called by sockets.rs and the turn.

use std::cmp::Reverse;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;

use super::super::flush::PIECES_MAX;
use super::Sockets;
use super::connections::{Closing, Connection, Flags, Stage};
use machines::machine::Token;
use machines::outbox::parting::Parting;

/// How long a closing peer may take nothing, and after our FIN, how long it may take to answer with its own.
pub const CLOSE_MS_MAX: u64 = 5_000;

/// How long a peer may take for that while the core drains: a round trip to the far side of the world. What it had sent
/// before it heard of the end has arrived by then, and its answer to the end may meet a reset.
const DRAIN_LINGER_MS_MAX: u64 = 300;

/// How long a peer may take its last bytes in, in milliseconds, for as long as it takes fewer than `READ_BYTES_PER_S_MIN` of
/// them.
const LAST_MS_MAX: u64 = 30_000;

/// Whoever reads at least so fast may take all the time it needs, in bytes per second.
const READ_BYTES_PER_S_MIN: u64 = 1 << 10;

/// What a peer may send after our FIN before it is cut off: a body of the default limit, whose sender looks for the answer
/// only when it has sent all of it.
const DISCARD_BYTES_MAX: usize = (2 << 20) + (64 << 10);

/// When a close loses patience; ordered so that the soonest is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Expiry {
    deadline: Reverse<u64>,
    slot: u32,
    generation: u32,
}

/// How far a close has come.
enum Progress {
    /// It waits for room to write.
    Blocked,
    /// It waits for input, or for the end of it.
    Waiting,
    /// It is over.
    Done,
}

impl Sockets {
    /// The machine has forgotten this connection: writes `last` and closes it.
    pub fn begin_close(&mut self, token: Token, last: impl Into<Parting>, mono_ms: u64) {
        let Some(connection) = self.connections.find_open(token) else { return };
        let last = last.into();
        let deadline = mono_ms + CLOSE_MS_MAX;
        let closing = Closing { last, taken: 0, discarded: 0, shut: false, begun: mono_ms, deadline };
        connection.stage = Some(Box::new(Stage::Closing(closing)));
        self.expect(token, deadline);
        self.continue_close(token, mono_ms);
    }

    /// The machine has forgotten this connection and wants its descriptor: one write, and no patience.
    pub fn let_go(&mut self, token: Token, last: &[u8]) {
        let Some(connection) = self.connections.find_open(token) else { return };
        if !last.is_empty() {
            // Best effort: who does not hear it finds the connection closed.
            let _ = connection.transport.send(connection.fd(), &[IoSlice::new(last)]);
        }
        // With an armed poll, dropping alone would send the FIN late.
        let _ = SockRef::from(&connection.fd()).shutdown(Shutdown::Write);
        self.finish(token);
    }

    /// The machine has forgotten this connection and nothing of it may linger.
    pub fn reset(&mut self, token: Token) {
        let Some(connection) = self.connections.find_open(token) else { return };
        reset_on_drop(connection);
        self.finish(token);
    }

    /// Goes on with a close as far as it gets.
    pub(super) fn continue_close(&mut self, token: Token, mono_ms: u64) {
        let draining = self.connections.is_draining();
        let Some(connection) = self.connections.find(token) else { return };
        let linger_until = mono_ms + if draining { DRAIN_LINGER_MS_MAX } else { CLOSE_MS_MAX };
        let was_shut = connection.closing().is_some_and(|closing| closing.shut);
        match advance(connection, &mut self.scratch, mono_ms, linger_until) {
            Progress::Blocked => self.arm_room(token),
            // Sooner than the close began with.
            Progress::Waiting if draining && !was_shut => self.expect(token, linger_until),
            Progress::Waiting => {}
            Progress::Done => self.finish(token),
        }
    }

    /// Input came for a closing connection. Before our FIN it waits.
    pub(super) fn continue_close_after_input(&mut self, token: Token, mono_ms: u64) {
        let Some(connection) = self.connections.find(token) else { return };
        let broken = connection.flags.has(Flags::BROKEN);
        if broken {
            self.finish(token);
        } else if connection.closing().is_some_and(|closing| closing.shut) {
            self.continue_close(token, mono_ms);
        }
    }

    /// From now on whoever comes is late, and whoever was told to go has little time left.
    pub fn begin_drain(&mut self, mono_ms: u64) {
        self.connections.begin_drain();
        let deadline = mono_ms + DRAIN_LINGER_MS_MAX;
        let mut sooner = Vec::new();
        self.connections.each_closing(|token, closing| {
            if closing.shut && closing.deadline > deadline {
                closing.deadline = deadline;
                sooner.push(token);
            }
        });
        sooner.into_iter().for_each(|token| self.expect(token, deadline));
    }

    /// Ends the closes whose time is up. Returns whether there was one.
    pub fn expire_closes(&mut self, mono_ms: u64) -> bool {
        let mut expired = false;
        while self.expiries.peek().is_some_and(|expiry| expiry.deadline.0 <= mono_ms) {
            let Some(expiry) = self.expiries.pop() else { break };
            expired |= self.expire(Token { slot: expiry.slot, generation: expiry.generation }, mono_ms);
        }
        expired
    }

    /// When `expire_closes` must be called next, in `mono_ms`.
    pub fn next_expiry(&self) -> Option<u64> {
        self.expiries.peek().map(|expiry| expiry.deadline.0)
    }

    fn expire(&mut self, token: Token, mono_ms: u64) -> bool {
        let Some(connection) = self.connections.find(token) else { return false };
        let Some(closing) = connection.closing() else { return false };
        let (deadline, shut) = (closing.deadline, closing.shut);
        if deadline > mono_ms {
            self.expect(token, deadline);
            return false;
        }
        if shut {
            bound_orphan(connection);
        } else {
            reset_on_drop(connection);
        }
        self.finish(token);
        true
    }

    fn expect(&mut self, token: Token, deadline: u64) {
        self.expiries.push(Expiry {
            deadline: Reverse(deadline),
            slot: token.slot,
            generation: token.generation,
        });
    }

    fn finish(&mut self, token: Token) {
        if let Some(connection) = self.connections.find(token) {
            connection.stage = Some(Box::new(Stage::Spent));
            self.disarm(token);
        }
    }
}

fn advance(connection: &mut Connection, scratch: &mut [u8], mono_ms: u64, linger_until: u64) -> Progress {
    if let Err(progress) = write_last(connection, mono_ms, linger_until) {
        return progress;
    }
    discard_input(connection, scratch)
}

/// Writes what is left and sends our FIN.
fn write_last(connection: &mut Connection, mono_ms: u64, linger_until: u64) -> Result<(), Progress> {
    while let Some(sent) = send_some(connection) {
        let Some(closing) = connection.closing() else { return Err(Progress::Done) };
        match sent {
            Ok(bytes) => closing.took(bytes, mono_ms),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if closing.last.handle_refused() {
                    return Err(Progress::Blocked);
                }
                reset_on_drop(connection);
                return Err(Progress::Done);
            }
            Err(_) => return Err(Progress::Done),
        }
    }
    shut(connection, linger_until)
}

/// One write of what is left. None: nothing is.
fn send_some(connection: &Connection) -> Option<io::Result<usize>> {
    let Some(Stage::Closing(closing)) = connection.stage.as_deref() else { return None };
    if closing.last.is_empty() {
        return None;
    }
    let mut slices = [IoSlice::new(&[]); PIECES_MAX];
    let pieces = closing.last.slices(&mut slices);
    Some(connection.transport.send(connection.fd(), &slices[..pieces]))
}

fn shut(connection: &mut Connection, linger_until: u64) -> Result<(), Progress> {
    let Some(closing) = connection.closing() else { return Err(Progress::Done) };
    if closing.shut {
        return Ok(());
    }
    closing.shut = true;
    closing.deadline = linger_until;
    closing.last = Parting::default();
    let fd = connection.fd();
    SockRef::from(&fd).shutdown(Shutdown::Write).map_err(|_| Progress::Done)
}

fn discard_input(connection: &mut Connection, scratch: &mut [u8]) -> Progress {
    let transport = connection.transport;
    loop {
        let received = transport.receive(connection.fd(), scratch);
        let Some(closing) = connection.closing() else { return Progress::Done };
        match received {
            Ok(0) => return Progress::Done,
            Ok(bytes) => closing.discarded += bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Waiting,
            Err(_) => return Progress::Done,
        }
        if closing.discarded > DISCARD_BYTES_MAX {
            return Progress::Done;
        }
    }
}

impl Closing {
    /// The peer has made room for more. That buys it time, but not for ever where it is little.
    fn took(&mut self, bytes: usize, mono_ms: u64) {
        self.last.advance_by(bytes);
        self.taken += bytes as u64;
        let bought_ms = self.taken * 1_000 / READ_BYTES_PER_S_MIN;
        self.deadline = (mono_ms + CLOSE_MS_MAX).min(self.begun + LAST_MS_MAX + bought_ms);
    }
}

/// The peer has not ended, and may not have read all: the kernel goes on sending, but not for ever to one who reads nothing.
fn bound_orphan(connection: &Connection) {
    // A socket that refuses this is broken already, and nothing is sent.
    let _ = SockRef::from(&connection.fd()).set_tcp_user_timeout(Some(Duration::from_millis(LAST_MS_MAX)));
}

/// The peer takes nothing: what is still in the kernel's buffer must not hold the port for minutes.
fn reset_on_drop(connection: &Connection) {
    let fd = connection.fd();
    // A socket that refuses this is broken already, which is the same.
    let _ = SockRef::from(&fd).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a peer is given up that takes so much of its last bytes every second.
    fn patience_with(bytes_per_s: usize) -> Option<u64> {
        let mut closing = Closing {
            last: vec![0; 1 << 20].into(),
            taken: 0,
            discarded: 0,
            shut: false,
            begun: 1_000,
            deadline: 6_000,
        };
        let late = |now: &u64| {
            let late = closing.deadline <= *now;
            closing.took(bytes_per_s, *now);
            late
        };
        (2_000..600_000).step_by(1_000).find(late)
    }

    #[test]
    fn a_peer_that_takes_a_byte_a_second_is_given_up_and_one_that_reads_on_is_not() {
        assert_eq!(patience_with(1), Some(32_000));
        assert_eq!(patience_with(512), Some(60_000));
        assert_eq!(patience_with(1_024), None);
    }
}
