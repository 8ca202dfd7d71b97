//! A small machine for the runtime tests: it keeps outboxes, and a script says what happens.
//!
//! Owns no rule of the protocol. It is what a shard looks like from the driver, made of the simplest parts.

use std::collections::{HashMap, VecDeque};
use std::io::{IoSlice, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use corecast::driver::control::CoreError;
use corecast::driver::hooks_end::HooksEnd;
use corecast::server::{Environment, RunningCores, Stopper, start_cores};
use corecast::settings::{Admin, AdminAddress, Ending, Listen, Settings, ShardCount, Shards};
use machines::cores::CoreId;
use machines::hook_port::HookPort;
use machines::machine::{Door, Effect, Inputs, Machine, Mesh, Now, Socket, Token};
use protocol::hook_event::OpenEdges;

/// What a script may do.
#[derive(Default)]
pub(crate) struct Desk {
    outboxes: HashMap<Token, Vec<u8>>,
    dirty: VecDeque<Token>,
    effects: VecDeque<Effect>,
    pauses: Vec<Token>,
    /// How many bytes of an outbox are one piece; 0: all of it.
    pub(crate) piece_bytes: usize,
    /// When `Script::deadline` is called.
    pub(crate) deadline: Option<u64>,
}

impl Desk {
    pub(crate) fn write(&mut self, token: Token, bytes: &[u8]) {
        self.outboxes.entry(token).or_default().extend_from_slice(bytes);
        self.mark(token);
    }

    fn mark(&mut self, token: Token) {
        if !self.dirty.contains(&token) {
            self.dirty.push_back(token);
        }
    }

    pub(crate) fn close(&mut self, token: Token, last: &[u8]) {
        let mut bytes = self.outboxes.remove(&token).unwrap_or_default();
        bytes.extend_from_slice(last);
        self.effects.extend([Effect::Close { token, last: bytes.into() }, Effect::Free(token)]);
    }

    pub(crate) fn hand_over(&mut self, token: Token, to: CoreId, bytes: &[u8]) {
        self.outboxes.remove(&token);
        let leave = Effect::HandOver { token, to, bytes: bytes.to_vec(), refusal: b"full" };
        self.effects.extend([leave, Effect::Free(token)]);
    }

    pub(crate) fn pause(&mut self, token: Token) {
        self.pauses.push(token);
    }

    pub(crate) fn resume(&mut self, token: Token) {
        self.effects.push_back(Effect::Resume(token));
    }

    pub(crate) fn tokens(&self) -> Vec<Token> {
        self.outboxes.keys().copied().collect()
    }
}

/// What happens.
pub(crate) trait Script: 'static {
    fn open(&mut self, _desk: &mut Desk, _token: Token, _now: Now) {}
    fn bytes(&mut self, desk: &mut Desk, token: Token, bytes: &[u8], now: Now);
    fn deadline(&mut self, _desk: &mut Desk, _now: Now) {}
    fn no_descriptors(&mut self, _desk: &mut Desk) {}
    fn blocked(&mut self, _desk: &mut Desk, _token: Token) {}
}

/// Sends back what comes.
pub(crate) struct Echo;

impl Script for Echo {
    fn bytes(&mut self, desk: &mut Desk, token: Token, bytes: &[u8], _now: Now) {
        desk.write(token, bytes);
    }
}

/// A script behind the driver's border.
pub(crate) struct Scripted<S> {
    pub(crate) desk: Desk,
    pub(crate) script: S,
}

impl<S> Scripted<S> {
    pub(crate) fn new(script: S) -> Self {
        Self { desk: Desk::default(), script }
    }
}

impl<S: Script> Machine for Scripted<S> {
    fn handle_open(&mut self, token: Token, _door: Door, _secure: bool, now: Now) {
        self.desk.outboxes.insert(token, Vec::new());
        self.script.open(&mut self.desk, token, now);
    }

    fn handle_no_descriptors(&mut self, _now: Now) {
        self.script.no_descriptors(&mut self.desk);
    }

    fn decide(&mut self, inputs: &mut impl Inputs, now: Now) -> bool {
        let mut any = false;
        while let Some((from, _)) = inputs.next_roots() {
            inputs.release_roots(from);
            any = true;
        }
        while let Some(socket) = inputs.next_socket() {
            any = true;
            match socket {
                // Closed by this turn's drain, which the driver has not heard of yet.
                Socket::Bytes(token, _) | Socket::Hangup(token) | Socket::Secured(token)
                    if !self.desk.outboxes.contains_key(&token) => {}
                Socket::Bytes(token, bytes) => self.script.bytes(&mut self.desk, token, bytes, now),
                Socket::Secured(_) => {}
                Socket::Hangup(token) => self.desk.close(token, b""),
            }
            self.desk.pauses.drain(..).for_each(|token| inputs.pause(token));
        }
        any
    }

