//! The core of the WebSocket client: one connection after another, as a value without socket, clock or thread.
//!
//! A driver hands in what it has read, and calls `turn`: that writes, gives out events, and tells what is to be done next. What must never happen here: waiting.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use serde_json::Value;

use super::authorizer::{Asked, AuthRequest, Authorization, Grant};
use super::event::{ConnectError, Event, Message, Refusal, SubscribeError, TriggerError};
use super::frame::{self, Frame, code_of, number_of};
use super::heartbeat::{Beat, Heartbeat};
use super::options::WsOptions;
use super::retry::Retry;
use super::subscriptions::{Subscriptions, is_guarded, is_presence};
use super::wire::{Heard, Wire};
use crate::limits::{AUTHORIZATIONS_MAX, UNSENT_BYTES_MAX};
use crate::member::{Members, id_of};
use crate::rest::{ChannelAuth, UserAuth};
use crate::trust::for_sockets;

/// What a driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing, until the deadline or a call.
    Wait,
    /// Open a socket.
    Connect,
    /// Read and write.
    Talk,
    /// Nothing any more.
    Stop,
}

/// What a turn leaves to the driver.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) plan: Plan,
    /// When the plan changes by itself.
    pub(super) deadline: Option<Instant>,
    /// There was no room for all events. Nothing is to be read before there is.
    pub(super) is_behind: bool,
    /// Authorizers to be asked.
    pub(super) authorizations: Vec<Authorization>,
}

#[derive(Debug)]
enum Phase {
    Waiting(Instant),
    Open(Box<Link>),
    Stopped,
}

/// One connection.
#[derive(Debug)]
struct Link {
    wire: Wire,
    heartbeat: Heartbeat,
    /// When it must be established.
    patience: Instant,
    established: Option<Established>,
    /// The error that the server has sent in place of that.
    refused: Option<(Option<u16>, String)>,
}

#[derive(Debug)]
struct Established {
    at: Instant,
    socket_id: String,
}

/// How far a sign-in has come.
#[derive(Debug)]
enum SignIn {
    Unwanted,
    Waiting,
    Authorizing,
    Asked,
    Done(String),
    Refused(Refusal),
}

#[derive(Debug)]
pub(super) struct Session {
    options: WsOptions,
    tls: Option<Arc<ClientConfig>>,
    phase: Phase,
    /// How many connections there have been.
    connection: u64,
    retry: Retry,
    subscriptions: Subscriptions,
    sign_in: SignIn,
    /// Authorizations that have not been asked for yet, and how many have no answer.
    unasked: VecDeque<Authorization>,
    in_flight: usize,
    events: VecDeque<Event>,
    /// The last bytes of a connection that has ended.
    farewell: Vec<u8>,
    /// Why the last attempt has failed.
    failure: Option<ConnectError>,
}

impl Session {
    pub(super) fn new(options: WsOptions, random: fastrand::Rng, now: Instant) -> Result<Self, ConnectError> {
        let tls = options.place.tls.then(for_sockets).transpose();
        Ok(Self {
            tls: tls.map_err(|error| ConnectError::Unreachable(error.to_string()))?,
            phase: Phase::Waiting(now),
            connection: 0,
            retry: Retry::new(random, options.retry_least, options.retry_most),
            subscriptions: Subscriptions::default(),
            sign_in: SignIn::Unwanted,
            unasked: VecDeque::new(),
            in_flight: 0,
            events: VecDeque::new(),
            farewell: Vec::new(),
            failure: None,
            options,
        })
    }

    pub(super) fn options(&self) -> &WsOptions {
        &self.options
    }

    // ---- what users ask for -------------------------------------------------------------------------------------------

    pub(super) fn subscribe(&mut self, channel: &str) -> Result<(), SubscribeError> {
        self.subscriptions.want(channel)?;
        self.ask();
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, channel: &str) {
        if self.subscriptions.forget(channel) {
            self.say(frame::unsubscribe(channel));
        }
    }

    pub(super) fn unsubscribe_all(&mut self) {
        for channel in self.subscriptions.names() {
            self.unsubscribe(&channel);
        }
    }

    pub(super) fn trigger(&mut self, channel: &str, event: &str, data: &Value) -> Result<(), TriggerError> {
        if !event.starts_with("client-") {
            return Err(TriggerError::BadName);
        }
        if !is_guarded(channel) {
            return Err(TriggerError::BadChannel);
        }
        if !self.subscriptions.is_subscribed(channel) {
            return Err(TriggerError::NotSubscribed);
        }
        if self.outgoing().is_some_and(|unsent| unsent.len() >= UNSENT_BYTES_MAX) {
            return Err(TriggerError::Full);
        }
        self.say(frame::client_event(channel, event, data));
        Ok(())
    }

