//! TLS: what peers are shown, and that it stays what the operator wants.
//!
//! `certificate` reads a certificate and its key, `showcase` has those that are shown and picks one for the name that a
//! peer asks for, `watch` looks whether their files have changed, `self_check` is a handshake with oneself. All connections
//! of a server share one configuration, and with it the keys of tickets: a client resumes on whichever core it comes to,
//! before and after a change of certificates. The bytes of a connection are the driver's. What must never happen here: a
//! certificate without its key that is shown, or a good one that is given up for a bad one.

mod certificate;
#[cfg(test)]
pub(crate) mod made;
mod self_check;
mod showcase;
mod watch;

pub use self::certificate::{CertificateError, Certificates, read_certificates};
pub use self::self_check::{SelfCheckError, check_oneself};
pub use self::watch::{CertificateWatch, WARNING_DAYS};

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::NoServerSessionStorage;

use self::showcase::Showcase;
use crate::driver::transport::{TlsCounters, TlsSetup};
use crate::settings::CertificateFiles;

/// The one protocol that is spoken inside.
const PROTOCOL: &[u8] = b"http/1.1";

/// The TLS of a server.
#[derive(Clone, Debug)]
pub struct ServerTls {
    setup: TlsSetup,
    showcase: Arc<Showcase>,
    watch: Arc<CertificateWatch>,
}

impl ServerTls {
    /// With the certificates of these files, all of which must be good.
    pub fn new(files: &[CertificateFiles]) -> Result<Self, CertificateError> {
        let showcase = Arc::new(Showcase::new(read_certificates(files)?));
        let refused = |error: rustls::Error| CertificateError::of_the_library(&error);
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(refused)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&showcase) as _);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // Tickets carry all that a resumption needs, so that no core keeps anything of connections that have gone.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Ticketer::new().map_err(refused)?;
        let setup = TlsSetup { config: Arc::new(config), counters: Arc::new(TlsCounters::default()) };
        let watch = Arc::new(CertificateWatch::new(Arc::clone(&showcase), files));
        Ok(Self { setup, showcase, watch })
    }

    /// What the connections of its listeners share.
    pub fn setup(&self) -> TlsSetup {
        self.setup.clone()
    }

    /// What metrics read of connections.
    pub fn counters(&self) -> &Arc<TlsCounters> {
        &self.setup.counters
    }

    /// What keeps the certificates as their files are.
    pub fn watch(&self) -> &Arc<CertificateWatch> {
        &self.watch
    }

    /// How many days the certificate that ends first has left at this time.
    pub fn days_left(&self, unix_s: u64) -> i64 {
        self.showcase.days_left(unix_s)
    }
}
