//! A client's connection to a server: a non-blocking TCP socket, with or without TLS, from a chosen local address.
//!
//! Owns how sockets are made, and TLS. Any certificate is accepted: a load test measures a server and tells it no secret worth
//! keeping. Must never block: what the socket does not take or have is `WouldBlock`, as with a bare one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::options::{Encryption, Endpoint};
use crate::tickets::Tickets;

/// Where connections lead.
#[derive(Clone)]
pub(crate) struct Door {
    endpoint: Endpoint,
    tls: Option<Arc<ClientConfig>>,
}

pub(crate) enum Link {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Door {
    pub(crate) fn new(endpoint: Endpoint, encryption: Encryption) -> Self {
        let tls = match encryption {
            Encryption::None => None,
            Encryption::Resumed => Some(Resumption::store(Arc::new(Tickets::default()))),
            Encryption::Full => Some(Resumption::disabled()),
        };
        Self { endpoint, tls: tls.map(accept_any_certificate) }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Begins to connect. A `receive_buffer` bounds what the kernels of both ends take for a connection that does not read.
    pub(crate) fn connect(&self, source: Option<IpAddr>, receive_buffer: Option<usize>) -> io::Result<Link> {
        let address = self.endpoint.address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
            socket.set_tcp_mss(ETHERNET_MSS)?;
        }
        if let Some(source) = source {
            socket.bind(&std::net::SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(EINPROGRESS) => return Err(error),
            _ => {}
        }
        self.greet(TcpStream::from_std(socket.into()))
    }

    fn greet(&self, stream: TcpStream) -> io::Result<Link> {
        let Some(config) = &self.tls else { return Ok(Link::Plain(stream)) };
        let name = ServerName::try_from(self.endpoint.host().to_owned()).map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Link::Tls(Box::new(StreamOwned::new(session, stream))))
    }
}

/// Segments as on a network. On loopback they are 64 KiB, and by their size the kernel of the server takes 3 MB for a connection
/// before the server feels that the client does not read; with these it is some 90 KB.
const ETHERNET_MSS: u32 = 1460;

/// What connect() says on a non-blocking socket.
const EINPROGRESS: i32 = 115;

impl Link {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.stream_mut(), token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.stream_mut())
    }

    /// Whether a read of `read` bytes into room for `room` has shown that the socket is empty.
    #[inline]
    pub(crate) fn is_emptied_by(&self, read: usize, room: usize) -> bool {
        read < room && matches!(self, Self::Plain(_))
    }

    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            // Without a closing alert the end is an error there; TCP's end is enough here.
            Self::Tls(stream) => match stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
                other => other,
            },
        }
    }

    /// Writes all that the socket takes out of `out`. What is left is not an error.
    pub(crate) fn write_from(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while !out.is_empty() {
            let written = match self {
                Self::Plain(stream) => stream.write(out),
                Self::Tls(stream) => stream.write(out),
            };
            match written {
                Ok(written) => drop(out.drain(..written)),
                Err(error) if is_for_later(&error) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => flush_session(stream),
        }
    }

    /// Ends the connection with a reset instead of an orderly end.
    pub(crate) fn reset(mut self) {
        // Where it cannot be set, the peer sees an orderly end.
        let _ = SockRef::from(&*self.stream_mut()).set_linger(Some(Duration::ZERO));
    }

    fn stream_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        }
    }
}

/// Records that are encrypted and not yet on their way; a write that succeeds may leave them behind.
fn flush_session(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> io::Result<()> {
    while stream.conn.wants_write() {
        match stream.conn.write_tls(&mut stream.sock) {
            Err(error) if is_for_later(&error) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// A socket that is still connecting says NotConnected.
pub(crate) fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

fn accept_any_certificate(resumption: Resumption) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = resumption;
    Arc::new(config)
}

/// Believes every certificate; signatures of the handshake are checked all the same, so that its cost is the usual one.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::options::values::parse_endpoint;

    #[test]
    fn server_soon_feels_a_connection_that_never_reads() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = parse_endpoint(&listener.local_addr().unwrap().to_string()).unwrap();
        let _link = Door::new(endpoint, Encryption::None).connect(None, Some(4096)).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let frames = std::iter::repeat_with(|| peer.write(&[0; 1000])).map_while(Result::ok);
        let taken: usize = frames.take(5000).sum();
        assert!(taken < 512 * 1024, "the kernel took {taken} bytes");
    }
}
