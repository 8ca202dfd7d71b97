//! Where clients and back ends connect with TLS, and which certificates they are shown.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The settings of TLS.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tls {
    /// Addresses for WebSocket and REST.
    pub listen: Vec<SocketAddr>,
    /// What is shown there: the certificate for the name that a client asks for, or the first.
    pub certificates: Vec<CertificateFiles>,
}

impl Tls {
    /// Whether a supervisor says that it passes on a listener in place of `listen`: sd_listen_fds_with_names(3).
    pub fn is_passed_on() -> bool {
        env::var("LISTEN_FDNAMES").is_ok_and(|names| names.split(':').any(|name| name == "tls"))
    }
}

/// The files of a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The certificate, and behind it those that lead from it to one that clients trust (PEM).
    pub cert: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
}
