//! One subscriber's conversation with the server: upgrade, greeting, subscription, then events.
//!
//! Owns the stage of a connection and every answer that the protocol asks of a client (Pusher Channels protocol 7,
//! RFC 6455). Pure: bytes in, bytes and `Heard` out; no socket, no clock. Must never parse JSON for a message that the
//! listener took, that is for any published event. Called by `socket_pool` with the bytes of one read.

use std::fmt;

use serde_json::Value;
use tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::frame::{self, Frame, FrameError, encode_client_frame, parse_frame};
use super::script::{Script, encode_text};

const HEAD_BYTES_MAX: usize = 16 * 1024;
const OVER_CAPACITY: u16 = 4100;

/// What the server said that concerns a scenario.
pub(crate) enum Heard<'a> {
    /// Greeted, and the script has nothing to subscribe to.
    Greeted,
    /// The subscription is confirmed; with the roster, on a presence channel.
    Subscribed(&'a Value),
    /// A text message. The listener answers whether it was its own; if not, the session looks at it.
    Message(&'a [u8]),
    /// An answer to a ping, a change of a roster, or what else there is: the event's name, and the whole message.
    Event(&'a str, &'a Value),
    /// pusher:error that the connection survives.
    Complaint(&'a Value),
}

/// The subscriber that speaks, by its number in the run, and its script.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) script: &'a Script,
    pub(crate) index: usize,
}

/// Why a conversation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parting {
    /// The answer to the upgrade was not 101.
    Refused(u16),
    BadUpgrade(&'static str),
    BadFrame(FrameError),
    BadJson,
    /// The server sent pusher:error or pusher:subscription_error.
    ServerError(String),
    /// A close frame; 1005 stands for none given (RFC 6455 §7.1.5).
    Closed(u16),
    /// End of stream without a close frame.
    Dropped,
    Socket(String),
}

impl Parting {
    /// Code 4100 of the Pusher Channels protocol: what servers say to a client that reads too slowly, for one.
    pub(crate) fn is_over_capacity(&self) -> bool {
        match self {
            Self::Closed(code) => *code == OVER_CAPACITY,
            Self::ServerError(data) => {
                let data = serde_json::from_str(data).unwrap_or_default();
                unfold(&data)["code"].as_u64() == Some(u64::from(OVER_CAPACITY))
            }
            _ => false,
        }
    }
}

pub(crate) struct ClientSession {
    stage: Stage,
    /// Empty before the greeting.
    socket_id: Box<str>,
}

#[derive(PartialEq, Eq)]
enum Stage {
    Upgrading {
        accept: String,
    },
    Greeting,
    /// Greeted, and subscribed to nothing.
    Idle,
    Subscribing,
    Live,
}

impl ClientSession {
    /// Starts a conversation; `out` gets the upgrade request.
    pub(crate) fn open(script: &Script, out: &mut Vec<u8>) -> Self {
        let key = generate_key();
        script.encode_upgrade(out, &key);
        let accept = derive_accept_key(key.as_bytes());
        Self { stage: Stage::Upgrading { accept }, socket_id: Box::default() }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// As far as the script leads: subscribed, or greeted where there is nothing to subscribe to.
    pub(crate) fn has_arrived(&self) -> bool {
        matches!(self.stage, Stage::Live | Stage::Idle)
    }

    /// Subscribes to a private or presence channel now. False unless greeted and without a subscription.
    pub(crate) fn subscribe(&mut self, part: Part<'_>, channel: &str, out: &mut Vec<u8>) -> bool {
        let is_idle = self.stage == Stage::Idle;
        if is_idle {
            part.script.encode_signed(out, channel, part.index, &self.socket_id);
            self.stage = Stage::Subscribing;
        }
        is_idle
    }

    /// Leaves the channel. False when there is no confirmed subscription.
    pub(crate) fn unsubscribe(&mut self, channel: &str, out: &mut Vec<u8>) -> bool {
        let is_live = self.is_live();
        if is_live {
            super::script::encode_unsubscribe(out, channel);
            self.stage = Stage::Idle;
        }
        is_live
    }

    /// Takes what was read and returns how much of it was used up; the rest comes again with the next bytes.
    #[inline]
    pub(crate) fn handle_bytes(
        &mut self,
        bytes: &[u8],
        part: Part<'_>,
        out: &mut Vec<u8>,
        mut listener: impl FnMut(Heard<'_>) -> bool,
    ) -> Result<usize, Parting> {
        let mut used = 0;
        if let Stage::Upgrading { accept } = &self.stage {
            let Some(head_len) = parse_upgrade(bytes, accept)? else { return Ok(0) };
            self.stage = Stage::Greeting;
            used = head_len;
        }
        while let Some((frame, len)) = parse_frame(&bytes[used..]).map_err(Parting::BadFrame)? {
            used += len;
            if frame.opcode != frame::TEXT || !listener(Heard::Message(frame.payload)) {
                self.handle_frame(frame, part, out, &mut listener)?;
            }
        }
        Ok(used)
    }

    fn handle_frame(
        &mut self,
        frame: Frame<'_>,
        part: Part<'_>,
        out: &mut Vec<u8>,
        listener: &mut impl FnMut(Heard<'_>) -> bool,
    ) -> Result<(), Parting> {
        match frame.opcode {
            frame::TEXT => self.handle_protocol_message(frame.payload, part, out, listener),
            frame::PING => {
                encode_client_frame(out, frame::PONG, frame.payload);
                Ok(())
            }
            frame::CLOSE => Err(Parting::Closed(
                frame.payload.first_chunk().map_or(1005, |&code| u16::from_be_bytes(code)),
            )),
            _ => Ok(()),
        }
    }

    fn handle_protocol_message(
        &mut self,
        message: &[u8],
        part: Part<'_>,
        out: &mut Vec<u8>,
        listener: &mut impl FnMut(Heard<'_>) -> bool,
    ) -> Result<(), Parting> {
        let message: Value = serde_json::from_slice(message).map_err(|_| Parting::BadJson)?;
        let event = message["event"].as_str().unwrap_or_default();
        match (event, &self.stage) {
            ("pusher:connection_established", Stage::Greeting) => {
                self.handle_greeting(&message["data"], part, out, listener);
            }
            ("pusher_internal:subscription_succeeded", Stage::Subscribing) => {
                self.stage = Stage::Live;
                listener(Heard::Subscribed(&message["data"]));
            }
            ("pusher:ping", _) => encode_text(out, r#"{"event":"pusher:pong","data":{}}"#),
            ("pusher:error", Stage::Live) if is_survived(&message["data"]) => {
                listener(Heard::Complaint(&message["data"]));
            }
            ("pusher:error" | "pusher:subscription_error", _) => {
                return Err(Parting::ServerError(message["data"].to_string()));
            }
            _ => {
                listener(Heard::Event(event, &message));
            }
        }
        Ok(())
    }

    fn handle_greeting(
        &mut self,
        data: &Value,
        part: Part<'_>,
        out: &mut Vec<u8>,
        listener: &mut impl FnMut(Heard<'_>) -> bool,
    ) {
        self.socket_id = unfold(data)["socket_id"].as_str().unwrap_or_default().into();
        if part.script.subscribes() {
            part.script.encode_subscribe(out, part.index, &self.socket_id);
            self.stage = Stage::Subscribing;
        } else {
            self.stage = Stage::Idle;
            listener(Heard::Greeted);
        }
    }
}

/// `data` of a message: JSON in a string, as Pusher sends it, or the value itself, as some servers do.
pub(crate) fn unfold(data: &Value) -> Value {
    data.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| data.clone())
}

/// Codes up to 4299 announce the end of a connection; those above, and none at all, do not.
fn is_survived(data: &Value) -> bool {
    unfold(data)["code"].as_u64().is_none_or(|code| code >= 4300)
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) => write!(f, "upgrade answered with HTTP {status}"),
            Self::BadUpgrade(why) => write!(f, "bad answer to the upgrade: {why}"),
            Self::BadFrame(error) => error.fmt(f),
            Self::BadJson => f.write_str("message that is not JSON"),
            Self::ServerError(data) => write!(f, "server error {data}"),
            Self::Closed(code) => write!(f, "closed by the server with code {code}"),
            Self::Dropped => f.write_str("dropped by the server without a close frame"),
            Self::Socket(error) => f.write_str(error),
        }
    }
}

/// Length of the head of a correct answer, None while it is not whole.
fn parse_upgrade(bytes: &[u8], accept: &str) -> Result<Option<usize>, Parting> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut headers);
    let head = answer.parse(bytes).map_err(|_| Parting::BadUpgrade("not HTTP"))?;
    let httparse::Status::Complete(head_len) = head else {
        let fits = bytes.len() <= HEAD_BYTES_MAX;
        return if fits { Ok(None) } else { Err(Parting::BadUpgrade("endless head")) };
    };
    match answer.code {
        Some(101) => {}
        status => return Err(Parting::Refused(status.unwrap_or(0))),
    }
    let mut accepts =
        answer.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept"));
    if accepts.next().is_none_or(|header| header.value.trim_ascii() != accept.as_bytes()) {
        return Err(Parting::BadUpgrade("wrong Sec-WebSocket-Accept"));
    }
    Ok(Some(head_len))
}

#[cfg(test)]
mod tests {
    use super::super::script::tests::site;
    use super::*;

    const ESTABLISHED: &str = r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.1\",\"activity_timeout\":120}"}"#;
    const SUCCEEDED: &str = r#"{"event":"pusher_internal:subscription_succeeded","channel":"c","data":"{}"}"#;

    fn script() -> Script {
        Script::new(&site(), &["c".to_owned()])
    }

    fn subscription() -> Vec<u8> {
        let mut out = Vec::new();
        script().encode_subscribe(&mut out, 0, "1.1");
        out
    }

    fn text(message: &str) -> Vec<u8> {
        let mut out = Vec::new();
        frame::encode_server_header(&mut out, frame::TEXT, message.len());
        out.extend_from_slice(message.as_bytes());
        out
    }

    /// A session after its upgrade was sent, and the server's answer to it.
    fn opened() -> (ClientSession, Vec<u8>) {
        let mut request = Vec::new();
        let session = ClientSession::open(&script(), &mut request);
        let Stage::Upgrading { accept } = &session.stage else { unreachable!() };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        (session, answer.into_bytes())
    }

    fn live() -> ClientSession {
        ClientSession { stage: Stage::Live, socket_id: "1.1".into() }
    }

    fn hear(
        session: &mut ClientSession,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> (Result<usize, Parting>, Vec<String>) {
        let mut heard = Vec::new();
        let script = script();
        let part = Part { script: &script, index: 0 };
        let result = session.handle_bytes(bytes, part, out, |what| match what {
            Heard::Greeted => {
                heard.push("greeted".to_owned());
                true
            }
            Heard::Subscribed(_) => {
                heard.push("subscribed".to_owned());
                true
            }
            Heard::Event(name, _) => {
                heard.push(name.to_owned());
                true
            }
            Heard::Complaint(data) => {
                heard.push(format!("complaint {data}"));
                true
            }
            Heard::Message(message) if message.starts_with(b"{\"event\":\"mine\"") => {
                heard.push(String::from_utf8(message.to_vec()).unwrap());
                true
            }
            Heard::Message(_) => false,
        });
        (result, heard)
    }

    #[test]
    fn whole_conversation_in_one_read_ends_subscribed() {
        let (mut session, mut bytes) = opened();
        bytes.extend(text(ESTABLISHED));
        bytes.extend(text(SUCCEEDED));
        bytes.extend(text(r#"{"event":"mine"}"#));
        let mut out = Vec::new();
        let (used, heard) = hear(&mut session, &bytes, &mut out);
        assert_eq!(used, Ok(bytes.len()));
        assert_eq!(heard, ["subscribed", r#"{"event":"mine"}"#]);
        assert!(session.is_live());
        assert_eq!(out, subscription());
    }

    #[test]
    fn conversation_cut_at_any_byte_ends_the_same() {
        let (_, answer) = opened();
        let frames = [text(ESTABLISHED), text(SUCCEEDED)].concat();
        for cut in 0..answer.len() + frames.len() {
            let (mut session, mut bytes) = opened();
            bytes.extend_from_slice(&frames);
            let mut out = Vec::new();
            let used = hear(&mut session, &bytes[..cut], &mut out).0.unwrap();
            assert!(!session.is_live());
            hear(&mut session, &bytes[used..], &mut out).0.unwrap();
            assert!(session.is_live(), "cut at {cut}");
        }
    }

    #[test]
    fn pings_of_both_kinds_are_answered() {
        let mut out = Vec::new();
        let bytes = [text(r#"{"event":"pusher:ping","data":"{}"}"#), vec![0x89, 2, b'h', b'i']].concat();
        hear(&mut live(), &bytes, &mut out).0.unwrap();
        let mut expected = Vec::new();
        encode_client_frame(&mut expected, frame::TEXT, br#"{"event":"pusher:pong","data":{}}"#);
        encode_client_frame(&mut expected, frame::PONG, b"hi");
        assert_eq!(out, expected);
    }

    #[test]
    fn each_way_to_part_is_told_apart() {
        let mut out = Vec::new();
        let cases = [
            (vec![0x88, 2, 0x10, 0x04], Parting::Closed(4100)),
            (vec![0x88, 0], Parting::Closed(1005)),
            (vec![0xC1, 0], Parting::BadFrame(FrameError::Reserved)),
            (text("{"), Parting::BadJson),
            (
                text(r#"{"event":"pusher:error","data":{"code":4001}}"#),
                Parting::ServerError(r#"{"code":4001}"#.to_owned()),
            ),
        ];
        for (bytes, parting) in cases {
            assert_eq!(hear(&mut live(), &bytes, &mut out).0, Err(parting));
        }
    }

    #[test]
    fn greeting_is_understood_as_string_and_as_object_and_with_more_in_it() {
        for greeting in [
            ESTABLISHED,
            r#"{"event":"pusher:connection_established","data":{"socket_id":"1.1","activity_timeout":30,"x":[1]},"y":2}"#,
        ] {
            let (mut session, mut bytes) = opened();
            bytes.extend(text(greeting));
            let mut out = Vec::new();
            assert!(hear(&mut session, &bytes, &mut out).0.is_ok());
            assert_eq!((&*session.socket_id, &out), ("1.1", &subscription()));
        }
    }

    #[test]
    fn error_about_one_event_does_not_end_the_conversation() {
        let mut out = Vec::new();
        let bytes = text(r#"{"event":"pusher:error","data":{"code":4301,"message":"slower"}}"#);
        let (result, heard) = hear(&mut live(), &bytes, &mut out);
        assert!(result.is_ok());
        assert_eq!(heard, [r#"complaint {"code":4301,"message":"slower"}"#]);
    }

    #[test]
    fn subscriptions_come_and_go_on_one_connection() {
        let script = Script::new(&site(), &[]);
        let part = Part { script: &script, index: 7 };
        let (mut session, mut bytes) = opened();
        bytes.extend(text(ESTABLISHED));
        let (mut out, mut greeted) = (Vec::new(), false);
        let listener = |heard: Heard<'_>| {
            greeted |= matches!(heard, Heard::Greeted);
            !matches!(heard, Heard::Message(_))
        };
        session.handle_bytes(&bytes, part, &mut out, listener).unwrap();
        assert!(greeted && session.has_arrived() && !session.is_live() && out.is_empty());
        assert!(session.subscribe(part, "presence-x", &mut out) && !out.is_empty());
        assert!(!session.subscribe(part, "presence-x", &mut out), "one at a time");
        assert!(!session.unsubscribe("presence-x", &mut out), "not confirmed yet");
        session
            .handle_bytes(&text(SUCCEEDED), part, &mut out, |heard| !matches!(heard, Heard::Message(_)))
            .unwrap();
        assert!(session.is_live() && session.unsubscribe("presence-x", &mut out));
        assert!(session.subscribe(part, "presence-x", &mut out));
    }

    #[test]
    fn upgrade_without_the_right_accept_key_is_refused() {
        let mut out = Vec::new();
        let (mut session, _) = opened();
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: bm90IGl0\r\n\r\n";
        let refused = Parting::BadUpgrade("wrong Sec-WebSocket-Accept");
        assert_eq!(hear(&mut session, answer, &mut out).0, Err(refused));
        let (mut session, _) = opened();
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(hear(&mut session, answer, &mut out).0, Err(Parting::Refused(404)));
        let (mut session, _) = opened();
        assert_eq!(hear(&mut session, b"\x00\x01nonsense", &mut out).0, Err(Parting::BadUpgrade("not HTTP")));
        let (mut session, _) = opened();
        let endless = [b"HTTP/1.1 101 S\r\nA: ".as_slice(), &[b'a'; HEAD_BYTES_MAX]].concat();
        assert_eq!(hear(&mut session, &endless, &mut out).0, Err(Parting::BadUpgrade("endless head")));
    }

    #[test]
    fn over_capacity_is_known_in_every_form() {
        let told = |data: &str| Parting::ServerError(data.to_owned()).is_over_capacity();
        assert!(Parting::Closed(4100).is_over_capacity() && told(r#"{"code":4100,"message":"slow"}"#));
        assert!(told(r#""{\"code\":4100}""#), "as a string");
        assert!(!Parting::Closed(4200).is_over_capacity() && !told(r#"{"code":4301}"#) && !told("4100"));
    }
}
