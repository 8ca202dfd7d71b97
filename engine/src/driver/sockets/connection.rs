//! One connection of the driver.
//!
//! Owns its transport and what the driver remembers of it: which operations are armed, whether it may be read, and in
//! which stage it is. One without TLS and with nothing pending is a descriptor, an address and a few flags. The poll for
//! input is like an edge: after a partial read nothing comes until new bytes do, so readiness is remembered here when
//! something stops the reading before a short read. What must never happen here: forgetting that. Called by its neighbours
//! in `sockets`.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use super::super::introduction::take_header;
use super::super::ring::{Completion, Kind, Operation, Ring};
use super::super::transport::{Session, Transport, TransportMut, Wire};
use super::closing::Closing;
use super::leaving::Leaving;
use machines::machine::Token;
use protocol::address::Address;

/// One connection of the driver.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Wire,
    /// Where its client is, if that is known and short.
    client: ShortAddress,
    flags: Flags,
    /// When it became a client's, in tenths of a second: that wraps after 13 years.
    opened_ds: u32,
    /// Present only while there is more to remember than flags.
    more: Option<Box<More>>,
}

/// What few connections have, or each for a short time. It is behind one pointer because every connection pays for that.
#[derive(Debug, Default)]
struct More {
    /// Of TLS.
    session: Option<Box<Session>>,
    stage: Option<Stage>,
}

/// What is going on with a connection beyond reading and writing.
#[derive(Debug)]
pub(super) enum Stage {
    /// Open; these bytes came with it from another core and go to the machine before the socket is read.
    Arrived(Vec<u8>),
    /// Open; its peer, a proxy, has not named its client yet.
    Introducing,
    /// The machine has forgotten it.
    Closing(Box<Closing>),
    /// On its way to another core as soon as nothing is armed on it.
    Leaving(Box<Leaving>),
    /// Nothing more happens; it is dropped as soon as nothing is armed on it.
    Spent,
}

/// What a read has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// So many bytes in the scratch buffer.
    Scratch(usize),
    /// What came with the connection from another core.
    Arrived,
    /// The keys, and nothing else yet.
    Secured,
    /// Nothing more comes.
    Hangup,
}

impl Connection {
    /// An open one, with bytes that were read from it elsewhere. `late`: the core was already draining when it came.
    pub(super) fn new(transport: Transport, bytes: Vec<u8>, late: bool) -> Self {
        let Transport { wire, session } = transport;
        let stage = (!bytes.is_empty()).then_some(Stage::Arrived(bytes));
        let has_more = session.is_some() || stage.is_some();
        let more = has_more.then(|| Box::new(More { session, stage }));
        let flags = if late { Flags::LATE } else { Flags::default() };
        Self { wire, client: ShortAddress::NONE, flags, opened_ds: 0, more }
    }

    /// True while reading it is work for processors rather than for the network.
    pub(super) fn is_handshaking(&self) -> bool {
        self.session().is_some_and(Session::is_handshaking)
    }

    /// True when its transport waits for room, whatever the machine has for it.
    pub(super) fn has_unsent(&self) -> bool {
        self.session().is_some_and(|session| session.unsent() > 0)
    }

