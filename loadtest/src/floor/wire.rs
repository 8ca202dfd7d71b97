//! The floor's bytes: what it says, all of it ready-made, and the little that it understands.
//!
//! Pure. Requests are cut by `Content-Length`, frames by their length; of a publish only the text of each `data` is looked for.
//! Called with all that a peer has sent and not yet been answered.

use httparse::{Header, Request, Status};
use memchr::{memchr2, memmem};
use tungstenite::handshake::derive_accept_key;

use super::frame_log::FrameLog;
use super::peers::{Gone, Stage};
use super::stats::Stats;
use crate::clients::frame;
use crate::options::FloorMode;

const ESTABLISHED: &str =
    r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.1\",\"activity_timeout\":120}"}"#;
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// What every peer is told.
pub(super) struct Words {
    greeting: Vec<u8>,
    confirmation: Vec<u8>,
    pong_message: Vec<u8>,
    pong_frame: Vec<u8>,
    /// Everything in front of `data` in a frame's payload.
    event_head: String,
}

impl Words {
    pub(super) fn new(channel: &str) -> Self {
        let succeeded = format!(
            r#"{{"event":"pusher_internal:subscription_succeeded","channel":"{channel}","data":"{{}}"}}"#
        );
        Self {
            greeting: server_frame(frame::TEXT, ESTABLISHED),
            confirmation: server_frame(frame::TEXT, &succeeded),
            pong_message: server_frame(frame::TEXT, r#"{"event":"pusher:pong","data":"{}"}"#),
            pong_frame: server_frame(frame::PONG, ""),
            event_head: format!(r#"{{"event":"loadtest","channel":"{channel}","data":""#),
        }
    }
}

/// Takes what peers say and puts answers and frames where they belong.
pub(super) struct Desk<'f> {
    pub(super) words: &'f Words,
    pub(super) log: &'f mut FrameLog,
    pub(super) stats: &'f mut Stats,
    pub(super) answers: &'f mut Vec<u8>,
    pub(super) mode: FloorMode,
    /// How many there are.
    pub(super) subscribers: u64,
}

impl Desk<'_> {
    /// Handles what is at the front of `bytes` and returns its length, None while it is not whole.
    pub(super) fn handle(&mut self, stage: &mut Stage, bytes: &[u8]) -> Result<Option<usize>, Gone> {
        match stage {
            Stage::Http => self.handle_request(stage, bytes),
            _ => self.handle_frame(stage, bytes),
        }
    }

    /// An upgrade, a question for the statistics, or a publish.
    fn handle_request(&mut self, stage: &mut Stage, bytes: &[u8]) -> Result<Option<usize>, Gone> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = Request::new(&mut headers);
        let Status::Complete(head_len) = request.parse(bytes).map_err(|_| Gone)? else { return Ok(None) };
        if let Some(key) = header(request.headers, "sec-websocket-key") {
            self.answers.extend_from_slice(SWITCHING);
            self.answers.extend_from_slice(derive_accept_key(key).as_bytes());
            self.answers.extend_from_slice(b"\r\n\r\n");
            self.answers.extend_from_slice(&self.words.greeting);
            *stage = Stage::Greeted;
            return Ok(Some(head_len));
        }
        let length = header(request.headers, "content-length")
            .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let end = head_len + length.unwrap_or(0);
        let Some(body) = bytes.get(head_len..end) else { return Ok(None) };
        self.stats.requests += 1;
        if request.path == Some("/stats") {
            let stats = self.stats.encode();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{stats}", stats.len());
            self.answers.extend_from_slice(answer.as_bytes());
        } else {
            self.publish(body);
            self.answers.extend_from_slice(OK);
        }
        Ok(Some(end))
    }

    /// The first message subscribes; later ones are answered where the mode says so.
    fn handle_frame(&mut self, stage: &mut Stage, bytes: &[u8]) -> Result<Option<usize>, Gone> {
        let Some((length, start)) = frame::parse_length(bytes) else { return Ok(None) };
        let end = start + 4 + usize::try_from(length).map_err(|_| Gone)?;
        if bytes.len() < end {
            return Ok(None);
        }
        match (bytes[0] & 0x0F, *stage) {
            (frame::CLOSE, _) => return Err(Gone),
            (frame::TEXT, Stage::Greeted) => {
                *stage = Stage::Subscribed;
                self.answers.extend_from_slice(&self.words.confirmation);
            }
            (opcode, _) => {
                self.stats.messages += 1;
                self.echo(opcode);
            }
        }
        Ok(Some(end))
    }

    fn echo(&mut self, opcode: u8) {
        match (self.mode, opcode) {
            (FloorMode::Echo, frame::TEXT) => self.answers.extend_from_slice(&self.words.pong_message),
            (_, frame::PING) => self.answers.extend_from_slice(&self.words.pong_frame),
            _ => {}
        }
    }

    /// Every `"data":"…"` in the body is an event for all.
    fn publish(&mut self, body: &[u8]) {
        if matches!(self.mode, FloorMode::Http | FloorMode::Echo) || self.subscribers == 0 {
            return;
        }
        let head = self.words.event_head.as_bytes();
        let mut rest = body;
        while let Some((data, after)) = next_data(rest) {
            rest = after;
            self.stats.deliveries += self.subscribers;
            self.log.append(|out| {
                frame::encode_server_header(out, frame::TEXT, head.len() + data.len() + 2);
                out.extend_from_slice(head);
                out.extend_from_slice(data);
                out.extend_from_slice(b"\"}");
            });
        }
    }
}

fn server_frame(opcode: u8, payload: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_server_header(&mut out, opcode, payload.len());
    out.extend_from_slice(payload.as_bytes());
    out
}

fn header<'h>(headers: &[Header<'h>], name: &str) -> Option<&'h [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The next data string as it stands in the body, escapes and all, and what follows it.
fn next_data(body: &[u8]) -> Option<(&[u8], &[u8])> {
    const FIELD: &[u8] = br#""data":""#;
    let start = memmem::find(body, FIELD)? + FIELD.len();
    let mut end = start;
    loop {
        end += memchr2(b'"', b'\\', body.get(end..)?)?;
        if body[end] == b'"' {
            return Some((&body[start..end], &body[end + 1..]));
        }
        end += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_string_of_a_batch_is_found_with_its_escapes() {
        let body = br#"{"batch":[{"name":"a","data":"one"},{"data":"t\"w\\"},{"data":""}]}"#;
        let mut found = Vec::new();
        let mut rest = body.as_slice();
        while let Some((data, after)) = next_data(rest) {
            found.push(data);
            rest = after;
        }
        assert_eq!(found, [b"one".as_slice(), br#"t\"w\\"#, b""]);
        assert_eq!(next_data(br#"{"data":"endless"#), None);
        assert_eq!(next_data(br#"{"data":"endless\"#), None);
    }
}
