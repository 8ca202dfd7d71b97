//! Which connections may be read, in which order, and where the bytes go.
//!
//! Owns the queue of ready connections and the one buffer of the core. What must never happen here: a connection that
//! is read twice in a phase without being asked for, or one that is ready and in no queue.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::limits::HANDSHAKES_TIME_MAX;
use super::super::ring::Ring;
use super::connection::{Connection, Found};
use super::connections::Connections;
use machines::invariant::Expected;
use machines::limits::SCRATCH_BYTES;
use machines::machine::{Socket, Token};

/// The reading side of a core's sockets.
#[derive(Debug)]
pub(super) struct Reading {
    /// Those that may have something to read, in the order in which they are read.
    ready: VecDeque<Token>,
    /// How many of them may be read in this phase. One that is queued during a phase is read in the next, so that a
    /// machine that gives a connection away never meets bytes of it afterwards.
    ready_now: usize,
    /// Every read of the core goes here.
    scratch: Box<[u8]>,
    /// Bytes that came with a connection from another core, while the machine has them.
    arrived: Vec<u8>,
    /// What is left of this phase's time for handshakes.
    handshakes_time: Duration,
    /// How many reads of this phase gave the machine nothing and must go on, or were put off to the next.
    unfinished: usize,
}

impl Reading {
    /// With nobody to read.
    pub(super) fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            ready_now: 0,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            arrived: Vec::new(),
            handshakes_time: Duration::ZERO,
            unfinished: 0,
        }
    }

    /// A phase begins: those that are ready now are read in it.
    pub(super) fn begin_phase(&mut self) {
        self.ready_now = self.ready.len();
        self.handshakes_time = HANDSHAKES_TIME_MAX;
        self.unfinished = 0;
    }

    /// How many the next phase reads though nothing completes and the machine got nothing of them in this one.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Puts a connection that has become ready behind the others.
    pub(super) fn queue(&mut self, connection: &mut Connection, token: Token) {
        if connection.enter_queue() {
            self.ready.push_back(token);
        }
    }

    /// The next one to be read, still in this phase.
    pub(super) fn queue_first(&mut self, connection: &mut Connection, token: Token) {
        if connection.enter_queue() {
            self.ready.push_front(token);
            self.ready_now += 1;
        }
    }

    /// Reads the next one that has something for the machine.
    pub(super) fn next(&mut self, connections: &mut Connections, ring: &mut Ring) -> Option<Socket<'_>> {
        let (token, found) = self.read_next(connections, ring)?;
        Some(match found {
            Found::Scratch(length) => Socket::Bytes(token, &mut self.scratch[..length]),
            Found::Arrived => Socket::Bytes(token, &mut self.arrived),
            Found::Secured => Socket::Secured(token),
            Found::Hangup => Socket::Hangup(token),
        })
    }

    fn read_next(&mut self, connections: &mut Connections, ring: &mut Ring) -> Option<(Token, Found)> {
        while self.ready_now > 0 {
            self.ready_now -= 1;
            let token = self.ready.pop_front().expected("no more are read than are ready")?;
            // Closed since it was queued.
            let Some(connection) = connections.find_open(token) else { continue };
            if connection.leave_queue() {
                let found = if connection.is_handshaking() {
                    self.read_handshake(connection)
                } else {
                    connection.read(&mut self.scratch, &mut self.arrived)
                };
                if connection.has_unsent() {
                    connection.poll_room(ring, token);
                }
                self.queue(connection, token);
                match found {
                    Some(found) => return Some((token, found)),
                    None => self.unfinished += usize::from(connection.is_ready()),
                }
            }
        }
        None
    }

    /// Reads one whose handshake is not over, if this phase has time for it.
    fn read_handshake(&mut self, connection: &mut Connection) -> Option<Found> {
        if self.handshakes_time.is_zero() {
            return None;
        }
        let begun = Instant::now();
        let found = connection.read(&mut self.scratch, &mut self.arrived);
        self.handshakes_time = self.handshakes_time.saturating_sub(begun.elapsed());
        found.or_else(|| (!connection.is_handshaking()).then_some(Found::Secured))
    }

    /// Room for what is read and means nothing.
    pub(super) fn scratch(&mut self) -> &mut [u8] {
        &mut self.scratch
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.ready.shrink_to_fit();
        self.arrived = Vec::new();
    }

    /// How many are ready.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }
}