    pub(super) fn sign_in(&mut self) {
        if matches!(self.sign_in, SignIn::Unwanted | SignIn::Refused(_)) {
            self.sign_in = SignIn::Waiting;
            self.ask();
        }
    }

    /// Says goodbye, and does nothing any more.
    pub(super) fn stop(&mut self) {
        if let Phase::Open(link) = &mut self.phase {
            link.wire.close();
            self.farewell = std::mem::take(link.wire.outgoing());
        }
        if !matches!(self.phase, Phase::Stopped) {
            self.phase = Phase::Stopped;
            self.failure = Some(ConnectError::Stopped);
            self.forget_connection();
            let reason = ConnectError::Stopped.to_string();
            self.events.push_back(Event::Disconnected { code: None, reason, retry: None });
        }
    }

    // ---- what users ask -----------------------------------------------------------------------------------------------

    pub(super) fn socket_id(&self) -> Option<&str> {
        match &self.phase {
            Phase::Open(link) => link.established.as_ref().map(|established| established.socket_id.as_str()),
            _ => None,
        }
    }

    /// Whether the first attempt has succeeded; nothing yet, while it is being made.
    pub(super) fn connected(&self) -> Option<Result<(), ConnectError>> {
        if self.socket_id().is_some() { Some(Ok(())) } else { self.failure.clone().map(Err) }
    }

    pub(super) fn subscribed(&self, channel: &str) -> Option<Result<(), SubscribeError>> {
        let outcome = self.subscriptions.outcome(channel);
        if outcome.is_none() && matches!(self.phase, Phase::Stopped) {
            Some(Err(SubscribeError::Stopped))
        } else {
            outcome
        }
    }

    pub(super) fn signed_in(&self) -> Option<Result<(), SubscribeError>> {
        match &self.sign_in {
            SignIn::Done(_) => Some(Ok(())),
            SignIn::Refused(refusal) => Some(Err(SubscribeError::Refused(refusal.clone()))),
            SignIn::Unwanted => Some(Err(SubscribeError::NotAsked)),
            _ if matches!(self.phase, Phase::Stopped) => Some(Err(SubscribeError::Stopped)),
            _ => None,
        }
    }

    pub(super) fn channels(&self) -> Vec<String> {
        self.subscriptions.names()
    }

    pub(super) fn members(&self, channel: &str) -> Members {
        self.subscriptions.members(channel)
    }

    // ---- what a driver does -------------------------------------------------------------------------------------------

    /// What has become due by time or by calls: bytes are written, events are offered, and what is left is told.
    pub(super) fn turn(
        &mut self,
        now: Instant,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
        mut offer: impl FnMut(Event) -> Result<(), Event>,
    ) -> Turn {
        self.tick(now);
        self.write(now, &mut write);
        let farewell = std::mem::take(&mut self.farewell);
        if !farewell.is_empty() {
            // A peer that does not take it is told nothing.
            drop(write(&farewell));
        }
        while let Some(event) = self.events.pop_front() {
            if let Err(event) = offer(event) {
                self.events.push_front(event);
                break;
            }
        }
        Turn {
            plan: self.plan(now),
            deadline: self.deadline(),
            is_behind: self.is_behind(),
            authorizations: std::iter::from_fn(|| self.take_authorization()).collect(),
        }
    }

    fn plan(&self, now: Instant) -> Plan {
        match &self.phase {
            Phase::Waiting(until) if now >= *until => Plan::Connect,
            Phase::Waiting(_) => Plan::Wait,
            Phase::Open(_) => Plan::Talk,
            Phase::Stopped => Plan::Stop,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting(until) => Some(*until),
            Phase::Open(link) if link.established.is_none() => Some(link.patience),
            Phase::Open(link) => Some(link.heartbeat.deadline(!self.is_behind())),
            Phase::Stopped => None,
        }
    }

    fn is_behind(&self) -> bool {
        !self.events.is_empty()
    }

