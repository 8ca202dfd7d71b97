//! A client as its user sees it: what it has sent, what it must believe, and the frames it has got.

use std::collections::BTreeMap;

use protocol::app::App;
use protocol::auth::{sign_signin, sign_subscription};
use protocol::socket_id::SocketId;
use serde_json::{Value, json};

use crate::users::Watching;

/// What a client got on a channel, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// subscription_succeeded, with the members' ids on a presence channel.
    Succeeded {
        members: Option<Vec<String>>,
        step: u64,
    },
    /// An event, by the number in its data.
    Event(u64),
    /// A cache channel remembers nothing.
    Missed,
    Added(String),
    Removed(String),
    /// How many are subscribed.
    Counted(u64),
}

#[derive(Debug, Default)]
pub struct Channel {
    /// By the order of its own commands: is it subscribed, or waiting to be?
    pub wanted: bool,
    /// How many of its subscribe commands had to be accepted.
    pub accepted: usize,
    /// The step at which it last sent unsubscribe.
    pub left_at: Option<u64>,
    /// The step of its last subscribe.
    pub asked_at: u64,
    pub seen: Vec<Seen>,
    /// A subscribe was refused by the home: what follows depends on when that was.
    pub refused: bool,
}

#[derive(Debug)]
pub struct Client {
    pub shard: usize,
    /// Index of its socket on that shard.
    pub socket: usize,
    pub socket_id: Option<SocketId>,
    pub channels: BTreeMap<String, Channel>,
    pub user: String,
    /// It has closed or vanished, or will be closed for a fault of its own.
    pub leaving: bool,
    /// Its user has been named as one who must go, and it may be on a presence channel under that id.
    pub may_be_terminated: bool,
    /// Whom its sign-ins so far make it.
    pub signed_in: Option<&'static str>,
    /// Sign-ins that must have been taken, and refused.
    pub signins: usize,
    pub bad_signins: usize,
    pub signins_seen: usize,
    pub bad_signins_seen: usize,
    /// Its app is gone or disabled.
    pub may_lose_app: bool,
    /// What it has heard of its watchlist and was not judged yet: users with whether they are online; none when it has signed
    /// in.
    pub watch_news: Vec<Option<Vec<(String, bool)>>>,
    pub watching: Watching,
    /// It has sent what shows that its back end knows it.
    pub authorized: bool,
    pub connected_ms: u64,
    /// When it first had its socket_id.
    pub established_ms: Option<u64>,
    /// The close code it got.
    pub close_code: Option<u16>,
    pub errors: Vec<String>,
    /// Errors that its commands must have caused, exactly.
    pub errors_expected: usize,
    /// It says nothing any more, not even in answer to a ping.
    pub silent: bool,
    /// Pings of the server that it has got.
    pub server_pings: u64,
    /// How many of them it has seen to.
    pub server_pings_seen: u64,
    pub pings: usize,
    pub pongs: usize,
    /// Data is JSON to it, and no string that holds it.
    pub takes_objects: bool,
    /// Unsubscribes that must have been taken. Who takes objects hears of each.
    pub unsubscribes: usize,
    pub unsubscribes_seen: usize,
    parsed: usize,
    upgraded: bool,
}

impl Client {
    pub fn new(shard: usize, socket: usize, user: String) -> Self {
        Self {
            shard,
            socket,
            socket_id: None,
            channels: BTreeMap::new(),
            user,
            leaving: false,
            may_be_terminated: false,
            signed_in: None,
            signins: 0,
            bad_signins: 0,
            signins_seen: 0,
            bad_signins_seen: 0,
            may_lose_app: false,
            watch_news: Vec::new(),
            watching: Watching::default(),
            authorized: false,
            connected_ms: 0,
            established_ms: None,
            close_code: None,
            errors: Vec::new(),
            errors_expected: 0,
            silent: false,
            server_pings: 0,
            server_pings_seen: 0,
            pings: 0,
            pongs: 0,
            takes_objects: false,
            unsubscribes: 0,
            unsubscribes_seen: 0,
            parsed: 0,
            upgraded: false,
        }
    }

    /// The same, with what proxies have said of where it is.
    pub fn forwarded_head(key: &str, forwarded: &str) -> Vec<u8> {
        let mut head = Self::head(key, false);
        head.truncate(head.len() - 2);
        head.extend_from_slice(format!("X-Forwarded-For: {forwarded}\r\n\r\n").as_bytes());
        head
    }

