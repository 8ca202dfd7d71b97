//! The driver for programs that run on tokio: a task with the socket, and one that calls handlers and feeds receivers.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::tokio::net::TcpStream;
use ::tokio::sync::Notify;
use ::tokio::sync::mpsc::{self, channel as bounded, error::TrySendError};
use ::tokio::task::{JoinError, JoinSet};
use ::tokio::{select, time};

use super::authorizer::{Authorization, Grant};
use super::client::{self, Client, Driver, Shared};
use super::event::{ConnectError, Event, SubscribeError};
use super::options::WsOptions;
use super::session::{Plan, Session, Turn};
use crate::limits::READ_BYTES_MAX;

/// Tasks that drive a client.
pub struct Tasks {
    wake: Notify,
    /// The session has changed.
    changed: Notify,
}

impl Driver for Tasks {
    type Sender = mpsc::Sender<Event>;

    fn wake(&self) {
        self.wake.notify_one();
    }
}

/// A connection to a server, for programs that run on tokio. It is described below, with all that it does. Handlers are called on a
/// task of the runtime, so they must not block; authorizers are asked where they may.
pub type WsClient = Client<Tasks>;

/// A channel of a [`WsClient`].
pub type Channel = client::Channel<Tasks>;

impl Client<Tasks> {
    /// Connects, and waits until the connection is established. It is an error if the first attempt fails; from then on the
    /// client finds its way back by itself.
    pub async fn connect(options: WsOptions) -> Result<Self, ConnectError> {
        let client = Self::start(options)?;
        client.wait_connected().await?;
        Ok(client)
    }

    /// Begins to connect, and does not wait. It goes on until it succeeds, unless a close code forbids it. Called on a runtime.
    pub fn start(options: WsOptions) -> Result<Self, ConnectError> {
        let (queue, events) = bounded(options.queue);
        let shared = Arc::new(Shared::new(options, Tasks { wake: Notify::new(), changed: Notify::new() })?);
        let client = Self::of(Arc::clone(&shared));
        ::tokio::spawn(dispatch(Arc::clone(&shared), events));
        ::tokio::spawn(Io::new(shared, queue).run());
        Ok(client)
    }

    /// Waits until the connection is established, or the attempt has failed.
    pub async fn wait_connected(&self) -> Result<(), ConnectError> {
        let patience = self.shared().session().options().connect_timeout;
        self.wait(patience, Session::connected).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    /// Waits until the connection is signed in, or that was refused.
    pub async fn wait_signed_in(&self) -> Result<(), SubscribeError> {
        let patience = self.shared().session().options().answer_timeout;
        self.wait(patience, Session::signed_in).await.unwrap_or(Err(SubscribeError::TimedOut))
    }

    /// A receiver of all events from now on. While it is not read, everything waits for it: drop what is not needed.
    pub fn events(&self) -> Events {
        let (sender, receiver) = bounded(self.shared().session().options().queue);
        self.shared().add_receiver(sender);
        Events(receiver)
    }

    async fn wait<T>(&self, patience: Duration, look: impl Fn(&Session) -> Option<T>) -> Option<T> {
        let looking = async {
            loop {
                // A change between the look and the wait must not be missed.
                let mut changed = std::pin::pin!(self.shared().driver.changed.notified());
                changed.as_mut().enable();
                let found = look(&self.shared().session());
                match found {
                    Some(found) => return found,
                    None => changed.await,
                }
            }
        };
        time::timeout(patience, looking).await.ok()
    }
}

impl client::Channel<Tasks> {
    /// Waits until there is a subscription, or it was refused.
    pub async fn wait_subscribed(&self) -> Result<(), SubscribeError> {
        let patience = self.client().shared().session().options().answer_timeout;
        let outcome = self.client().wait(patience, |session| session.subscribed(self.name())).await;
        outcome.unwrap_or(Err(SubscribeError::TimedOut))
    }
}

/// Events as they come. They end with the client.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// The next event; none, when there will be no more.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// The next event, if it comes within this time.
    pub async fn next_within(&mut self, patience: Duration) -> Option<Event> {
        time::timeout(patience, self.0.recv()).await.ok().flatten()
    }
}

/// Gives events to handlers and receivers, until there are no more.
async fn dispatch(shared: Arc<Shared<Tasks>>, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        shared.handle(&event);
        let mut is_any_gone = false;
        for receiver in shared.receivers().iter() {
            is_any_gone |= receiver.send(event.clone()).await.is_err();
        }
        if is_any_gone {
            shared.keep_receivers(|receiver| !receiver.is_closed());
        }
    }
    shared.end_receivers();
}

