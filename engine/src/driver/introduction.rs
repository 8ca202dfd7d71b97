//! The PROXY header, with which each connection to some listeners must begin: who may send one, and how it is taken.
//!
//! The header is looked at where the kernel has it, until it is whole, so no bytes of it are kept. What must never happen
//! here: a byte taken that is not the header's. Called by accepting, and by the sockets for connections that have said
//! nothing else yet.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::address::Address;
use protocol::http::TrustedProxies;
use protocol::limits::PROXY_HEADER_BYTES_MAX;
use protocol::proxy_header::{NO_HEADER, ProxyHeader, parse_proxy_header};
use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, recv};

/// Whether the peer of a connection must name its client before anything else.
#[derive(Clone, Debug, Default)]
pub enum Introduction {
    /// No: it is the client, or a proxy that speaks of its client in a head.
    #[default]
    None,
    /// By a PROXY header, and only these may connect; anybody if there are none.
    By(TrustedProxies, Oneself),
}

impl Introduction {
    /// Whether a connection of this peer may stay.
    pub(super) fn admits(&self, peer: Option<Address>) -> bool {
        match self {
            Self::None => true,
            Self::By(proxies, oneself) => proxies.is_empty() || proxies.trust(peer) || oneself.is(peer),
        }
    }
}

/// From where this process asks itself whether it can be reached, while it does. It need not be a trusted proxy.
#[derive(Clone, Debug, Default)]
pub struct Oneself(Arc<Mutex<Option<Address>>>);

impl Oneself {
    /// From there; None: no longer.
    pub fn set(&self, address: Option<Address>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn is(&self, peer: Option<Address>) -> bool {
        peer.is_some() && peer == *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a connection is closed whose peer may not connect.
pub(super) const STRANGER: &str = "its peer is no trusted proxy: name its address in trusted_proxies, or let clients connect to a listener that is \
     not in proxy_protocol";

/// Takes the header, once it is whole. `ended`: nothing more comes. None: it is not whole; otherwise the client that it
/// names, if it names one, or why the connection cannot go on.
pub(super) fn take_header(
    socket: BorrowedFd<'_>,
    ended: bool,
) -> Option<Result<Option<Address>, &'static str>> {
    match peek_header(socket) {
        Ok(ProxyHeader::Complete { client, bytes }) => Some(skip(socket, bytes).map(|()| client)),
        Ok(ProxyHeader::Refused(why)) => Some(Err(why)),
        Ok(ProxyHeader::Partial) if !ended => None,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && !ended => None,
        Ok(ProxyHeader::Partial) | Err(_) => Some(Err(NO_HEADER)),
    }
}

/// What the bytes are that wait.
fn peek_header(socket: BorrowedFd<'_>) -> io::Result<ProxyHeader> {
    let mut bytes = [0; PROXY_HEADER_BYTES_MAX];
    let flags = RecvFlags::DONTWAIT.union(RecvFlags::PEEK);
    let (_, length) = retry_on_intr(|| recv(socket, &mut bytes, flags))?;
    match bytes.get(..length) {
        Some([]) | None => Err(io::ErrorKind::UnexpectedEof.into()),
        Some(bytes) => Ok(parse_proxy_header(bytes)),
    }
}

/// Takes so many bytes, which are there.
fn skip(socket: BorrowedFd<'_>, length: usize) -> Result<(), &'static str> {
    let mut bytes = [0; PROXY_HEADER_BYTES_MAX];
    let wanted = bytes.get_mut(..length).unwrap_or_default();
    match retry_on_intr(|| recv(socket, &mut *wanted, RecvFlags::DONTWAIT)) {
        Ok((_, taken)) if taken == length => Ok(()),
        _ => Err(NO_HEADER),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::SocketAddr;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

    fn address(text: &str) -> Option<Address> {
        text.parse::<SocketAddr>().ok().map(Into::into)
    }

    #[test]
    fn only_trusted_proxies_may_connect_where_there_are_some_and_the_server_itself() {
        let network = TrustedProxies::parse_network("10.0.0.0/8");
        let oneself = Oneself::default();
        let by = Introduction::By(network.into_iter().collect(), oneself.clone());
        let (proxy, stranger) = (address("10.0.0.1:5"), address("127.0.0.1:7"));
        assert!(by.admits(proxy) && !by.admits(stranger));
        oneself.set(stranger);
        assert!(by.admits(stranger) && !by.admits(address("127.0.0.1:8")));
        oneself.set(None);
        assert!(!by.admits(stranger));
        assert!(Introduction::By(TrustedProxies::default(), oneself).admits(stranger));
        assert!(Introduction::None.admits(stranger));
    }

    #[test]
    fn nothing_but_the_header_is_taken_and_that_only_when_it_is_whole() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        assert_eq!(take_header(near.as_fd(), false), None);
        for byte in &LOCAL[..LOCAL.len() - 1] {
            far.write_all(&[*byte]).unwrap();
            assert_eq!(take_header(near.as_fd(), false), None);
        }
        far.write_all(b"\0GET").unwrap();
        assert_eq!(take_header(near.as_fd(), true), Some(Ok(None)));
        let mut rest = [0; 3];
        near.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"GET");
    }

    #[test]
    fn a_header_that_ends_before_it_is_whole_is_none() {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(&LOCAL[..5]).unwrap();
        assert_eq!(take_header(near.as_fd(), true), Some(Err(NO_HEADER)));
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        assert_eq!(take_header(near.as_fd(), false), Some(Err(NO_HEADER)));
    }
}