    /// Writes what the socket takes.
    fn write(&mut self, now: Instant, write: &mut impl FnMut(&[u8]) -> io::Result<usize>) {
        while let Some(unsent) = self.outgoing().filter(|unsent| !unsent.is_empty()) {
            match write(unsent) {
                Ok(count) => drop(unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.lose(None, &error.to_string(), now),
            }
        }
    }

    fn outgoing(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.phase {
            Phase::Open(link) => Some(link.wire.outgoing()),
            _ => None,
        }
    }

    /// An authorizer is to be asked; a few at a time.
    fn take_authorization(&mut self) -> Option<Authorization> {
        if self.in_flight >= AUTHORIZATIONS_MAX {
            return None;
        }
        let next = self.unasked.pop_front()?;
        self.in_flight += 1;
        Some(next)
    }

    fn tick(&mut self, now: Instant) {
        let is_reading = !self.is_behind();
        let Phase::Open(link) = &mut self.phase else { return };
        if link.established.is_none() {
            if now >= link.patience {
                self.lose(None, "no answer in time", now);
            }
            return;
        }
        match link.heartbeat.beat(now, is_reading) {
            Beat::Nothing => {}
            Beat::Ping => link.wire.say(frame::ping()),
            Beat::Lost => self.lose(None, "the server has fallen silent", now),
        }
    }

    /// A socket is open.
    pub(super) fn open(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        self.connection += 1;
        let tls = self.tls.clone().map(|config| (config, self.options.place.name()));
        match Wire::new(&self.options.url(), tls) {
            Ok(wire) => {
                let heartbeat = Heartbeat::new(self.options.activity_timeout, self.options.pong_timeout, now);
                let patience = now + self.options.connect_timeout;
                let link = Link { wire, heartbeat, patience, established: None, refused: None };
                self.phase = Phase::Open(Box::new(link));
            }
            Err(why) => self.lose(None, &why, now),
        }
    }

    /// No socket could be opened, or it is at its end.
    pub(super) fn fail(&mut self, why: &str, now: Instant) {
        self.lose(None, why, now);
    }

    /// Bytes have come.
    pub(super) fn receive(&mut self, bytes: &[u8], now: Instant) {
        let Phase::Open(link) = &mut self.phase else { return };
        link.heartbeat.hear(now);
        if let Err(why) = link.wire.feed(bytes) {
            self.lose(None, &why, now);
        }
        while let Phase::Open(link) = &mut self.phase {
            match link.wire.hear() {
                Some(Heard::Text(text)) => self.hear(&text, now),
                Some(Heard::Closed(code, reason)) => self.lose(code, &reason, now),
                Some(Heard::Failed(why)) => self.lose(None, &why, now),
                None => return,
            }
        }
    }

    /// An authorizer has answered.
    pub(super) fn grant(&mut self, asked: &Authorization, grant: Grant) {
        self.in_flight -= 1;
        if asked.connection != self.connection || self.socket_id().is_none() {
            return;
        }
        match grant {
            Grant::Channel(Ok(auth)) => self.subscribe_with(&asked.request.channel, &auth),
            Grant::Channel(Err(error)) => self.refuse(&asked.request.channel, error.into()),
            Grant::User(Ok(auth)) => self.sign_in_with(&auth),
            Grant::User(Err(error)) => self.refuse_sign_in(error.into()),
        }
    }

    // ---- between the two ----------------------------------------------------------------------------------------------

    fn say(&mut self, text: String) {
        if let Phase::Open(link) = &mut self.phase {
            link.wire.say(text);
        }
    }

    fn lose(&mut self, code: Option<u16>, reason: &str, now: Instant) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        let (mut code, mut reason, mut lasted) = (code, reason.to_owned(), None::<Duration>);
        if let Phase::Open(link) = &mut self.phase {
            self.farewell = std::mem::take(link.wire.outgoing());
            lasted = link.established.as_ref().map(|established| now - established.at);
            // Some servers say why in an error alone, and close without a code.
            if let Some((refused, message)) =
                link.refused.take().filter(|_| code.is_none_or(|code| code < 4000))
            {
                (code, reason) = (refused.or(code), message);
            }
        }
        if reason.is_empty() {
            "the server has closed the connection".clone_into(&mut reason);
        }
        self.failure = Some(match code {
            Some(code) if code >= 4000 => ConnectError::Refused { code, reason: reason.clone() },
            _ => ConnectError::Unreachable(reason.clone()),
        });
        self.forget_connection();
        let retry = self.retry.pause(code, lasted);
        self.phase = retry.map_or(Phase::Stopped, |pause| Phase::Waiting(now + pause));
        self.events.push_back(Event::Disconnected { code, reason, retry });
    }

    /// What the connection has been asked for waits for the next one.
    fn forget_connection(&mut self) {
        self.subscriptions.restart();
        self.unasked.clear();
        if !matches!(self.sign_in, SignIn::Unwanted) {
            self.sign_in = SignIn::Waiting;
        }
    }

    /// Asks for all that waits, as far as it can be asked for now.
    fn ask(&mut self) {
        let Some(socket_id) = self.socket_id().map(str::to_owned) else { return };
        if matches!(self.sign_in, SignIn::Waiting) {
            self.ask_to_sign_in(&socket_id);
        }
        let is_signing_in = matches!(self.sign_in, SignIn::Authorizing | SignIn::Asked);
        // Who is signed in needs no other name on presence channels.
        while let Some(channel) =
            self.subscriptions.next_waiting(|channel| is_signing_in && is_presence(channel))
        {
            if !is_guarded(&channel) {
                self.subscriptions.ask(&channel, None);
                self.say(frame::subscribe(&channel, "", None));
            } else if let Some(authorizer) = self.options.channels.clone() {
                self.subscriptions.authorizing(&channel);
                let request = AuthRequest { socket_id: socket_id.clone(), channel };
                self.authorize(request, Asked::Channel(authorizer));
            } else {
                self.refuse(&channel, missing("auth_url or authorize_with"));
            }
        }
    }

