//! The sockets of one core.
//!
//! Conducts the parts: the slab of connections, the queue of those that may be read, closes and hand-overs in
//! progress, and the ring that polls for all of them. What must never happen here: giving bytes a meaning, or a descriptor dropped while an operation
//! holds it. Called by the turn, by flushing, and by the machine's inputs.

mod closing;
mod connection;
mod connections;
mod expiries;
mod leaving;
mod reading;

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use super::inbox::MeshEnd;
use super::limits::{CLOSE_MS_MAX, DRAIN_LINGER_MS_MAX};
use super::ring::{Completion, Kind, Ring, tcp_bytes};
use super::transport::{Transport, TransportMut};
use machines::invariant::Expected;
use machines::machine::{Socket, Token};
use machines::outbox::parting::Parting;
use protocol::address::Address;
use rustix::net::AddressFamily;
use rustix::net::sockopt::socket_domain;

use self::closing::{Closing, Progress, reset_on_drop};
use self::connection::{Connection, Stage};
use self::connections::Connections;
use self::expiries::Expiries;
use self::leaving::Departure;
pub use self::leaving::Leaving;
use self::reading::Reading;

/// All sockets of a core but its listeners.
#[derive(Debug)]
pub struct Sockets {
    ring: Ring,
    connections: Connections,
    reading: Reading,
    /// When the closes in progress lose patience.
    expiries: Expiries,
    /// Connections that are free to go to another core.
    departures: Vec<Departure>,
}

/// What the log tells of a connection.
#[derive(Debug)]
pub struct Met<'a> {
    /// Where its peer is.
    pub address: Option<Whereabouts>,
    /// What it says that it is.
    pub agent: Option<&'a str>,
    /// For how long it has been a client's, in tenths of a second. None: nobody has said since when.
    pub open_ds: Option<u32>,
    /// How many bytes came, and how many went.
    pub bytes: Option<(u64, u64)>,
}

/// Where the other end of a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whereabouts {
    /// At this address.
    At(Address),
    /// On this machine, at a Unix socket.
    Unix,
}

impl Whereabouts {
    /// Of a peer that has just been accepted.
    pub fn of(peer: Option<Address>) -> Self {
        peer.map_or(Self::Unix, Self::At)
    }
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// What a completion means to the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// Nothing yet.
    None,
    /// The connection can be written again.
    Writable(Token),
    /// Its peer, a proxy, has named its client, or itself.
    Introduced(Token, Option<Address>),
    /// Its peer should have done so, and has not: it is broken, for this reason.
    Unmet(Token, &'static str),
}

impl Sockets {
    /// Without any connection.
    pub fn new(ring: Ring) -> Self {
        Self {
            ring,
            connections: Connections::default(),
            reading: Reading::new(),
            expiries: Expiries::default(),
            departures: Vec::new(),
        }
    }

    /// Takes a connection in and polls it, with bytes that were read from it elsewhere. None, and it is closed, when every
    /// slot is taken.
    pub fn attach(&mut self, transport: Transport, bytes: Vec<u8>) -> Option<Token> {
        let token = self.connections.attach(transport, bytes)?;
        if let Some(connection) = self.connections.find(token).expected("it was attached just before") {
            connection.poll_input(&mut self.ring, token);
            if connection.has_unsent() {
                connection.poll_room(&mut self.ring, token);
            }
            self.reading.queue(connection, token);
        }
        Some(token)
    }

    /// The same for one that was just accepted. It is read in this turn without waiting for the poll: listeners give it
    /// when it has spoken.
    pub fn attach_newcomer(&mut self, transport: Transport) -> Option<Token> {
        let token = self.attach(transport, Vec::new())?;
        if let Some(connection) = self.connections.find(token).expected("it was attached just before") {
            connection.expect_input();
            self.reading.queue(connection, token);
        }
        Some(token)
    }

    /// The client of this connection is here.
    pub fn set_client(&mut self, token: Token, address: Option<Address>) {
        self.connections.set_client(token, address);
    }

    /// The ring that all of them share.
    pub fn ring(&mut self) -> &mut Ring {
        &mut self.ring
    }

