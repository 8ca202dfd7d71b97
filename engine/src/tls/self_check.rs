//! A handshake with oneself: only where one has gone through does the server say that it listens.

use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use protocol::address::Address;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use socket2::{Domain, Socket, Type};

use crate::driver::introduction::Oneself;
use crate::driver::listen::reachable;
use crate::limits::SELF_CHECK_MAX;

/// Why TLS does not work at an address.
#[derive(Debug)]
pub struct SelfCheckError {
    address: SocketAddr,
    error: io::Error,
}

impl fmt::Display for SelfCheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TLS does not work on {}: a handshake of the server with itself: {}",
            self.address, self.error
        )
    }
}

impl std::error::Error for SelfCheckError {}

/// What a proxy says that speaks for itself, in version 2 of the PROXY protocol.
const LOCAL_HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// How often a port is asked where a process that shares it may close the connection, since it does not know this one.
const TRIES: usize = 16;

/// Shakes hands with the server that listens at this address, which is this process or one whose port it shares. `oneself`:
/// a connection must begin with a PROXY header there, and is told to those who accept it.
pub fn check_oneself(address: SocketAddr, oneself: Option<&Oneself>) -> Result<(), SelfCheckError> {
    let tries = if oneself.is_some() { TRIES } else { 1 };
    let mut checked = Ok(());
    for _ in 0..tries {
        checked = connect(reachable(address), oneself).and_then(shake_hands);
        if let Some(oneself) = oneself {
            oneself.set(None);
        }
        if checked.is_ok() {
            break;
        }
    }
    checked.map_err(|error| SelfCheckError { address, error })
}

fn connect(address: SocketAddr, oneself: Option<&Oneself>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(oneself) = oneself {
        // An address of this machine, from which it reaches itself.
        socket.bind(&SocketAddr::new(address.ip(), 0).into())?;
        oneself.set(socket.local_addr()?.as_socket().map(Address::from));
    }
    socket.connect_timeout(&address.into(), SELF_CHECK_MAX)?;
    socket.set_read_timeout(Some(SELF_CHECK_MAX))?;
    socket.set_write_timeout(Some(SELF_CHECK_MAX))?;
    let mut stream = TcpStream::from(socket);
    if oneself.is_some() {
        stream.write_all(LOCAL_HEADER)?;
    }
    Ok(stream)
}

fn shake_hands(mut socket: TcpStream) -> io::Result<()> {
    let provider = Arc::new(default_provider());
    let verifier = Arc::new(AnyName(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::from(socket.peer_addr()?.ip());
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    // Its ticket says that the server has our part of the handshake, too.
    while connection.is_handshaking() || connection.tls13_tickets_received() == 0 {
        connection.complete_io(&mut socket)?;
    }
    connection.send_close_notify();
    connection.write_tls(&mut socket)?;
    socket.flush()
}

/// The names of the certificate are for others; that the server has its key is what matters here.
#[derive(Debug)]
struct AnyName(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyName {
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
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
