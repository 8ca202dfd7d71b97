//! TLS and WebSocket without a socket: bytes of the peer go in, texts come out, and the bytes to send are left in a buffer.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use crate::limits::MESSAGE_BYTES_MAX;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Text(String),
    /// The peer closes, with a code and a reason.
    Closed(Option<u16>, String),
    /// The peer is none that speaks WebSocket, or breaks its rules.
    Failed(String),
}

/// The two directions of a connection, as memory.
#[derive(Debug, Default)]
struct Pipe {
    incoming: Vec<u8>,
    taken: usize,
    outgoing: Vec<u8>,
}

impl Pipe {
    fn feed(&mut self, bytes: &[u8]) {
        self.incoming.drain(..self.taken);
        self.taken = 0;
        self.incoming.extend_from_slice(bytes);
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.incoming.get(self.taken..).unwrap_or_default();
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = { rest }.read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
enum Stage {
    Upgrading(Box<MidHandshake<ClientHandshake<Pipe>>>),
    Open(Box<WebSocket<Pipe>>),
    Over,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    stage: Stage,
    tls: Option<Box<ClientConnection>>,
    /// What is to be written to the socket.
    outgoing: Vec<u8>,
}

impl Wire {
    /// Begins the handshakes; `tls` has the name that the server's certificate must have.
    pub(super) fn new(url: &str, tls: Option<(Arc<ClientConfig>, &str)>) -> Result<Self, String> {
        let request = url.into_client_request().map_err(|error| error.to_string())?;
        let config = WebSocketConfig::default()
            .read_buffer_size(16 << 10)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let upgrade = ClientHandshake::start(Pipe::default(), request, Some(config))
            .map_err(|error| error.to_string())?;
        let tls = tls.map(|(config, name)| session(config, name)).transpose()?;
        let mut wire = Self { stage: Stage::Over, tls, outgoing: Vec::new() };
        wire.upgrade(upgrade).map_err(|_| "the request cannot be written".to_owned())?;
        Ok(wire)
    }

    fn upgrade(&mut self, upgrade: MidHandshake<ClientHandshake<Pipe>>) -> Result<(), String> {
        self.stage = match upgrade.handshake() {
            Ok((socket, _)) => Stage::Open(Box::new(socket)),
            Err(HandshakeError::Interrupted(upgrade)) => Stage::Upgrading(Box::new(upgrade)),
            Err(HandshakeError::Failure(error)) => return Err(reason(error)),
        };
        Ok(())
    }

    fn pipe(&mut self) -> Option<&mut Pipe> {
        match &mut self.stage {
            Stage::Upgrading(upgrade) => Some(upgrade.get_mut().get_mut()),
            Stage::Open(socket) => Some(socket.get_mut()),
            Stage::Over => None,
        }
    }

    /// Takes bytes of the peer.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut plain = Vec::new();
        if let Some(tls) = &mut self.tls {
            decrypt(tls, bytes, &mut plain).map_err(|error| error.to_string())?;
        }
        let text = if self.tls.is_some() { &plain } else { bytes };
        if let Some(pipe) = self.pipe() {
            pipe.feed(text);
        }
        Ok(())
    }

    /// The next of what came.
    pub(super) fn hear(&mut self) -> Option<Heard> {
        if matches!(self.stage, Stage::Upgrading(_)) {
            let Stage::Upgrading(upgrade) = std::mem::replace(&mut self.stage, Stage::Over) else {
                return None;
            };
            if let Err(why) = self.upgrade(*upgrade) {
                return Some(Heard::Failed(why));
            }
        }
        let Stage::Open(socket) = &mut self.stage else { return None };
        loop {
            return match socket.read() {
                Ok(Message::Text(text)) => Some(Heard::Text(text.as_str().to_owned())),
                Ok(Message::Close(frame)) => {
                    let (code, reason) = frame.map_or((None, String::new()), |frame| {
                        (Some(frame.code.into()), frame.reason.as_str().to_owned())
                    });
                    Some(Heard::Closed(code, reason))
                }
                Ok(_) => continue,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => None,
                Err(error) => Some(Heard::Failed(reason(error))),
            };
        }
    }

    /// Sends a text.
    pub(super) fn say(&mut self, text: String) {
        if let Stage::Open(socket) = &mut self.stage {
            // Nothing but a connection that is closing refuses here: the pipe takes all.
            drop(socket.send(Message::text(text)));
        }
    }

    /// Sends a close frame of a client that leaves.
    pub(super) fn close(&mut self) {
        if let Stage::Open(socket) = &mut self.stage {
            drop(socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })));
            drop(socket.flush());
        }
    }

    /// What is to be written to the socket. What was written is taken away by the caller.
    pub(super) fn outgoing(&mut self) -> &mut Vec<u8> {
        if let Stage::Open(socket) = &mut self.stage {
            drop(socket.flush());
        }
        let said = self.pipe().map(|pipe| std::mem::take(&mut pipe.outgoing)).unwrap_or_default();
        match &mut self.tls {
            None => self.outgoing.extend_from_slice(&said),
            Some(tls) => {
                // Memory takes all that is written.
                drop(encrypt(tls, &said, &mut self.outgoing));
            }
        }
        &mut self.outgoing
    }
}