    /// How many connections there are, those that are closing included.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// How many there are that came before the drain, those that are closing included.
    pub fn residents(&self) -> usize {
        self.connections.residents()
    }

    /// Gives back what nothing needs now.
    pub fn give_back_room(&mut self) {
        if self.is_empty() {
            self.expiries.clear();
        }
        self.expiries.give_back_room();
        self.reading.give_back_room();
        self.departures.shrink_to_fit();
    }

    /// Takes in what the kernel says about a connection.
    pub fn handle_completion(&mut self, completion: Completion, mono_ms: u64) -> News {
        match completion.operation.kind {
            Kind::Readable => return self.handle_input(completion, mono_ms),
            Kind::Writable => return self.handle_room(completion.operation.token, mono_ms),
            Kind::Listener | Kind::Doorbell | Kind::Cancel => {}
        }
        News::None
    }

    fn handle_input(&mut self, completion: Completion, mono_ms: u64) -> News {
        let token = completion.operation.token;
        let Some(connection) = self.connections.of_operation(token) else { return News::None };
        let has_ended = connection.note_input(completion);
        if matches!(connection.stage(), Some(Stage::Leaving(_) | Stage::Spent)) {
            self.settle(token);
            return News::None;
        }
        if has_ended {
            connection.poll_input(&mut self.ring, token);
        }
        if connection.is_introducing() {
            return self.introduce(token);
        }
        if connection.is_open() {
            self.reading.queue(connection, token);
        } else {
            self.continue_close_after_input(token, mono_ms);
        }
        News::None
    }

    /// The peer of this connection, which was just accepted, must name its client before anything else.
    pub fn expect_introduction(&mut self, token: Token) {
        if let Some(connection) = self.connections.known(token) {
            connection.expect_introduction();
        }
    }

    fn introduce(&mut self, token: Token) -> News {
        let Some(connection) = self.connections.known(token) else { return News::None };
        let Some(introduction) = connection.take_introduction() else { return News::None };
        connection.expect_input();
        self.reading.queue(connection, token);
        match introduction {
            Err(why) => News::Unmet(token, why),
            Ok(client) => {
                if client.is_some() {
                    self.connections.set_client(token, client);
                }
                News::Introduced(token, self.connections.client(token))
            }
        }
    }

    fn handle_room(&mut self, token: Token, mono_ms: u64) -> News {
        let Some(connection) = self.connections.of_operation(token) else { return News::None };
        connection.note_room();
        match connection.stage() {
            None | Some(Stage::Arrived(_) | Stage::Introducing) => return self.flush_unsent(token),
            Some(Stage::Closing(_)) => self.continue_close(token, mono_ms),
            Some(Stage::Leaving(_) | Stage::Spent) => self.settle(token),
        }
        News::None
    }

    /// There is room: what was taken of the machine goes before more of it.
    fn flush_unsent(&mut self, token: Token) -> News {
        let Some(connection) = self.connections.find(token) else { return News::None };
        match connection.transport().flush() {
            Ok(()) => return News::Writable(token),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.poll_room(&mut self.ring, token);
            }
            Err(_) => {
                connection.mark_broken();
                self.reading.queue(connection, token);
            }
        }
        News::None
    }

    /// Nothing more happens with a connection: it goes as soon as nothing is armed on it.
    fn finish(&mut self, token: Token) {
        if let Some(connection) = self.connections.find(token).expected("what ends is there") {
            connection.spend();
            self.disarm(token);
        }
    }

    /// Cancels what is armed; the last completion settles the connection. At once when nothing is armed.
    fn disarm(&mut self, token: Token) {
        if let Some(connection) = self.connections.find(token).expected("what ends is there") {
            connection.cancel_polls(&mut self.ring, token);
            self.settle(token);
        }
    }

    /// Lets a connection go that waits only for its operations, if they have all completed.
    fn settle(&mut self, token: Token) {
        let connection = self.connections.view(token).expected("what ends is there");
        if connection.is_none_or(|connection| connection.is_armed()) {
            return;
        }
        let client = self.connections.client(token);
        let Some(connection) = self.connections.detach(token) else { return };
        let (transport, stage) = connection.into_parts();
        if let Some(Stage::Leaving(leaving)) = stage {
            self.departures.push(Departure::new(transport, client, *leaving));
        }
    }
}

