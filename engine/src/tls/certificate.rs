//! A certificate and its private key, from their files.
//!
//! What must never happen here: text of a key in a message.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

use crate::settings::CertificateFiles;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// A certificate that may be shown.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    /// The file of its chain.
    pub(super) name: String,
    pub(super) key: Arc<CertifiedKey>,
    /// When it begins.
    not_before_unix_s: i64,
    /// When it ends.
    not_after_unix_s: i64,
    /// The DNS names that it is for.
    names: Vec<String>,
}

/// Why a certificate cannot be used, in one line that names the file.
#[derive(Debug)]
pub struct CertificateError(String);

impl CertificateError {
    /// What rustls does not take.
    pub(super) fn of_the_library(error: &rustls::Error) -> Self {
        Self(format!("TLS: {error}"))
    }

    fn of(file: &Path, why: impl fmt::Display) -> Self {
        Self(format!("{}: {why}", file.display()))
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CertificateError {}

/// Certificates that were read.
#[derive(Clone, Debug)]
pub struct Certificates(pub(super) Vec<Certificate>);

impl Certificates {
    /// How many days the one that ends first has left at this time; fewer than 0 when it is over.
    pub fn days_left(&self, unix_s: u64) -> i64 {
        self.0.iter().map(|certificate| certificate.days_left(unix_s)).min().unwrap_or(0)
    }

    /// When the last one begins, in seconds of Unix time.
    pub fn not_before_unix_s(&self) -> i64 {
        self.0.iter().map(|certificate| certificate.not_before_unix_s).max().unwrap_or(0)
    }

    /// The DNS names that they are for.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().flat_map(|certificate| certificate.names.clone()).collect()
    }
}

/// Reads all of these certificates and their keys, if each is good.
pub fn read_certificates(files: &[CertificateFiles]) -> Result<Certificates, CertificateError> {
    files.iter().map(Certificate::read).collect::<Result<_, _>>().map(Certificates)
}

impl Certificate {
    fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let CertificateFiles { cert, key } = files;
        let chain = read_chain(cert)?;
        let Some(first) = chain.first() else {
            return Err(CertificateError::of(cert, "there is no certificate in it (PEM: BEGIN CERTIFICATE)"));
        };
        let read = x509_cert::Certificate::from_der(first).map_err(|_| {
            CertificateError::of(cert, "its first certificate is not one that can be read (X.509)")
        })?;
        let validity = read.tbs_certificate().validity();
        let (not_before_unix_s, not_after_unix_s) =
            (unix_s(&validity.not_before), unix_s(&validity.not_after));
        let names = dns_names(&read);
        let private = read_key(key)?;
        let certified = CertifiedKey::from_der(chain, private, &default_provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::of(
                key,
                format_args!("this is not the key of the certificate in {}", cert.display()),
            ),
            error => CertificateError::of(key, format_args!("no key that TLS can use: {error}")),
        })?;
        let (name, key) = (cert.display().to_string(), Arc::new(certified));
        Ok(Self { name, key, not_before_unix_s, not_after_unix_s, names })
    }

    /// How many whole days it has left at this time; fewer than 0 when it is over.
    pub(super) fn days_left(&self, unix_s: u64) -> i64 {
        (self.not_after_unix_s - unix_s as i64).div_euclid(DAY_S)
    }

    /// Whether it is for this name.
    pub(super) fn is_for(&self, name: &ServerName<'_>) -> bool {
        let parsed = self.key.cert.first().map(ParsedCertificate::try_from);
        parsed.is_some_and(|parsed| {
            parsed.is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, name).is_ok())
        })
    }
}

fn unix_s(time: &Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

fn dns_names(certificate: &x509_cert::Certificate) -> Vec<String> {
    let names = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    let Ok(Some((_, SubjectAltName(names)))) = names else { return Vec::new() };
    let dns = |name| if let GeneralName::DnsName(name) = name { Some(name.to_string()) } else { None };
    names.into_iter().filter_map(dns).collect()
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let bytes = read(file)?;
    let chain: Result<_, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    chain.map_err(|_| CertificateError::of(file, "this is not PEM"))
}

fn read(file: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(file).map_err(|error| CertificateError::of(file, format_args!("cannot be read: {error}")))
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let bytes = read(file)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateError::of(
            file,
            "there is no private key in it (PEM: BEGIN PRIVATE KEY, without a password)",
        ),
        _ => CertificateError::of(file, "this is not PEM"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::made::{make, remove};
    use super::*;

    fn fault(cert: &Path, key: &Path) -> String {
        let files = CertificateFiles { cert: cert.to_owned(), key: key.to_owned() };
        Certificate::read(&files).map_or_else(|error| error.to_string(), |_| "fine".to_owned())
    }

    #[test]
    fn each_fault_of_a_pair_names_the_file_and_shows_nothing_of_it() {
        let (files, others) = (make("faults", "a.test", 30), make("faults-other", "b.test", 30));
        let CertificateFiles { cert, key } = &files;
        assert_eq!(fault(cert, key), "fine");
        let text = fault(cert, &others.key);
        assert!(
            text.contains("this is not the key of the certificate in") && text.contains("faults-other"),
            "{text}"
        );
        assert!(fault(key, key).contains("there is no certificate in it"));
        assert!(fault(cert, cert).contains("there is no private key in it"));
        let bad = cert.with_file_name("bad.pem");
        for (text, what) in [
            ("", "there is no certificate in it"),
            ("hunter2", "there is no certificate in it"),
            ("-----BEGIN CERTIFICATE-----\nhunter2!\n-----END CERTIFICATE-----\n", "this is not PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is not one that can be read"),
        ] {
            fs::write(&bad, text).unwrap();
            let said = fault(&bad, key);
            assert!(said.contains(what) && said.contains("bad.pem") && !said.contains("hunter2"), "{said}");
        }
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        fs::write(&bad, locked).unwrap();
        assert!(fault(cert, &bad).contains("without a password"), "{}", fault(cert, &bad));
        fs::write(&bad, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        assert!(fault(cert, &bad).contains("no key that TLS can use"), "{}", fault(cert, &bad));
        assert!(fault(Path::new("/no/such"), key).contains("/no/such: cannot be read"));
        remove(&files);
        remove(&others);
    }

    #[test]
    fn days_left_are_whole_days_and_below_zero_when_it_is_over() {
        let files = make("days", "*.days.test", 10);
        let certificate = Certificate::read(&files).unwrap();
        let end = u64::try_from(certificate.not_after_unix_s).unwrap();
        for (unix_s, days) in [(end - 864_000, 10), (end - 863_999, 9), (end - 1, 0), (end, 0), (end + 1, -1)]
        {
            assert_eq!(certificate.days_left(unix_s), days, "{unix_s}");
        }
        for (name, is_its) in [("a.days.test", true), ("days.test", false), ("a.b.days.test", false)] {
            assert_eq!(certificate.is_for(&ServerName::try_from(name).unwrap()), is_its, "{name}");
        }
        remove(&files);
    }
}
