//! The floor: the least that a fan-out server can do, as a yardstick for servers that do more.
//!
//! Upgrades, greets and confirms with ready-made bytes, takes `data` out of publishes by a string search, and copies it to every
//! subscriber; one thread, no channels, no signatures, no limits worth the name. Not a server to run: it believes every peer.
//! Modes differ in nothing but when they write. `GET /stats` tells deliveries and writes, so that syscalls per delivery are known.

use std::io::{ErrorKind, Read, Write};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use tungstenite::handshake::derive_accept_key;

use crate::failure::{Context, Outcome};
use crate::options::{FloorMode, FloorOptions};
use crate::subscribe::frame;

const LISTENER: Token = Token(usize::MAX);
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// A subscriber with more than this waiting for it is dropped.
const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(crate) fn run(options: &FloorOptions) -> Outcome<()> {
    let mut floor = Floor::bind(options)?;
    let address = floor.listener.local_addr().context("cannot read the listening address")?;
    println!("floor listening on {address}");
    let mut events = Events::with_capacity(1024);
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error).context("cannot poll"),
            _ => floor.turn(&events)?,
        }
    }
}

struct Floor {
    mode: FloorMode,
    poll: Poll,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    greeting: Vec<u8>,
    confirmation: Vec<u8>,
    /// Everything in front of `data` in a frame's payload.
    event_head: String,
    /// Frames of this wake-up, in the coalescing mode.
    frames: Vec<u8>,
    frames_waiting: u64,
    buffer: Vec<u8>,
    stats: Stats,
}

#[derive(Default)]
struct Stats {
    deliveries: u64,
    writes: u64,
}

struct Peer {
    stream: TcpStream,
    stage: Stage,
    /// Read and not yet whole.
    inbox: Vec<u8>,
    /// What the socket would not take.
    pending: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// HTTP until an upgrade comes.
    Http,
    /// WebSocket; the first message is taken for a subscription.
    Greeted,
    Subscribed,
}

/// Whose end it is: the peer's alone.
struct Gone;

