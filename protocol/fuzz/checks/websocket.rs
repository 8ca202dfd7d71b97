//! The WebSocket decoder: however bytes are cut, it says the same, and never more than another implementation does.
//!
//! The first line of an input says how the rest is cut: the low four bits of each of its bytes are the length of a
//! piece (0 is 16), again and again; an empty line leaves it whole. Called by the fuzz target and by the test that
//! replays the seeds.

use std::io::{Cursor, Read, Write};

use protocol::ws::{Decoder, Message};
use tungstenite::WebSocket;
use tungstenite::protocol::{Role, WebSocketConfig};

const MESSAGE_BYTES_MAX: usize = 1024;

/// `taken`, `unfinished` or `refused`.
pub(crate) fn check(input: &[u8]) -> &'static str {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (cuts, bytes) = (&input[..line], input.get(line + 1..).unwrap_or_default());
    let whole = decode(&[bytes]);
    let parts = decode(&cut(bytes, cuts));
    assert_eq!(whole, parts, "the cuts make a difference");
    if let Some(code) = whole.error {
        assert!(matches!(code, 1002 | 1003 | 1007 | 1009), "{code}");
    }
    compare(&whole, bytes);
    match whole {
        Heard { error: Some(_), .. } => "refused",
        Heard { is_finished: true, .. } => "taken",
        Heard { .. } => "unfinished",
    }
}

#[derive(Debug, PartialEq)]
enum Said {
    Text(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

#[derive(Debug, Default, PartialEq)]
struct Heard {
    messages: Vec<Said>,
    error: Option<u16>,
    is_finished: bool,
}

fn cut<'a>(bytes: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut lengths =
        cuts.iter().cycle().map(|byte| if byte & 15 == 0 { 16 } else { usize::from(byte & 15) });
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = lengths.next().unwrap_or(rest.len()).min(rest.len());
        let (piece, more) = rest.split_at(length);
        pieces.push(piece);
        rest = more;
    }
    pieces
}

fn decode(pieces: &[&[u8]]) -> Heard {
    let mut decoder = Decoder::default();
    let mut heard = Heard::default();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut used = 0;
        loop {
            let (bytes, message) = match decoder.decode(&mut piece[used..], MESSAGE_BYTES_MAX) {
                Ok(decoded) => decoded,
                Err(close) => {
                    heard.error = Some(close.code);
                    return heard;
                }
            };
            used += bytes;
            match message {
                Some(message) => heard.messages.push(said(message)),
                None => break,
            }
            if matches!(heard.messages.last(), Some(Said::Close(_))) {
                heard.is_finished = true;
                return heard;
            }
        }
        assert_eq!(used, piece.len(), "without a message all of the input is used");
    }
    heard.is_finished = decoder.is_empty();
    heard
}

fn said(message: Message<'_>) -> Said {
    match message {
        Message::Text(text) => {
            assert!(text.len() <= MESSAGE_BYTES_MAX && std::str::from_utf8(text).is_ok());
            Said::Text(text.to_vec())
        }
        Message::Ping(payload) => {
            assert!(payload.len() <= 125);
            Said::Ping(payload.to_vec())
        }
        Message::Pong => Said::Pong,
        Message::Close(code) => Said::Close(code),
    }
}

// tungstenite takes more than we do (long forms of lengths, binary messages), but it must hear everything that we hear,
// and where we find nothing wrong it must hear nothing else.
fn compare(ours: &Heard, bytes: &[u8]) {
    let config = WebSocketConfig::default()
        .read_buffer_size(MESSAGE_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(bytes)), Role::Server, Some(config));
    let mut theirs = Vec::new();
    while let Ok(message) = socket.read() {
        theirs.push(match message {
            tungstenite::Message::Text(text) => Said::Text(text.as_bytes().to_vec()),
            tungstenite::Message::Ping(payload) => Said::Ping(payload.to_vec()),
            tungstenite::Message::Pong(_) => Said::Pong,
            tungstenite::Message::Close(frame) => Said::Close(frame.map(|frame| frame.code.into())),
            _ => break,
        });
        if matches!(theirs.last(), Some(Said::Close(_))) {
            break;
        }
    }
    if ours.error.is_some() {
        theirs.truncate(ours.messages.len());
    }
    assert_eq!(ours.messages, theirs, "tungstenite hears something else");
}

// What the client wrote, and an end that swallows answers.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
