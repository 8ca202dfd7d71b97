//! A REST client: one connection, signed requests, and answers read by their length.
//!
//! Signs as server SDKs do. It never opens a second connection by itself, so that keep-alive is what is tested.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::auth::sign_request;
use serde_json::{Value, json};

use super::{PATIENCE, app, text};

/// A connection.
pub(crate) struct Http {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// What a request was answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) fn now_unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Path and signed query of a request to the app of the tests.
pub(crate) fn signed(method: &str, path: &str, params: &[(&str, &str)], body: &str) -> String {
    let query = sign_request(&app(), method, path, params, body.as_bytes(), now_unix_s());
    format!("{path}?{query}")
}

/// A whole request.
pub(crate) fn encode_request(method: &str, target: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A whole signed POST.
pub(crate) fn encode_post(path: &str, body: &str) -> Vec<u8> {
    encode_request("POST", &signed("POST", path, &[], body), body)
}

/// The body of a publish to one channel.
pub(crate) fn encode_event(channel: &str, event: &str, data: &str) -> String {
    text(&json!({"name": event, "channels": [channel], "data": data}))
}

impl Http {
    pub(crate) fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a whole request and reads its answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Answer {
        self.send(request);
        self.read_answer()
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Answer {
        self.ask(&encode_post(path, body))
    }

    pub(crate) fn get(&mut self, path: &str, params: &[(&str, &str)]) -> Answer {
        self.ask(&encode_request("GET", &signed("GET", path, params, ""), ""))
    }

    /// Publishes an event whose data is a text.
    pub(crate) fn publish(&mut self, channel: &str, event: &str, data: &str) {
        let answer = self.post("/apps/7/events", &encode_event(channel, event, data));
        assert_eq!((answer.status, &*answer.body), (200, "{}"), "{}", answer.head);
    }

    /// The next answer with its body.
    pub(crate) fn read_answer(&mut self) -> Answer {
        let mut answer = self.read_head();
        if matches!(answer.status, 204 | 304) {
            return answer;
        }
        let length = answer.header("Content-Length").unwrap_or_else(|| panic!("no length: {}", answer.head));
        let length: usize = length.parse().unwrap();
        while self.unread.len() < length {
            self.read_more();
        }
        answer.body = String::from_utf8(self.unread.drain(..length).collect()).unwrap();
        answer
    }

    /// The head of the next answer, and nothing behind it.
    pub(crate) fn read_head(&mut self) -> Answer {
        let end = loop {
            let end = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => self.read_more(),
            }
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.and_then(|digits| digits.parse().ok());
        Answer { status: status.unwrap_or_else(|| panic!("no status: {head}")), head, body: String::new() }
    }

    /// True when the server has closed and nothing is left to read.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.unread.is_empty() && matches!(self.stream.read(&mut [0]), Ok(0))
    }

    /// The socket below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.stream
    }

    /// The connection, for another use.
    pub(crate) fn into_stream(self) -> TcpStream {
        assert!(self.unread.is_empty(), "bytes follow the answer");
        self.stream
    }

    /// What was read beyond the last answer.
    pub(crate) fn into_unread(self) -> Vec<u8> {
        self.unread
    }

    fn read_more(&mut self) {
        let mut bytes = [0; 16 << 10];
        let count = self.stream.read(&mut bytes).unwrap_or_else(|error| panic!("no answer: {error}"));
        assert!(count > 0, "the server closed in the middle of an answer");
        self.unread.extend_from_slice(&bytes[..count]);
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Status and text of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let text = self.json()["error"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned();
        (self.status, text)
    }
}
