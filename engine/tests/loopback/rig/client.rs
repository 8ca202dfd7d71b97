//! A Pusher client over tungstenite, an implementation of WebSocket that is not the server's.
//!
//! Blocking: it says something, or hears the next frame. Well behaved; what a hostile peer does is in raw.rs. A client that
//! comes or goes makes others hear how many they are: that is skipped, except by what is named for it.

use std::net::TcpStream;

use protocol::auth::{sign_signin, sign_subscription};
use protocol::socket_id::SocketId;
use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

use super::{app, is_count, text};

/// A connection that is established.
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    pub(crate) socket_id: SocketId,
    /// The first frame.
    pub(crate) established: Value,
}

/// The data of an event, which is a string that holds JSON.
pub(crate) fn data_of(event: &Value) -> Value {
    let text = event["data"].as_str().unwrap_or_else(|| panic!("data is no string in {event}"));
    serde_json::from_str(text).unwrap()
}

impl Client {
    /// Upgrades the stream on this path and query.
    pub(crate) fn connect(stream: TcpStream, target: &str) -> Self {
        Self::try_connect(stream, target).unwrap_or_else(|refused| panic!("refused: {refused}"))
    }

    /// The same; the first frame, if that is another event.
    pub(crate) fn try_connect(stream: TcpStream, target: &str) -> Result<Self, Value> {
        let mut socket = upgrade(stream, target);
        let established = hear(&mut socket, |_| true);
        if established["event"] != "pusher:connection_established" {
            return Err(established);
        }
        // Clients of webman get it as an object.
        let data =
            if established["data"].is_string() { data_of(&established) } else { established["data"].clone() };
        let id = data["socket_id"].as_str().and_then(SocketId::parse);
        let socket_id = id.unwrap_or_else(|| panic!("no socket_id in {established}"));
        Ok(Self { socket, socket_id, established })
    }

    pub(crate) fn shard(&self) -> u16 {
        self.socket_id.place().expect("an id of a server").shard
    }

    pub(crate) fn say(&mut self, message: &Value) {
        self.say_text(&text(message));
    }

    pub(crate) fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// The next text message.
    pub(crate) fn hear(&mut self) -> Value {
        hear(&mut self.socket, |event| !is_count(event))
    }

    /// The next text message, though it may say how many are subscribed.
    pub(crate) fn hear_any(&mut self) -> Value {
        hear(&mut self.socket, |_| true)
    }

    /// The next message, which says how many are subscribed to this channel.
    pub(crate) fn hear_count(&mut self, channel: &str) -> u64 {
        let event = self.hear_any();
        assert!(is_count(&event) && event["channel"] == channel, "{event}");
        data_of(&event)["subscription_count"].as_u64().unwrap_or_else(|| panic!("no number in {event}"))
    }

