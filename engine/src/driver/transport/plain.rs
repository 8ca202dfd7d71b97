//! Bytes as they are, over TCP.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg, shutdown};

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
        let (_, length) = retry_on_intr(|| recv(&self.0, &mut *buffer, RecvFlags::DONTWAIT))?;
        Ok(length)
    }

    pub(super) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
        let send = || sendmsg(&self.0, slices, &mut SendAncillaryBuffer::default(), flags);
        Ok(retry_on_intr(send)?)
    }

    pub(super) fn end(&self) -> io::Result<()> {
        Ok(shutdown(&self.0, Shutdown::Write)?)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn sending_to_a_full_socket_would_block_and_to_a_closed_one_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, far) = (Plain::new(near.into()), Plain::new(listener.accept().unwrap().0.into()));
        let block = vec![0u8; 1 << 20];
        let refusal = loop {
            match near.send(&[IoSlice::new(&block), IoSlice::new(b"tail")]) {
                Ok(sent) => assert!(sent > 0),
                Err(error) => break error,
            }
        };
        assert_eq!(refusal.kind(), io::ErrorKind::WouldBlock);
        near.end().unwrap();
        assert_eq!(near.send(&[IoSlice::new(b"x")]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(far.receive(&mut [0; 4]).unwrap(), 4);
    }
}