    /// The request that opens the connection.
    pub fn head(key: &str, takes_objects: bool) -> Vec<u8> {
        let query = if takes_objects { "X-Push-WS-Client=sim" } else { "protocol=7&client=sim" };
        format!(
            "GET /app/{key}?{query} HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        .into_bytes()
    }

    /// A subscribe command with whatever the channel needs; None before the socket_id is known.
    pub fn subscribe(&self, app: &App, channel: &str) -> Option<Vec<u8>> {
        let socket_id = self.socket_id?;
        let data = if channel.starts_with("presence-") && self.signed_in == Some(&*self.user) {
            json!({"channel": channel, "auth": sign_subscription(app, socket_id, channel, None)})
        } else if channel.starts_with("presence-") {
            let channel_data =
                json!({"user_id": self.user, "user_info": {"name": self.user, "padding": "z".repeat(350)}})
                    .to_string();
            let auth = sign_subscription(app, socket_id, channel, Some(&channel_data));
            json!({"channel": channel, "auth": auth, "channel_data": channel_data})
        } else if channel.starts_with("private-") {
            json!({"channel": channel, "auth": sign_subscription(app, socket_id, channel, None)})
        } else {
            json!({"channel": channel})
        };
        Some(text(&json!({"event": "pusher:subscribe", "data": data})))
    }

    /// A sign-in as this user; None before the socket_id is known.
    pub fn signin(&self, app: &App, user: &str, watchlist: &[&str]) -> Option<Vec<u8>> {
        let socket_id = self.socket_id?;
        let user_data = json!({"id": user, "user_info": {"name": user}, "watchlist": watchlist}).to_string();
        let data = json!({"auth": sign_signin(app, socket_id, &user_data), "user_data": user_data});
        Some(text(&json!({"event": "pusher:signin", "data": data})))
    }

    pub fn unsubscribe(channel: &str) -> Vec<u8> {
        text(&json!({"event": "pusher:unsubscribe", "data": {"channel": channel}}))
    }

    pub fn client_event(channel: &str, id: u64, padding: usize) -> Vec<u8> {
        let padding = "x".repeat(padding);
        let data = match is_json(id) {
            true => json!({"id": id, "padding": padding}),
            false => format!("{id}:{padding}").into(),
        };
        text(&json!({"event": "client-e", "channel": channel, "data": data}))
    }

    pub fn ping() -> Vec<u8> {
        text(&json!({"event": "pusher:ping", "data": {}}))
    }

    pub fn pong() -> Vec<u8> {
        frame(10, &[])
    }

    pub fn close() -> Vec<u8> {
        frame(8, &1000_u16.to_be_bytes())
    }

    /// Reads what has arrived since the last time.
    pub fn read(&mut self, received: &[u8], step: u64) -> Result<(), String> {
        if !self.upgraded {
            let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(()) };
            if !received.starts_with(b"HTTP/1.1 101") {
                return Err(format!("refused: {}", String::from_utf8_lossy(received)));
            }
            self.parsed = end + 4;
            self.upgraded = true;
        }
        while let Some((opcode, payload, used)) = parse_frame(&received[self.parsed..])? {
            let payload = payload.to_vec();
            self.parsed += used;
            if self.close_code.is_some() {
                return Err("a frame after the close frame".into());
            }
            match opcode {
                1 => self.take(&payload, step)?,
                8 => self.close_code = Some(u16::from_be_bytes([payload[0], payload[1]])),
                9 => self.server_pings += 1,
                10 => {}
                other => return Err(format!("opcode {other}")),
            }
        }
        Ok(())
    }

    /// By its own commands, it is subscribed to this channel.
    pub fn is_on(&self, channel: &str) -> bool {
        self.channels.get(channel).is_some_and(|channel| channel.wanted)
    }

    /// True when nothing but whole frames has arrived.
    pub fn is_whole(&self, received: &[u8]) -> bool {
        self.parsed == received.len()
    }

