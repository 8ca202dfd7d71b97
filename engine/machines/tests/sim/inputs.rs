//! What a shard draws from in one turn: batches that have arrived, and bytes of its sockets, in pieces of any length.

use corecast_machines::cores::CoreId;
use corecast_machines::machine::{self, Inputs, Token};
use corecast_machines::mesh::{Leaf, Root};

use crate::mesh::Port;
use crate::rng::Rng;
use crate::socket::Socket;

/// What a shard draws from in one turn.
pub struct TurnInputs<'a> {
    port: Port<'a>,
    sockets: &'a mut [Socket],
    awake: &'a mut [bool],
    rng: &'a mut Rng,
    scratch: Vec<u8>,
    next: usize,
}

impl<'a> TurnInputs<'a> {
    pub fn new(port: Port<'a>, sockets: &'a mut [Socket], awake: &'a mut [bool], rng: &'a mut Rng) -> Self {
        Self { port, sockets, awake, rng, scratch: Vec::new(), next: 0 }
    }

    /// Only shards sleep here.
    fn ring(&mut self, core: CoreId) {
        if let CoreId::Shard(number) = core {
            self.awake[usize::from(number)] = true;
        }
    }
}

impl Inputs for TurnInputs<'_> {
    fn next_leaves(&mut self) -> Option<(CoreId, Vec<Leaf>)> {
        self.port.leaves.next(self.port.me)
    }

    fn next_roots(&mut self) -> Option<(CoreId, Vec<Root>)> {
        self.port.roots.next(self.port.me)
    }

    fn release_leaves(&mut self, from: CoreId) {
        self.port.leaves.release(from, self.port.me);
        self.ring(from);
    }

    fn release_roots(&mut self, from: CoreId) {
        self.port.roots.release(from, self.port.me);
        self.ring(from);
    }

    fn next_socket(&mut self) -> Option<machine::Socket<'_>> {
        let count = self.sockets.len();
        let at = (0..count).map(|off| (self.next + off) % count).find(|at| self.sockets[*at].is_ready())?;
        self.next = at + 1;
        let socket = &mut self.sockets[at];
        socket.turns_unread = 0;
        socket.hear();
        let secured = std::mem::take(&mut socket.secured);
        if secured && socket.inbound.is_empty() {
            return Some(machine::Socket::Secured(socket.token));
        }
        if socket.inbound.is_empty() {
            socket.hangup_told = true;
            return Some(machine::Socket::Hangup(socket.token));
        }
        let most = if self.rng.chance(20) { self.rng.between(1, 40) } else { 4096 };
        let len = socket.inbound.len().min(most);
        self.scratch = socket.inbound.drain(..len).collect();
        Some(machine::Socket::Bytes(socket.token, &mut self.scratch))
    }

    fn pause(&mut self, token: Token) {
        if let Some(socket) = self.sockets.iter_mut().find(|socket| socket.token == token) {
            socket.paused = true;
        }
    }
}
