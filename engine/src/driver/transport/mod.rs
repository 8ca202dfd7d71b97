//! What a connection's bytes pass between socket and machine.
//!
//! Plain TCP for now; TLS will be a second kind here, so that nobody above reads or writes a socket by itself. What must
//! never happen here: a wait, or a guess about what the bytes mean. Called by the driver's reading, flushing, closing.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use super::ring;

/// How a connection's bytes travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Transport {
    /// As they are.
    #[default]
    Plain,
}

impl Transport {
    /// Reads what is there; 0 at the peer's end, `WouldBlock` when nothing is there.
    pub fn receive(self, socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain => ring::receive(socket, buffer),
        }
    }

    /// True when nobody between the peer and us can read what is said.
    pub fn is_secure(self) -> bool {
        match self {
            Self::Plain => false,
        }
    }

    /// True when what waits for the connection is what its socket gets, so that many can be sent at once.
    pub fn sends_as_is(self) -> bool {
        match self {
            Self::Plain => true,
        }
    }

    /// Writes what fits; `WouldBlock` when nothing does.
    pub fn send(self, socket: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain => ring::send(socket, slices),
        }
    }
}
