//! The slab of descriptors of one core.
//!
//! Owns each connection's socket, the generation of its slot, and what the driver remembers of it: which operations
//! are armed, whether it may be read, and in which stage it is. A connection without anything pending is its slot
//! and nothing else. What must never happen here: freeing a slot whose operations have not all completed, since an
//! armed operation holds the file. Called by sockets.rs and its neighbours.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::super::transport::Transport;
use machines::chunks::Chunks;
use machines::machine::Token;
use machines::outbox::parting::Parting;

/// All connections of a core.
#[derive(Debug, Default)]
pub struct Connections {
    slots: Chunks<Slot>,
    free: Vec<u32>,
    /// Whoever comes now is late.
    draining: bool,
    late: usize,
}

/// Slots of one core; a socket_id has 20 bits for them.
pub const SLOTS_MAX: usize = 1 << 20;

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    tenant: Option<Connection>,
}

/// One connection of the driver.
#[derive(Debug)]
pub struct Connection {
    fd: OwnedFd,
    /// How its bytes travel.
    pub transport: Transport,
    /// What the driver remembers.
    pub flags: Flags,
    /// Present only while there is more to remember than flags.
    pub stage: Option<Box<Stage>>,
}

/// What is going on with a connection beyond reading and writing.
#[derive(Debug)]
pub enum Stage {
    /// Open; these bytes came with it from another core and go to the machine before the socket is read.
    Arrived(Vec<u8>),
    /// The machine has forgotten it.
    Closing(Closing),
    /// On its way to another core as soon as nothing is armed on it.
    Leaving(Leaving),
    /// Nothing more happens; it is dropped as soon as nothing is armed on it.
    Spent,
}

/// A close in progress.
#[derive(Debug)]
pub struct Closing {
    /// What still goes out.
    pub last: Parting,
    /// How much of it the peer has taken.
    pub taken: u64,
    /// How much input was thrown away since.
    pub discarded: usize,
    /// Our FIN is sent.
    pub shut: bool,
    /// When it began, in `mono_ms`.
    pub begun: u64,
    /// When patience ends, in `mono_ms`.
    pub deadline: u64,
}

/// A hand-over in progress.
#[derive(Debug)]
pub struct Leaving {
    /// The core that takes it.
    pub to: usize,
    /// What was read and belongs to that core.
    pub bytes: Vec<u8>,
    /// What the peer gets when that core cannot take it.
    pub refusal: &'static [u8],
}

/// A set of facts about a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u16);

impl Flags {
    /// The multishot poll for input is armed.
    pub const INPUT_ARMED: Self = Self(1);
    /// The one-shot poll for room to write is armed.
    pub const ROOM_ARMED: Self = Self(2);
    /// There may be something to read.
    pub const READABLE: Self = Self(4);
    /// It is in the ready queue.
    pub const QUEUED: Self = Self(8);
    /// The machine wants no input from it now.
    pub const PAUSED: Self = Self(16);
    /// The poll has seen the peer's end or an error: reading goes on until it finds that.
    pub const ENDING: Self = Self(32);
    /// It is broken: the machine is told so in place of a read.
    pub const BROKEN: Self = Self(64);
    /// The machine knows that nothing more comes.
    pub const HUNG_UP: Self = Self(128);
    /// It came when the core was already draining.
    pub const LATE: Self = Self(256);

    /// True when all of `facts` hold.
    pub fn has(self, facts: Self) -> bool {
        self.0 & facts.0 == facts.0
    }

    /// True when one of `facts` holds.
    pub fn has_any(self, facts: Self) -> bool {
        self.0 & facts.0 != 0
    }

    /// From now on `facts` hold.
    pub fn set(&mut self, facts: Self) {
        self.0 |= facts.0;
    }

    /// From now on none of `facts` holds.
    pub fn clear(&mut self, facts: Self) {
        self.0 &= !facts.0;
    }

    /// Both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Connection {
    fn new(fd: OwnedFd, transport: Transport, bytes: Vec<u8>) -> Self {
        let stage = (!bytes.is_empty()).then(|| Box::new(Stage::Arrived(bytes)));
        Self { fd, transport, flags: Flags::default(), stage }
    }

    /// Its socket.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// True while the machine knows it.
    pub fn is_open(&self) -> bool {
        matches!(self.stage.as_deref(), None | Some(Stage::Arrived(_)))
    }

    /// True while the machine's bytes may go out.
    pub fn is_writable(&self) -> bool {
        self.is_open() && !self.flags.has(Flags::BROKEN)
    }

    /// True while an operation holds its file.
    pub fn is_armed(&self) -> bool {
        self.flags.has_any(Flags::INPUT_ARMED.and(Flags::ROOM_ARMED))
    }

    /// True when the machine would get something by reading it.
    pub fn is_ready(&self) -> bool {
        let arrived = matches!(self.stage.as_deref(), Some(Stage::Arrived(_)));
        let news = arrived || self.flags.has_any(Flags::READABLE.and(Flags::BROKEN));
        news && self.is_open() && !self.flags.has_any(Flags::PAUSED.and(Flags::HUNG_UP))
    }