    fn ask_to_sign_in(&mut self, socket_id: &str) {
        let Some(authorizer) = self.options.users.clone() else {
            self.refuse_sign_in(missing("user_auth_url or authenticate_with"));
            return;
        };
        self.sign_in = SignIn::Authorizing;
        let request = AuthRequest { socket_id: socket_id.to_owned(), channel: String::new() };
        self.authorize(request, Asked::User(authorizer));
    }

    fn authorize(&mut self, request: AuthRequest, asked: Asked) {
        self.unasked.push_back(Authorization { connection: self.connection, request, asked });
    }

    fn subscribe_with(&mut self, channel: &str, auth: &ChannelAuth) {
        if self.subscriptions.is_authorizing(channel) {
            let channel_data = auth.channel_data.as_deref();
            self.subscriptions.ask(channel, channel_data);
            self.say(frame::subscribe(channel, &auth.auth, channel_data));
        }
    }

    fn sign_in_with(&mut self, auth: &UserAuth) {
        if matches!(self.sign_in, SignIn::Authorizing) {
            self.sign_in = SignIn::Asked;
            self.say(frame::sign_in(&auth.auth, &auth.user_data));
        }
    }

    fn refuse(&mut self, channel: &str, refusal: Refusal) {
        if self.subscriptions.refuse(channel, refusal.clone()) {
            self.events.push_back(Event::SubscriptionFailed { channel: channel.to_owned(), refusal });
        }
    }

    fn refuse_sign_in(&mut self, refusal: Refusal) {
        // Some servers say it twice.
        if matches!(self.sign_in, SignIn::Refused(_)) {
            return;
        }
        self.sign_in = SignIn::Refused(refusal.clone());
        self.events.push_back(Event::SignInFailed { refusal });
        self.ask();
    }

    // ---- what the server says -----------------------------------------------------------------------------------------

    fn hear(&mut self, text: &str, now: Instant) {
        let Some(frame) = Frame::parse(text) else { return };
        match frame.event.as_str() {
            "pusher:connection_established" => self.hear_established(&frame.json(), now),
            "pusher:ping" => self.say(frame::pong()),
            "pusher:pong" => {}
            "pusher:error" => self.hear_error(&frame),
            "pusher:signin_success" => self.hear_signed_in(&frame.json()),
            "pusher:signin_error" => self.refuse_sign_in(refusal(&frame.json(), &frame.data)),
            "pusher_internal:watchlist_events" => self.events.push_back(watchlist(&frame.json())),
            name => match &frame.channel {
                Some(channel) => self.hear_of_channel(name, channel, &frame),
                None if name.starts_with("pusher_internal:") => {}
                None => self.events.push_back(message(&frame)),
            },
        }
    }

    fn hear_established(&mut self, data: &Value, now: Instant) {
        let Some(socket_id) = data.get("socket_id").and_then(id_of) else {
            self.lose(None, "the server gives the connection no id", now);
            return;
        };
        let wish = data.get("activity_timeout").and_then(number_of).filter(|seconds| *seconds > 0);
        let own = self.options.activity_timeout;
        let silence = wish.map_or(own, |seconds| own.min(Duration::from_secs(seconds)));
        let Phase::Open(link) = &mut self.phase else { return };
        link.heartbeat = Heartbeat::new(silence, self.options.pong_timeout, now);
        link.established = Some(Established { at: now, socket_id: socket_id.clone() });
        self.failure = None;
        self.events.push_back(Event::Connected { socket_id });
        self.ask();
    }

    fn hear_error(&mut self, frame: &Frame) {
        let data = frame.json();
        let code = data.get("code").and_then(code_of);
        let text = data.get("message").and_then(Value::as_str);
        let message = text.map_or_else(|| frame.data.clone(), str::to_owned);
        let Phase::Open(link) = &mut self.phase else { return };
        if link.established.is_none() {
            link.refused = Some((code, message));
            return;
        }
        // An error names no cause. It is that of a sign-in, if nothing else has been asked for.
        if matches!(self.sign_in, SignIn::Asked)
            && frame.channel.is_none()
            && !self.subscriptions.awaits_answer()
        {
            self.refuse_sign_in(Refusal { status: code, message: message.clone() });
        }
        self.events.push_back(Event::Error { code, message });
    }

