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

pub use self::tls::{Session, TlsSetup};
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
        Some(Transport { wire: Wire(socket), session })
    }
}

/// A connection's socket. It is read and written through [`TransportMut`] alone.
#[derive(Debug)]
pub struct Wire(OwnedFd);

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// One connection's socket with what it takes to read and write it, on its way from one owner to the next. The record of a
/// connection keeps the two apart, because together they would leave a gap of four bytes.
#[derive(Debug)]
pub struct Transport {
    /// The socket.
    pub wire: Wire,
    /// Of TLS; None: bytes travel as they are.
    pub session: Option<Box<Session>>,
}

impl Transport {
    /// True when nobody between the peer and us can read what is said.
    pub fn is_secure(&self) -> bool {
        self.session.is_some()
    }
}

/// A transport in use.
#[derive(Debug)]
pub struct TransportMut<'a> {
    socket: &'a OwnedFd,
    session: Option<&'a mut Session>,
}

impl<'a> TransportMut<'a> {
    /// Of these parts.
    pub fn new(wire: &'a Wire, session: Option<&'a mut Session>) -> Self {
        Self { socket: &wire.0, session }
    }

    /// The socket, for its options.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads what is there; 0 at the peer's end, `WouldBlock` when nothing is there, `Interrupted` when nothing of what came
    /// is for the machine.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.session {
            None => plain::receive(self.socket, buffer),
            Some(session) => session.receive(self.socket, buffer),
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

    /// Writes what fits; `WouldBlock` when nothing does. What was not taken is offered again, from its first byte.
    pub fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.session {
            None => plain::send(self.socket, slices),
            Some(session) => session.send(self.socket, slices),
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
            Some(session) => session.flush(self.socket),
        }
    }

    /// Tells the peer that nothing more comes; `WouldBlock` when that must wait for room.
    pub fn end(&mut self) -> io::Result<()> {
        if let Some(session) = &mut self.session {
            session.end(self.socket)?;
        }
        plain::end(self.socket)
    }
}