    /// The close in progress, if there is one.
    pub fn closing(&mut self) -> Option<&mut Closing> {
        match self.stage.as_deref_mut() {
            Some(Stage::Closing(closing)) => Some(closing),
            _ => None,
        }
    }

    /// Ends it, giving back the socket, how its bytes travel and what was going on.
    pub fn into_parts(self) -> (OwnedFd, Transport, Option<Box<Stage>>) {
        (self.fd, self.transport, self.stage)
    }
}

impl Connections {
    /// Takes a socket in, with bytes that were read from it elsewhere; None when all slots are taken.
    pub fn attach(&mut self, fd: OwnedFd, transport: Transport, bytes: Vec<u8>) -> Option<Token> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < SLOTS_MAX => self.slots.push(Slot::default()) as u32,
            None => return None,
        };
        let place = self.slots.get_mut(slot as usize)?;
        let mut connection = Connection::new(fd, transport, bytes);
        if self.draining {
            connection.flags.set(Flags::LATE);
            self.late += 1;
        }
        place.tenant = Some(connection);
        Some(Token { slot, generation: place.generation })
    }

    /// The connection of this token, in whatever stage.
    pub fn find(&mut self, token: Token) -> Option<&mut Connection> {
        let place = self.slots.get_mut(token.slot as usize)?;
        if place.generation == token.generation { place.tenant.as_mut() } else { None }
    }

    /// The same, to look at.
    pub fn view(&self, token: Token) -> Option<&Connection> {
        let place = self.slots.get(token.slot as usize)?;
        if place.generation == token.generation { place.tenant.as_ref() } else { None }
    }

    /// The connection of this token, if the machine still knows it.
    pub fn find_open(&mut self, token: Token) -> Option<&mut Connection> {
        self.find(token).filter(|connection| connection.is_open())
    }

    /// Takes a connection out and frees its slot for another tenant.
    pub fn detach(&mut self, token: Token) -> Option<Connection> {
        let armed = self.find(token)?.is_armed();
        assert!(!armed, "slot {} is freed with an operation in flight", token.slot);
        let place = self.slots.get_mut(token.slot as usize)?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(token.slot);
        let connection = place.tenant.take()?;
        self.late -= usize::from(connection.flags.has(Flags::LATE));
        Some(connection)
    }

    /// From now on whoever comes is late.
    pub fn begin_drain(&mut self) {
        self.draining = true;
    }

    /// True once the core drains.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// How many there are that came before the drain.
    pub fn residents(&self) -> usize {
        self.len() - self.late
    }

    /// Shows every close in progress.
    pub fn each_closing(&mut self, mut look: impl FnMut(Token, &mut Closing)) {
        for slot in 0..self.slots.len() {
            let Some(place) = self.slots.get_mut(slot) else { continue };
            let token = Token { slot: slot as u32, generation: place.generation };
            if let Some(closing) = place.tenant.as_mut().and_then(Connection::closing) {
                look(token, closing);
            }
        }
    }

    /// How many there are, those that are closing included.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::ring::eventfd;
    use super::*;

    #[test]
    fn a_reused_slot_does_not_answer_to_its_former_token() {
        let mut connections = Connections::default();
        let first = connections.attach(eventfd().unwrap(), Transport::Plain, Vec::new()).unwrap();
        assert!(connections.detach(first).is_some());
        let second = connections.attach(eventfd().unwrap(), Transport::Plain, Vec::new()).unwrap();
        assert_eq!(first.slot, second.slot);
        assert!(connections.find(first).is_none() && connections.detach(first).is_none());
        assert!(connections.find(second).is_some());
        assert_eq!(connections.len(), 1);
    }

    #[test]
    #[should_panic(expected = "operation in flight")]
    fn a_slot_with_an_armed_operation_is_never_freed() {
        let mut connections = Connections::default();
        let token = connections.attach(eventfd().unwrap(), Transport::Plain, Vec::new()).unwrap();
        connections.find(token).unwrap().flags.set(Flags::INPUT_ARMED);
        connections.detach(token);
    }

    #[test]
    fn a_paused_connection_is_not_ready_and_is_again_afterwards() {
        let mut connections = Connections::default();
        let token = connections.attach(eventfd().unwrap(), Transport::Plain, Vec::new()).unwrap();
        let connection = connections.find(token).unwrap();
        assert!(!connection.is_ready());
        connection.flags.set(Flags::READABLE.and(Flags::PAUSED));
        assert!(!connection.is_ready());
        connection.flags.clear(Flags::PAUSED);
        assert!(connection.is_ready());
    }

    #[test]
    fn whoever_comes_during_a_drain_is_no_resident() {
        let mut connections = Connections::default();
        let attach = |connections: &mut Connections| {
            connections.attach(eventfd().unwrap(), Transport::Plain, Vec::new()).unwrap()
        };
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
    fn an_idle_connection_costs_the_driver_a_slot_of_24_bytes() {
        assert!(size_of::<Slot>() <= 24, "{}", size_of::<Slot>());
    }
}
