//! Bytes as they are, over TCP.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg, shutdown};

pub(super) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, length) = retry_on_intr(|| recv(socket, &mut *buffer, RecvFlags::DONTWAIT))?;
    Ok(length)
}

pub(super) fn send(socket: &OwnedFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
    let send = || sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags);
    Ok(retry_on_intr(send)?)
}

pub(super) fn end(socket: &OwnedFd) -> io::Result<()> {
    Ok(shutdown(socket, Shutdown::Write)?)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn sending_to_a_full_socket_would_block_and_to_a_closed_one_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, far) = (near.into(), listener.accept().unwrap().0.into());
        let block = vec![0u8; 1 << 20];
        let refusal = loop {
            match send(&near, &[IoSlice::new(&block), IoSlice::new(b"tail")]) {
                Ok(sent) => assert!(sent > 0),
                Err(error) => break error,
            }
        };
        assert_eq!(refusal.kind(), io::ErrorKind::WouldBlock);
        end(&near).unwrap();
        assert_eq!(send(&near, &[IoSlice::new(b"x")]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(receive(&far, &mut [0; 4]).unwrap(), 4);
    }
}