    fn hear_signed_in(&mut self, data: &Value) {
        let user_data =
            data.get("user_data").map(|data| data.as_str().map_or_else(|| data.to_string(), str::to_owned));
        let user_data = user_data.unwrap_or_default();
        let parsed: Value = serde_json::from_str(&user_data).unwrap_or_default();
        let id = parsed.get("id").and_then(id_of).unwrap_or_default();
        // What back ends send to the user comes on a channel of its own, which nobody else may subscribe to.
        self.say(frame::subscribe(&format!("#server-to-user-{id}"), "", None));
        self.sign_in = SignIn::Done(id);
        self.events.push_back(Event::SignedIn { user_data });
        self.ask();
    }

    fn hear_of_channel(&mut self, name: &str, channel: &str, frame: &Frame) {
        let owned = || channel.to_owned();
        let event = match name {
            "pusher_internal:subscription_succeeded" => {
                let signed_in = if let SignIn::Done(id) = &self.sign_in { Some(id.as_str()) } else { None };
                let is_wanted = self.subscriptions.succeed(channel, &frame.json(), signed_in);
                is_wanted.then(|| Event::Subscribed { channel: owned() })
            }
            "pusher:subscription_error" => {
                self.refuse(channel, refusal(&frame.json(), &frame.data));
                None
            }
            "pusher_internal:member_added" => {
                let member = self.subscriptions.enter(channel, &frame.json());
                member.map(|member| Event::MemberAdded { channel: owned(), member })
            }
            "pusher_internal:member_removed" => {
                let member = self.subscriptions.leave(channel, &frame.json());
                member.map(|member| Event::MemberRemoved { channel: owned(), member })
            }
            _ if !self.is_heard(channel) => None,
            "pusher_internal:subscription_count" | "pusher:subscription_count" => {
                let count = frame.json().get("subscription_count").and_then(number_of);
                count.map(|count| Event::SubscriptionCount { channel: owned(), count })
            }
            "pusher:cache_miss" => Some(Event::CacheMiss { channel: owned() }),
            internal if internal.starts_with("pusher_internal:") => None,
            _ => Some(message(frame)),
        };
        self.events.extend(event);
    }

    /// What was unsubscribed from is not heard any more, even if it was on its way.
    fn is_heard(&self, channel: &str) -> bool {
        self.subscriptions.is_wanted(channel) || channel.starts_with("#server-to-user-")
    }
}

fn missing(what: &str) -> Refusal {
    Refusal { status: None, message: format!("nobody is there to authorize it: the options need {what}") }
}

fn message(frame: &Frame) -> Event {
    Event::Message(Message {
        event: frame.event.clone(),
        channel: frame.channel.clone(),
        data: frame.data.clone(),
        user_id: frame.user_id.clone(),
    })
}

fn refusal(data: &Value, text: &str) -> Refusal {
    let message = data.get("error").or_else(|| data.get("message")).and_then(Value::as_str).unwrap_or(text);
    Refusal { status: data.get("status").and_then(code_of), message: message.to_owned() }
}

fn watchlist(data: &Value) -> Event {
    let events = data.get("events").and_then(Value::as_array);
    let named = |name: &str| -> Vec<String> {
        let of_name =
            events.into_iter().flatten().filter(|event| event.get("name").is_some_and(|found| found == name));
        let ids = of_name.filter_map(|event| event.get("user_ids").and_then(Value::as_array));
        ids.flatten().filter_map(id_of).collect()
    };
    Event::Watchlist { online: named("online"), offline: named("offline") }
}

#[cfg(test)]
mod tests {
    use tungstenite::{Message as Text, WebSocket, accept};

    use super::*;
    use crate::credentials::Credentials;
    use crate::member::Member;
    use crate::ws::authorizer::AuthError;

    /// The other end, in memory.
    #[derive(Debug, Default)]
    struct Pipe {
        incoming: VecDeque<u8>,
        outgoing: Vec<u8>,
    }

