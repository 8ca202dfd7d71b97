//! A client of the protocol: connected, subscribed, signed in.

use std::time::{Duration, Instant};

use corecast_client::Credentials;
use serde_json::{Value, json};

use crate::limits::PATIENCE;
use crate::socket::{Heard, Socket};
use crate::target::Target;
use crate::verdict::{Deviation, Verdict, deviates, hold, same};

/// What servers may say whenever they like: counts, signs of life, and webman's acknowledgement of an unsubscribe.
const UNASKED: [&str; 3] =
    ["pusher_internal:subscription_count", "pusher:ping", "pusher_internal:unsubscription_succeeded"];

/// A client that is connected.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) socket: Socket,
    pub(crate) socket_id: String,
    app: Credentials,
}

/// One message of the server.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) event: String,
    pub(crate) whole: Value,
}

impl Said {
    fn parse(text: &str) -> Result<Self, Deviation> {
        let whole: Value =
            serde_json::from_str(text).map_err(|error| Deviation(format!("no JSON ({error}): {text}")))?;
        match whole["event"].as_str() {
            Some(event) => Ok(Self { event: event.to_owned(), whole }),
            None => deviates(format!("a message without an event: {text}")),
        }
    }

    pub(crate) fn channel(&self) -> &str {
        self.whole["channel"].as_str().unwrap_or_default()
    }

    /// The data, which must be a text.
    pub(crate) fn text(&self) -> Result<&str, Deviation> {
        match self.whole.get("data") {
            Some(Value::String(text)) => Ok(text),
            Some(other) => deviates(format!("the data of {} is no string: {other}", self.event)),
            None => deviates(format!("{} has no data", self.event)),
        }
    }

    /// The JSON within the data, whether that is a text or not: what it must be is a check of its own.
    pub(crate) fn json(&self) -> Result<Value, Deviation> {
        match self.whole.get("data") {
            Some(Value::String(text)) => serde_json::from_str(text).map_err(|error| {
                Deviation(format!("the data of {} is no JSON ({error}): {text}", self.event))
            }),
            Some(other) => Ok(other.clone()),
            None => deviates(format!("{} has no data", self.event)),
        }
    }

    /// A refusal of a subscription or of a message.
    pub(crate) fn is_refusal(&self) -> bool {
        ["pusher:error", "pusher:subscription_error", "pusher_internal:subscription_error"]
            .contains(&&*self.event)
    }
}

impl Client {
    /// Connects as pusher-js does.
    pub(crate) fn connect(target: &Target) -> Result<Self, Deviation> {
        let path = format!("/app/{}?protocol=7&client=js&version=8.4.0&flash=false", target.app.key());
        let socket = Socket::open(target, &path)?;
        Self::greeted(socket, target.app.clone())
    }

    /// The same once the socket is open.
    pub(crate) fn greeted(mut socket: Socket, app: Credentials) -> Result<Self, Deviation> {
        let Heard::Text(text) = socket.hear() else { return deviates("nothing was said after the upgrade") };
        let said = Said::parse(&text)?;
        same("the first message", &&*said.event, &"pusher:connection_established")?;
        let Some(socket_id) = said.json()?["socket_id"].as_str().map(str::to_owned) else {
            return deviates(format!("no socket_id in {text}"));
        };
        Ok(Self { socket, socket_id, app })
    }

    /// Says an event with data.
    pub(crate) fn say(&mut self, event: &str, data: &Value) -> Verdict {
        self.socket.say(json!({"event": event, "data": data}).to_string())
    }

    /// Says an event on a channel.
    pub(crate) fn say_on(&mut self, channel: &str, event: &str, data: &Value) -> Verdict {
        self.socket.say(json!({"event": event, "channel": channel, "data": data}).to_string())
    }

    /// The next message. Those that a server may send whenever it likes are passed over.
    pub(crate) fn hear(&mut self) -> Result<Said, Deviation> {
        self.hear_within(PATIENCE)
    }

    /// The same within this time.
    pub(crate) fn hear_within(&mut self, time: Duration) -> Result<Said, Deviation> {
        match self.hear_or_nothing(time)? {
            Some(said) => Ok(said),
            None => deviates(format!("nothing came within {} s", time.as_secs_f32())),
        }
    }

