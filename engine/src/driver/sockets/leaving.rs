//! How a connection goes to another core: disarm, wait for the last completion, pass the descriptor on.
//!
//! Owns connections between «the machine has forgotten it» and «the other core's inbox has it». What must never happen
//! here: passing on a descriptor that an operation of our ring still holds (it would take the other core's input), or
//! losing one. A connection that the other core cannot take gets its refusal and a close.

use super::super::inbox::{Handover, MeshEnd};
use super::super::transport::Transport;
use machines::cores::CoreId;
use protocol::address::Address;

/// A hand-over in progress.
#[derive(Debug)]
pub struct Leaving {
    to: CoreId,
    bytes: Vec<u8>,
    refusal: &'static [u8],
}

impl Leaving {
    /// To core `to`, with what was read and belongs to that core. `refusal`: what the peer gets when that core cannot
    /// take it.
    pub fn new(to: CoreId, bytes: Vec<u8>, refusal: &'static [u8]) -> Self {
        Self { to, bytes, refusal }
    }

    /// More that was read and belongs to that core.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

/// A connection with nothing armed on it, ready to go.
#[derive(Debug)]
pub(super) struct Departure {
    to: CoreId,
    handover: Handover,
    refusal: &'static [u8],
}

impl Departure {
    pub(super) fn new(transport: Transport, client: Option<Address>, leaving: Leaving) -> Self {
        let Leaving { to, bytes, refusal } = leaving;
        Self { to, handover: Handover { transport, client, bytes }, refusal }
    }

    /// Goes, or gives the connection back with its refusal when the other core's inbox is full.
    pub(super) fn go(self, mesh: &MeshEnd) -> Result<(), (Transport, &'static [u8])> {
        let Self { to, handover, refusal } = self;
        mesh.hand_over(to, handover).map_err(|handover| (handover.transport, refusal))
    }
}