    /// How its bytes travel.
    pub(super) fn transport(&mut self) -> TransportMut<'_> {
        let session = self.more.as_mut().and_then(|more| more.session.as_deref_mut());
        TransportMut::new(&self.wire, session)
    }

    fn session(&self) -> Option<&Session> {
        self.more.as_ref().and_then(|more| more.session.as_deref())
    }

    /// Where its client is, if that is known and short.
    pub(super) fn client(&self) -> Option<Address> {
        self.client.get()
    }

    /// Its client is here. Returns whether that could be kept: false for an address that is too long.
    pub(super) fn set_client(&mut self, address: Option<Address>) -> bool {
        let short = address.map_or(Some(ShortAddress::NONE), ShortAddress::of);
        self.client = short.unwrap_or(ShortAddress::NONE);
        short.is_some()
    }

    /// It is a client's.
    pub(super) fn note_opened(&mut self, mono_ms: u64) {
        self.opened_ds = ((mono_ms / 100) as u32).max(1);
    }

    /// For how long it has been a client's, in tenths of a second. None: nobody has said since when.
    pub(super) fn open_ds(&self, mono_ms: u64) -> Option<u32> {
        (self.opened_ds > 0).then(|| ((mono_ms / 100) as u32).max(1).wrapping_sub(self.opened_ds))
    }

    /// Its socket, to be asked about.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }

    /// What is going on with it.
    pub(super) fn stage(&self) -> Option<&Stage> {
        self.more.as_ref().and_then(|more| more.stage.as_ref())
    }

    fn set_stage(&mut self, stage: Stage) {
        self.more.get_or_insert_default().stage = Some(stage);
    }

    /// It is open, with nothing to remember but its session.
    fn end_stage(&mut self) {
        if let Some(more) = self.more.as_deref_mut() {
            more.stage = None;
        }
        self.more.take_if(|more| more.session.is_none());
    }

    /// True if the core was already draining when it came.
    pub(super) fn is_late(&self) -> bool {
        self.flags.has_any(Flags::LATE)
    }

    /// True while the machine knows it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage(), None | Some(Stage::Arrived(_) | Stage::Introducing))
    }

    /// True while the machine's bytes may go out.
    pub(super) fn is_writable(&self) -> bool {
        self.is_open() && !self.is_broken()
    }

    /// Its socket, if what waits for it is what the socket gets, so that it can be sent together with what waits for
    /// others.
    pub(super) fn batch_socket(&self) -> Option<BorrowedFd<'_>> {
        (self.is_writable() && self.session().is_none()).then(|| self.socket())
    }

    /// It is broken: the machine is told so in place of a read.
    pub(super) fn mark_broken(&mut self) {
        self.flags.set(Flags::BROKEN);
    }

    /// True once it is broken.
    pub(super) fn is_broken(&self) -> bool {
        self.flags.has_any(Flags::BROKEN)
    }
}

/// The header in which a proxy names its client.
impl Connection {
    /// Its peer must name its client before the machine gets anything of it.
    pub(super) fn expect_introduction(&mut self) {
        self.set_stage(Stage::Introducing);
    }

    /// True until its peer has done so.
    pub(super) fn is_introducing(&self) -> bool {
        matches!(self.stage(), Some(Stage::Introducing))
    }

    /// What its peer has said of its client, once it has. Garbage, or an end before that, breaks the connection.
    pub(super) fn take_introduction(&mut self) -> Option<Result<Option<Address>, &'static str>> {
        let ended = self.is_broken() || self.flags.has_any(Flags::ENDING);
        let taken = take_header(self.socket(), ended)?;
        self.end_stage();
        if taken.is_err() {
            self.mark_broken();
        }
        Some(taken)
    }
}

/// Operations of the ring.
impl Connection {
    /// True while an operation holds its file.
    pub(super) fn is_armed(&self) -> bool {
        self.flags.has_any(Flags::INPUT_ARMED.and(Flags::ROOM_ARMED))
    }

    /// Polls for input until cancelled.
    pub(super) fn poll_input(&mut self, ring: &mut Ring, token: Token) {
        self.flags.set(Flags::INPUT_ARMED);
        ring.poll_input(self.wire.as_fd(), Operation { kind: Kind::Readable, token });
    }

    /// Waits once for room to write.
    pub(super) fn poll_room(&mut self, ring: &mut Ring, token: Token) {
        if !self.flags.has_any(Flags::ROOM_ARMED) {
            self.flags.set(Flags::ROOM_ARMED);
            ring.poll_room(self.wire.as_fd(), Operation { kind: Kind::Writable, token });
        }
    }