/// What the log tells.
impl Sockets {
    /// A connection has become a client's.
    pub fn note_opened(&mut self, token: Token, agent: Option<Box<str>>, mono_ms: u64) {
        self.connections.note_opened(token, agent, mono_ms);
    }

    /// Where the client of this connection is, if that is known.
    pub fn client(&self, token: Token) -> Option<Whereabouts> {
        match self.connections.client(token) {
            Some(address) => Some(Whereabouts::At(address)),
            None => {
                let connection = self.connections.view(token)?;
                is_unix(connection.socket()).then_some(Whereabouts::Unix)
            }
        }
    }

    /// What is known of a connection. Asks the kernel.
    pub fn met(&self, token: Token, mono_ms: u64) -> Met<'_> {
        let Some(connection) = self.connections.view(token) else {
            return Met { address: None, agent: None, open_ds: None, bytes: None };
        };
        Met {
            address: self.client(token),
            agent: self.connections.agent(token),
            open_ds: connection.open_ds(mono_ms),
            bytes: tcp_bytes(connection.socket()),
        }
    }
}

fn is_unix(socket: BorrowedFd<'_>) -> bool {
    socket_domain(socket).is_ok_and(|domain| domain == AddressFamily::UNIX)
}

/// Reading.
impl Sockets {
    /// A decide phase begins, and the machine's effects of the last one are performed.
    pub fn begin_phase(&mut self) {
        self.reading.begin_phase();
    }

    /// This phase reads the socket once more, whether or not the kernel has said that there is more.
    pub fn read_again(&mut self, token: Token) {
        if let Some(connection) = self.connections.known(token) {
            connection.expect_input();
            self.reading.queue_first(connection, token);
        }
    }

    /// The next socket that has something for the machine. Each is read at most once in a phase, but for `read_again`.
    pub fn next_socket(&mut self) -> Option<Socket<'_>> {
        self.reading.next(&mut self.connections, &mut self.ring)
    }

    /// How many handshakes go on in the next phase: nothing that completes will say so.
    pub fn handshakes(&self) -> usize {
        self.reading.unfinished()
    }

    /// Stops reading; what is ready stays so.
    pub fn pause(&mut self, token: Token) {
        if let Some(connection) = self.connections.known(token) {
            connection.pause();
        }
    }

    /// Reads again.
    pub fn resume(&mut self, token: Token) {
        if let Some(connection) = self.connections.known(token) {
            connection.resume();
            self.reading.queue(connection, token);
        }
    }
}

/// Writing.
impl Sockets {
    /// Where the machine's bytes for this connection go; None when they may not go out.
    pub fn writable(&mut self, token: Token) -> Option<TransportMut<'_>> {
        let connection = self.connections.find(token).filter(|connection| connection.is_writable());
        connection.map(|connection| connection.transport())
    }

    /// The same for many that are sent at once; None also for one whose bytes cannot be sent as they are.
    pub fn batch_socket(&self, token: Token) -> Option<BorrowedFd<'_>> {
        self.connections.view(token)?.batch_socket()
    }

    /// Waits for room to write.
    pub fn arm_room(&mut self, token: Token) {
        if let Some(connection) = self.connections.find(token).expected("what was written to is there") {
            connection.poll_room(&mut self.ring, token);
        }
    }

    /// A write has failed: the machine will be told that nothing more comes.
    pub fn handle_broken(&mut self, token: Token) {
        if let Some(connection) = self.connections.known(token) {
            connection.mark_broken();
            self.reading.queue(connection, token);
        }
    }
}

/// Closing.
impl Sockets {
    /// The machine has forgotten this connection: writes `last` and closes it.
    pub fn begin_close(&mut self, token: Token, last: impl Into<Parting>, mono_ms: u64) {
        let Some(connection) = self.connections.known(token) else { return };
        let closing = Closing::new(last.into(), mono_ms);
        self.expiries.expect(token, closing.deadline());
        connection.begin_closing(closing);
        self.continue_close(token, mono_ms);
    }