    fn take(&mut self, payload: &[u8], step: u64) -> Result<(), String> {
        let frame: Value = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        let event = frame["event"].as_str().ok_or("no event")?;
        let data: Value = match &frame["data"] {
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
            other => other.clone(),
        };
        let channel = frame["channel"].as_str();
        self.check_form(event, &frame["data"], &data)?;
        match (event, channel) {
            ("pusher:connection_established", None) => {
                let text = data["socket_id"].as_str().ok_or("no socket_id")?;
                self.socket_id = Some(SocketId::parse(text).ok_or("bad socket_id")?);
            }
            ("pusher:pong", None) => self.pongs += 1,
            ("pusher:signin_success", None) => {
                let user_data = data["user_data"].as_str().ok_or("user_data is no string")?;
                let user: Value = serde_json::from_str(user_data).map_err(|error| error.to_string())?;
                if user["id"].as_str() != self.signed_in {
                    return Err(format!("signed in as {user}"));
                }
                self.signins_seen += 1;
                self.watch_news.push(None);
            }
            ("pusher_internal:watchlist_events", None) => {
                let mut news = Vec::new();
                for event in data["events"].as_array().ok_or("no events")? {
                    let ids = event["user_ids"].as_array().ok_or("no user_ids")?;
                    let online = event["name"] == "online";
                    news.extend(ids.iter().map(|id| (id.as_str().unwrap_or("").to_owned(), online)));
                }
                self.watch_news.push(Some(news));
            }
            ("pusher:signin_error", None) => self.bad_signins_seen += 1,
            ("pusher:error", None) => self.errors.push(data["message"].as_str().unwrap_or("").to_owned()),
            ("pusher:subscription_error", Some(channel)) => {
                let channel = self.channels.entry(channel.to_owned()).or_default();
                channel.refused = true;
                channel.wanted = false;
            }
            ("pusher_internal:subscription_succeeded", Some(channel)) => {
                let ids = data["presence"]["ids"].as_array();
                let members =
                    ids.map(|ids| ids.iter().map(|id| id.as_str().unwrap_or("").to_owned()).collect());
                self.see(channel, Seen::Succeeded { members, step });
            }
            ("pusher:cache_miss", Some(channel)) if data == json!({}) => self.see(channel, Seen::Missed),
            ("pusher_internal:unsubscription_succeeded", Some(_)) if self.takes_objects => {
                self.unsubscribes_seen += 1;
            }
            ("pusher:terminate_connection", None) if self.takes_objects && self.may_be_terminated => {}
            ("pusher_internal:member_added", Some(channel)) => {
                self.see(channel, Seen::Added(data["user_id"].as_str().ok_or("no user_id")?.to_owned()));
            }
            ("pusher_internal:member_removed", Some(channel)) => {
                self.see(channel, Seen::Removed(data["user_id"].as_str().ok_or("no user_id")?.to_owned()));
            }
            ("pusher_internal:subscription_count", Some(channel)) => {
                self.see(channel, Seen::Counted(data["subscription_count"].as_u64().ok_or("no number")?));
            }
            ("e" | "client-e", Some(channel)) => {
                let id = number_in(&data).ok_or("no number in the data")?;
                self.see(channel, Seen::Event(id));
            }
            _ => return Err(format!("unexpected frame {frame}")),
        }
        Ok(())
    }

    /// Data is a string unless the client takes objects, and text is one for everybody.
    fn check_form(&self, event: &str, sent: &Value, data: &Value) -> Result<(), String> {
        let is_text = matches!(event, "e" | "client-e") && !number_in(data).is_some_and(is_json);
        let is_object = event == "pusher:error" || (self.takes_objects && !is_text);
        if sent.is_string() != is_object { Ok(()) } else { Err(format!("{event} has the data {sent}")) }
    }

    fn see(&mut self, channel: &str, seen: Seen) {
        self.channels.entry(channel.to_owned()).or_default().seen.push(seen);
    }
}

/// Some events are published as JSON and all others as text.
pub fn is_json(id: u64) -> bool {
    id.is_multiple_of(3)
}

/// The number of an event.
fn number_in(data: &Value) -> Option<u64> {
    match data {
        Value::String(text) => text.split(':').next()?.parse().ok(),
        json => json["id"].as_u64(),
    }
}

/// A masked text frame.
fn text(message: &Value) -> Vec<u8> {
    frame(1, message.to_string().as_bytes())
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut out = vec![0x80 | opcode];
    if payload.len() < 126 {
        out.push(0x80 | payload.len() as u8);
    } else {
        out.push(0x80 | 126);
        out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    out
}

/// Opcode, payload, and length with header.
type ServerFrame<'a> = (u8, &'a [u8], usize);

/// The first frame, if it is complete.
fn parse_frame(bytes: &[u8]) -> Result<Option<ServerFrame<'_>>, String> {
    let [first, second, ..] = bytes else { return Ok(None) };
    if first & 0x80 == 0 || second & 0x80 != 0 {
        return Err(format!("a server frame begins with {first:02x} {second:02x}"));
    }
    let (len, header) = match second & 0x7f {
        126 if bytes.len() >= 4 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
        126 => return Ok(None),
        127 => return Err("a frame of more than 64 KiB".into()),
        len => (usize::from(len), 2),
    };
    Ok((bytes.len() >= header + len).then(|| (first & 0x0f, &bytes[header..header + len], header + len)))
}
