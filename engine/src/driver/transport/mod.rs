//! A connection's socket, and how bytes pass between it and the machine.
//!
//! Owns the socket, so that nobody above reads or writes one by itself. Plain TCP for now: TLS has state of its own, may
//! hold plaintext that is not read yet, and will be a file beside `plain`. What must never happen here: a wait, or a
//! guess about what the bytes mean. Called by the driver's reading, flushing, closing.

mod plain;

use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

use self::plain::Plain;

/// How bytes travel on the connections of a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransportKind {
    /// As they are.
    Plain,
}

impl TransportKind {
    /// The transport of a connection that has just come.
    pub fn over(self, socket: OwnedFd) -> Transport {
        match self {
            Self::Plain => Transport::Plain(Plain::new(socket)),
        }
    }
}

/// One connection's socket with what it takes to read and write it.
#[derive(Debug)]
pub enum Transport {
    /// Bytes travel as they are.
    Plain(Plain),
}

impl Transport {
    /// The socket, to be polled.
    pub fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(plain) => plain.socket(),
        }
    }

    /// True when nobody between the peer and us can read what is said.
    pub fn is_secure(&self) -> bool {
        match self {
            Self::Plain(_) => false,
        }
    }

    /// True when something can be read though the kernel will not say so.
    pub fn has_buffered(&self) -> bool {
        match self {
            Self::Plain(_) => false,
        }
    }

    /// Reads what is there; 0 at the peer's end, `WouldBlock` when nothing is there.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.receive(buffer),
        }
    }

    /// True when the socket may have more for us after a read of `received` bytes into room for `room`, and the kernel
    /// will not say so.
    pub fn may_have_more(&self, received: usize, room: usize) -> bool {
        match self {
            Self::Plain(_) => received == room,
        }
    }

    /// True when what waits for the connection is what its socket gets, so that many can be sent at once.
    pub fn sends_as_is(&self) -> bool {
        match self {
            Self::Plain(_) => true,
        }
    }

    /// Writes what fits; `WouldBlock` when nothing does. What was not taken is offered again, from its first byte.
    pub fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.send(slices),
        }
    }

    /// Tells the peer that nothing more comes.
    pub fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.end(),
        }
    }
}
