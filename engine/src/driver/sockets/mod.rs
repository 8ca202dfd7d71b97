//! The sockets of one core: its ring, its slab of connections, and who of them may be read.
//!
//! Owns reading. The poll for input is like an edge: after a partial read nothing comes until new bytes do, so a socket
//! is read to a short read, or its readiness is remembered when something stops the reading before. What must never
//! happen here: forgetting that, or giving bytes a meaning. Closing and handing over continue in closing.rs and
//! leaving.rs. Called by the turn and by the machine's inputs.

pub mod closing;
pub mod connections;
pub mod leaving;

use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;

use self::closing::Expiry;
use self::connections::{Connection, Connections, Flags, Stage};
use self::leaving::Departure;
use super::flush::Attempt;
use super::ring::{Completion, Kind, Operation, Ring, SendRing};
use super::transport::Transport;
use machines::limits::SCRATCH_BYTES;
use machines::machine::{Socket, Token};

/// All sockets of a core but its listeners.
#[derive(Debug)]
pub struct Sockets {
    pub(super) ring: Ring,
    pub(super) connections: Connections,
    /// Where many outboxes are written at once; None: one at a time.
    pub(super) sends: Option<SendRing>,
    /// Room for what is written at once.
    pub(super) attempts: Vec<Attempt>,
    /// Those that may have something to read, in the order in which they are read.
    ready: VecDeque<Token>,
    /// How many of them may be read in this phase. Whoever is queued during a phase is read in the next one, so that a
    /// machine that gives a connection away never meets bytes of it afterwards.
    ready_now: usize,
    /// Every read of the core goes here.
    pub(super) scratch: Box<[u8]>,
    /// Bytes that came with a connection from another core, while the machine has them.
    arrived: Vec<u8>,
    /// When the closes in progress lose patience; soonest first.
    pub(super) expiries: BinaryHeap<Expiry>,
    /// Connections that are free to go to another core.
    pub(super) departures: Vec<Departure>,
}

/// What a completion means to the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// Nothing yet.
    None,
    /// The connection can be written again.
    Writable(Token),
}

/// What was found by reading.
enum Read {
    Scratch(Token, usize),
    Arrived(Token),
    Hangup(Token),
}

impl Sockets {
    /// Without any connection.
    pub fn new(ring: Ring, sends: Option<SendRing>) -> Self {
        Self {
            ring,
            sends,
            attempts: Vec::new(),
            connections: Connections::default(),
            ready: VecDeque::new(),
            ready_now: 0,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            arrived: Vec::new(),
            expiries: BinaryHeap::new(),
            departures: Vec::new(),
        }
    }

    /// Takes a socket in and polls it. None, and the socket is closed, when every slot is taken.
    pub fn attach(&mut self, fd: OwnedFd, transport: Transport, bytes: Vec<u8>) -> Option<Token> {
        let token = self.connections.attach(fd, transport, bytes)?;
        self.arm_input(token);
        self.queue_if_ready(token);
        Some(token)
    }

