//! What users of the WebSocket client hold, whatever drives it: a client and its channels.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use super::bindings::{BindingId, Bindings};
use super::event::{ConnectError, Event, SubscribeError, TriggerError};
use super::options::WsOptions;
use super::session::Session;
use crate::member::Members;

/// What drives a client: threads, or tasks of tokio.
pub trait Driver: Send + Sync + 'static {
    /// Gives events to one receiver.
    type Sender: Clone + Send + Sync;

    /// Has the driver look at the session.
    fn wake(&self);
}

/// What a client and its driver share.
pub(super) struct Shared<D: Driver> {
    session: Mutex<Session>,
    bindings: Mutex<Bindings>,
    /// None, once there will be no more events.
    receivers: Mutex<Option<Arc<Vec<D::Sender>>>>,
    pub(super) driver: D,
}

impl<D: Driver> Shared<D> {
    pub(super) fn new(options: WsOptions, driver: D) -> Result<Self, ConnectError> {
        Ok(Self {
            session: Mutex::new(Session::new(options, fastrand::Rng::new(), Instant::now())?),
            bindings: Mutex::default(),
            receivers: Mutex::new(Some(Arc::default())),
            driver,
        })
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bindings(&self) -> MutexGuard<'_, Bindings> {
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receivers_mut(&self) -> MutexGuard<'_, Option<Arc<Vec<D::Sender>>>> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those who get the next event.
    pub(super) fn receivers(&self) -> Arc<Vec<D::Sender>> {
        self.receivers_mut().clone().unwrap_or_default()
    }

    pub(super) fn add_receiver(&self, sender: D::Sender) {
        if let Some(receivers) = &mut *self.receivers_mut() {
            Arc::make_mut(receivers).push(sender);
        }
    }

    /// Lets those receivers go that nobody reads from any more.
    pub(super) fn keep_receivers(&self, is_read: impl Fn(&D::Sender) -> bool) {
        if let Some(receivers) = &mut *self.receivers_mut() {
            Arc::make_mut(receivers).retain(is_read);
        }
    }

    /// There will be no more events.
    pub(super) fn end_receivers(&self) {
        *self.receivers_mut() = None;
    }

    /// Calls the handlers of an event. One that panics has been told of by its panic, and the others are called.
    pub(super) fn handle(&self, event: &Event) {
        let handlers = self.bindings().of(event);
        for handler in handlers {
            drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handler(event))));
        }
    }
}

/// A connection to a server, which comes back when it is lost.
///
/// It reconnects by Pusher's rules for close codes: 4000 to 4099 end it, after 4100 to 4199 it waits a second at least, after
/// 4200 to 4299 it comes at once, and after anything else it waits, each time longer and by chance. Then it signs in and
/// subscribes again. What is published meanwhile is not heard.
///
/// Events go through one bounded queue to the handlers, and to a queue of the same size for each receiver that `events` has
/// given out. A handler that is slow, or a receiver that is not read, holds up all others; when the queue is full, the client
/// reads nothing more, so nothing is lost, until the server ends the connection because it must wait for too long.
///
/// Cheap to clone. When the last clone and the last channel are dropped, the connection ends.
pub struct Client<D: Driver> {
    life: Arc<Life<D>>,
}

/// Ends the connection with the last client that holds it.
struct Life<D: Driver>(Arc<Shared<D>>);

impl<D: Driver> Drop for Life<D> {
    fn drop(&mut self) {
        self.0.session().stop();
        self.0.driver.wake();
    }
}

impl<D: Driver> Clone for Client<D> {
    fn clone(&self) -> Self {
        Self { life: Arc::clone(&self.life) }
    }
}

impl<D: Driver> fmt::Debug for Client<D> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("WsClient").field("socket_id", &self.socket_id()).finish_non_exhaustive()
    }
}

impl<D: Driver> Client<D> {
    pub(super) fn of(shared: Arc<Shared<D>>) -> Self {
        Self { life: Arc::new(Life(shared)) }
    }

    pub(super) fn shared(&self) -> &Arc<Shared<D>> {
        &self.life.0
    }

    /// Does something to the session, of which the driver then hears.
    fn tell<T>(&self, change: impl FnOnce(&mut Session) -> T) -> T {
        let outcome = change(&mut self.shared().session());
        self.shared().driver.wake();
        outcome
    }

