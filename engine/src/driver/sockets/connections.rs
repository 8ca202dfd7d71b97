//! The slab of connections of one core.
//!
//! Owns the slots, the generation of each, and the count of those that came during a drain. A slot has its next tenant
//! when the last one has gone and the machine has said that it keeps nothing of it. What must never happen here: freeing a
//! slot whose operations have not all completed, since an armed operation holds the file. Called by its neighbours in
//! `sockets`.

use std::collections::HashMap;

use super::super::agents::{Agent, Agents};
use super::super::transport::Transport;
use super::closing::Closing;
use super::connection::Connection;
use machines::chunks::Chunks;
use machines::invariant::Expected;
use machines::machine::Token;
use protocol::address::Address;
use protocol::limits::SLOTS_MAX;

/// All connections of a core.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Chunks<Slot>,
    free: Vec<u32>,
    /// By slot, the addresses of clients that are too long for the records.
    long_addresses: HashMap<u32, Address>,
    /// What clients say that they are.
    agents: Agents,
    len: usize,
    /// Newcomers are late.
    draining: bool,
    late: usize,
}

#[derive(Debug, Default)]
struct Slot {
    /// Counts the tenants, the last one included.
    generation: u32,
    tenant: Option<Connection>,
    /// The machine keeps something of the last tenant.
    held: bool,
    /// What the tenant says that it is.
    agent: Agent,
}

