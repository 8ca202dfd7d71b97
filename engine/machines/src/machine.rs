//! The border between the pure state of a core and the driver that has its sockets, its ring and its clock.
//!
//! A [`Machine`] is a value: a shard, or the state of the API core. The driver gives it what came in (`handle_*`, and
//! [`Inputs`] to draw from while it decides) and asks what must go out (`poll_*`, [`Mesh`]). Time is an argument.
//! Nothing here may know a socket, a ring, a clock or a thread; the simulation implements the same traits with fakes.

use std::io::IoSlice;
use std::sync::Arc;

use protocol::address::Address;
use protocol::app::{AppQuestion, AppVerdict, Apps};
use protocol::hook_event::OpenEdges;

use crate::cluster::bus::{FromBus, Server, ToBus};
use crate::cores::CoreId;
use crate::hook_port::HookPort;
use crate::mesh::{Leaf, Root};
use crate::notices::{Notice, Wanted};
pub use crate::now::Now;
use crate::outbox::parting::Parting;
pub use crate::token::Token;
use crate::watching::Introduction;

/// Through which listener a connection has come. What is behind a door is nobody's business at the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// Clients and back ends.
    Public,
    /// The operator's tools.
    Admin,
    /// Processes that want to take over. No machine hears of them.
    Successor,
}

/// What a socket has for its machine.
#[derive(Debug)]
pub enum Socket<'a> {
    /// Bytes in the core's scratch buffer, at least one. They may be changed in place (unmasked).
    Bytes(Token, &'a mut [u8]),
    /// A connection that nobody else can read has its keys: its handshake is over. Not told of one that is read with bytes
    /// in the same moment.
    Secured(Token),
    /// The peer has closed its side or the connection is broken: nothing more will come.
    Hangup(Token),
}

/// What a machine draws from while it decides.
pub trait Inputs {
    /// The next batch of the leaf inbox, with the core that sent it.
    fn next_leaves(&mut self) -> Option<(CoreId, Vec<Leaf>)>;
    /// The next batch of the root inbox, with the core that sent it.
    fn next_roots(&mut self) -> Option<(CoreId, Vec<Root>)>;
    /// A batch of leaves from core `from` is used up: its sender may send another.
    fn release_leaves(&mut self, from: CoreId);
    /// A batch of roots from core `from` is used up: its sender may send another.
    fn release_roots(&mut self, from: CoreId);
    /// The next batch of what a server of the cluster says, with the server.
    fn next_news(&mut self) -> Option<(Server, Vec<FromBus>)> {
        None
    }
    /// A batch of news of this server is used up: its bus may send another.
    fn release_news(&mut self, _from: Server) {}
    /// Reads the next ready socket. None: no socket is ready. Each is read at most once in a decide phase, so a
    /// connection that was closed or handed over in this phase is not met again, unless the machine asks for it.
    fn next_socket(&mut self) -> Option<Socket<'_>>;
    /// Reads this socket once more in this phase, though the kernel has not said that there is more: its peer sends
    /// without waiting for answers. To be asked just before [`Inputs::next_socket`], for connections that are there.
    fn read_again(&mut self, _token: Token) {}
    /// Stop reading this socket until [`Effect::Resume`]; its readiness is remembered meanwhile.
    fn pause(&mut self, token: Token);
}

/// The way out to the other cores.
pub trait Mesh {
    /// True while fewer than two batches of roots of ours are in flight to core `to`.
    fn may_send_roots(&self, to: CoreId) -> bool;
    /// True while fewer than two batches of leaves of ours are in flight to core `to`.
    fn may_send_leaves(&self, to: CoreId) -> bool;
    /// Sends a batch and rings its receiver; asked only after `may_send_roots`.
    fn send_roots(&mut self, to: CoreId, batch: Vec<Root>);
    /// Sends a batch and rings its receiver; asked only after `may_send_leaves`.
    fn send_leaves(&mut self, to: CoreId, batch: Vec<Leaf>);
    /// True while fewer than two batches of ours are in flight to the bus of this server.
    fn may_send_to_server(&self, _to: Server) -> bool {
        false
    }
    /// Sends a batch and rings its receiver; asked only after `may_send_to_server`.
    fn send_to_server(&mut self, _to: Server, _batch: Vec<ToBus>) {}
}