    /// The machine has forgotten this connection and wants its descriptor: one write, and no patience.
    pub fn let_go(&mut self, token: Token, last: &[u8]) {
        let Some(connection) = self.connections.known(token) else { return };
        let mut transport = connection.transport();
        if !last.is_empty() {
            // Best effort: a peer that does not hear it finds the connection closed.
            let _ = transport.send(&[IoSlice::new(last)]);
        }
        // With an armed poll, dropping alone would send the FIN late. One that cannot hear the end is reset.
        if transport.end().is_err() {
            reset_on_drop(&transport);
        }
        self.finish(token);
    }

    /// The machine has forgotten this connection and nothing of it may linger.
    pub fn reset(&mut self, token: Token) {
        let Some(connection) = self.connections.known(token) else { return };
        reset_on_drop(&connection.transport());
        self.finish(token);
    }

    /// The machine keeps nothing of this connection any more: its slot may have another when its socket has gone.
    pub fn free(&mut self, token: Token) {
        self.connections.free(token);
    }

    /// From now on newcomers are late, and peers that were told to go have little time left.
    pub fn begin_drain(&mut self, mono_ms: u64) {
        self.connections.begin_drain();
        let deadline = mono_ms + DRAIN_LINGER_MS_MAX;
        self.connections.each_closing(|token, closing| {
            if closing.hurry(deadline) {
                self.expiries.expect(token, deadline);
            }
        });
    }

    /// Ends the closes whose time is up. Returns whether there was one.
    pub fn expire_closes(&mut self, mono_ms: u64) -> bool {
        let mut expired = false;
        while let Some(token) = self.expiries.next_due(mono_ms) {
            expired |= self.expire(token, mono_ms);
        }
        expired
    }

    /// When `expire_closes` must be called next, in `mono_ms`.
    pub fn next_expiry(&self) -> Option<u64> {
        self.expiries.next()
    }

    fn expire(&mut self, token: Token, mono_ms: u64) -> bool {
        let Some(connection) = self.connections.find(token) else { return false };
        let Some((closing, transport)) = connection.closing() else { return false };
        if closing.deadline() > mono_ms {
            self.expiries.expect(token, closing.deadline());
            return false;
        }
        closing.give_up(&transport);
        self.finish(token);
        true
    }

    /// Goes on with a close as far as it gets.
    fn continue_close(&mut self, token: Token, mono_ms: u64) {
        let draining = self.connections.is_draining();
        let linger_until = mono_ms + if draining { DRAIN_LINGER_MS_MAX } else { CLOSE_MS_MAX };
        let connection = self.connections.find(token);
        let closing =
            connection.and_then(Connection::closing).expected("its caller knows that it is closing");
        let Some((closing, mut transport)) = closing else { return };
        let was_shut = closing.is_shut();
        match closing.advance(&mut transport, self.reading.scratch(), mono_ms, linger_until) {
            Progress::Blocked => self.arm_room(token),
            // Sooner than the close began with.
            Progress::Waiting if draining && !was_shut => self.expiries.expect(token, linger_until),
            Progress::Waiting => {}
            Progress::Done => self.finish(token),
        }
    }

    /// Input came for a closing connection. Before our FIN it waits.
    fn continue_close_after_input(&mut self, token: Token, mono_ms: u64) {
        let connection = self.connections.find(token);
        let Some(connection) = connection.expected("its caller has found it") else { return };
        if connection.is_broken() {
            self.finish(token);
        } else if connection.closing().is_some_and(|(closing, _)| closing.is_shut()) {
            self.continue_close(token, mono_ms);
        }
    }
}

/// Going to another core.
impl Sockets {
    /// The machine has given this connection to another core.
    pub fn begin_leaving(&mut self, token: Token, leaving: Leaving) {
        if let Some(connection) = self.connections.known(token) {
            connection.begin_leaving(leaving);
            self.disarm(token);
        }
    }

    /// Sends off those that are free to go. Returns whether there was one.
    pub fn depart(&mut self, mesh: &MeshEnd, mono_ms: u64) -> bool {
        let departures = std::mem::take(&mut self.departures);
        let any = !departures.is_empty();
        for departure in departures {
            if let Err((transport, refusal)) = departure.go(mesh) {
                self.refuse(transport, refusal, mono_ms);
            }
        }
        any
    }