    /// Asks for the end of what is armed.
    pub(super) fn cancel_polls(&self, ring: &mut Ring, token: Token) {
        for (armed, kind) in [(Flags::INPUT_ARMED, Kind::Readable), (Flags::ROOM_ARMED, Kind::Writable)] {
            if self.flags.has_any(armed) {
                ring.cancel(Operation { kind, token });
            }
        }
    }

    /// The poll for input has completed. Returns whether it has ended and should be armed again: the kernel may end a
    /// multishot poll at any time. One that failed is not tried again, because the connection is broken.
    pub(super) fn note_input(&mut self, completion: Completion) -> bool {
        if !completion.more {
            self.flags.clear(Flags::INPUT_ARMED);
        }
        if completion.result < 0 {
            self.mark_broken();
            return false;
        }
        self.flags.set(Flags::READABLE);
        if completion.is_ending() {
            self.flags.set(Flags::ENDING);
        }
        !completion.more
    }

    /// The poll for room has completed.
    pub(super) fn note_room(&mut self) {
        self.flags.clear(Flags::ROOM_ARMED);
    }
}

/// Reading.
impl Connection {
    /// True when the machine would get something by reading it.
    pub(super) fn is_ready(&self) -> bool {
        let waits = self.flags.has_any(Flags::PAUSED.and(Flags::HUNG_UP)) || self.is_introducing();
        self.has_news() && self.is_open() && !waits
    }

    /// True when there is something to read, whether or not it may be read now.
    pub(super) fn has_news(&self) -> bool {
        let arrived = matches!(self.stage(), Some(Stage::Arrived(_)));
        arrived || self.flags.has_any(Flags::READABLE.and(Flags::BROKEN))
    }

    /// There may be something to read, whether or not the kernel has said so.
    pub(super) fn expect_input(&mut self) {
        self.flags.set(Flags::READABLE);
    }

    /// The machine wants no input from it now.
    pub(super) fn pause(&mut self) {
        self.flags.set(Flags::PAUSED);
    }

    /// The machine wants input from it again.
    pub(super) fn resume(&mut self) {
        self.flags.clear(Flags::PAUSED);
    }

    /// Returns whether it shall be put into the ready queue: it is ready and not in there yet.
    pub(super) fn enter_queue(&mut self) -> bool {
        let enters = self.is_ready() && !self.flags.has_any(Flags::QUEUED);
        if enters {
            self.flags.set(Flags::QUEUED);
        }
        enters
    }

    /// It was taken from the ready queue. Returns whether it is still ready.
    pub(super) fn leave_queue(&mut self) -> bool {
        self.flags.clear(Flags::QUEUED);
        self.is_ready()
    }

    /// Reads once. None: there was nothing for the machine. If it is still ready then, there may be more.
    pub(super) fn read(&mut self, scratch: &mut [u8], arrived: &mut Vec<u8>) -> Option<Found> {
        if let Some(bytes) = self.take_arrived() {
            *arrived = bytes;
            return Some(Found::Arrived);
        }
        if !self.is_broken() {
            let mut transport = self.transport();
            match transport.receive(scratch) {
                Ok(0) => {}
                Ok(length) => {
                    // After a short read the next poll completion tells of more; but the end, if the poll has seen it
                    // already, is told only once.
                    let may_have_more = transport.may_have_more(length, scratch.len());
                    if !may_have_more && !self.flags.has_any(Flags::ENDING) {
                        self.flags.clear(Flags::READABLE);
                    }
                    return Some(Found::Scratch(length));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.flags.clear(Flags::READABLE);
                    return None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return None,
                Err(_) => {}
            }
        }
        self.flags.set(Flags::HUNG_UP);
        Some(Found::Hangup)
    }

    fn take_arrived(&mut self) -> Option<Vec<u8>> {
        let more = self.more.as_deref_mut()?;
        let Some(Stage::Arrived(bytes)) = &mut more.stage else { return None };
        let bytes = std::mem::take(bytes);
        self.end_stage();
        Some(bytes)
    }
}

/// Its end.
impl Connection {
    /// The machine has forgotten it: it closes.
    pub(super) fn begin_closing(&mut self, closing: Closing) {
        self.set_stage(Stage::Closing(Box::new(closing)));
    }

