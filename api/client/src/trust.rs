//! TLS: whom a client trusts. The authorities of the machine (`SSL_CERT_FILE` and `SSL_CERT_DIR` count), or else those that
//! Mozilla trusts. rustls with ring, for REST and WebSocket alike.

use std::sync::{Arc, LazyLock};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

static OF_THE_MACHINE: LazyLock<Vec<CertificateDer<'static>>> =
    LazyLock::new(|| rustls_native_certs::load_native_certs().certs);

/// For REST calls and auth endpoints, by ureq.
pub fn for_http() -> TlsConfig {
    let certificates: Vec<_> =
        OF_THE_MACHINE.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    let roots =
        if certificates.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(certificates)) };
    TlsConfig::builder().root_certs(roots).build()
}

/// For WebSockets.
pub fn for_sockets() -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    if OF_THE_MACHINE.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    } else {
        roots.add_parsable_certificates(OF_THE_MACHINE.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