impl Floor {
    fn bind(options: &FloorOptions) -> Outcome<Self> {
        let poll = Poll::new().context("cannot create a poll set")?;
        let mut listener =
            TcpListener::bind(options.listen).context(format!("cannot listen on {}", options.listen))?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)
            .context("cannot watch a socket")?;
        let channel = &options.channel;
        let established = r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.1\",\"activity_timeout\":120}"}"#;
        let succeeded = format!(
            r#"{{"event":"pusher_internal:subscription_succeeded","channel":"{channel}","data":"{{}}"}}"#
        );
        Ok(Self {
            mode: options.mode,
            poll,
            listener,
            peers: Vec::new(),
            free: Vec::new(),
            greeting: text_frame(established.as_bytes()),
            confirmation: text_frame(succeeded.as_bytes()),
            event_head: format!(r#"{{"event":"loadtest","channel":"{channel}","data":""#),
            frames: Vec::new(),
            frames_waiting: 0,
            buffer: vec![0; READ_BUFFER_BYTES],
            stats: Stats::default(),
        })
    }

    fn turn(&mut self, events: &Events) -> Outcome<()> {
        for event in events {
            if event.token() == LISTENER {
                self.accept()?;
            } else {
                self.handle_ready(event);
            }
        }
        self.flush_frames();
        Ok(())
    }

    fn accept(&mut self) -> Outcome<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot accept"),
            };
            stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, Token(index), interest)
                .context("cannot watch a socket")?;
            self.peers[index] =
                Some(Peer { stream, stage: Stage::Http, inbox: Vec::new(), pending: Vec::new() });
        }
    }

    fn handle_ready(&mut self, event: &Event) {
        let Token(index) = event.token();
        // Taken out for the turn, so that a publish from it can reach all others.
        let Some(mut peer) = self.peers[index].take() else { return };
        let mut result = peer.flush();
        if result.is_ok() && event.is_readable() {
            result = self.read(&mut peer, event.is_read_closed());
        }
        match result {
            Ok(()) => self.peers[index] = Some(peer),
            Err(Gone) => self.free.push(index),
        }
    }

    fn read(&mut self, peer: &mut Peer, drain: bool) -> Result<(), Gone> {
        loop {
            match peer.stream.read(&mut self.buffer) {
                Ok(0) => return Err(Gone),
                Ok(read) => {
                    peer.inbox.extend_from_slice(&self.buffer[..read]);
                    self.handle_inbox(peer)?;
                    if read < self.buffer.len() && !drain {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Gone),
            }
        }
    }

    fn handle_inbox(&mut self, peer: &mut Peer) -> Result<(), Gone> {
        let inbox = std::mem::take(&mut peer.inbox);
        let mut rest = inbox.as_slice();
        let mut out = Vec::new();
        while let Some(used) = match peer.stage {
            Stage::Http => self.handle_request(peer, rest, &mut out)?,
            _ => self.handle_frame(peer, rest, &mut out)?,
        } {
            rest = &rest[used..];
        }
        peer.inbox.extend_from_slice(rest);
        if out.is_empty() { Ok(()) } else { peer.write(&out) }
    }

    /// One request from the front of `bytes`: an upgrade, the statistics, or a publish.
    fn handle_request(
        &mut self,
        peer: &mut Peer,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, Gone> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(head_len) = request.parse(bytes).map_err(|_| Gone)? else {
            return Ok(None);
        };
        if let Some(key) = header(request.headers, "sec-websocket-key") {
            out.extend_from_slice(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            );
            let accept = format!("Sec-WebSocket-Accept: {}\r\n\r\n", derive_accept_key(key));
            out.extend_from_slice(accept.as_bytes());
            out.extend_from_slice(&self.greeting);
            peer.stage = Stage::Greeted;
            return Ok(Some(head_len));
        }
        let length = header(request.headers, "content-length")
            .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let end = head_len + length.unwrap_or(0);
        let Some(body) = bytes.get(head_len..end) else { return Ok(None) };
        let answer = match request.path {
            Some("/stats") => self.stats.encode(),
            _ => "{}".to_owned(),
        };
        self.publish(body);
        out.extend_from_slice(
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).as_bytes(),
        );
        Ok(Some(end))
    }

    /// One frame from the front of `bytes`; the first one subscribes, all others are ignored.
    fn handle_frame(&self, peer: &mut Peer, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Gone> {
        let Some((length, start)) = frame::parse_length(bytes) else { return Ok(None) };
        let length =
            usize::try_from(length).ok().filter(|&length| length <= frame::PAYLOAD_BYTES_MAX).ok_or(Gone)?;
        let end = start + 4 + length;
        if bytes.len() < end {
            return Ok(None);
        }
        match (bytes[0] & 0x0F, peer.stage) {
            (frame::CLOSE, _) => return Err(Gone),
            (frame::TEXT, Stage::Greeted) => {
                peer.stage = Stage::Subscribed;
                out.extend_from_slice(&self.confirmation);
            }
            _ => {}
        }
        Ok(Some(end))
    }

    /// Every `"data":"…"` in the body is an event.
    fn publish(&mut self, body: &[u8]) {
        let mut rest = body;
        while let Some((data, after)) = next_data(rest) {
            rest = after;
            frame::encode_server_header(
                &mut self.frames,
                frame::TEXT,
                self.event_head.len() + data.len() + 2,
            );
            self.frames.extend_from_slice(self.event_head.as_bytes());
            self.frames.extend_from_slice(data);
            self.frames.extend_from_slice(b"\"}");
            self.frames_waiting += 1;
            if self.mode == FloorMode::Each {
                self.flush_frames();
            }
        }
    }

    /// One write to each subscriber.
    fn flush_frames(&mut self) {
        if self.frames_waiting == 0 {
            return;
        }
        for (index, slot) in self.peers.iter_mut().enumerate() {
            let Some(peer) = slot.as_mut().filter(|peer| peer.stage == Stage::Subscribed) else { continue };
            self.stats.writes += 1;
            self.stats.deliveries += self.frames_waiting;
            if peer.write(&self.frames).is_err() {
                *slot = None;
                self.free.push(index);
            }
        }
        self.frames.clear();
        self.frames_waiting = 0;
    }
}

impl Peer {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let mut written = 0;
        if self.pending.is_empty() {
            written = match self.stream.write(bytes) {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(_) => return Err(Gone),
            };
        }
        self.pending.extend_from_slice(&bytes[written..]);
        if self.pending.len() > PENDING_BYTES_MAX { Err(Gone) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Gone> {
        while !self.pending.is_empty() {
            match self.stream.write(&self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }
}

impl Stats {
    fn encode(&self) -> String {
        format!(r#"{{"deliveries":{},"writes":{}}}"#, self.deliveries, self.writes)
    }
}

fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_server_header(&mut out, frame::TEXT, payload.len());
    out.extend_from_slice(payload);
    out
}

fn header<'h>(headers: &[httparse::Header<'h>], name: &str) -> Option<&'h [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The next data string as it stands in the body, escapes and all, and what follows it.
fn next_data(body: &[u8]) -> Option<(&[u8], &[u8])> {
    const FIELD: &[u8] = br#""data":""#;
    let start = body.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    let mut escaped = false;
    let is_end = |&byte: &u8| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    };
    let length = body[start..].iter().position(is_end)?;
    Some((&body[start..start + length], &body[start + length + 1..]))
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
    }
}