    /// The next message, or none within this time.
    pub(crate) fn hear_or_nothing(&mut self, time: Duration) -> Result<Option<Said>, Deviation> {
        let until = Instant::now() + time;
        loop {
            match self.socket.hear_within(until.saturating_duration_since(Instant::now())) {
                Heard::Text(text) => {
                    let said = Said::parse(&text)?;
                    if !UNASKED.contains(&&*said.event) {
                        return Ok(Some(said));
                    }
                }
                Heard::Ping | Heard::Pong(_) => {}
                Heard::Nothing => return Ok(None),
                other => return deviates(format!("the connection ended: {other:?}")),
            }
        }
    }

    /// The next message, which must be this event.
    pub(crate) fn expect(&mut self, event: &str) -> Result<Said, Deviation> {
        let said = self.hear()?;
        hold(said.event == event, || format!("expected {event}, got {}", said.whole))?;
        Ok(said)
    }

    /// The next message, which must be this event on this channel.
    pub(crate) fn expect_on(&mut self, channel: &str, event: &str) -> Result<Said, Deviation> {
        let said = self.expect(event)?;
        same(&format!("the channel of {event}"), &said.channel(), &channel)?;
        Ok(said)
    }

    /// A refusal comes, by whichever of its names. What belongs to it is taken as well.
    pub(crate) fn expect_refusal(&mut self) -> Result<Said, Deviation> {
        let said = self.hear()?;
        hold(said.is_refusal(), || format!("expected a refusal, got {}", said.whole))?;
        Ok(said)
    }

    /// The connection still answers. Refusals that were on their way are passed over.
    pub(crate) fn is_alive(&mut self) -> Verdict {
        self.say("pusher:ping", &json!({}))?;
        loop {
            let said = self.hear()?;
            if said.event == "pusher:pong" {
                return Ok(());
            }
            hold(said.is_refusal(), || format!("expected pusher:pong, got {}", said.whole))?;
        }
    }

    /// Nothing but the answer to a ping comes: whatever was to come would have come before it.
    pub(crate) fn hears_nothing_more(&mut self) -> Verdict {
        self.say("pusher:ping", &json!({}))?;
        self.expect("pusher:pong").map(drop)
    }

    /// `auth` of this connection for a channel.
    pub(crate) fn auth(&self, channel: &str, channel_data: Option<&str>) -> String {
        let tail = channel_data.map(|data| format!(":{data}")).unwrap_or_default();
        let text = format!("{}:{channel}{tail}", self.socket_id);
        format!("{}:{}", self.app.key(), self.app.sign(text.as_bytes()))
    }

    /// Asks for a channel, signed if its kind wants that.
    pub(crate) fn ask_for(&mut self, channel: &str) -> Verdict {
        let auth = if channel.starts_with("private-") { self.auth(channel, None) } else { String::new() };
        self.say("pusher:subscribe", &json!({"channel": channel, "auth": auth}))
    }

    /// Subscribes and is let in.
    pub(crate) fn subscribe(&mut self, channel: &str) -> Result<Said, Deviation> {
        self.ask_for(channel)?;
        self.expect_on(channel, "pusher_internal:subscription_succeeded")
    }

    /// Asks for a presence channel as a user.
    pub(crate) fn ask_as(&mut self, channel: &str, channel_data: &Value) -> Verdict {
        let data = channel_data.to_string();
        let auth = self.auth(channel, Some(&data));
        self.say("pusher:subscribe", &json!({"channel": channel, "auth": auth, "channel_data": data}))
    }

    /// Subscribes to a presence channel as a user and is let in: who is there.
    pub(crate) fn enter(&mut self, channel: &str, channel_data: &Value) -> Result<Value, Deviation> {
        self.ask_as(channel, channel_data)?;
        let said = self.expect_on(channel, "pusher_internal:subscription_succeeded")?;
        Ok(said.json()?["presence"].clone())
    }

    /// Unsubscribes. Nothing answers that.
    pub(crate) fn unsubscribe(&mut self, channel: &str) -> Verdict {
        self.say("pusher:unsubscribe", &json!({"channel": channel}))
    }

    /// Asks to be signed in.
    pub(crate) fn ask_to_sign_in(&mut self, user_data: &Value) -> Verdict {
        let data = user_data.to_string();
        let signature = self.app.sign(format!("{}::user::{data}", self.socket_id).as_bytes());
        let auth = format!("{}:{signature}", self.app.key());
        self.say("pusher:signin", &json!({"auth": auth, "user_data": data}))
    }

    /// Signs in.
    pub(crate) fn sign_in(&mut self, user_data: &Value) -> Result<Said, Deviation> {
        self.ask_to_sign_in(user_data)?;
        self.expect("pusher:signin_success")
    }
}