/// The task with the socket.
struct Io {
    shared: Arc<Shared<Tasks>>,
    queue: mpsc::Sender<Event>,
    socket: Option<TcpStream>,
    /// The socket did not take all that is to be written.
    is_full: bool,
    buffer: Vec<u8>,
    /// Authorizers that are being asked.
    asking: JoinSet<(Authorization, Grant)>,
}

/// What a task has waited for.
enum Woken {
    Readable,
    Answered(Result<(Authorization, Grant), JoinError>),
    Otherwise,
}

impl Io {
    fn new(shared: Arc<Shared<Tasks>>, queue: mpsc::Sender<Event>) -> Self {
        let (buffer, asking) = (vec![0; READ_BYTES_MAX], JoinSet::new());
        Self { shared, queue, socket: None, is_full: false, buffer, asking }
    }

    async fn run(mut self) {
        loop {
            let mut turn = self.turn();
            self.shared.driver.changed.notify_waiters();
            for authorization in std::mem::take(&mut turn.authorizations) {
                self.asking.spawn_blocking(move || {
                    let grant = authorization.ask();
                    (authorization, grant)
                });
            }
            match turn.plan {
                Plan::Stop if !turn.is_behind => return,
                Plan::Connect => self.connect().await,
                _ => self.wait(&turn).await,
            }
        }
    }

    fn turn(&mut self) -> Turn {
        let (socket, queue, is_full) = (&self.socket, &self.queue, &mut self.is_full);
        *is_full = false;
        let turn = self.shared.session().turn(
            Instant::now(),
            |bytes| {
                let written = socket.as_ref().map_or(Ok(bytes.len()), |socket| socket.try_write(bytes));
                *is_full = written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
                written
            },
            |event| match queue.try_send(event) {
                Err(TrySendError::Full(event)) => Err(event),
                // Without a dispatcher nobody is there to hear.
                Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            },
        );
        if turn.plan != Plan::Talk {
            self.socket = None;
        }
        turn
    }

    async fn connect(&mut self) {
        let (place, patience) = {
            let session = self.shared.session();
            (session.options().place.clone(), session.options().connect_timeout)
        };
        let connecting = time::timeout(patience, TcpStream::connect((place.name(), place.port)));
        let opened = match connecting.await {
            Ok(opened) => opened.and_then(|stream| stream.set_nodelay(true).map(|()| stream)),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        let mut session = self.shared.session();
        match opened {
            Ok(stream) => {
                self.socket = Some(stream);
                session.open(Instant::now());
            }
            Err(error) => session.fail(&error.to_string(), Instant::now()),
        }
    }

    /// Waits for the socket, for a call, for room, for an authorizer or for the deadline.
    async fn wait(&mut self, turn: &Turn) {
        // Without a deadline something else will come.
        let deadline = turn.deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        let socket = self.socket.as_ref();
        let readable =
            async { if let Some(socket) = socket { drop(socket.readable().await) } else { pending().await } };
        let writable =
            async { if let Some(socket) = socket { drop(socket.writable().await) } else { pending().await } };
        let woken = select! {
            () = self.shared.driver.wake.notified() => Woken::Otherwise,
            () = time::sleep_until(deadline.into()) => Woken::Otherwise,
            _ = self.queue.reserve(), if turn.is_behind => Woken::Otherwise,
            () = writable, if self.is_full => Woken::Otherwise,
            () = readable, if !turn.is_behind => Woken::Readable,
            Some(answer) = self.asking.join_next() => Woken::Answered(answer),
        };
        match woken {
            Woken::Readable => self.read(),
            Woken::Answered(Ok((authorization, grant))) => self.shared.session().grant(&authorization, grant),
            // Asking guards itself against panics, and nothing aborts it but the end of the runtime.
            Woken::Answered(Err(_)) | Woken::Otherwise => {}
        }
    }

    fn read(&mut self) {
        let Some(socket) = &self.socket else { return };
        let outcome = socket.try_read(&mut self.buffer);
        let mut session = self.shared.session();
        match outcome {
            Ok(0) => session.fail("the server has closed the connection", Instant::now()),
            Ok(count) => session.receive(self.buffer.get(..count).unwrap_or_default(), Instant::now()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => session.fail(&error.to_string(), Instant::now()),
        }
    }
}
