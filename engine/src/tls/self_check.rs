//! A handshake with oneself: only where one has gone through does the server say that it listens.

use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

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

/// Shakes hands with the server that listens at this address, which is this process or one whose port it shares.
pub fn check_oneself(address: SocketAddr) -> Result<(), SelfCheckError> {
    shake_hands(reachable(address)).map_err(|error| SelfCheckError { address, error })
}

fn shake_hands(address: SocketAddr) -> io::Result<()> {
    let provider = Arc::new(default_provider());
    let verifier = Arc::new(AnyName(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::from(address.ip());
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut socket = TcpStream::connect_timeout(&address, SELF_CHECK_MAX)?;
    socket.set_read_timeout(Some(SELF_CHECK_MAX))?;
    socket.set_write_timeout(Some(SELF_CHECK_MAX))?;
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
