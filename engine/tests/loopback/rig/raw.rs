//! A peer that writes whatever bytes it likes and reads frame by frame.
//!
//! For what no library would send: wrong masks, broken frames, single bytes, a reset in the middle.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;

use super::http::{Answer, Http};
use super::server::Server;
use super::{KEY, is_count};

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const CONTINUATION: u8 = 0x80;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;
/// In the place of the first byte of any but the last fragment.
pub(crate) const UNFINISHED: u8 = 0x7f;

const MASK: [u8; 4] = [0x9d, 0x01, 0xe7, 0x42];

/// A peer.
pub(crate) struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// The head of an upgrade on this path and query.
pub(crate) fn encode_upgrade(target: &str) -> String {
    encode_upgrade_with(target, "")
}

/// The same with these lines besides, each with its end.
pub(crate) fn encode_upgrade_with(target: &str, lines: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    )
}

/// A masked frame with this first byte.
pub(crate) fn encode_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = encode_header(first, 0x80, payload.len() as u64);
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The first bytes of a frame, in the shortest form of its length. `masked` is 0x80 or 0.
pub(crate) fn encode_header(first: u8, masked: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..126 => header.push(masked | length as u8),
        126..65_536 => {
            header.push(masked | 126);
            header.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            header.push(masked | 127);
            header.extend_from_slice(&length.to_be_bytes());
        }
    }
    header
}

/// Ends a connection with a reset.
pub(crate) fn abort(stream: &TcpStream) {
    // With no time to linger the close that follows sends RST and discards what was not sent.
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

impl Raw {
    /// A TCP connection that has said nothing.
    pub(crate) fn open(server: &Server) -> Self {
        Self { stream: server.tcp(), unread: Vec::new() }
    }

    /// An established WebSocket connection.
    pub(crate) fn connect(server: &Server) -> Self {
        let mut raw = Self::open(server);
        let answer = raw.upgrade(&format!("/app/{KEY}"));
        assert_eq!(answer.status, 101, "{}", answer.head);
        assert_eq!(raw.hear()["event"], "pusher:connection_established");
        raw
    }

    /// Asks for an upgrade. Returns the head of the answer.
    pub(crate) fn upgrade(&mut self, target: &str) -> Answer {
        self.write(encode_upgrade(target).as_bytes());
        self.read_head()
    }

    /// The head of an answer; what follows it is read as frames.
    pub(crate) fn read_head(&mut self) -> Answer {
        let mut http = Http::on(self.stream.try_clone().unwrap());
        let answer = http.read_head();
        self.unread = http.into_unread();
        answer
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Writes as much as the peer takes before it closes.
    pub(crate) fn write_in_vain(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    pub(crate) fn frame(&mut self, first: u8, payload: &[u8]) {
        self.write(&encode_frame(first, payload));
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.frame(TEXT, text.as_bytes());
    }

    /// The next frame: its first byte and its payload.
    pub(crate) fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let [first, length] = self.read_array();
        assert_eq!(length & 0x80, 0, "a server does not mask");
        let length = match length {
            126 => u64::from(u16::from_be_bytes(self.read_array())),
            127 => u64::from_be_bytes(self.read_array()),
            length => length.into(),
        };
        let mut payload = vec![0; length as usize];
        self.read_exact(&mut payload);
        (first, payload)
    }

    /// The next frame that does not say how many are subscribed, and is a text: its JSON.
    pub(crate) fn hear(&mut self) -> Value {
        loop {
            let (first, payload) = self.read_frame();
            assert_eq!(first, TEXT, "{}", String::from_utf8_lossy(&payload));
            let event = serde_json::from_slice(&payload).unwrap();
            if !is_count(&event) {
                return event;
            }
        }
    }

    pub(crate) fn hear_event(&mut self, name: &str) -> Value {
        let event = self.hear();
        assert_eq!(event["event"], name, "{event}");
        event
    }

    /// The next frame is a close, and then the connection ends: the code.
    pub(crate) fn hear_close(&mut self) -> u16 {
        let (first, payload) = self.read_frame();
        assert_eq!(first, CLOSE, "{}", String::from_utf8_lossy(&payload));
        assert!(self.is_at_end(), "bytes follow the close frame");
        u16::from_be_bytes([payload[0], payload[1]])
    }

    /// What a connection gets that is closed with a code of Pusher: an error frame and a close frame with one code.
    pub(crate) fn hear_error_and_close(&mut self) -> u16 {
        let error = self.hear_event("pusher:error");
        let code = self.hear_close();
        assert_eq!(error["data"]["code"], code, "{error}");
        code
    }

    /// Reads to the end of what the server sends, which must come.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.unread);
        // A reset is an end as well: the server may have closed with our bytes unread.
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the server does not close")
            }
            _ => bytes,
        }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.stream
    }

    /// Leaves without a word: RST.
    pub(crate) fn abort(self) {
        abort(&self.stream);
    }

    fn is_at_end(&mut self) -> bool {
        self.unread.is_empty() && matches!(self.stream.read(&mut [0]), Ok(0))
    }

    fn read_array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes);
        bytes
    }

    fn read_exact(&mut self, bytes: &mut [u8]) {
        let kept = self.unread.len().min(bytes.len());
        bytes[..kept].copy_from_slice(&self.unread[..kept]);
        self.unread.drain(..kept);
        self.stream.read_exact(&mut bytes[kept..]).unwrap();
    }
}