    /// The same for one that was just accepted. It is read in this turn without waiting for the poll: listeners give it
    /// when it has spoken.
    pub fn attach_newcomer(&mut self, fd: OwnedFd, transport: Transport) -> Option<Token> {
        let token = self.connections.attach(fd, transport, Vec::new())?;
        self.arm_input(token);
        if let Some(connection) = self.connections.find(token) {
            connection.flags.set(Flags::READABLE);
        }
        self.queue_if_ready(token);
        Some(token)
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
            // Closes that ended before their time have left theirs behind.
            self.expiries.clear();
        }
        self.expiries.shrink_to_fit();
        self.ready.shrink_to_fit();
        self.departures.shrink_to_fit();
        self.arrived = Vec::new();
    }

    /// A decide phase begins, and the machine's effects of the last one are performed.
    pub fn begin_phase(&mut self) {
        self.ready_now = self.ready.len();
    }

    /// This phase reads the socket once more, whether or not the kernel has said that there is more.
    pub fn read_again(&mut self, token: Token) {
        let Some(connection) = self.connections.find_open(token) else { return };
        connection.flags.set(Flags::READABLE);
        if connection.is_ready() && !connection.flags.has(Flags::QUEUED) {
            connection.flags.set(Flags::QUEUED);
            self.ready.push_front(token);
            self.ready_now += 1;
        }
    }

    /// The next socket that has something for the machine. Each is read at most once in a phase, but for `read_again`.
    pub fn next_socket(&mut self) -> Option<Socket<'_>> {
        Some(match self.next_read()? {
            Read::Scratch(token, length) => Socket::Bytes(token, &mut self.scratch[..length]),
            Read::Arrived(token) => Socket::Bytes(token, &mut self.arrived),
            Read::Hangup(token) => Socket::Hangup(token),
        })
    }

    /// Stops reading; what is ready stays so.
    pub fn pause(&mut self, token: Token) {
        if let Some(connection) = self.connections.find_open(token) {
            connection.flags.set(Flags::PAUSED);
        }
    }

    /// Reads again.
    pub fn resume(&mut self, token: Token) {
        if let Some(connection) = self.connections.find_open(token) {
            connection.flags.clear(Flags::PAUSED);
            self.queue_if_ready(token);
        }
    }

    /// A write has failed: the machine will be told that nothing more comes.
    pub fn handle_broken(&mut self, token: Token) {
        if let Some(connection) = self.connections.find_open(token) {
            connection.flags.set(Flags::BROKEN);
            self.queue_if_ready(token);
        }
    }

    /// Waits for room to write.
    pub fn arm_room(&mut self, token: Token) {
        let Some(connection) = self.connections.find(token) else { return };
        if !connection.flags.has(Flags::ROOM_ARMED) {
            connection.flags.set(Flags::ROOM_ARMED);
            self.ring.poll_room(connection.fd(), Operation { kind: Kind::Writable, token });
        }
    }

    /// Takes in what the kernel says about a connection.
    pub fn handle_completion(&mut self, completion: Completion, mono_ms: u64) -> News {
        match completion.operation.kind {
            Kind::Readable => self.handle_input(completion, mono_ms),
            Kind::Writable => return self.handle_room(completion.operation.token, mono_ms),
            Kind::Listener | Kind::Doorbell | Kind::Cancel => {}
        }
        News::None
    }

    fn handle_input(&mut self, completion: Completion, mono_ms: u64) {
        let token = completion.operation.token;
        let Some(connection) = self.connections.find(token) else { return };
        note_input(connection, completion);
        match connection.stage.as_deref() {
            None | Some(Stage::Arrived(_)) => {
                self.rearm_input(token, completion);
                self.queue_if_ready(token);
            }
            Some(Stage::Closing(_)) => {
                self.rearm_input(token, completion);
                self.continue_close_after_input(token, mono_ms);
            }
            Some(Stage::Leaving(_) | Stage::Spent) => self.settle(token),
        }
    }

    fn handle_room(&mut self, token: Token, mono_ms: u64) -> News {
        let Some(connection) = self.connections.find(token) else { return News::None };
        connection.flags.clear(Flags::ROOM_ARMED);
        match connection.stage.as_deref() {
            None | Some(Stage::Arrived(_)) => return News::Writable(token),
            Some(Stage::Closing(_)) => self.continue_close(token, mono_ms),
            Some(Stage::Leaving(_) | Stage::Spent) => self.settle(token),
        }
        News::None
    }

    fn arm_input(&mut self, token: Token) {
        let Some(connection) = self.connections.find(token) else { return };
        connection.flags.set(Flags::INPUT_ARMED);
        self.ring.poll_input(connection.fd(), Operation { kind: Kind::Readable, token });
    }

    /// The kernel may end a multishot poll at any time. A poll that failed is not tried again: the connection is broken.
    fn rearm_input(&mut self, token: Token, completion: Completion) {
        if !completion.more && completion.result >= 0 {
            self.arm_input(token);
        }
    }

    fn queue_if_ready(&mut self, token: Token) {
        let Some(connection) = self.connections.find(token) else { return };
        if connection.is_ready() && !connection.flags.has(Flags::QUEUED) {
            connection.flags.set(Flags::QUEUED);
            self.ready.push_back(token);
        }
    }

    fn next_read(&mut self) -> Option<Read> {
        while self.ready_now > 0 {
            self.ready_now -= 1;
            let token = self.ready.pop_front()?;
            let Some(connection) = self.connections.find_open(token) else { continue };
            connection.flags.clear(Flags::QUEUED);
            if connection.is_ready() {
                let read = read_one(connection, token, &mut self.scratch, &mut self.arrived);
                self.queue_if_ready(token);
                if read.is_some() {
                    return read;
                }
            }
        }
        None
    }

    /// Cancels what is armed; the last completion settles the connection. At once when nothing is armed.
    pub(super) fn disarm(&mut self, token: Token) {
        let Some(connection) = self.connections.find(token) else { return };
        let flags = connection.flags;
        for (armed, kind) in [(Flags::INPUT_ARMED, Kind::Readable), (Flags::ROOM_ARMED, Kind::Writable)] {
            if flags.has(armed) {
                self.ring.cancel(Operation { kind, token });
            }
        }
        self.settle(token);
    }

    /// Lets a connection go that waits only for its operations, if they have all completed.
    fn settle(&mut self, token: Token) {
        let Some(connection) = self.connections.find(token) else { return };
        if connection.is_armed() {
            return;
        }
        let Some(connection) = self.connections.detach(token) else { return };
        let (fd, transport, stage) = connection.into_parts();
        if let Some(Stage::Leaving(leaving)) = stage.map(|stage| *stage) {
            self.departures.push(Departure::new(fd, transport, leaving));
        }
    }
}