impl<I: Inputs> Inputs for &mut I {
    fn next_leaves(&mut self) -> Option<(CoreId, Vec<Leaf>)> {
        (**self).next_leaves()
    }

    fn next_roots(&mut self) -> Option<(CoreId, Vec<Root>)> {
        (**self).next_roots()
    }

    fn release_leaves(&mut self, from: CoreId) {
        (**self).release_leaves(from);
    }

    fn release_roots(&mut self, from: CoreId) {
        (**self).release_roots(from);
    }

    fn next_news(&mut self) -> Option<(Server, Vec<FromBus>)> {
        (**self).next_news()
    }

    fn release_news(&mut self, from: Server) {
        (**self).release_news(from);
    }

    fn next_socket(&mut self) -> Option<Socket<'_>> {
        (**self).next_socket()
    }

    fn read_again(&mut self, token: Token) {
        (**self).read_again(token);
    }

    fn pause(&mut self, token: Token) {
        (**self).pause(token);
    }
}

impl<M: Mesh> Mesh for &mut M {
    fn may_send_roots(&self, to: CoreId) -> bool {
        (**self).may_send_roots(to)
    }

    fn may_send_leaves(&self, to: CoreId) -> bool {
        (**self).may_send_leaves(to)
    }

    fn send_roots(&mut self, to: CoreId, batch: Vec<Root>) {
        (**self).send_roots(to, batch);
    }

    fn send_leaves(&mut self, to: CoreId, batch: Vec<Leaf>) {
        (**self).send_leaves(to, batch);
    }

    fn may_send_to_server(&self, to: Server) -> bool {
        (**self).may_send_to_server(to)
    }

    fn send_to_server(&mut self, to: Server, batch: Vec<ToBus>) {
        (**self).send_to_server(to, batch);
    }
}

/// What the driver must do for a machine, in order.
#[derive(Debug)]
pub enum Effect {
    /// The machine has forgotten this connection. Cut any pending read; write `last`, then shutdown(Write), read and
    /// discard up to 64 KiB or 5 s, close. If nothing can be written for 5 s, or too much would have to be kept, reset it.
    Close {
        /// The connection.
        token: Token,
        /// Bytes that still go out: the rest of its outbox and its close frame.
        last: Parting,
    },
    /// The machine has forgotten this connection and its descriptor is wanted: write of `last` what fits at once, and let
    /// it go. Nothing is waited for.
    Drop {
        /// The connection.
        token: Token,
        /// What the peer is told, if it hears it.
        last: Vec<u8>,
    },
    /// The machine has forgotten this connection: reset it, so that nothing of it lingers, nor what the kernel holds.
    Reset(Token),
    /// Read this socket again.
    Resume(Token),
    /// Pass the descriptor on to another core; the machine has forgotten it.
    HandOver {
        /// The connection.
        token: Token,
        /// The core that takes it.
        to: CoreId,
        /// What was read from it and belongs to the receiver.
        bytes: Vec<u8>,
        /// What the peer gets, before a close, when that core's inbox is full.
        refusal: &'static [u8],
    },
    /// The client of this connection is here, as the proxy says which is its peer. Before whatever comes of the head that
    /// said so.
    Client {
        /// The connection.
        token: Token,
        /// Its client's address, if that is known.
        address: Option<Address>,
    },
    /// Ask the source of apps, and tell the machine what came of it. It asks the same only once at a time.
    AskForApp(AppQuestion),
    /// Somebody may want to read this.
    Notice(Box<Notice>),
    /// Add what is known of these connections, and tell the machine.
    Introduce(Box<Introduction>),
    /// Nothing of this connection, which was closed or handed over before, is kept here any more: when its descriptor has
    /// gone as well, its slot may have another tenant. Once for each connection.
    Free(Token),
}

