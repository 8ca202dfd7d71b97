//! A fake socket: what the peer has sent and is not read yet, and a kernel buffer that takes bytes until it is full.

use std::collections::VecDeque;
use std::io::IoSlice;

use corecast_machines::machine::Token;
use corecast_machines::outbox::parting::Parting;
use protocol::address::Address;

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
    /// Its handshake is over, and the server was not told.
    pub secured: bool,
    pub hangup_told: bool,
    /// Taken by the kernel, not read by the peer.
    pub kernel: usize,
    /// The server waits for it to be writable.
    pub waits_writable: bool,
    /// Bytes that waited when it could be written again, until it is tried.
    pub refused: usize,
    /// Where its client is, as far as that was told.
    pub whereabouts: Option<Address>,
    /// All bytes that the peer has got or will get.
    pub received: Vec<u8>,
    /// The server has closed it.
    pub closed: bool,
    /// What the server has left to be written then.
    pub parting: Option<Parting>,
    /// Seconds since the server has closed it.
    closed_s: u32,
    /// Seconds in which it was listened to and said nothing.
    pub silent_s: u32,
    /// How long it had been silent when its shard last judged that. What is read later in that turn comes too late.
    pub judged_s: u32,
    /// Its shard had taken all that it has sent then.
    pub judged_taken: bool,
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
            secured: false,
            hangup_told: false,
            kernel: 0,
            waits_writable: false,
            refused: 0,
            whereabouts: None,
            received: Vec::new(),
            closed: false,
            parting: None,
            closed_s: 0,
            silent_s: 0,
            judged_s: 0,
            judged_taken: false,
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
        self.write_parting();
    }

    /// The server has closed it: writes what is left, as far as there is room.
    pub fn write_parting(&mut self) {
        let Some(mut parting) = self.parting.take() else { return };
        while !parting.is_empty() {
            let mut slices = [IoSlice::new(&[]); 3];
            let filled = parting.slices(&mut slices);
            let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = self.write(&bytes);
            if taken == 0 {
                self.parting = parting.handle_refused().then_some(parting);
                return;
            }
            parting.advance_by(taken);
        }
    }

    /// A second passes. After five of them the server has lost patience with a peer that takes nothing.
    pub fn grow_old(&mut self) {
        self.closed_s += u32::from(self.closed);
        if self.closed_s > 5 {
            self.parting = None;
        }
    }

    /// The server has read from it, or does not listen to it: its silence begins anew.
    pub fn hear(&mut self) {
        self.silent_s = 0;
        self.pinged = false;
    }

    /// True when the server can read something from it.
    pub fn is_ready(&self) -> bool {
        let has_news = !self.inbound.is_empty() || self.secured || (self.hung_up && !self.hangup_told);
        !self.closed && !self.paused && has_news
    }
}