fn session(config: Arc<ClientConfig>, name: &str) -> Result<Box<ClientConnection>, String> {
    let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("{name} is no name of a server"))?;
    let mut session = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
    // What waits is bounded by who says it.
    session.set_buffer_limit(None);
    Ok(Box::new(session))
}

fn decrypt(tls: &mut ClientConnection, mut bytes: &[u8], plain: &mut Vec<u8>) -> io::Result<()> {
    while !bytes.is_empty() {
        tls.read_tls(&mut bytes)?;
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        let from = plain.len();
        plain.resize(from + state.plaintext_bytes_to_read(), 0);
        tls.reader().read_exact(plain.get_mut(from..).unwrap_or_default())?;
    }
    Ok(())
}

fn encrypt(tls: &mut ClientConnection, mut text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let count = tls.writer().write(text)?;
        text = text.get(count..).unwrap_or_default();
        while tls.wants_write() {
            tls.write_tls(out)?;
        }
        if text.is_empty() {
            return Ok(());
        }
    }
}

fn reason(error: Error) -> String {
    match error {
        Error::Http(response) => {
            let status = response.status();
            format!(
                "the server answers HTTP {} {}",
                status.as_u16(),
                status.canonical_reason().unwrap_or_default()
            )
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tungstenite::accept;

    use super::*;

    /// A server's end of a wire, in memory.
    fn upgraded() -> (Wire, WebSocket<Pipe>) {
        let mut wire = Wire::new("ws://h/app/k", None).unwrap();
        let mut pipe = Pipe::default();
        pipe.feed(wire.outgoing());
        wire.outgoing().clear();
        let mut server = accept(pipe).unwrap();
        for part in std::mem::take(&mut server.get_mut().outgoing).chunks(50) {
            assert_eq!(wire.hear(), None);
            wire.feed(part).unwrap();
        }
        assert_eq!(wire.hear(), None);
        (wire, server)
    }

    fn pass(server: &mut WebSocket<Pipe>, wire: &mut Wire) {
        wire.feed(&std::mem::take(&mut server.get_mut().outgoing)).unwrap();
    }

    #[test]
    fn texts_pass_both_ways_and_a_ping_is_answered() {
        let (mut wire, mut server) = upgraded();
        server.send(Message::text("a")).unwrap();
        server.send(Message::Ping("p".into())).unwrap();
        server.send(Message::text("b")).unwrap();
        pass(&mut server, &mut wire);
        assert_eq!(wire.hear(), Some(Heard::Text("a".to_owned())));
        assert_eq!(wire.hear(), Some(Heard::Text("b".to_owned())));
        assert_eq!(wire.hear(), None);
        wire.say("c".to_owned());
        server.get_mut().feed(wire.outgoing());
        assert_eq!(server.read().unwrap(), Message::Pong("p".into()));
        assert_eq!(server.read().unwrap(), Message::text("c"));
    }

    #[test]
    fn the_code_of_a_close_is_heard_and_answered() {
        let (mut wire, mut server) = upgraded();
        server.close(Some(CloseFrame { code: CloseCode::from(4100), reason: "busy".into() })).unwrap();
        pass(&mut server, &mut wire);
        assert_eq!(wire.hear(), Some(Heard::Closed(Some(4100), "busy".to_owned())));
        server.get_mut().feed(wire.outgoing());
        assert!(matches!(server.read(), Ok(Message::Close(_))));
    }

    #[test]
    fn what_is_no_websocket_says_what_it_is() {
        let mut wire = Wire::new("ws://h/app/k", None).unwrap();
        wire.feed(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").unwrap();
        let Some(Heard::Failed(why)) = wire.hear() else { panic!("it was heard") };
        assert_eq!(why, "the server answers HTTP 503 Service Unavailable");
        let mut wire = Wire::new("ws://h/app/k", None).unwrap();
        wire.feed(b"SSH-2.0-OpenSSH\r\n\r\n").unwrap();
        assert!(matches!(wire.hear(), Some(Heard::Failed(_))));
        assert_eq!(wire.hear(), None);
    }
}
