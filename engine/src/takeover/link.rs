//! One connection to another process: bytes received, bytes to send, and whether the process is still alive.
//!
//! Reads and writes only what the kernel does at once. A process that sends nothing for `LINK_SILENCE_MAX`, or accepts nothing
//! for as long, counts as lost; so does one that has fallen too far behind. What must never happen here: a wait.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::wire;
use machines::exchange::Message;
use machines::mesh::Event;

use crate::limits::{LINK_SILENCE_MAX, WAITING_BYTES_MAX, WAITING_BYTES_SOFT_MAX};

/// How often a process without events sends a sign of life.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// What is read at once.
const READ_BYTES: usize = 64 << 10;

/// Why a link is lost.
#[derive(Debug)]
pub enum Lost {
    /// The other process has ended, or closed it.
    Ended,
    /// It has sent or accepted nothing for too long.
    Silent,
    /// Too many bytes wait for it.
    Behind,
    /// It sends what is no message.
    Garbled,
}

impl Lost {
    /// For the operator.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Ended => "it has ended",
            Self::Silent => "it has not answered for 5 s",
            Self::Behind => "it has fallen too far behind",
            Self::Garbled => "what it says makes no sense",
        }
    }
}

/// A connection to another process.
#[derive(Debug)]
pub struct Link {
    stream: UnixStream,
    come: Vec<u8>,
    /// How much of `come` has been handled.
    handled: usize,
    going: Vec<u8>,
    /// How much of `going` the kernel has taken.
    gone: usize,
    /// What was offered and is not decided yet, in bytes.
    pub undecided: usize,
    heard: Instant,
    said: Instant,
    /// When the kernel last accepted bytes, or there were none to send.
    went: Instant,
    ended: bool,
}

impl Link {
    /// A link on which nothing was sent yet.
    pub fn new(stream: UnixStream, now: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            come: Vec::new(),
            handled: 0,
            going: Vec::new(),
            gone: 0,
            undecided: 0,
            heard: now,
            said: now,
            went: now,
            ended: false,
        })
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Reads what has arrived. Returns whether anything had.
    pub fn read(&mut self, now: Instant) -> bool {
        if self.ended {
            return false;
        }
        let held = self.come.len();
        self.come.resize(held + READ_BYTES, 0);
        let read = self.stream.read(&mut self.come[held..]);
        self.come.truncate(held + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(1..) => {
                self.heard = now;
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => false,
            Ok(0) | Err(_) => {
                self.ended = true;
                true
            }
        }
    }

    /// We do not read from it now, so its silence does not count.
    pub fn excuse(&mut self, now: Instant) {
        self.heard = now;
    }

    /// What has arrived and is not handled yet.
    pub fn unhandled(&self) -> &[u8] {
        &self.come[self.handled..]
    }

    /// This many more bytes are handled.
    pub fn note_handled(&mut self, bytes: usize) {
        self.handled += bytes;
        if self.handled == self.come.len() {
            self.come.clear();
            self.come.shrink_to(READ_BYTES);
            self.handled = 0;
        } else if self.handled > READ_BYTES {
            self.come.drain(..self.handled);
            self.handled = 0;
        }
    }

    /// Where to append what is to be sent.
    pub fn going(&mut self) -> &mut Vec<u8> {
        &mut self.going
    }

    /// Sends a message.
    pub fn say(&mut self, message: &Message<Event>) {
        wire::encode(&mut self.going, message);
    }

    /// Writes what the kernel accepts. Returns whether it accepted anything.
    pub fn write(&mut self, now: Instant) -> bool {
        if self.waiting() == 0 {
            self.went = now;
            return false;
        }
        match self.stream.write(&self.going[self.gone..]) {
            Ok(taken @ 1..) => {
                (self.said, self.went) = (now, now);
                self.gone += taken;
                if self.gone == self.going.len() {
                    self.going.clear();
                    self.going.shrink_to(READ_BYTES);
                    self.gone = 0;
                } else if self.gone > WAITING_BYTES_SOFT_MAX {
                    self.going.drain(..self.gone);
                    self.gone = 0;
                }
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => false,
            // What it sent before may still be unread; after that it has ended.
            Ok(0) | Err(_) => {
                self.going.clear();
                self.gone = 0;
                false
            }
        }
    }

    /// What is still to be sent, in bytes.
    pub fn waiting(&self) -> usize {
        self.going.len() - self.gone
    }

    /// Sends a sign of life if nothing was sent for a while.
    pub fn beat(&mut self, now: Instant) {
        if self.waiting() == 0 && now.duration_since(self.said) >= BEAT_EVERY {
            self.said = now;
            self.say(&Message::Beat);
        }
    }

    /// Why it is lost, if it is. Everything that arrived must be handled first.
    pub fn is_lost(&self, now: Instant) -> Option<Lost> {
        let silent = now.duration_since(self.heard) > LINK_SILENCE_MAX
            || now.duration_since(self.went) > LINK_SILENCE_MAX;
        let behind = self.waiting() > WAITING_BYTES_MAX || self.undecided > WAITING_BYTES_MAX;
        match () {
            () if self.ended => Some(Lost::Ended),
            () if silent => Some(Lost::Silent),
            () if behind => Some(Lost::Behind),
            () => None,
        }
    }
}
