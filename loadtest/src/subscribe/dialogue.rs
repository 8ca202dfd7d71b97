//! One subscriber's conversation with the server: upgrade, greeting, subscription, then events.
//!
//! Owns the stage of a connection and every answer that the protocol asks of a client (Pusher Channels protocol 7,
//! RFC 6455). Pure: bytes in, bytes and `Heard` out; no socket, no clock. Must never parse JSON for a message that the
//! listener took, that is for any published event. Called by `swarm` with whatever one read returned.

use std::fmt;
use std::net::SocketAddr;

use serde_json::Value;
use tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::frame::{self, Frame, FrameError, encode_client_frame, parse_frame};

const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What every subscriber of one channel says, made once.
pub(crate) struct Script {
    upgrade: String,
    subscribe: Vec<u8>,
}

/// What the server said that concerns a scenario.
pub(crate) enum Heard<'a> {
    Subscribed,
    /// A text message. The listener answers whether it was its own; if not, the dialogue looks at it.
    Message(&'a [u8]),
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

pub(crate) struct Dialogue {
    stage: Stage,
}

enum Stage {
    Upgrading { accept: String },
    Greeting,
    Subscribing,
    Live,
}

impl Script {
    pub(crate) fn new(server: SocketAddr, key: &str, channel: &str) -> Self {
        let upgrade = format!(
            "GET /app/{key}?protocol=7&client=loadtest&version=1.0 HTTP/1.1\r\nHost: {server}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
        );
        let message = format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"}}}}"#);
        let mut subscribe = Vec::new();
        encode_client_frame(&mut subscribe, frame::TEXT, message.as_bytes());
        Self { upgrade, subscribe }
    }
}

impl Dialogue {
    /// Starts a conversation; `out` gets the upgrade request.
    pub(crate) fn open(script: &Script, out: &mut Vec<u8>) -> Self {
        let key = generate_key();
        out.extend_from_slice(script.upgrade.as_bytes());
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        Self { stage: Stage::Upgrading { accept: derive_accept_key(key.as_bytes()) } }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live)
    }

    /// Takes what was read and returns how much of it was used up; the rest comes again with the next bytes.
    #[inline]
    pub(crate) fn handle_bytes(
        &mut self,
        bytes: &[u8],
        script: &Script,
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
                self.handle_frame(frame, script, out, &mut listener)?;
            }
        }
        Ok(used)
    }

    fn handle_frame(
        &mut self,
        frame: Frame<'_>,
        script: &Script,
        out: &mut Vec<u8>,
        listener: &mut impl FnMut(Heard<'_>) -> bool,
    ) -> Result<(), Parting> {
        match frame.opcode {
            frame::TEXT => self.handle_protocol_message(frame.payload, script, out, listener),
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
        script: &Script,
        out: &mut Vec<u8>,
        listener: &mut impl FnMut(Heard<'_>) -> bool,
    ) -> Result<(), Parting> {
        let message: Value = serde_json::from_slice(message).map_err(|_| Parting::BadJson)?;
        match (message["event"].as_str().unwrap_or_default(), &self.stage) {
            ("pusher:connection_established", Stage::Greeting) => {
                out.extend_from_slice(&script.subscribe);
                self.stage = Stage::Subscribing;
            }
            ("pusher_internal:subscription_succeeded", Stage::Subscribing) => {
                self.stage = Stage::Live;
                listener(Heard::Subscribed);
            }
            ("pusher:ping", _) => {
                encode_client_frame(out, frame::TEXT, br#"{"event":"pusher:pong","data":{}}"#);
            }
            ("pusher:error" | "pusher:subscription_error", _) => {
                return Err(Parting::ServerError(message["data"].to_string()));
            }
            _ => {}
        }
        Ok(())
    }
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
    use super::*;

    const ESTABLISHED: &str = r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.1\",\"activity_timeout\":120}"}"#;
    const SUCCEEDED: &str = r#"{"event":"pusher_internal:subscription_succeeded","channel":"c","data":"{}"}"#;

    fn script() -> Script {
        Script::new("127.0.0.1:1".parse().unwrap(), "key", "c")
    }

    fn text(message: &str) -> Vec<u8> {
        let mut out = Vec::new();
        frame::encode_server_header(&mut out, frame::TEXT, message.len());
        out.extend_from_slice(message.as_bytes());
        out
    }

    /// A dialogue after its upgrade was sent, and the server's answer to it.
    fn opened() -> (Dialogue, Vec<u8>) {
        let mut request = Vec::new();
        let dialogue = Dialogue::open(&script(), &mut request);
        let Stage::Upgrading { accept } = &dialogue.stage else { unreachable!() };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        (dialogue, answer.into_bytes())
    }

    fn live() -> Dialogue {
        Dialogue { stage: Stage::Live }
    }

    fn hear(
        dialogue: &mut Dialogue,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> (Result<usize, Parting>, Vec<String>) {
        let mut heard = Vec::new();
        let result = dialogue.handle_bytes(bytes, &script(), out, |what| match what {
            Heard::Subscribed => {
                heard.push("subscribed".to_owned());
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
        let (mut dialogue, mut bytes) = opened();
        bytes.extend(text(ESTABLISHED));
        bytes.extend(text(SUCCEEDED));
        bytes.extend(text(r#"{"event":"mine"}"#));
        let mut out = Vec::new();
        let (used, heard) = hear(&mut dialogue, &bytes, &mut out);
        assert_eq!(used, Ok(bytes.len()));
        assert_eq!(heard, ["subscribed", r#"{"event":"mine"}"#]);
        assert!(dialogue.is_live());
        assert_eq!(out, script().subscribe);
    }

    #[test]
    fn conversation_cut_at_any_byte_ends_the_same() {
        let (_, answer) = opened();
        let frames = [text(ESTABLISHED), text(SUCCEEDED)].concat();
        for cut in 0..answer.len() + frames.len() {
            let (mut dialogue, mut bytes) = opened();
            bytes.extend_from_slice(&frames);
            let mut out = Vec::new();
            let used = hear(&mut dialogue, &bytes[..cut], &mut out).0.unwrap();
            assert!(!dialogue.is_live());
            hear(&mut dialogue, &bytes[used..], &mut out).0.unwrap();
            assert!(dialogue.is_live(), "cut at {cut}");
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
    fn upgrade_without_the_right_accept_key_is_refused() {
        let mut out = Vec::new();
        let (mut dialogue, _) = opened();
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: bm90IGl0\r\n\r\n";
        let refused = Parting::BadUpgrade("wrong Sec-WebSocket-Accept");
        assert_eq!(hear(&mut dialogue, answer, &mut out).0, Err(refused));
        let (mut dialogue, _) = opened();
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(hear(&mut dialogue, answer, &mut out).0, Err(Parting::Refused(404)));
        let (mut dialogue, _) = opened();
        assert_eq!(
            hear(&mut dialogue, b"\x00\x01nonsense", &mut out).0,
            Err(Parting::BadUpgrade("not HTTP"))
        );
        let (mut dialogue, _) = opened();
        let endless = [b"HTTP/1.1 101 S\r\nA: ".as_slice(), &[b'a'; HEAD_BYTES_MAX]].concat();
        assert_eq!(hear(&mut dialogue, &endless, &mut out).0, Err(Parting::BadUpgrade("endless head")));
    }
}