fn note_input(connection: &mut Connection, completion: Completion) {
    if !completion.more {
        connection.flags.clear(Flags::INPUT_ARMED);
    }
    if completion.result < 0 {
        connection.flags.set(Flags::BROKEN);
        return;
    }
    connection.flags.set(Flags::READABLE);
    if completion.is_ending() {
        connection.flags.set(Flags::ENDING);
    }
}

/// Reads once. None: there was nothing after all.
fn read_one(
    connection: &mut Connection,
    token: Token,
    scratch: &mut [u8],
    arrived: &mut Vec<u8>,
) -> Option<Read> {
    if let Some(Stage::Arrived(bytes)) =
        connection.stage.take_if(|stage| matches!(**stage, Stage::Arrived(_))).map(|stage| *stage)
    {
        *arrived = bytes;
        return Some(Read::Arrived(token));
    }
    if !connection.flags.has(Flags::BROKEN) {
        match connection.transport.receive(connection.fd(), scratch) {
            Ok(0) => {}
            Ok(length) => {
                // After a short read the next poll completion tells of more; but the end, if the poll has seen it
                // already, is told only once.
                if length < scratch.len() && !connection.flags.has(Flags::ENDING) {
                    connection.flags.clear(Flags::READABLE);
                }
                return Some(Read::Scratch(token, length));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.flags.clear(Flags::READABLE);
                return None;
            }
            Err(_) => {}
        }
    }
    connection.flags.set(Flags::HUNG_UP);
    Some(Read::Hangup(token))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write};
    use std::net::{TcpListener, TcpStream};
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use protocol::ws::Frame;

    use super::super::inbox::mesh;
    use super::super::ring::{Sizes, eventfd};
    use super::closing::CLOSE_MS_MAX;
    use super::connections::Leaving;
    use super::*;
    use machines::limits::HANDOVERS_MAX;
    use machines::outbox::held::Held;
    use machines::outbox::parting::{Allowance, Parting};
    use machines::outbox::run::OpenRun;
    use machines::outbox::{Outbox, Range, Tails};

    fn sockets() -> Sockets {
        Sockets::new(Ring::new(Sizes { submissions: 64, completions: 128, sends: 0 }).unwrap(), None)
    }

    /// The peer's end, and ours.
    fn pair() -> (TcpStream, OwnedFd) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        (peer, listener.accept().unwrap().0.into())
    }

    fn attached(sockets: &mut Sockets) -> (TcpStream, Token) {
        let (peer, fd) = pair();
        (peer, sockets.attach(fd, Transport::Plain, Vec::new()).unwrap())
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
                None => {}
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
    fn a_full_scratch_goes_back_behind_the_others() {
        let mut sockets = sockets();
        let (mut loud, loud_token) = attached(&mut sockets);
        let (mut quiet, quiet_token) = attached(&mut sockets);
        loud.write_all(&vec![1; SCRATCH_BYTES + 1]).unwrap();
        quiet.write_all(&[2]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        turn_until(&mut sockets, |sockets| sockets.ready.len() == 2);
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
        turn_until(&mut sockets, |sockets| !sockets.ready.is_empty());
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
        turn_until(&mut sockets, |sockets| {
            sockets.connections.find(token).is_some_and(|found| found.flags.has(Flags::READABLE))
        });
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
        turn_until(&mut sockets, |sockets| !sockets.ready.is_empty());
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
            Sockets::new(Ring::new(Sizes { submissions: 8, completions: 16, sends: 0 }).unwrap(), None);
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
            let closing =
                sockets.connections.find(token).and_then(Connection::closing).map(|found| found.deadline);
            closing == Some(3_000 + CLOSE_MS_MAX)
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
        let ends = mesh(2).unwrap();
        let mut waiting = Vec::new();
        let (mut peer, token) = attached(&mut sockets);
        for _ in 0..HANDOVERS_MAX {
            let fd = eventfd().unwrap();
            let leaving = Leaving { to: 1, bytes: Vec::new(), refusal: b"" };
            waiting.push(Departure::new(fd, Transport::Plain, leaving));
        }
        sockets.departures = waiting;
        assert!(sockets.depart(&ends[0], 0));
        sockets.begin_leaving(token, Leaving { to: 1, bytes: Vec::new(), refusal: b"HTTP/1.1 503" });
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
        let (mut peer, fd) = pair();
        peer.write_all(b" world").unwrap();
        sockets.attach(fd, Transport::Plain, b"hello".to_vec()).unwrap();
        assert_eq!(read(&mut sockets, 11).0, b"hello world");
    }
}