    /// Whatever comes next.
    pub(crate) fn read(&mut self) -> Result<Message, Error> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) if is_count(&serde_json::from_str(&text).unwrap()) => {}
                other => return other,
            }
        }
    }

    /// The next message, which is this event; returns it.
    pub(crate) fn hear_event(&mut self, name: &str) -> Value {
        let event = self.hear();
        assert_eq!(event["event"], name, "{event}");
        event
    }

    /// The next message is an event with this name on this channel and this data.
    pub(crate) fn expect(&mut self, channel: &str, name: &str, data: &str) {
        let event = self.hear_event(name);
        assert_eq!(event["channel"], channel, "{event}");
        assert_eq!(event["data"], data, "{event}");
    }

    /// The next message is an error: its code and text.
    pub(crate) fn hear_error(&mut self) -> (Option<u64>, String) {
        let event = self.hear_event("pusher:error");
        let text = event["data"]["message"].as_str().unwrap_or_else(|| panic!("{event}")).to_owned();
        assert!(event["data"].get("code").is_some(), "{event}");
        (event["data"]["code"].as_u64(), text)
    }

    /// What refuses a subscription: an error without a code, and the same on the channel. Returns the text.
    pub(crate) fn hear_refusal(&mut self, channel: &str) -> String {
        let (code, text) = self.hear_error();
        assert_eq!(code, None, "{text}");
        let event = self.hear_event("pusher:subscription_error");
        assert_eq!(event["channel"], channel, "{event}");
        assert_eq!(data_of(&event)["error"], *text, "{event}");
        text
    }

    /// Code and reason of the close frame, which comes before anything else.
    pub(crate) fn hear_close(&mut self) -> (u16, String) {
        match self.read() {
            Ok(Message::Close(Some(frame))) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("no close frame but {other:?}"),
        }
    }

    /// Subscribes as a client would whose back end allows everything; waits for the acknowledgement.
    pub(crate) fn subscribe(&mut self, channel: &str) -> Value {
        self.ask_to_subscribe(channel);
        self.hear_succeeded(channel)
    }

    /// The same, and does not wait.
    pub(crate) fn ask_to_subscribe(&mut self, channel: &str) {
        let auth = if channel.starts_with("private-") {
            sign_subscription(&app(), self.socket_id, channel, None)
        } else {
            String::new()
        };
        self.say(&json!({"event": "pusher:subscribe", "data": {"auth": auth, "channel": channel}}));
    }

    /// Subscribes to a presence channel; returns the acknowledgement's `presence`.
    pub(crate) fn join(&mut self, channel: &str, channel_data: &str) -> Value {
        self.ask_to_join(channel, channel_data);
        let event = self.hear_succeeded(channel);
        data_of(&event)["presence"].clone()
    }

    /// Asks to join a presence channel, rightly signed.
    pub(crate) fn ask_to_join(&mut self, channel: &str, channel_data: &str) {
        let auth = sign_subscription(&app(), self.socket_id, channel, Some(channel_data));
        let data = json!({"auth": auth, "channel": channel, "channel_data": channel_data});
        self.say(&json!({"event": "pusher:subscribe", "data": data}));
    }

    /// Signs in as a client would whose back end allows it; waits for the answer.
    pub(crate) fn sign_in(&mut self, user_data: &str) {
        self.ask_to_sign_in(user_data);
        let event = self.hear_event("pusher:signin_success");
        assert_eq!(data_of(&event), json!({"user_data": user_data}), "{event}");
    }

    /// Asks to sign in, rightly signed.
    pub(crate) fn ask_to_sign_in(&mut self, user_data: &str) {
        let auth = sign_signin(&app(), self.socket_id, user_data);
        self.say(&json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": user_data}}));
    }

    /// What refuses a sign-in: an error without a code, and the same for anybody who waits for it. Returns its data.
    pub(crate) fn hear_signin_refusal(&mut self) -> Value {
        let (code, text) = self.hear_error();
        assert_eq!(code, None, "{text}");
        let event = self.hear_event("pusher:signin_error");
        assert!(event.get("channel").is_none(), "{event}");
        assert_eq!(data_of(&event)["error"], *text, "{event}");
        data_of(&event)
    }

    pub(crate) fn unsubscribe(&mut self, channel: &str) {
        self.say(&json!({"event": "pusher:unsubscribe", "data": {"channel": channel}}));
    }

    pub(crate) fn trigger(&mut self, channel: &str, event: &str, data: &Value) {
        self.say(&json!({"event": event, "channel": channel, "data": data}));
    }

    fn hear_succeeded(&mut self, channel: &str) -> Value {
        let event = self.hear_event("pusher_internal:subscription_succeeded");
        assert_eq!(event["channel"], channel, "{event}");
        event
    }

    /// A ping is answered, and nothing was waiting before the answer.
    pub(crate) fn expect_pong(&mut self) {
        self.say_text(r#"{"event":"pusher:ping","data":{}}"#);
        self.hear_event("pusher:pong");
    }

    /// The socket below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    /// The WebSocket below.
    pub(crate) fn socket(&mut self) -> &mut WebSocket<TcpStream> {
        &mut self.socket
    }

    /// Leaves without a word: RST.
    pub(crate) fn abort(self) {
        super::raw::abort(self.socket.get_ref());
    }
}

fn upgrade(stream: TcpStream, target: &str) -> WebSocket<TcpStream> {
    let url = format!("ws://{}{target}", stream.peer_addr().unwrap());
    tungstenite::client(url, stream).unwrap_or_else(|error| panic!("no upgrade: {error}")).0
}

/// The next text message that is wanted.
fn hear(socket: &mut WebSocket<TcpStream>, is_wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                let event = serde_json::from_str(&text).unwrap();
                if is_wanted(&event) {
                    return event;
                }
            }
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            other => panic!("no message but {other:?}"),
        }
    }
}
