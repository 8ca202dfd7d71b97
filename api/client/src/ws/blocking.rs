//! The driver for programs that block: a thread with the socket, and one that calls handlers and feeds receivers.

use std::io::{self, Read, Write};
use std::net::{TcpStream as StdStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use mio::net::TcpStream;
use mio::{Interest, Poll, Token, Waker};

use super::authorizer::{AuthError, Authorization};
use super::client::{self, Client, Driver, Shared};
use super::event::{ConnectError, Event, SubscribeError};
use super::options::WsOptions;
use super::session::{Plan, Session, Turn};
use crate::limits::READ_BYTES_MAX;
use crate::place::Place;

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

/// Threads that drive a client.
pub struct Threads {
    waker: Waker,
    /// The session has changed.
    changed: Condvar,
    /// The thread with the socket waits for room in the queue of events.
    is_starved: AtomicBool,
}

impl Driver for Threads {
    type Sender = Sender<Event>;

    fn wake(&self) {
        // It fails only when the thread has gone, and then there is nobody to be woken.
        drop(self.waker.wake());
    }
}

/// A connection to a server, for programs that block. It is described below, with all that it does.
pub type WsClient = Client<Threads>;

/// A channel of a [`WsClient`].
pub type Channel = client::Channel<Threads>;

impl Client<Threads> {
    /// Connects, and waits until the connection is established. It is an error if the first attempt fails; from then on the
    /// client finds its way back by itself.
    pub fn connect(options: WsOptions) -> Result<Self, ConnectError> {
        let client = Self::start(options)?;
        client.wait_connected()?;
        Ok(client)
    }

    /// Begins to connect, and does not wait. It goes on until it succeeds, unless a close code forbids it.
    pub fn start(options: WsOptions) -> Result<Self, ConnectError> {
        let (queue, events) = bounded(options.queue);
        let unable = |error: io::Error| ConnectError::Unreachable(error.to_string());
        let poll = Poll::new().map_err(unable)?;
        let waker = Waker::new(poll.registry(), WAKE).map_err(unable)?;
        let driver = Threads { waker, changed: Condvar::new(), is_starved: AtomicBool::new(false) };
        let shared = Arc::new(Shared::new(options, driver)?);
        let client = Self::of(Arc::clone(&shared));
        let dispatcher = Arc::clone(&shared);
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        named("corecast events").spawn(move || dispatch(&dispatcher, &events)).map_err(unable)?;
        let io = Io { shared, poll, queue, socket: None, buffer: vec![0; READ_BYTES_MAX] };
        named("corecast socket").spawn(move || io.run()).map_err(unable)?;
        Ok(client)
    }

    /// Waits until the connection is established, or the attempt has failed.
    pub fn wait_connected(&self) -> Result<(), ConnectError> {
        let patience = self.shared().session().options().connect_timeout;
        self.wait(patience, Session::connected).unwrap_or(Err(ConnectError::TimedOut))
    }

    /// Waits until the connection is signed in, or that was refused.
    pub fn wait_signed_in(&self) -> Result<(), SubscribeError> {
        let patience = self.shared().session().options().answer_timeout;
        self.wait(patience, Session::signed_in).unwrap_or(Err(SubscribeError::TimedOut))
    }

    /// A receiver of all events from now on. While it is not read, everything waits for it: drop what is not needed.
    pub fn events(&self) -> Events {
        let (sender, receiver) = bounded(self.shared().session().options().queue);
        self.shared().add_receiver(sender);
        Events(receiver)
    }

    fn wait<T>(&self, patience: Duration, look: impl Fn(&Session) -> Option<T>) -> Option<T> {
        let session = self.shared().session();
        let waited = self
            .shared()
            .driver
            .changed
            .wait_timeout_while(session, patience, |session| look(session).is_none());
        look(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl client::Channel<Threads> {
    /// Waits until there is a subscription, or it was refused.
    pub fn wait_subscribed(&self) -> Result<(), SubscribeError> {
        let patience = self.client().shared().session().options().answer_timeout;
        let outcome = self.client().wait(patience, |session| session.subscribed(self.name()));
        outcome.unwrap_or(Err(SubscribeError::TimedOut))
    }
}

/// Events as they come: an iterator that waits for the next and ends with the client.
#[derive(Debug)]
pub struct Events(Receiver<Event>);

impl Events {
    /// The next event, if it comes within this time.
    pub fn next_within(&self, patience: Duration) -> Option<Event> {
        self.0.recv_timeout(patience).ok()
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.0.recv().ok()
    }
}

/// Gives events to handlers and receivers, until there are no more.
fn dispatch(shared: &Shared<Threads>, events: &Receiver<Event>) {
    let refill = events.capacity().unwrap_or_default() / 2;
    for event in events {
        if events.len() <= refill && shared.driver.is_starved.swap(false, Ordering::AcqRel) {
            shared.driver.wake();
        }
        shared.handle(&event);
        let receivers = shared.receivers();
        let gone: Vec<_> =
            receivers.iter().filter(|receiver| receiver.send(event.clone()).is_err()).collect();
        if !gone.is_empty() {
            shared.keep_receivers(|receiver| !gone.iter().any(|gone| gone.same_channel(receiver)));
        }
    }
    shared.end_receivers();
}

/// The thread with the socket.
struct Io {
    shared: Arc<Shared<Threads>>,
    poll: Poll,
    queue: Sender<Event>,
    socket: Option<Socket>,
    buffer: Vec<u8>,
}

struct Socket {
    stream: TcpStream,
    /// It may have something to read.
    is_readable: bool,
}

impl Io {
    fn run(mut self) {
        loop {
            let turn = self.turn();
            self.shared.driver.changed.notify_all();
            for authorization in turn.authorizations {
                self.authorize(authorization);
            }
            match turn.plan {
                Plan::Stop if !turn.is_behind => return,
                Plan::Talk if !turn.is_behind && self.is_readable() => self.read(),
                Plan::Connect => self.connect(),
                _ => self.wait(turn.deadline),
            }
        }
    }

    fn turn(&mut self) -> Turn {
        let (socket, queue, driver) = (&mut self.socket, &self.queue, &self.shared.driver);
        let turn = self.shared.session().turn(
            Instant::now(),
            |bytes| socket.as_mut().map_or(Ok(bytes.len()), |socket| socket.stream.write(bytes)),
            |event| offer(queue, &driver.is_starved, event),
        );
        if turn.plan != Plan::Talk {
            self.socket = None;
        }
        turn
    }

    fn is_readable(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| socket.is_readable)
    }

    fn read(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        let outcome = socket.stream.read(&mut self.buffer);
        let mut session = self.shared.session();
        match outcome {
            Ok(0) => session.fail("the server has closed the connection", Instant::now()),
            Ok(count) => session.receive(self.buffer.get(..count).unwrap_or_default(), Instant::now()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.is_readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => session.fail(&error.to_string(), Instant::now()),
        }
    }

    fn connect(&mut self) {
        let (place, patience) = {
            let session = self.shared.session();
            (session.options().place.clone(), session.options().connect_timeout)
        };
        let opened = open(&place, patience).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, SOCKET, interest)?;
            Ok(stream)
        });
        let mut session = self.shared.session();
        match opened {
            Ok(stream) => {
                self.socket = Some(Socket { stream, is_readable: true });
                session.open(Instant::now());
            }
            Err(error) => session.fail(&error.to_string(), Instant::now()),
        }
    }

    /// Waits for the socket, for a call or for the deadline.
    fn wait(&mut self, deadline: Option<Instant>) {
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let mut found = mio::Events::with_capacity(2);
        // What interrupts it makes for another turn, and no harm.
        drop(self.poll.poll(&mut found, timeout));
        if let Some(socket) = &mut self.socket {
            socket.is_readable |= found.iter().any(|event| event.token() == SOCKET);
        }
    }

    /// Asks on a thread of its own: an answer may take its time.
    fn authorize(&self, authorization: Authorization) {
        let (shared, asked) = (Arc::clone(&self.shared), Arc::new(authorization));
        let asking = {
            let asked = Arc::clone(&asked);
            move || {
                let grant = asked.ask();
                shared.session().grant(&asked, grant);
                shared.driver.wake();
            }
        };
        if let Err(error) = thread::Builder::new().name("corecast auth".to_owned()).spawn(asking) {
            let refused = asked.refused(AuthError::new(format!("nobody can be asked: {error}")));
            self.shared.session().grant(&asked, refused);
        }
    }
}

/// Puts an event into the queue, or gives it back and has the dispatcher wake this thread when there is room.
fn offer(queue: &Sender<Event>, is_starved: &AtomicBool, event: Event) -> Result<(), Event> {
    let Err(refused) = queue.try_send(event) else { return Ok(()) };
    is_starved.store(true, Ordering::Release);
    // Room may have come before the dispatcher could know.
    match queue.try_send(refused.into_inner()) {
        Err(TrySendError::Full(event)) => Err(event),
        // Without a dispatcher nobody is there to hear.
        Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
    }
}

/// Connects to the first address that takes it.
fn open(place: &Place, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name of the server has no address");
    for address in (place.name(), place.port).to_socket_addrs()? {
        match StdStream::connect_timeout(&address, patience) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                return Ok(TcpStream::from_std(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
