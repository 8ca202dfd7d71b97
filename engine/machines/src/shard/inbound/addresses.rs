//! Connections that are counted by the address of their client, and which are one too many.
//!
//! A connection is half-open when a phase has read all there was and its head is still not complete: most heads come with
//! their connection. The peer's address counts for that, but not a trusted proxy's, which speaks for many. A client counts by
//! its own address, which its proxy has told.

use hashbrown::HashMap;
use protocol::address::Address;
use protocol::close::Close;

use crate::address_caps::{AddressCaps, AddressFull, AddressPlace, Counted};
use crate::machine::{Now, Token};
use crate::shard::Shard;

/// The caps, and the clients that are counted.
#[derive(Debug)]
pub(super) struct Addresses {
    caps: AddressCaps,
    clients: HashMap<Token, AddressPlace>,
}

impl Addresses {
    /// Nobody is counted yet.
    pub(super) fn new(caps: AddressCaps) -> Self {
        Self { caps, clients: HashMap::new() }
    }

    /// Whether anybody counts.
    pub(super) fn are_counted(&self) -> bool {
        self.caps.are_set()
    }

    /// A place for a client from there; None: nobody counts.
    pub(super) fn admit(&self, address: Option<Address>) -> Result<Option<AddressPlace>, Close> {
        self.caps.enter(address, Counted::Connections).map_err(|_| Close::ADDRESS_FULL)
    }

    /// The client that has this place is connected.
    pub(super) fn attach(&mut self, token: Token, place: Option<AddressPlace>) {
        if let Some(place) = place {
            self.clients.insert(token, place);
        }
    }

    /// It has gone.
    pub(super) fn forget(&mut self, token: Token) {
        self.clients.remove(&token);
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.clients.shrink_to_fit();
    }
}

impl Shard {
    /// All that had come was read. Those whose head is not complete are half-open from now on, and some are too many.
    pub(in crate::shard) fn count_half_open(&mut self, now: Now) {
        while let Some((token, address)) = self.inbound.lobby.next_uncounted() {
            match self.inbound.addresses.caps.enter(address, Counted::HalfOpen) {
                Ok(place) => self.inbound.lobby.count(token, place),
                Err(AddressFull { max }) => {
                    self.inbound.stats.half_open_refused_for_address += 1;
                    let text = format!(
                        "Over capacity: {max} connections without a head from this address (half_open_per_address_max)"
                    );
                    self.give_up_head(token, &text, now);
                }
            }
        }
    }
}
