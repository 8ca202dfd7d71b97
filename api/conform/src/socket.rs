//! A WebSocket to the server, frame by frame: what a check says may be wrong on purpose, what it hears is kept as it came.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::coding::OpCode;
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::{Error, Message, WebSocket};

use crate::limits::PATIENCE;
use crate::target::{Stream, Target};
use crate::verdict::{Deviation, deviates};

/// A WebSocket that was opened.
#[derive(Debug)]
pub(crate) struct Socket {
    inner: WebSocket<Stream>,
    /// Header names of the answer to the upgrade, in lower case, with their values.
    pub(crate) headers: Vec<(String, String)>,
}

/// What came, or that nothing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Binary(usize),
    Ping,
    Pong(Vec<u8>),
    /// A close frame, with what it says.
    Close(Option<(u16, String)>),
    /// The connection ended without a close frame.
    End,
    /// Nothing came in time.
    Nothing,
}

impl Socket {
    /// Upgrades at `/app/KEY` and what stands behind it.
    pub(crate) fn open(target: &Target, path: &str) -> Result<Self, Deviation> {
        let stream = target.dial().map_err(|error| Deviation(format!("no connection: {error}")))?;
        let url = format!("{}{}{path}", target.place.origin("ws", "wss"), target.place.path);
        match tungstenite::client(url.as_str(), stream) {
            Ok((inner, response)) => {
                let text = |value: &tungstenite::http::HeaderValue| {
                    String::from_utf8_lossy(value.as_bytes()).into_owned()
                };
                let headers =
                    response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
                Ok(Self { inner, headers })
            }
            Err(error) => deviates(format!("the upgrade of {path} failed: {error}")),
        }
    }

    /// Says a text.
    pub(crate) fn say(&mut self, text: impl Into<String>) -> Result<(), Deviation> {
        self.send(Message::text(text.into()))
    }

    /// Sends a whole frame or message.
    pub(crate) fn send(&mut self, message: Message) -> Result<(), Deviation> {
        self.inner.send(message).map_err(|error| Deviation(format!("the connection took nothing: {error}")))
    }

    /// Sends a part of a message.
    pub(crate) fn send_part(&mut self, text: &str, code: OpCode, is_last: bool) -> Result<(), Deviation> {
        self.send(Message::Frame(Frame::message(text.as_bytes().to_vec(), code, is_last)))
    }

    /// Sends bytes that are no frame of a client. That the server takes them is not expected.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let stream = self.inner.get_mut();
        let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    }

    /// What comes next, within the usual time.
    pub(crate) fn hear(&mut self) -> Heard {
        self.hear_within(PATIENCE)
    }

    /// What comes next within this time.
    pub(crate) fn hear_within(&mut self, time: Duration) -> Heard {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.inner.get_ref().tcp().set_read_timeout(Some(left)).is_err() {
                return Heard::Nothing;
            }
            match self.inner.read() {
                Ok(Message::Text(text)) => return Heard::Text(text.to_string()),
                Ok(Message::Binary(bytes)) => return Heard::Binary(bytes.len()),
                Ok(Message::Ping(_)) => return Heard::Ping,
                Ok(Message::Pong(bytes)) => return Heard::Pong(bytes.to_vec()),
                Ok(Message::Close(frame)) => {
                    return Heard::Close(
                        frame.map(|CloseFrame { code, reason }| (code.into(), reason.to_string())),
                    );
                }
                Ok(Message::Frame(_)) => {}
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Heard::Nothing;
                }
                Err(_) => return Heard::End,
            }
        }
    }

    /// Whether the server ends this connection in time, whatever it says before.
    pub(crate) fn is_ended(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.hear_within(until.saturating_duration_since(Instant::now())) {
                Heard::Close(_) | Heard::End => return true,
                Heard::Nothing => return false,
                _ => {}
            }
        }
        false
    }

    /// Cuts the connection without a word.
    pub(crate) fn cut(self) {
        let _ = self.inner.get_ref().tcp().shutdown(std::net::Shutdown::Both);
    }
}
