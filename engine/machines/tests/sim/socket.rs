//! A fake socket: what the peer has sent and is not read yet, and a kernel buffer that takes bytes until it is full.

use std::collections::VecDeque;

use corecast_machines::shard::machine::Token;

/// How the peer reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// At once.
    Healthy,
    /// When the schedule lets it.
    Slow,
    /// Never.
    Dead,
}

#[derive(Debug)]
pub struct Socket {
    pub token: Token,
    pub reader: Reader,
    /// Sent by the peer, not read by the server.
    pub inbound: VecDeque<u8>,
    /// The peer has closed.
    pub hung_up: bool,
    pub paused: bool,
    pub hangup_told: bool,
    /// Taken by the kernel, not read by the peer.
    pub kernel: usize,
    /// The server waits for it to be writable.
    pub waits_writable: bool,
    /// Bytes that waited when it could be written again, until it is tried.
    pub refused: usize,
    /// All bytes that the peer has got or will get.
    pub received: Vec<u8>,
    /// The server has closed it.
    pub closed: bool,
    /// Seconds in which it was listened to and said nothing.
    pub silent_s: u32,
    /// How long it had been silent when its shard last judged that. What is read later in that turn comes too late.
    pub judged_s: u32,
    /// It has got a ping since it was last heard.
    pub pinged: bool,
    /// Turns of its shard since bytes of it have waited unread.
    pub turns_unread: u32,
}

/// What a full kernel buffer holds.
pub const KERNEL_BYTES: usize = 3000;

impl Socket {
    pub fn new(token: Token, reader: Reader) -> Self {
        Self {
            token,
            reader,
            inbound: VecDeque::new(),
            hung_up: false,
            paused: false,
            hangup_told: false,
            kernel: 0,
            waits_writable: false,
            refused: 0,
            received: Vec::new(),
            closed: false,
            silent_s: 0,
            judged_s: 0,
            pinged: false,
            turns_unread: 0,
        }
    }

    /// How many bytes the kernel would take now.
    pub fn room(&self) -> usize {
        match self.reader {
            Reader::Healthy => usize::MAX,
            Reader::Slow | Reader::Dead => KERNEL_BYTES - self.kernel,
        }
    }

    /// The kernel takes what it can.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.received.extend_from_slice(&bytes[..taken]);
        if self.reader != Reader::Healthy {
            self.kernel += taken;
        }
        taken
    }

    /// The peer reads all that the kernel has.
    pub fn drain(&mut self) {
        if self.reader == Reader::Slow {
            self.kernel = 0;
        }
    }

    /// The server has read from it, or does not listen to it: its silence begins anew.
    pub fn hear(&mut self) {
        self.silent_s = 0;
        self.pinged = false;
    }

    /// True when the server can read something from it.
    pub fn is_ready(&self) -> bool {
        !self.closed && !self.paused && (!self.inbound.is_empty() || (self.hung_up && !self.hangup_told))
    }
}