    /// The close in progress, if there is one, and what it writes to.
    pub(super) fn closing(&mut self) -> Option<(&mut Closing, TransportMut<'_>)> {
        let more = self.more.as_deref_mut()?;
        let Some(Stage::Closing(closing)) = &mut more.stage else { return None };
        Some((closing, TransportMut::new(&self.wire, more.session.as_deref_mut())))
    }

    /// The machine has given it to another core: bytes that it never took go along.
    pub(super) fn begin_leaving(&mut self, mut leaving: Leaving) {
        if let Some(later) = self.take_arrived() {
            leaving.append(&later);
        }
        self.set_stage(Stage::Leaving(Box::new(leaving)));
    }

    /// Nothing more happens with it.
    pub(super) fn spend(&mut self) {
        self.set_stage(Stage::Spent);
    }

    /// Ends it, giving back its transport and what was going on.
    pub(super) fn into_parts(self) -> (Transport, Option<Stage>) {
        let More { session, stage } = self.more.map(|more| *more).unwrap_or_default();
        (Transport { wire: self.wire, session }, stage)
    }
}

/// An IPv4 address and a port in six bytes; all zero: none. An address of every client costs what all connections cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ShortAddress([u8; 6]);

impl ShortAddress {
    const NONE: Self = Self([0; 6]);

    /// None: it is longer.
    fn of(address: Address) -> Option<Self> {
        let IpAddr::V4(ip) = address.ip() else { return None };
        let ([a, b, c, d], [high, low]) = (ip.octets(), address.port().to_be_bytes());
        Some(Self([a, b, c, d, high, low]))
    }

    fn get(self) -> Option<Address> {
        let [a, b, c, d, high, low] = self.0;
        let address = Address::new(IpAddr::from([a, b, c, d]), u16::from_be_bytes([high, low]));
        (self != Self::NONE).then_some(address)
    }
}

/// A set of facts about a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Flags(u16);

impl Flags {
    /// The multishot poll for input is armed.
    const INPUT_ARMED: Self = Self(1);
    /// The one-shot poll for room to write is armed.
    const ROOM_ARMED: Self = Self(2);
    /// There may be something to read.
    const READABLE: Self = Self(4);
    /// It is in the ready queue.
    const QUEUED: Self = Self(8);
    /// The machine wants no input from it now.
    const PAUSED: Self = Self(16);
    /// The poll has seen the peer's end or an error: reading goes on until it finds that.
    const ENDING: Self = Self(32);
    /// It is broken: the machine is told so in place of a read.
    const BROKEN: Self = Self(64);
    /// The machine knows that nothing more comes.
    const HUNG_UP: Self = Self(128);
    /// It came when the core was already draining.
    const LATE: Self = Self(256);

    /// True when one of `facts` holds.
    fn has_any(self, facts: Self) -> bool {
        self.0 & facts.0 != 0
    }

    /// From now on `facts` hold.
    fn set(&mut self, facts: Self) {
        self.0 |= facts.0;
    }

    /// From now on none of `facts` holds.
    fn clear(&mut self, facts: Self) {
        self.0 &= !facts.0;
    }

    /// Both sets.
    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{EventfdFlags, eventfd};

    use super::super::super::transport::TransportKind;
    use super::*;

    #[test]
    fn a_paused_connection_is_not_ready_and_is_again_afterwards() {
        let transport = TransportKind::Plain.over(eventfd(0, EventfdFlags::CLOEXEC).unwrap()).unwrap();
        let mut connection = Connection::new(transport, Vec::new(), false);
        assert!(!connection.is_ready());
        connection.expect_input();
        connection.pause();
        assert!(!connection.is_ready());
        connection.resume();
        assert!(connection.is_ready());
    }
}
