//! A connection's socket, and how bytes pass between it and the machine.
//!
//! Owns the socket, so that nobody above reads or writes one by itself. `plain` is TCP, `tls` what a connection has for TLS
//! over it, `tls_counters` what metrics read of that. What must never happen here: a wait, or a guess about what the bytes
//! mean. Called by the driver's reading, flushing, closing.

mod plain;
mod tls;
mod tls_counters;

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use self::tls::Session;
pub use self::tls::TlsSetup;
pub use self::tls_counters::{Handshake, TlsCounters};

/// How bytes travel on the connections of a listener.
#[derive(Clone, Debug)]
pub enum TransportKind {
    /// As they are.
    Plain,
    /// In TLS.
    Tls(TlsSetup),
}

impl TransportKind {
    /// The transport of a connection that has just come. None: TLS does not begin for want of something.
    pub fn over(&self, socket: OwnedFd) -> Option<Transport> {
        let session = match self {
            Self::Plain => None,
            Self::Tls(setup) => Some(Box::new(Session::new(setup)?)),
        };
        Some(Transport { socket, session })
    }
}

/// One connection's socket with what it takes to read and write it.
#[derive(Debug)]
pub struct Transport {
    socket: OwnedFd,
    /// Of TLS; None: bytes travel as they are.
    session: Option<Box<Session>>,
}

impl Transport {
    /// The socket, to be polled.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// True when nobody between the peer and us can read what is said.
    pub fn is_secure(&self) -> bool {
        self.session.is_some()
    }

    /// True while reading is work for processors rather than for the network.
    pub fn is_handshaking(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_handshaking())
    }

    /// Reads what is there; 0 at the peer's end, `WouldBlock` when nothing is there, `Interrupted` when nothing of what came
    /// is for the machine.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.session {
            None => plain::receive(&self.socket, buffer),
            Some(session) => session.receive(&self.socket, buffer),
        }
    }

    /// True when there may be more for us after a read of `received` bytes into room for `room`, and the kernel will not
    /// say so.
    pub fn may_have_more(&self, received: usize, room: usize) -> bool {
        match &self.session {
            None => received == room,
            Some(session) => session.may_have_more(),
        }
    }

    /// True when what waits for the connection is what its socket gets, so that many can be sent at once.
    pub fn sends_as_is(&self) -> bool {
        self.session.is_none()
    }

    /// Writes what fits; `WouldBlock` when nothing does. What was not taken is offered again, from its first byte.
    pub fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.session {
            None => plain::send(&self.socket, slices),
            Some(session) => session.send(&self.socket, slices),
        }
    }

    /// What was taken and has not gone to the socket, in bytes: it goes when there is room.
    pub fn unsent(&self) -> usize {
        self.session.as_ref().map_or(0, |session| session.unsent())
    }

    /// Writes what was taken and has not gone; `WouldBlock` if some is left.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.session {
            None => Ok(()),
            Some(session) => session.flush(&self.socket),
        }
    }

    /// Tells the peer that nothing more comes; `WouldBlock` when that must wait for room.
    pub fn end(&mut self) -> io::Result<()> {
        if let Some(session) = &mut self.session {
            session.end(&self.socket)?;
        }
        plain::end(&self.socket)
    }
}