    fn refuse(&mut self, transport: Transport, refusal: &[u8], mono_ms: u64) {
        if let Some(token) = self.attach(transport, Vec::new()) {
            self.begin_close(token, refusal.to_vec(), mono_ms);
            // No machine has ever heard of it.
            self.free(token);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write};
    use std::net::{TcpListener, TcpStream};
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use protocol::ws::Frame;
    use rustix::event::{EventfdFlags, eventfd};

    use super::super::inbox::mesh;
    use super::super::ring::Sizes;
    use super::super::transport::TransportKind;
    use super::connection::Connection;
    use super::*;
    use crate::tls::ServerTls;
    use crate::tls::made::{make, remove};
    use machines::limits::{HANDOVERS_MAX, SCRATCH_BYTES};
    use machines::outbox::held::Held;
    use machines::outbox::parting::Allowance;
    use machines::outbox::run::OpenRun;
    use machines::outbox::{Outbox, Range, Tails};

    fn sockets() -> Sockets {
        Sockets::new(Ring::new(Sizes { submissions: 64, completions: 128, sends: 0 }).unwrap())
    }

    /// The peer's end, and ours.
    fn pair() -> (TcpStream, Transport) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let socket = listener.accept().unwrap().0;
        (peer, TransportKind::Plain.over(socket.into()).unwrap())
    }

    fn attached(sockets: &mut Sockets) -> (TcpStream, Token) {
        let (peer, transport) = pair();
        (peer, sockets.attach(transport, Vec::new()).unwrap())
    }

    /// Hands completions on until `done` or for five seconds; returns how many polls had ended.
    fn turn_until(sockets: &mut Sockets, mut done: impl FnMut(&mut Sockets) -> bool) -> usize {
        let give_up = Instant::now() + Duration::from_secs(5);
        let (mut completions, mut ended) = (Vec::new(), 0);
        while !done(sockets) {
            assert!(Instant::now() < give_up, "nothing more happens");
            sockets.ring.wait(Duration::from_millis(10)).unwrap();
            sockets.ring.reap(&mut completions);
            for completion in completions.drain(..) {
                ended += usize::from(!completion.more);
                sockets.handle_completion(completion, 0);
            }
            sockets.begin_phase();
        }
        ended
    }

    /// What is read until there have been `length` bytes or a hangup.
    fn read(sockets: &mut Sockets, length: usize) -> (Vec<u8>, bool) {
        let (mut bytes, mut hung_up) = (Vec::new(), false);
        turn_until(sockets, |sockets| {
            match sockets.next_socket() {
                Some(Socket::Bytes(_, more)) => bytes.extend_from_slice(more),
                Some(Socket::Hangup(_)) => hung_up = true,
                Some(Socket::Secured(_)) | None => {}
            }
            bytes.len() >= length || hung_up
        });
        (bytes, hung_up)
    }