    impl io::Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.incoming.is_empty() {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                self.incoming.read(buffer)
            }
        }
    }

    impl io::Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.outgoing.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A session with a server, a clock and a queue of events.
    struct Rig {
        session: Session,
        server: Option<WebSocket<Pipe>>,
        now: Instant,
        events: Vec<Event>,
        room: usize,
    }

    impl Rig {
        fn new(options: WsOptions) -> Self {
            let now = Instant::now();
            let session = Session::new(options, fastrand::Rng::with_seed(7), now).unwrap();
            Self { session, server: None, now, events: Vec::new(), room: usize::MAX }
        }

        fn turn(&mut self) -> Turn {
            let (server, events, room) = (&mut self.server, &mut self.events, self.room);
            let turn = self.session.turn(
                self.now,
                |bytes| {
                    if let Some(server) = server {
                        server.get_mut().incoming.extend(bytes);
                    }
                    Ok(bytes.len())
                },
                |event| {
                    if events.len() < room {
                        events.push(event);
                        Ok(())
                    } else {
                        Err(event)
                    }
                },
            );
            for authorization in &turn.authorizations {
                let grant = authorization.ask();
                self.session.grant(authorization, grant);
            }
            if turn.authorizations.is_empty() { turn } else { self.turn() }
        }

        /// Opens a socket and upgrades it.
        fn open(&mut self) {
            assert_eq!(self.turn().plan, Plan::Connect);
            self.server = None;
            self.session.open(self.now);
            let mut request = Pipe::default();
            self.session.turn(
                self.now,
                |bytes| {
                    request.incoming.extend(bytes);
                    Ok(bytes.len())
                },
                Err,
            );
            self.server = Some(accept(request).unwrap());
            self.pass();
        }

        fn establish(&mut self, socket_id: &str) {
            self.open();
            let data = format!(r#"{{"socket_id":"{socket_id}","activity_timeout":55}}"#);
            self.say(
                &serde_json::json!({"event": "pusher:connection_established", "data": data}).to_string(),
            );
        }

        /// What the server has written reaches the session.
        fn pass(&mut self) {
            let bytes = std::mem::take(&mut self.server.as_mut().unwrap().get_mut().outgoing);
            self.session.receive(&bytes, self.now);
            self.turn();
        }

        fn say(&mut self, text: &str) {
            self.server.as_mut().unwrap().send(Text::text(text)).unwrap();
            self.pass();
        }

        /// What the client has said.
        fn heard(&mut self) -> Vec<Value> {
            self.turn();
            let server = self.server.as_mut().unwrap();
            let texts = std::iter::from_fn(|| server.read().ok()).filter(Text::is_text);
            texts.map(|text| serde_json::from_str(text.to_text().unwrap()).unwrap()).collect()
        }

        fn close(&mut self, code: u16) {
            let frame = tungstenite::protocol::CloseFrame { code: code.into(), reason: "why".into() };
            self.server.as_mut().unwrap().close(Some(frame)).unwrap();
            self.pass();
        }

        fn take(&mut self) -> Vec<Event> {
            std::mem::take(&mut self.events)
        }
    }

    fn options() -> WsOptions {
        WsOptions::new("ws://h", "k").unwrap()
    }

    fn signing() -> WsOptions {
        options().sign_with(Credentials::new("1", "k", "s"), Member::new("me"))
    }

    fn connected(socket_id: &str) -> Event {
        Event::Connected { socket_id: socket_id.to_owned() }
    }

    fn subscribed(channel: &str) -> Event {
        Event::Subscribed { channel: channel.to_owned() }
    }

    fn succeed(channel: &str) -> String {
        format!(r#"{{"event":"pusher_internal:subscription_succeeded","channel":"{channel}","data":"{{}}"}}"#)
    }

    #[test]
    fn subscriptions_wait_for_the_connection_and_come_again_with_the_next() {
        let mut rig = Rig::new(signing());
        rig.session.subscribe("news").unwrap();
        rig.session.subscribe("private-a").unwrap();
        rig.establish("1.2");
        let heard = rig.heard();
        assert_eq!(
            heard[0],
            serde_json::json!({"event": "pusher:subscribe", "data": {"channel": "news", "auth": ""}})
        );
        assert_eq!(heard[1]["data"]["channel"], "private-a");
        assert!(heard[1]["data"]["auth"].as_str().unwrap().starts_with("k:"));
        rig.say(&succeed("news"));
        rig.say(&succeed("private-a"));
        assert_eq!(rig.take(), [connected("1.2"), subscribed("news"), subscribed("private-a")]);
        rig.close(4200);
        assert!(matches!(
            rig.take()[..],
            [Event::Disconnected { code: Some(4200), retry: Some(Duration::ZERO), .. }]
        ));
        assert_eq!((rig.session.socket_id(), rig.session.subscribed("news")), (None, None));
        rig.establish("3.4");
        let again = rig.heard();
        assert_eq!(again.len(), 2);
        assert_ne!(again[1]["data"]["auth"], heard[1]["data"]["auth"]);
    }

    #[test]
    fn data_may_be_a_text_or_an_object() {
        let mut rig = Rig::new(signing());
        rig.open();
        rig.say(
            r#"{"event":"pusher:connection_established","data":{"socket_id":"1.2","activity_timeout":"30"}}"#,
        );
        rig.session.subscribe("presence-a").unwrap();
        rig.heard();
        rig.say(r#"{"event":"pusher_internal:subscription_succeeded","channel":"presence-a","data":{"presence":{"count":1,"ids":["me"],"hash":{"me":null}}}}"#);
        rig.say(r#"{"event":"pusher_internal:member_added","channel":"presence-a","data":{"user_id":7,"user_info":{"a":1}}}"#);
        rig.say(r#"{"event":"pusher_internal:member_removed","channel":"presence-a","data":"{\"user_id\":\"7\"}"}"#);
        rig.say(r#"{"event":"e","channel":"presence-a","data":{"a":1},"user_id":"u"}"#);
        rig.say(r#"{"event":"pusher_internal:subscription_count","channel":"presence-a","data":"{\"subscription_count\":3}"}"#);
        rig.say("no message of the protocol");
        let (channel, seven) =
            (|| "presence-a".to_owned(), || Member::with_info("7", serde_json::json!({"a": 1})));
        let sent = Message {
            event: "e".to_owned(),
            channel: Some(channel()),
            data: r#"{"a":1}"#.to_owned(),
            user_id: Some("u".to_owned()),
        };
        assert_eq!(
            rig.take(),
            [
                connected("1.2"),
                subscribed("presence-a"),
                Event::MemberAdded { channel: channel(), member: seven() },
                Event::MemberRemoved { channel: channel(), member: seven() },
                Event::Message(sent),
                Event::SubscriptionCount { channel: channel(), count: 3 },
            ]
        );
        let members = rig.session.members("presence-a");
        assert_eq!((members.me(), members.count()), (Some("me"), 1));
    }

    #[test]
    fn a_code_of_4000_to_4099_ends_the_client_however_it_comes() {
        let mut rig = Rig::new(options());
        rig.open();
        rig.close(4001);
        assert_eq!(rig.turn().plan, Plan::Stop);
        assert_eq!(
            rig.session.connected(),
            Some(Err(ConnectError::Refused { code: 4001, reason: "why".to_owned() }))
        );
        // A server that says so in an error, and closes without a code.
        let mut rig = Rig::new(options());
        rig.open();
        rig.say(r#"{"event":"pusher:error","data":{"code":4001,"message":"no such app"}}"#);
        rig.session.fail("the server has closed the connection", rig.now);
        assert_eq!(rig.turn().plan, Plan::Stop);
        assert_eq!(
            rig.session.connected(),
            Some(Err(ConnectError::Refused { code: 4001, reason: "no such app".to_owned() }))
        );
        // An error on a connection that is established is only told.
        let mut rig = Rig::new(options());
        rig.establish("1.2");
        rig.say(r#"{"event":"pusher:error","data":{"code":4009,"message":"not this channel"}}"#);
        rig.session.fail("the server has closed the connection", rig.now);
        assert_eq!(rig.turn().plan, Plan::Wait);
    }

    #[test]
    fn after_4100_and_without_a_code_there_is_a_pause() {
        for code in [Some(4100), None] {
            let mut rig = Rig::new(options());
            rig.establish("1.2");
            match code {
                Some(code) => rig.close(code),
                None => rig.session.fail("reset", rig.now),
            }
            assert_eq!(rig.turn().plan, Plan::Wait);
            rig.now += Duration::from_millis(999);
            assert_eq!(rig.turn().plan, Plan::Wait);
            rig.now += Duration::from_millis(600);
            rig.establish("3.4");
            assert_eq!(rig.session.socket_id(), Some("3.4"));
        }
    }

    #[test]
    fn the_server_is_asked_after_its_own_activity_timeout_and_is_lost_when_it_says_nothing() {
        let mut rig = Rig::new(options());
        rig.establish("1.2");
        rig.now += Duration::from_secs(54);
        assert_eq!(rig.heard(), [] as [Value; 0]);
        rig.now += Duration::from_secs(1);
        assert_eq!(rig.heard(), [serde_json::json!({"event": "pusher:ping", "data": {}})]);
        rig.say(r#"{"event":"pusher:pong","data":"{}"}"#);
        rig.now += Duration::from_secs(55);
        assert_eq!(rig.heard().len(), 1);
        rig.now += Duration::from_secs(30);
        assert_eq!(rig.turn().plan, Plan::Wait);
        assert!(matches!(rig.take()[..], [_, Event::Disconnected { code: None, .. }]));
        let mut rig = Rig::new(options());
        rig.establish("1.2");
        rig.say(r#"{"event":"pusher:ping","data":{}}"#);
        assert_eq!(rig.heard()[0]["event"], "pusher:pong");
    }

    #[test]
    fn without_room_for_events_nothing_is_lost_and_the_driver_is_told_not_to_read() {
        let mut rig = Rig::new(options());
        rig.establish("1.2");
        rig.session.subscribe("c").unwrap();
        rig.heard();
        rig.room = 3;
        for number in 0..5 {
            rig.say(&format!(r#"{{"event":"e{number}","channel":"c","data":""}}"#));
        }
        assert!(rig.turn().is_behind);
        rig.room = usize::MAX;
        assert!(!rig.turn().is_behind);
        let names: Vec<String> = rig.take().iter().skip(1).map(|event| event.name().to_owned()).collect();
        assert_eq!(names, ["e0", "e1", "e2", "e3", "e4"]);
    }

    #[test]
    fn events_of_clients_need_the_prefix_a_channel_for_them_and_a_subscription() {
        let mut rig = Rig::new(signing());
        rig.establish("1.2");
        let data = Value::Null;
        assert_eq!(rig.session.trigger("private-a", "e", &data), Err(TriggerError::BadName));
        assert_eq!(rig.session.trigger("a", "client-e", &data), Err(TriggerError::BadChannel));
        assert_eq!(rig.session.trigger("private-a", "client-e", &data), Err(TriggerError::NotSubscribed));
        rig.session.subscribe("private-a").unwrap();
        rig.heard();
        assert_eq!(rig.session.trigger("private-a", "client-e", &data), Err(TriggerError::NotSubscribed));
        rig.say(&succeed("private-a"));
        assert_eq!(rig.session.trigger("private-a", "client-e", &serde_json::json!("x")), Ok(()));
        assert_eq!(
            rig.heard(),
            [serde_json::json!({"event": "client-e", "channel": "private-a", "data": "x"})]
        );
    }

    #[test]
    fn what_was_unsubscribed_from_is_not_heard_any_more() {
        let mut rig = Rig::new(options());
        rig.establish("1.2");
        rig.session.subscribe("a").unwrap();
        rig.say(&succeed("a"));
        rig.session.unsubscribe("a");
        assert_eq!(rig.heard().last().unwrap()["event"], "pusher:unsubscribe");
        rig.take();
        rig.say(r#"{"event":"e","channel":"a","data":""}"#);
        assert_eq!((rig.take(), rig.session.subscribed("a")), (vec![], Some(Err(SubscribeError::NotAsked))));
    }

    #[test]
    fn a_refused_subscription_says_why_and_can_be_asked_for_again() {
        let refused =
            |status, message: &str| SubscribeError::Refused(Refusal { status, message: message.to_owned() });
        let mut rig = Rig::new(options().authorize_with(|_| Err(AuthError::new("not you"))));
        rig.establish("1.2");
        rig.session.subscribe("private-a").unwrap();
        rig.turn();
        assert_eq!(rig.session.subscribed("private-a"), Some(Err(refused(None, "not you"))));
        rig.session.subscribe("a").unwrap();
        rig.say(r#"{"event":"pusher:subscription_error","channel":"a","data":"{\"type\":\"AuthError\",\"error\":\"no\",\"status\":401}"}"#);
        assert_eq!(rig.session.subscribed("a"), Some(Err(refused(Some(401), "no"))));
        rig.heard();
        rig.session.subscribe("a").unwrap();
        assert_eq!(rig.heard()[0]["data"]["channel"], "a");
        let mut rig = Rig::new(options());
        rig.establish("1.2");
        rig.session.subscribe("private-a").unwrap();
        assert!(matches!(rig.session.subscribed("private-a"), Some(Err(SubscribeError::Refused(_)))));
    }

    #[test]
    fn presence_channels_wait_for_a_sign_in_and_events_of_the_user_are_heard() {
        let app = || Credentials::new("1", "k", "s");
        let mut rig = Rig::new(signing().sign_in_with(app(), serde_json::json!({"id": "me"})));
        rig.session.subscribe("presence-a").unwrap();
        rig.session.sign_in();
        rig.establish("1.2");
        let heard = rig.heard();
        assert_eq!((heard.len(), &heard[0]["event"]), (1, &serde_json::json!("pusher:signin")));
        let data = serde_json::json!({"user_data": "{\"id\":\"me\"}"}).to_string();
        rig.say(&serde_json::json!({"event": "pusher:signin_success", "data": data}).to_string());
        let channels: Vec<Value> = rig.heard().iter().map(|said| said["data"]["channel"].clone()).collect();
        assert_eq!(channels, ["#server-to-user-me", "presence-a"]);
        assert_eq!(rig.session.signed_in(), Some(Ok(())));
        rig.take();
        rig.say(r##"{"event":"e","channel":"#server-to-user-me","data":"x"}"##);
        rig.say(r#"{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"u\"]}]}"}"#);
        let events = rig.take();
        assert!(matches!(&events[0], Event::Message(message) if message.data == "x"));
        assert_eq!(events[1], Event::Watchlist { online: vec!["u".to_owned()], offline: vec![] });
    }

    #[test]
    fn a_client_that_was_stopped_stays_so() {
        let mut rig = Rig::new(options());
        rig.establish("1.2");
        rig.session.stop();
        assert_eq!(rig.turn().plan, Plan::Stop);
        rig.session.open(rig.now);
        rig.session.fail("late", rig.now);
        assert_eq!(rig.turn().plan, Plan::Stop);
        assert_eq!(rig.take().len(), 2);
        assert!(matches!(rig.server.as_mut().unwrap().read(), Ok(Text::Close(Some(_)))));
    }
}
