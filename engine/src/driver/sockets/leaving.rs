//! How a connection goes to another core: disarm, wait for the last completion, pass the descriptor on.
//!
//! Owns connections between «the machine has forgotten it» and «the other core's inbox has it». What must never happen
//! here: passing on a descriptor that an operation of our ring still holds (it would take the other core's input), or
//! losing one. A connection that the other core cannot take gets its refusal and a close. Called by the turn.

use std::os::fd::OwnedFd;

use super::super::inbox::{Handover, MeshEnd};
use super::super::transport::Transport;
use super::Sockets;
use super::connections::{Leaving, Stage};
use machines::machine::Token;

/// A connection with nothing armed on it, ready to go.
#[derive(Debug)]
pub struct Departure {
    to: usize,
    handover: Handover,
    refusal: &'static [u8],
}

impl Departure {
    pub(super) fn new(fd: OwnedFd, transport: Transport, leaving: Leaving) -> Self {
        let handover = Handover { fd, transport, bytes: leaving.bytes };
        Self { to: leaving.to, handover, refusal: leaving.refusal }
    }
}

impl Sockets {
    /// The machine has given this connection to another core.
    pub fn begin_leaving(&mut self, token: Token, leaving: Leaving) {
        let Some(connection) = self.connections.find_open(token) else { return };
        let mut leaving = leaving;
        if let Some(Stage::Arrived(later)) = connection.stage.take().map(|stage| *stage) {
            leaving.bytes.extend_from_slice(&later);
        }
        connection.stage = Some(Box::new(Stage::Leaving(leaving)));
        self.disarm(token);
    }

    /// Sends off those that are free to go. Returns whether there was one.
    pub fn depart(&mut self, mesh: &MeshEnd, mono_ms: u64) -> bool {
        let departures = std::mem::take(&mut self.departures);
        let any = !departures.is_empty();
        for departure in departures {
            if let Err(handover) = mesh.hand_over(departure.to, departure.handover) {
                self.refuse(handover, departure.refusal, mono_ms);
            }
        }
        any
    }

    fn refuse(&mut self, handover: Handover, refusal: &[u8], mono_ms: u64) {
        if let Some(token) = self.attach(handover.fd, handover.transport, Vec::new()) {
            self.begin_close(token, refusal.to_vec(), mono_ms);
        }
    }
}
