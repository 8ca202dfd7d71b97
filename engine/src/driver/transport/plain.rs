//! Bytes as they are, over TCP.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::SockRef;

use super::super::ring;

/// A socket that gets what it is given.
#[derive(Debug)]
pub struct Plain(OwnedFd);

impl Plain {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        ring::receive(self.socket(), buffer)
    }

    pub(super) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        ring::send(self.socket(), slices)
    }

    pub(super) fn end(&self) -> io::Result<()> {
        SockRef::from(&self.0).shutdown(Shutdown::Write)
    }
}
