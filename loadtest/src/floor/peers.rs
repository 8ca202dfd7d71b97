//! The floor's connections: how far each has come in the log, and what its socket would not take.
//!
//! Owns the descriptors and each peer's unfinished bytes. Nothing here looks into bytes. A peer that does not read keeps its
//! place in the log and costs no write until its socket has room; one that lags too far is dropped.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use mio::net::TcpStream;

use super::frame_log::FrameLog;
use super::stats::Stats;

/// A subscriber that is further behind is dropped.
const LAG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Whose end it is: the peer's alone.
#[derive(Clone, Copy)]
pub(super) struct Gone;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// HTTP until an upgrade comes.
    Http,
    /// WebSocket; the first message is taken for a subscription.
    Greeted,
    Subscribed,
}

#[derive(Default)]
pub(super) struct Peers {
    places: Vec<Option<Peer>>,
    free: Vec<usize>,
    subscribers: u64,
}

pub(super) struct Peer {
    stream: TcpStream,
    pub(super) stage: Stage,
    /// The socket took less than it was given; nothing is written until it has room.
    blocked: bool,
    /// Where in the log this subscriber is.
    position: u64,
    /// Read and not yet whole.
    inbox: Vec<u8>,
    /// Answers that the socket would not take.
    pending: Vec<u8>,
}

impl Peers {
    /// The place that the next peer gets.
    pub(super) fn vacancy(&self) -> usize {
        self.free.last().copied().unwrap_or(self.places.len())
    }

    pub(super) fn admit(&mut self, stream: TcpStream) {
        let peer = Peer {
            stream,
            stage: Stage::Http,
            blocked: false,
            position: 0,
            inbox: Vec::new(),
            pending: Vec::new(),
        };
        match self.free.pop() {
            Some(index) => self.places[index] = Some(peer),
            None => self.places.push(Some(peer)),
        }
    }

    pub(super) fn at_mut(&mut self, index: usize) -> Option<&mut Peer> {
        self.places.get_mut(index)?.as_mut()
    }

    pub(super) fn subscribers(&self) -> u64 {
        self.subscribers
    }

    /// From here on this one gets what is published.
    pub(super) fn join(&mut self, index: usize, log: &FrameLog) {
        self.subscribers += 1;
        self.at_mut(index).into_iter().for_each(|peer| peer.position = log.end());
    }

    /// Places, taken or not.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    pub(super) fn remove(&mut self, index: usize) {
        let Some(peer) = self.places[index].take() else { return };
        self.free.push(index);
        self.subscribers -= u64::from(peer.stage == Stage::Subscribed);
    }

    /// Every subscriber that lacks something of the log and whose socket had room when last asked.
    pub(super) fn behind(&self, end: u64) -> impl Iterator<Item = (usize, &Peer)> {
        let is_behind = move |peer: &&Peer| peer.lacks(end);
        self.places
            .iter()
            .enumerate()
            .filter_map(move |(index, place)| place.as_ref().filter(is_behind).map(|peer| (index, peer)))
    }

    /// Drops the bytes that every subscriber has; that is all of them while none is blocked.
    pub(super) fn forget_delivered(&mut self, log: &mut FrameLog) {
        let subscribers = self.places.iter().flatten().filter(|peer| peer.stage == Stage::Subscribed);
        let slowest = subscribers.map(|peer| peer.position).min().unwrap_or_else(|| log.end());
        log.forget_before(slowest);
        if log.len() > LAG_BYTES_MAX {
            self.drop_laggards(log);
        }
    }

    fn drop_laggards(&mut self, log: &FrameLog) {
        let limit = log.end() - LAG_BYTES_MAX;
        let lags = |peer: &Peer| peer.stage == Stage::Subscribed && peer.position < limit;
        let laggards: Vec<usize> =
            (0..self.places.len()).filter(|&index| self.places[index].as_ref().is_some_and(lags)).collect();
        laggards.into_iter().for_each(|index| self.remove(index));
    }
}

impl Peer {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    pub(super) fn unblock(&mut self) {
        self.blocked = false;
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    #[inline]
    fn lacks(&self, end: u64) -> bool {
        self.position < end && self.stage == Stage::Subscribed && !self.blocked
    }

    /// None: there is nothing to read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Gone> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(Gone),
                Ok(read) => return Ok(Some(read)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        }
    }

    /// Gives `handle` what is whole, piece by piece, and keeps the rest; it returns how much it used.
    pub(super) fn take_in(
        &mut self,
        bytes: &[u8],
        mut handle: impl FnMut(&mut Stage, &[u8]) -> Result<Option<usize>, Gone>,
    ) -> Result<(), Gone> {
        if !self.inbox.is_empty() {
            self.inbox.extend_from_slice(bytes);
        }
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = if inbox.is_empty() { bytes } else { &inbox };
        while !rest.is_empty() {
            let Some(used) = handle(&mut self.stage, rest)? else { break };
            rest = &rest[used..];
        }
        self.inbox = rest.to_vec();
        Ok(())
    }

    /// Writes an answer, or keeps it behind earlier ones.
    pub(super) fn write(&mut self, answer: &[u8]) -> Result<(), Gone> {
        let written = if self.blocked { 0 } else { self.send(answer)? };
        self.pending.extend_from_slice(&answer[written..]);
        Ok(())
    }

    /// Writes what is left of answers.
    pub(super) fn flush(&mut self) -> Result<(), Gone> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() { Ok(()) } else { self.write(&pending) }
    }

    /// One write of all that this subscriber lacks of the log.
    pub(super) fn send_log(&mut self, log: &FrameLog, stats: &mut Stats) -> Result<(), Gone> {
        self.send_until(log.end(), log, stats)
    }

    /// One write of what this subscriber lacks up to `end`.
    #[inline]
    pub(super) fn send_until(&mut self, end: u64, log: &FrameLog, stats: &mut Stats) -> Result<(), Gone> {
        if !self.lacks(end) {
            return Ok(());
        }
        stats.writes += 1;
        stats.syscalls += 1;
        self.position += self.send(log.between(self.position, end))? as u64;
        Ok(())
    }

    /// What a batch has sent for this subscriber: up to `end`, or less if the socket was full.
    pub(super) fn note_sent(&mut self, end: u64, is_all: bool) {
        self.position = end;
        self.blocked = !is_all;
    }

    /// How much the socket took; less than all means that it is full.
    #[inline]
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        loop {
            let sent = match self.stream.write(bytes) {
                Ok(sent) => sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(Gone),
            };
            self.blocked = sent < bytes.len();
            return Ok(sent);
        }
    }
}