    fn seal(&mut self) {}

    fn send_batches(&mut self, _mesh: &mut impl Mesh) -> bool {
        false
    }

    fn tell_hooks(&mut self, _port: &mut impl HookPort, _now: Now) -> u64 {
        0
    }

    fn handle_open_edges(&mut self, _edges: &[OpenEdges], _now: Now) {}

    fn poll_effect(&mut self) -> Option<Effect> {
        self.desk.effects.pop_front()
    }

    fn poll_dirty(&mut self) -> Option<Token> {
        self.desk.dirty.pop_front()
    }

    fn outbox<'a>(&'a self, token: Token, slices: &mut [IoSlice<'a>]) -> usize {
        let Some(bytes) = self.desk.outboxes.get(&token).filter(|bytes| !bytes.is_empty()) else { return 0 };
        let piece_bytes = if self.desk.piece_bytes == 0 { bytes.len() } else { self.desk.piece_bytes };
        let pieces = bytes.chunks(piece_bytes).zip(slices);
        pieces.map(|(piece, slice)| *slice = IoSlice::new(piece)).count()
    }

    fn handle_written(&mut self, token: Token, bytes: usize, _now: Now) -> bool {
        let outbox = self.desk.outboxes.get_mut(&token).expect("an outbox that was asked for");
        outbox.drain(..bytes);
        !outbox.is_empty()
    }

    fn handle_blocked(&mut self, token: Token, _now: Now) {
        self.script.blocked(&mut self.desk, token);
    }

    fn handle_writable(&mut self, token: Token) {
        self.desk.mark(token);
    }

    fn poll_deadline(&self) -> Option<u64> {
        self.desk.deadline
    }

    fn handle_deadline(&mut self, now: Now) {
        self.desk.deadline = None;
        self.script.deadline(&mut self.desk, now);
    }

    fn handle_drain(&mut self, _now: Now) {
        for token in self.desk.tokens() {
            self.desk.close(token, b"drained");
        }
    }

    fn give_back_room(&mut self) {}

    fn connections(&self) -> usize {
        self.desk.outboxes.len()
    }
}

/// A server on loopback that stops when it goes out of scope.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stopper: Stopper,
    running: Option<RunningCores>,
}

/// Starts a server on a free port, or on `port`; the API core echoes.
pub(crate) fn serve<S: Script>(
    port: u16,
    shards: usize,
    takeover: bool,
    script: impl Fn(u16, &Environment) -> S + Send + Sync + 'static,
) -> Server {
    try_serve(port, shards, takeover, script).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn try_serve<S: Script>(
    port: u16,
    shards: usize,
    takeover: bool,
    script: impl Fn(u16, &Environment) -> S + Send + Sync + 'static,
) -> Result<Server, corecast::server::StartError> {
    let settings = Settings {
        listen: Listen { public: vec![SocketAddr::from(([127, 0, 0, 1], port))], ..Listen::default() },
        admin: Admin { address: AdminAddress::Off, ..Admin::default() },
        shards: Shards { count: ShardCount::new(shards).unwrap(), pin: false, ..Shards::default() },
        ending: Ending { takeover, drain_rate: std::num::NonZeroU32::MAX, ..Ending::default() },
        ..Settings::default()
    };
    let shard = move |shard, environment: &Environment| Scripted::new(script(shard, environment));
    let running = start_cores(&settings, None, None, None, HooksEnd::Absent, shard, |_| Scripted::new(Echo))?;
    Ok(Server { address: running.addresses()[0], stopper: running.stopper(), running: Some(running) })
}

impl Server {
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Drains it and waits for its end.
    pub(crate) fn stop(mut self) -> Result<(), CoreError> {
        self.stopper.stop();
        self.running.take().expect("it stops once").wait()
    }

    /// Asks it to stop and lets it go on in another thread.
    pub(crate) fn stop_meanwhile(mut self) -> std::thread::JoinHandle<Result<(), CoreError>> {
        self.stopper.stop();
        let running = self.running.take().expect("it stops once");
        std::thread::spawn(move || running.wait())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.stopper.stop();
            running.wait().expect("all cores end well");
        }
    }
}

/// Reads exactly `length` bytes.
pub(crate) fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).expect("the server answers");
    bytes
}

/// Asks `done` until it says so, for at most twenty seconds.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < give_up, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}