/// The pure state behind one core.
pub trait Machine {
    /// A connection came: accepted here, or handed over by another core (whose bytes follow as [`Socket::Bytes`]).
    /// `secure`: nobody between its peer and us can read it, once its handshake is over.
    fn handle_open(&mut self, token: Token, door: Door, secure: bool, now: Now);
    /// The connection's peer is here: the socket's, or the one that a PROXY header has named. None: it came by a Unix socket.
    /// Told before any of its bytes.
    fn handle_peer(&mut self, _token: Token, _peer: Option<Address>) {}
    /// Descriptors have run out: give up the connection that is least worth its descriptor, if there is one. A shard's
    /// is the oldest without a head, the API core's the one that has asked nothing for longest.
    fn handle_no_descriptors(&mut self, now: Now);
    /// One decide phase: draws from `inputs` until nothing is left, a gate closes or the turn's budget is spent.
    /// Returns whether it took anything.
    fn decide(&mut self, inputs: &mut impl Inputs, now: Now) -> bool;
    /// Ends the decide phase: seals the Runs, before batches are sent and sockets written.
    fn seal(&mut self);
    /// Sends what waits for other cores. Returns whether anything was sent.
    fn send_batches(&mut self, mesh: &mut impl Mesh) -> bool;
    /// Tells what has happened on the channels that live here. Called once per turn, where there are hooks. Returns how
    /// many events were dropped for want of room.
    fn tell_hooks(&mut self, port: &mut impl HookPort, now: Now) -> u64;
    /// The hooks core begins to take events, and this is what it was told before: once, before it has taken anything.
    fn handle_open_edges(&mut self, edges: &[OpenEdges], now: Now);
    /// The next thing the driver must do.
    fn poll_effect(&mut self) -> Option<Effect>;
    /// The next connection that has something to write, in the order in which they became dirty. None comes twice before
    /// it was told what became of its outbox: many are asked for and written together, then each is told. Those for
    /// whom something was taken are told first, because judging one connection may end another.
    fn poll_dirty(&mut self) -> Option<Token>;
    /// The bytes that wait for this connection, oldest first, as many slices as fit. Returns how many there are.
    fn outbox<'a>(&'a self, token: Token, slices: &mut [IoSlice<'a>]) -> usize;
    /// The kernel took this many bytes of the outbox. Returns whether more waits.
    fn handle_written(&mut self, token: Token, bytes: usize, now: Now) -> bool;
    /// The kernel takes nothing more now: the connection is judged, and waits for [`Machine::handle_writable`].
    fn handle_blocked(&mut self, token: Token, now: Now);
    /// The socket can be written again: the connection becomes dirty.
    fn handle_writable(&mut self, token: Token);
    /// When `handle_deadline` must be called next, in `mono_ms`; None: nothing waits for time.
    fn poll_deadline(&self) -> Option<u64>;
    /// Time has come for what waits for it.
    fn handle_deadline(&mut self, now: Now);
    /// A turn begins, in which notices like these are read. Returns how many refusals were not told in the turn before,
    /// because there were too many.
    fn want_notices(&mut self, _wanted: Wanted) -> u64 {
        0
    }
    /// From now on the server has these apps, a registry that follows the one before. What they say holds for newcomers and
    /// calls at once, and for connections that are there within a few turns. Those whose app is gone or disabled are closed.
    fn handle_apps(&mut self, _apps: Arc<Apps>, _now: Now) {}
    /// What came of [`Effect::AskForApp`]. The registry in which an app was found was told before.
    fn handle_app_verdict(&mut self, _question: &AppQuestion, _verdict: AppVerdict, _now: Now) {}
    /// What came of [`Effect::Introduce`].
    fn handle_introduced(&mut self, _introduction: Introduction) {}
    /// Memory is scarce, or is no longer: whether newcomers are told to come back later. Those who are there stay.
    fn handle_memory_shortage(&mut self, _is_short: bool) {}
    /// The server stops: refuse newcomers, close everybody.
    fn handle_drain(&mut self, now: Now);
    /// A crowd has gone: gives back what its queues needed and nothing needs now. Harmless at any time; the driver asks
    /// when nobody is left.
    fn give_back_room(&mut self);
    /// For how many milliseconds what comes from sockets may gather before the machine is given it: some while lately
    /// nothing but signs of life has come, and nobody waits for an answer; 0: it must come at once.
    fn nap_ms_max(&self, _now: Now) -> u64 {
        0
    }
    /// For how many milliseconds a gate has been closed so far, that which was closed longest.
    fn gated_ms(&self) -> u64 {
        0
    }
    /// True when nothing waits to be sent to other cores.
    fn has_sent_all(&self) -> bool {
        true
    }
    /// How many connections the machine knows, half-open ones included, and those whose subscriptions are still to be
    /// given up.
    fn connections(&self) -> usize;
}
