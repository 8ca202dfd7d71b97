//! The settings of `[tls]`: the addresses with TLS, and the files of the certificates that are shown there.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::fault::Fault;
use super::listen::{Placed, addresses};
use super::section::{Section, Value};
use super::table::Table;
use crate::settings::{CertificateFiles, Tls};

/// The settings, and where each address of theirs stands.
pub(super) fn parse_tls(value: Option<Value<'_>>) -> Result<(Tls, Vec<Placed<'_>>), Fault> {
    let Some(value) = value else { return Ok((Tls::default(), Vec::new())) };
    let mut section = value.section(Table::Tls)?;
    let placed = addresses(section.take("listen"))?;
    let mut certificates = Vec::new();
    if let Some(files) = parse_files(&mut section)? {
        certificates.push(files);
    }
    if let Some(value) = section.take("certificates") {
        for mut section in value.sections(Table::TlsCertificate)? {
            let files = parse_files(&mut section)?;
            certificates.push(files.ok_or_else(|| section.fault("needs cert and key"))?);
        }
    }
    match (placed.is_empty(), certificates.is_empty()) {
        (false, true) => Err(section
            .fault("has listen and no certificate: set cert and key, or give --tls-cert and --tls-key")),
        (true, false) if !Tls::is_passed_on() => {
            Err(section.fault("has a certificate and no listen: set it, or give --tls-listen"))
        }
        _ => {
            let listen: Vec<SocketAddr> = placed.iter().map(|(address, _)| *address).collect();
            Ok((Tls { listen, certificates }, placed))
        }
    }
}

/// A certificate and its key, which is no use without the other.
fn parse_files(section: &mut Section<'_>) -> Result<Option<CertificateFiles>, Fault> {
    let path = |value: &Value<'_>| value.filled_text().map(PathBuf::from);
    match (section.take("cert"), section.take("key")) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(CertificateFiles { cert: path(&cert)?, key: path(&key)? })),
        (Some(cert), None) => Err(cert.fault("has no key beside it: write cert and key together")),
        (None, Some(key)) => Err(key.fault("has no cert beside it: write cert and key together")),
    }
}
