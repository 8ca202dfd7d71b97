//! A client as its user sees it: what it is subscribed to, and what it was told.

use std::collections::{BTreeMap, BTreeSet};

use protocol::app::App;
use protocol::auth::{sign_signin, sign_subscription};
use protocol::socket_id::SocketId;
use serde_json::{Value, json};

/// What a client was told on a channel since it subscribed.
#[derive(Clone, Debug, Default)]
pub struct Sub {
    /// It was acknowledged.
    pub acked: Option<Acked>,
    pub members: BTreeMap<String, Value>,
    /// How many subscriptions there are.
    pub count: Option<u64>,
    pub got: BTreeSet<u64>,
    /// The last event that was published on its own node.
    pub last_own: u64,
    /// The last event that stands in the log of the server.
    pub last: Option<Place>,
}

/// Where an event stands in the log of the server.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub place: usize,
    /// After how many sessions that its node had lost it was heard.
    pub lost: u64,
    /// The link was live then.
    pub hears: bool,
}

/// A user on the watchlist of a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watched {
    /// What the client was told.
    pub online: Option<bool>,
    /// The server had the user when the client signed in, the first on its node to watch it. It never hears otherwise while the
    /// server has the user, its node loses no session, and nothing there waits for too long.
    pub certain: Option<Certain>,
}

/// When a client has signed in.
#[derive(Clone, Copy, Debug)]
pub struct Certain {
    /// After how many sessions that its node had lost.
    pub lost: u64,
    /// After how often something was let in late there.
    pub late: u64,
    /// After how many users had been taken out of topics.
    pub removals: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Acked {
    /// After how many sessions of its node had begun.
    pub begun: u64,
    /// All events with a lower number were published before.
    pub event: u64,
}

#[derive(Debug)]
pub struct Client {
    pub node: usize,
    pub shard: usize,
    pub slot: u32,
    pub user: String,
    pub info: u64,
    pub socket_id: Option<SocketId>,
    pub alive: bool,
    /// Its shard knows that it is not.
    pub gone: bool,
    /// It was closed by its server, and that was not judged yet.
    pub closed: bool,
    /// Its shard does not read from it now.
    pub paused: bool,
    pub subs: BTreeMap<String, Sub>,
    /// It has asked to be signed in as its user.
    pub signs_in: bool,
    /// It is.
    pub signed_in: bool,
    /// The users on its watchlist.
    pub watched: BTreeMap<String, Watched>,
    /// Channels that it left before it was acknowledged: it could not tell one acknowledgement from the next.
    left_waiting: BTreeSet<String>,
    pub sent: Vec<u8>,
    pub received: Vec<u8>,
    upgraded: bool,
}

/// The channel of a user.
pub fn user_channel(user: &str) -> String {
    format!("#server-to-user-{user}")
}

/// What a client has heard.
#[derive(Debug)]
pub struct Heard {
    pub event: String,
    pub channel: String,
    pub data: Value,
}

impl Client {
    pub fn new(node: usize, shard: usize, slot: u32, user: String, info: u64) -> Self {
        let head = "GET /app/key HTTP/1.1\r\nHost: s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        Self {
            node,
            shard,
            slot,
            user,
            info,
            socket_id: None,
            alive: true,
            gone: false,
            closed: false,
            paused: false,
            subs: BTreeMap::new(),
            signs_in: false,
            signed_in: false,
            watched: BTreeMap::new(),
            left_waiting: BTreeSet::new(),
            sent: head.into(),
            received: Vec::new(),
            upgraded: false,
        }
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        self.sent.push(0x81);
        match u8::try_from(text.len()) {
            Ok(short) if short < 126 => self.sent.push(0x80 | short),
            _ => {
                self.sent.push(0x80 | 126);
                self.sent.extend_from_slice(&(text.len() as u16).to_be_bytes());
            }
        }
        self.sent.extend_from_slice(&[0; 4]);
        self.sent.extend_from_slice(text.as_bytes());
    }

    pub fn subscribe(&mut self, app: &App, channel: &str) {
        let Some(socket_id) = self.socket_id else { return };
        let mut data = json!({ "channel": channel });
        if channel.starts_with("presence-") {
            let member = json!({ "user_id": self.user, "user_info": { "n": self.info } }).to_string();
            data["auth"] = sign_subscription(app, socket_id, channel, Some(&member)).into();
            data["channel_data"] = member.into();
        }
        self.send(&json!({ "event": "pusher:subscribe", "data": data }));
        self.subs.insert(channel.to_owned(), Sub::default());
    }

    /// Signs in as its user.
    pub fn sign_in(&mut self, app: &App, watchlist: BTreeMap<String, Watched>) {
        let Some(socket_id) = self.socket_id else { return };
        let ids: Vec<_> = watchlist.keys().collect();
        let user_data = json!({ "id": self.user, "watchlist": ids }).to_string();
        let auth = sign_signin(app, socket_id, &user_data);
        self.send(&json!({ "event": "pusher:signin", "data": { "auth": auth, "user_data": user_data } }));
        (self.signs_in, self.watched) = (true, watchlist);
    }

    /// Whether it is not signed in, and may be.
    pub fn may_sign_in(&self) -> bool {
        self.socket_id.is_some() && !self.signs_in
    }

    /// The channel of its user.
    pub fn own_channel(&self) -> String {
        user_channel(&self.user)
    }

    /// The server has closed it.
    pub fn end(&mut self) {
        (self.alive, self.gone, self.closed) = (false, true, true);
        self.subs.clear();
    }

    pub fn unsubscribe(&mut self, channel: &str) {
        self.send(&json!({ "event": "pusher:unsubscribe", "data": { "channel": channel } }));
        let sub = self.subs.remove(channel);
        if sub.is_some_and(|sub| sub.acked.is_none()) {
            self.left_waiting.insert(channel.to_owned());
        }
    }

    /// Whether it is not subscribed, and may be.
    pub fn may_subscribe(&self, channel: &str) -> bool {
        self.socket_id.is_some() && !self.subs.contains_key(channel) && !self.left_waiting.contains(channel)
    }

    /// What has come since, frame by frame.
    pub fn hear(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        if !self.upgraded {
            let Some(end) = self.received.windows(4).position(|it| it == b"\r\n\r\n") else { return heard };
            self.received.drain(..end + 4);
            self.upgraded = true;
        }
        let mut at = 0;
        while let Some((text, next)) = frame_at(&self.received, at) {
            at = next;
            let message: Value = serde_json::from_slice(text).expect("servers send JSON");
            let data = match &message["data"] {
                Value::String(text) => {
                    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
                }
                other => other.clone(),
            };
            let field = |name: &str| message[name].as_str().unwrap_or("").to_owned();
            if message["event"] == "pusher:connection_established" {
                self.socket_id = SocketId::parse(data["socket_id"].as_str().expect("an id"));
            }
            heard.push(Heard { event: field("event"), channel: field("channel"), data });
        }
        self.received.drain(..at);
        heard
    }
}

/// The payload of the whole text frame at this place, and where it ends.
fn frame_at(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let short = usize::from(*bytes.get(at + 1)?);
    let (from, len) = match short {
        126 => (at + 4, usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]))),
        _ => (at + 2, short),
    };
    assert!(bytes[at] == 0x81 && short < 127, "only short texts and no close: {:?}", &bytes[at..]);
    Some((bytes.get(from..from + len)?, from + len))
}
