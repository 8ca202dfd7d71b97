//! The certificates that are shown, and which of them a peer sees. They change while connections go on.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::{Certificate, Certificates};

/// Looked at once in a handshake.
#[derive(Debug)]
pub(super) struct Showcase(RwLock<Arc<Certificates>>);

impl Showcase {
    pub(super) fn new(certificates: Certificates) -> Self {
        Self(RwLock::new(Arc::new(certificates)))
    }

    /// From now on peers see these.
    pub(super) fn replace(&self, certificates: Certificates) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certificates);
    }

    fn shown(&self) -> Arc<Certificates> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many days the one that ends first has left.
    pub(super) fn days_left(&self, unix_s: u64) -> i64 {
        self.shown().days_left(unix_s)
    }

    /// What is shown, and for how long it may be, in a line.
    pub(super) fn description(&self, unix_s: u64) -> String {
        let shown = self.shown();
        let described = |certificate: &Certificate| match certificate.days_left(unix_s) {
            days if days < 0 => format!("{} has ended {} day(s) ago", certificate.name, -days),
            days => format!("{} has {days} day(s) left", certificate.name),
        };
        let all: Vec<_> = shown.0.iter().map(described).collect();
        format!("certificate {}", all.join(", certificate "))
    }
}

impl ResolvesServerCert for Showcase {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown();
        let wanted = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let fitting = wanted.and_then(|name| shown.0.iter().find(|certificate| certificate.is_for(&name)));
        fitting.or_else(|| shown.0.first()).map(|certificate| Arc::clone(&certificate.key))
    }
}