    /// Subscribes to a channel, now and after each reconnection. It does not wait for the server: `wait_subscribed` of the
    /// channel does, and [`Event::Subscribed`] and [`Event::SubscriptionFailed`] tell as well. A subscription that was refused is
    /// asked for again when this is called again.
    pub fn subscribe(&self, channel: &str) -> Result<Channel<D>, SubscribeError> {
        self.tell(|session| session.subscribe(channel))?;
        Ok(self.channel(channel))
    }

    /// A channel by its name, subscribed or not: to bind handlers before there is a subscription, for instance.
    pub fn channel(&self, channel: &str) -> Channel<D> {
        Channel { client: self.clone(), name: channel.to_owned() }
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, channel: &str) {
        self.tell(|session| session.unsubscribe(channel));
    }

    /// Ends all subscriptions.
    pub fn unsubscribe_all(&self) {
        self.tell(Session::unsubscribe_all);
    }

    /// The channels that are subscribed to or asked for, by name.
    pub fn channels(&self) -> Vec<String> {
        self.shared().session().channels()
    }

    /// The id of the connection, while there is one. A back end that publishes can leave it out.
    pub fn socket_id(&self) -> Option<String> {
        self.shared().session().socket_id().map(str::to_owned)
    }

    /// Signs in, now and after each reconnection, as the user whom the authorizer of the options names.
    pub fn signin(&self) {
        self.tell(Session::sign_in);
    }

    /// Has a handler called for each event of this name, on whatever channel: the name of a message, or one of those of
    /// [`Event::name`].
    pub fn bind(&self, name: &str, handler: impl Fn(&Event) + Send + Sync + 'static) -> BindingId {
        self.shared().bindings().bind(None, Some(name), Arc::new(handler))
    }

    /// Has a handler called for every event.
    pub fn bind_all(&self, handler: impl Fn(&Event) + Send + Sync + 'static) -> BindingId {
        self.shared().bindings().bind(None, None, Arc::new(handler))
    }

    /// Takes a handler back, of the client or of a channel.
    pub fn unbind(&self, id: BindingId) {
        self.shared().bindings().unbind(id);
    }

    /// Ends the connection for good.
    pub fn disconnect(&self) {
        self.tell(Session::stop);
    }
}

/// A channel of a client. Cheap to clone, and keeps the connection.
pub struct Channel<D: Driver> {
    client: Client<D>,
    name: String,
}

impl<D: Driver> Clone for Channel<D> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), name: self.name.clone() }
    }
}

impl<D: Driver> fmt::Debug for Channel<D> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Channel").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<D: Driver> Channel<D> {
    pub(super) fn client(&self) -> &Client<D> {
        &self.client
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is a subscription now.
    pub fn is_subscribed(&self) -> bool {
        matches!(self.client.shared().session().subscribed(&self.name), Some(Ok(())))
    }

    /// Who is in a presence channel.
    pub fn members(&self) -> Members {
        self.client.shared().session().members(&self.name)
    }

    /// Has a handler called for each event of this name on this channel.
    pub fn bind(&self, name: &str, handler: impl Fn(&Event) + Send + Sync + 'static) -> BindingId {
        self.client.shared().bindings().bind(Some(&self.name), Some(name), Arc::new(handler))
    }

    /// Has a handler called for every event of this channel.
    pub fn bind_all(&self, handler: impl Fn(&Event) + Send + Sync + 'static) -> BindingId {
        self.client.shared().bindings().bind(Some(&self.name), None, Arc::new(handler))
    }

    /// Takes back all handlers of this channel.
    pub fn unbind_all(&self) {
        self.client.shared().bindings().unbind_channel(&self.name);
    }

    /// Sends an event to the other subscribers. Its name begins with `client-`, the channel is a private or a presence channel,
    /// and there is a subscription; else it is an error, and nothing is sent. A text is sent as it is, and anything else as JSON.
    pub fn trigger(&self, event: &str, data: &(impl Serialize + ?Sized)) -> Result<(), TriggerError> {
        let data = serde_json::to_value(data).map_err(|_| TriggerError::BadData)?;
        self.client.tell(|session| session.trigger(&self.name, event, &data))
    }

    /// Ends the subscription.
    pub fn unsubscribe(&self) {
        self.client.unsubscribe(&self.name);
    }
}