    #[test]
    fn a_socket_with_more_than_the_scratch_holds_is_read_on_though_nothing_new_comes() {
        let mut sockets = sockets();
        let (mut peer, _) = attached(&mut sockets);
        let sent: Vec<u8> = (0..300_000u32).map(|byte| byte as u8).collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || {
            peer.write_all(&copy).unwrap();
            peer
        });
        assert_eq!(read(&mut sockets, sent.len()), (sent, false));
        drop(writer.join().unwrap());
        assert_eq!(read(&mut sockets, 1), (Vec::new(), true));
    }

    #[test]
    fn handshakes_have_a_part_of_a_phase_and_whoever_is_in_is_read_all_the_same() {
        let files = make("crowd", "localhost", 2);
        let tls = ServerTls::new(std::slice::from_ref(&files)).unwrap();
        remove(&files);
        let mut sockets = sockets();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hello = hello();
        let crowd: Vec<TcpStream> = (0..200)
            .map(|_| {
                let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                peer.write_all(&hello).unwrap();
                let socket = listener.accept().unwrap().0;
                let transport = TransportKind::Tls(tls.setup()).over(socket.into()).unwrap();
                sockets.attach_newcomer(transport).unwrap();
                peer
            })
            .collect();
        let (mut peer, token) = attached(&mut sockets);
        peer.write_all(b"I was here before").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        sockets.connections.find(token).unwrap().expect_input();
        sockets.read_again(token);
        let answered = |crowd: &[TcpStream]| {
            let has_answer = |peer: &&TcpStream| {
                peer.set_nonblocking(true).unwrap();
                peer.peek(&mut [0]).is_ok()
            };
            crowd.iter().filter(has_answer).count()
        };
        let (mut phases, mut before) = (0, 0);
        while answered(&crowd) < crowd.len() {
            sockets.begin_phase();
            peer.write_all(b"x").unwrap();
            sockets.read_again(token);
            let read = sockets.next_socket();
            assert!(matches!(read, Some(Socket::Bytes(read, _)) if read == token), "{read:?}");
            assert!(sockets.next_socket().is_none());
            phases += 1;
            let now = answered(&crowd);
            assert!(now > before, "each phase goes on with some");
            before = now;
        }
        assert!(phases > 3, "{phases} phases for {} handshakes", crowd.len());
    }

    /// What a client of TLS says first.
    fn hello() -> Vec<u8> {
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    }

    #[test]
    fn a_full_scratch_goes_back_behind_the_others() {
        let mut sockets = sockets();
        let (mut loud, loud_token) = attached(&mut sockets);
        let (mut quiet, quiet_token) = attached(&mut sockets);
        loud.write_all(&vec![1; SCRATCH_BYTES + 1]).unwrap();
        quiet.write_all(&[2]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        turn_until(&mut sockets, |sockets| sockets.reading.len() == 2);
        let mut seen = Vec::new();
        turn_until(&mut sockets, |sockets| {
            if let Some(Socket::Bytes(token, bytes)) = sockets.next_socket() {
                seen.push((token, bytes.len()));
            }
            seen.iter().map(|(_, length)| length).sum::<usize>() == SCRATCH_BYTES + 2
        });
        let order: Vec<Token> = seen.iter().map(|(token, _)| *token).collect();
        let first_quiet = order.iter().position(|token| *token == quiet_token).unwrap();
        assert!(first_quiet <= 1, "{seen:?}");
        assert_eq!(*order.last().unwrap(), loud_token, "{seen:?}");
    }

    #[test]
    fn the_end_is_told_though_it_came_with_the_last_bytes() {
        let mut sockets = sockets();
        let (mut peer, token) = attached(&mut sockets);
        peer.write_all(b"bye").unwrap();
        drop(peer);
        std::thread::sleep(Duration::from_millis(50));
        turn_until(&mut sockets, |sockets| sockets.reading.len() == 1);
        sockets.begin_phase();
        assert!(matches!(sockets.next_socket(), Some(Socket::Bytes(_, b)) if *b == *b"bye"));
        assert!(sockets.next_socket().is_none());
        sockets.begin_phase();
        assert!(matches!(sockets.next_socket(), Some(Socket::Hangup(found)) if found == token));
        assert!(sockets.next_socket().is_none());
    }

    #[test]
    fn a_paused_socket_is_not_read_and_its_readiness_is_remembered() {
        let mut sockets = sockets();
        let (mut peer, token) = attached(&mut sockets);
        sockets.pause(token);
        peer.write_all(b"early").unwrap();
        turn_until(&mut sockets, |sockets| sockets.connections.view(token).is_some_and(Connection::has_news));
        sockets.begin_phase();
        assert!(sockets.next_socket().is_none());
        sockets.resume(token);
        sockets.begin_phase();
        assert!(matches!(sockets.next_socket(), Some(Socket::Bytes(_, b)) if *b == *b"early"));
    }

    #[test]
    fn a_socket_is_read_at_most_once_in_a_phase() {
        let mut sockets = sockets();
        let (mut peer, token) = attached(&mut sockets);
        let writer = std::thread::spawn(move || {
            peer.write_all(&vec![1; 4 * SCRATCH_BYTES]).unwrap();
            peer
        });
        let mut left = 4 * SCRATCH_BYTES;
        turn_until(&mut sockets, |sockets| {
            if let Some(Socket::Bytes(found, bytes)) = sockets.next_socket() {
                assert_eq!(found, token);
                left -= bytes.len();
                assert!(sockets.next_socket().is_none(), "read twice");
            }
            left == 0
        });
        drop(writer.join().unwrap());
    }

    #[test]
    fn a_pause_while_the_socket_waits_in_the_ready_queue_holds() {
        let mut sockets = sockets();
        let (mut peer, token) = attached(&mut sockets);
        peer.write_all(b"x").unwrap();
        turn_until(&mut sockets, |sockets| sockets.reading.len() == 1);
        sockets.pause(token);
        sockets.begin_phase();
        assert!(sockets.next_socket().is_none());
        sockets.resume(token);
        sockets.resume(token);
        sockets.begin_phase();
        assert!(matches!(sockets.next_socket(), Some(Socket::Bytes(..))));
        sockets.begin_phase();
        assert!(sockets.next_socket().is_none());
    }

    #[test]
    fn a_poll_that_the_kernel_ends_is_armed_again() {
        // A completion queue that overflows ends multishot polls.
        let mut sockets =
            Sockets::new(Ring::new(Sizes { submissions: 8, completions: 16, sends: 0 }).unwrap());
        let mut peers: Vec<TcpStream> = (0..64).map(|_| attached(&mut sockets).0).collect();
        sockets.ring.submit().unwrap();
        let mut ended = 0;
        for round in 0..4u8 {
            for peer in &mut peers {
                peer.write_all(&[round]).unwrap();
            }
            let mut read = 0;
            ended += turn_until(&mut sockets, |sockets| {
                while let Some(Socket::Bytes(_, bytes)) = sockets.next_socket() {
                    assert_eq!(bytes, [round]);
                    read += 1;
                }
                read == peers.len()
            });
        }
        assert!(ended > 0, "no poll has ended, so nothing is shown");
    }

    #[test]
    fn a_close_writes_its_last_bytes_then_fin_and_frees_the_slot_after_the_peers_fin() {
        let mut sockets = sockets();
        let (mut peer, token) = attached(&mut sockets);
        sockets.ring.submit().unwrap();
        peer.write_all(&[0; 30_000]).unwrap();
        sockets.begin_close(token, b"last".to_vec(), 0);
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"last");
        assert_eq!(sockets.len(), 1);
        drop(peer);
        turn_until(&mut sockets, |sockets| sockets.is_empty());
        assert!(sockets.next_socket().is_none(), "the machine has forgotten it");
    }

    #[test]
    fn a_peer_that_never_closes_is_dropped_after_five_seconds() {
        let mut sockets = sockets();
        let (mut peer, token) = attached(&mut sockets);
        sockets.begin_close(token, b"last".to_vec(), 1_000);
        peer.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(sockets.next_expiry(), Some(1_000 + CLOSE_MS_MAX));
        assert!(!sockets.expire_closes(1_000 + CLOSE_MS_MAX - 1));
        assert!(sockets.expire_closes(1_000 + CLOSE_MS_MAX));
        turn_until(&mut sockets, |sockets| sockets.is_empty());
    }

    #[test]
    fn a_drain_has_little_time_for_those_who_do_not_answer_its_fin() {
        let mut sockets = sockets();
        let (_silent, before) = attached(&mut sockets);
        let (_silent_too, during) = attached(&mut sockets);
        sockets.begin_close(before, b"last".to_vec(), 1_000);
        sockets.begin_drain(2_000);
        sockets.begin_close(during, b"last".to_vec(), 2_000);
        assert!(!sockets.expire_closes(2_299));
        assert!(sockets.expire_closes(2_300));
        turn_until(&mut sockets, |sockets| sockets.residents() == 0);
    }

    #[test]
    fn a_peer_that_takes_nothing_is_reset_and_progress_buys_time() {
        let mut sockets = sockets();
        let (mut peer, token) = attached(&mut sockets);
        sockets.begin_close(token, vec![7; 16 << 20], 0);
        assert!(!sockets.expire_closes(CLOSE_MS_MAX - 1));
        // The peer takes a little: patience begins anew at the write that follows.
        peer.set_nonblocking(true).unwrap();
        let (mut taken, mut completions) = (vec![0; 64 << 10], Vec::new());
        turn_until(&mut sockets, |sockets| {
            let _ = peer.read(&mut taken);
            sockets.ring.wait(Duration::from_millis(1)).unwrap();
            sockets.ring.reap(&mut completions);
            for completion in completions.drain(..) {
                sockets.handle_completion(completion, 3_000);
            }
            let closing = sockets.connections.find(token).and_then(Connection::closing);
            closing.is_some_and(|(closing, _)| closing.deadline() == 3_000 + CLOSE_MS_MAX)
        });
        peer.set_nonblocking(false).unwrap();
        assert!(!sockets.expire_closes(CLOSE_MS_MAX));
        assert!(sockets.expire_closes(3_000 + CLOSE_MS_MAX));
        turn_until(&mut sockets, |sockets| sockets.is_empty());
        let error = io::copy(&mut peer, &mut io::sink()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_close_shares_what_its_peer_takes_and_keeps_of_the_rest_what_may_be_kept() {
        const FRAME: usize = 64 << 10;
        let mut open = OpenRun::new(0);
        // More than any kernel takes at once.
        (0..256).for_each(|number| open.append(&Frame::from(vec![number as u8; FRAME])));
        let run = Rc::clone(open.run());
        open.seal(&Held::default());
        let allowance = Allowance::new(1 << 20);
        let mut outbox = Outbox::default();
        outbox.push(Range::whole(Rc::clone(&run)), &mut Tails::default());
        let mut sockets = sockets();
        let (mut peer, token) = attached(&mut sockets);
        sockets.begin_close(token, Parting::new(outbox, b"last".to_vec(), &allowance), 0);
        assert_eq!(Rc::strong_count(&run), 1, "the Run is let go of");
        assert!(allowance.kept_bytes() <= FRAME, "{} bytes are kept", allowance.kept_bytes());
        assert_eq!(allowance.take_counts(), (1, 0));
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            peer.read_to_end(&mut got).unwrap();
            got
        });
        turn_until(&mut sockets, |sockets| sockets.is_empty());
        let got = reader.join().unwrap();
        assert_eq!(got.len() % FRAME, 4, "whole frames, and then the last words");
        assert!(got.ends_with(b"last") && got.len() > FRAME);
        assert_eq!(allowance.kept_bytes(), 0);
    }

    #[test]
    fn a_peer_that_floods_after_our_fin_is_cut_off() {
        let mut sockets = sockets();
        let (mut peer, token) = attached(&mut sockets);
        sockets.begin_close(token, Vec::new(), 0);
        let flood = std::thread::spawn(move || (0..16_000).all(|_| peer.write_all(&[0; 4096]).is_ok()));
        turn_until(&mut sockets, |sockets| sockets.is_empty());
        assert!(!flood.join().unwrap(), "64 MB were taken from a closed connection");
    }

    #[test]
    fn a_connection_that_cannot_be_handed_over_gets_its_refusal_and_a_close() {
        let mut sockets = sockets();
        let ends = mesh(machines::cores::Cores::new(1)).unwrap();
        let mut waiting = Vec::new();
        let (mut peer, token) = attached(&mut sockets);
        for _ in 0..HANDOVERS_MAX {
            let transport = TransportKind::Plain.over(eventfd(0, EventfdFlags::CLOEXEC).unwrap()).unwrap();
            waiting.push(Departure::new(
                transport,
                None,
                Leaving::new(machines::cores::CoreId::Api, Vec::new(), b""),
            ));
        }
        sockets.departures = waiting;
        assert!(sockets.depart(&ends[0], 0));
        sockets.begin_leaving(token, Leaving::new(machines::cores::CoreId::Api, Vec::new(), b"HTTP/1.1 503"));
        turn_until(&mut sockets, |sockets| sockets.depart(&ends[0], 0));
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"HTTP/1.1 503");
        drop(peer);
        turn_until(&mut sockets, |sockets| sockets.is_empty());
    }

    #[test]
    fn bytes_that_came_with_a_connection_are_read_before_its_socket() {
        let mut sockets = sockets();
        let (mut peer, transport) = pair();
        peer.write_all(b" world").unwrap();
        sockets.attach(transport, b"hello".to_vec()).unwrap();
        assert_eq!(read(&mut sockets, 11).0, b"hello world");
    }
}