impl Connections {
    /// Takes a connection in, with bytes that were read from it elsewhere; None when all slots are taken: a socket_id has no
    /// place for more.
    pub(super) fn attach(&mut self, transport: Transport, bytes: Vec<u8>) -> Option<Token> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < SLOTS_MAX as usize => self.slots.push(Slot::default()) as u32,
            None => return None,
        };
        let place = self.slots.get_mut(slot as usize).expected("free slots are in the slab")?;
        place.generation = place.generation.wrapping_add(1);
        place.tenant = Some(Connection::new(transport, bytes, self.draining));
        place.held = true;
        self.len += 1;
        self.late += usize::from(self.draining);
        Some(Token { slot, generation: place.generation })
    }

    /// The connection of this token, in whatever stage.
    pub(super) fn find(&mut self, token: Token) -> Option<&mut Connection> {
        let place = self.slots.get_mut(token.slot as usize)?;
        if place.generation == token.generation { place.tenant.as_mut() } else { None }
    }

    /// The same, to look at.
    pub(super) fn view(&self, token: Token) -> Option<&Connection> {
        let place = self.slots.get(token.slot as usize)?;
        if place.generation == token.generation { place.tenant.as_ref() } else { None }
    }

    /// A connection has become a client's, who says that it is this.
    pub(super) fn note_opened(&mut self, token: Token, agent: Option<Box<str>>, mono_ms: u64) {
        if self.find(token).map(|connection| connection.note_opened(mono_ms)).is_some()
            && let Some(place) = self.slots.get_mut(token.slot as usize)
        {
            self.agents.leave(place.agent);
            place.agent = agent.map_or_else(Agent::default, |text| self.agents.enter(text));
        }
    }

    /// What the client of this connection says that it is.
    pub(super) fn agent(&self, token: Token) -> Option<&str> {
        let place = self.slots.get(token.slot as usize)?;
        self.agents.text(place.agent).filter(|_| place.generation == token.generation)
    }

    /// Where the client of this connection is, if that is known.
    pub(super) fn client(&self, token: Token) -> Option<Address> {
        let short = self.view(token)?.client();
        short.or_else(|| self.long_addresses.get(&token.slot).copied())
    }

    /// The client of this connection is here.
    pub(super) fn set_client(&mut self, token: Token, address: Option<Address>) {
        let Some(connection) = self.find(token) else { return };
        let is_short = connection.set_client(address);
        self.forget_long_address(token.slot);
        if let Some(address) = address.filter(|_| !is_short) {
            self.long_addresses.insert(token.slot, address);
        }
    }

    /// The connection of this token, if the machine still knows it.
    pub(super) fn find_open(&mut self, token: Token) -> Option<&mut Connection> {
        self.find(token).filter(|connection| connection.is_open())
    }

    /// The connection of this token, which the machine knows: it names none that it has given away.
    pub(super) fn known(&mut self, token: Token) -> Option<&mut Connection> {
        self.find_open(token).expected("a machine names no connection that it has given away")
    }

    /// The connection of an operation that has completed: an armed operation keeps its slot.
    pub(super) fn of_operation(&mut self, token: Token) -> Option<&mut Connection> {
        self.find(token).expected("an armed operation keeps its slot")
    }

    /// The machine keeps nothing of this connection: when it has gone, its slot is free for another one.
    pub(super) fn free(&mut self, token: Token) {
        let place = self.slots.get_mut(token.slot as usize);
        let place = place.filter(|place| place.generation == token.generation && place.held);
        let Some(place) = place.expected("a machine frees each slot once") else { return };
        place.held = false;
        if place.tenant.is_none() {
            self.free.push(token.slot);
        }
    }

    /// Takes a connection out. Its slot is free for another one when the machine keeps nothing of it.
    pub(super) fn detach(&mut self, token: Token) -> Option<Connection> {
        let armed = self.find(token)?.is_armed();
        assert!(!armed, "slot {} is freed with an operation in flight", token.slot);
        let place = self.slots.get_mut(token.slot as usize)?;
        let connection = place.tenant.take()?;
        if !place.held {
            self.free.push(token.slot);
        }
        self.len -= 1;
        self.late -= usize::from(connection.is_late());
        let agent = std::mem::take(&mut place.agent);
        self.agents.leave(agent);
        self.forget_long_address(token.slot);
        Some(connection)
    }

    // Few have one, so most are spared the hash.
    fn forget_long_address(&mut self, slot: u32) {
        if !self.long_addresses.is_empty() {
            self.long_addresses.remove(&slot);
        }
    }

    /// From now on newcomers are late.
    pub(super) fn begin_drain(&mut self) {
        self.draining = true;
    }

    /// True once the core drains.
    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    /// How many there are that came before the drain.
    pub(super) fn residents(&self) -> usize {
        self.len() - self.late
    }

    /// Shows every close in progress.
    pub(super) fn each_closing(&mut self, mut look: impl FnMut(Token, &mut Closing)) {
        for slot in 0..self.slots.len() {
            let Some(place) = self.slots.get_mut(slot) else { continue };
            let token = Token { slot: slot as u32, generation: place.generation };
            if let Some((closing, _)) = place.tenant.as_mut().and_then(Connection::closing) {
                look(token, closing);
            }
        }
    }

    /// How many there are, those that are closing included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rustix::event::{EventfdFlags, eventfd};

    use super::super::super::ring::{Ring, Sizes};
    use super::super::super::transport::TransportKind;
    use super::*;

    fn attach(connections: &mut Connections) -> Token {
        let transport = TransportKind::Plain.over(eventfd(0, EventfdFlags::CLOEXEC).unwrap()).unwrap();
        connections.attach(transport, Vec::new()).unwrap()
    }

    #[test]
    fn a_reused_slot_does_not_answer_to_its_former_token() {
        let mut connections = Connections::default();
        let first = attach(&mut connections);
        connections.free(first);
        assert!(connections.detach(first).is_some());
        let second = attach(&mut connections);
        assert_eq!(first.slot, second.slot);
        assert!(connections.find(first).is_none() && connections.detach(first).is_none());
        assert!(connections.find(second).is_some());
        assert_eq!(connections.len(), 1);
    }

    #[test]
    fn a_slot_of_which_the_machine_keeps_something_has_no_other_tenant() {
        let mut connections = Connections::default();
        let kept = attach(&mut connections);
        assert!(connections.detach(kept).is_some());
        assert_eq!((connections.len(), connections.residents()), (0, 0), "nobody is there");
        let next = attach(&mut connections);
        assert_ne!(next.slot, kept.slot);
        connections.free(kept);
        connections.free(next);
        assert!(connections.find(next).is_some(), "it is there until its socket has gone");
        assert_eq!(attach(&mut connections), Token { generation: kept.generation + 1, ..kept });
    }

    #[test]
    #[should_panic(expected = "a machine frees each slot once")]
    fn a_slot_is_not_freed_by_the_name_of_an_earlier_tenant() {
        let mut connections = Connections::default();
        let first = attach(&mut connections);
        connections.free(first);
        connections.detach(first);
        attach(&mut connections);
        connections.free(first);
    }

    #[test]
    #[should_panic(expected = "operation in flight")]
    fn a_slot_with_an_armed_operation_is_never_freed() {
        let mut ring = Ring::new(Sizes { submissions: 8, completions: 16, sends: 0 }).unwrap();
        let mut connections = Connections::default();
        let token = attach(&mut connections);
        connections.find(token).unwrap().poll_input(&mut ring, token);
        connections.detach(token);
    }

    #[test]
    fn a_newcomer_during_a_drain_is_no_resident() {
        let mut connections = Connections::default();
        let early = attach(&mut connections);
        connections.begin_drain();
        let late = attach(&mut connections);
        assert_eq!((connections.len(), connections.residents()), (2, 1));
        connections.detach(late);
        assert_eq!((connections.len(), connections.residents()), (1, 1));
        connections.detach(early);
        attach(&mut connections);
        assert_eq!((connections.len(), connections.residents()), (1, 0));
    }

    #[test]
    fn an_address_of_either_length_is_kept_until_its_connection_has_gone() {
        let mut connections = Connections::default();
        let token = attach(&mut connections);
        let addresses = ["192.0.2.1:5", "[2001:db8::1]:5", "192.0.2.2:0", "[::1]:6"];
        for text in addresses {
            let address = text.parse::<SocketAddr>().unwrap().into();
            connections.set_client(token, Some(address));
            assert_eq!(connections.client(token), Some(address));
        }
        connections.set_client(token, None);
        assert_eq!(connections.client(token), None);
        connections.set_client(token, Some("[::1]:6".parse::<SocketAddr>().unwrap().into()));
        connections.detach(token);
        assert!(connections.client(token).is_none() && connections.long_addresses.is_empty());
    }

    #[test]
    fn an_idle_connection_costs_the_driver_a_slot_of_32_bytes() {
        assert!(size_of::<Slot>() <= 32, "{}", size_of::<Slot>());
    }
}
