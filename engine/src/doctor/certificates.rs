//! Certificates of TLS: whether each can be shown with its key, for how long, and who may read the key.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::finding::Finding;
use crate::settings::{CertificateFiles, Tls};
use crate::tls::{CertificateError, Certificates, WARNING_DAYS, read_certificates};

const NAME: &str = "certificate";

const PAIR: &str = "write the certificate with its chain into the one file and the private key that belongs to it into the \
    other, both PEM; `openssl x509 -noout -pubkey -in CERT` and `openssl pkey -pubout -in KEY` print the same";

/// The certificate of two files.
#[derive(Debug)]
pub(super) struct Pair {
    cert: String,
    key: String,
    /// The rights on the key's file.
    key_mode: u32,
    read: Result<Certificates, CertificateError>,
}

impl Pair {
    /// Reads all of these settings.
    pub(super) fn read_all(tls: &Tls) -> Vec<Self> {
        tls.certificates.iter().map(Self::read).collect()
    }

    fn read(files: &CertificateFiles) -> Self {
        Self {
            cert: files.cert.display().to_string(),
            key: files.key.display().to_string(),
            key_mode: fs::metadata(&files.key).map_or(0, |found| found.permissions().mode()),
            read: read_certificates(std::slice::from_ref(files)),
        }
    }

    /// A name of a server that it is for.
    pub(super) fn host(&self) -> Option<String> {
        let names = self.read.as_ref().ok()?.names();
        let is_plain =
            |name: &String| name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-'));
        names.into_iter().find(is_plain)
    }

    fn findings(&self, unix_s: i64) -> Vec<Finding> {
        let Self { cert, key, .. } = self;
        let certificates = match &self.read {
            Ok(certificates) => certificates,
            Err(error) => return vec![Finding::fail(NAME, error.to_string(), PAIR)],
        };
        let days = certificates.days_left(unix_s.unsigned_abs());
        let mut findings = vec![judge_time(cert, certificates.not_before_unix_s() - unix_s, days)];
        if self.key_mode & 0o004 != 0 {
            let what = format!("everybody on this machine may read the private key {key}");
            findings.push(Finding::warn(
                NAME,
                what,
                format!("`chmod 600 {key}`, owned by the user of the server"),
            ));
        }
        findings
    }
}

/// What there is to say of them at this time, for a server with these settings.
pub(super) fn findings(tls: &Tls, pairs: &[Pair], unix_s: i64) -> Vec<Finding> {
    if tls.listen.is_empty() {
        return vec![Finding::ok(NAME, "no address has TLS")];
    }
    pairs.iter().flat_map(|pair| pair.findings(unix_s)).collect()
}

fn judge_time(cert: &str, begins_in_s: i64, days: i64) -> Finding {
    const RENEW: &str = "renew it; a running server shows new files within 5 s, without a restart";
    if begins_in_s > 0 {
        let what = format!("{cert} is not valid yet: it begins in {} minute(s)", begins_in_s / 60 + 1);
        return Finding::fail(NAME, what, "look at the clock of this machine, or wait");
    }
    match days {
        ..0 => Finding::fail(NAME, format!("{cert} has expired, {} day(s) ago", -days), RENEW),
        0..=WARNING_DAYS => Finding::warn(NAME, format!("{cert} has its key, and {days} day(s) left"), RENEW),
        _ => Finding::ok(NAME, format!("{cert} has its key, and {days} days left")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn a_certificate_is_judged_by_when_it_begins_and_ends() {
        for (begins_in_s, days, state, words) in [
            (-5, 90, State::Ok, "90 days left"),
            (-5, 14, State::Warn, "14 day(s) left"),
            (-5, 0, State::Warn, "0 day(s) left"),
            (-5, -1, State::Fail, "expired"),
            (100, 90, State::Fail, "not valid yet: it begins in 2 minute(s)"),
        ] {
            let finding = judge_time("c.pem", begins_in_s, days);
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(finding.what.contains(words), "{finding:?}");
            assert_eq!(finding.cure.is_some(), state != State::Ok);
        }
    }

    #[test]
    fn files_that_are_no_pair_fail_by_their_names() {
        let files = CertificateFiles { cert: "/nowhere/c.pem".into(), key: "/nowhere/k.pem".into() };
        let tls = Tls { listen: vec![([0, 0, 0, 0], 443).into()], certificates: vec![files] };
        let findings = findings(&tls, &Pair::read_all(&tls), 0);
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].state == State::Fail && findings[0].what.contains("/nowhere/c.pem"),
            "{findings:?}"
        );
        assert!(findings[0].cure.as_ref().is_some_and(|cure| cure.contains("openssl x509")));
    }

    #[test]
    fn without_tls_there_is_nothing_to_show() {
        assert_eq!(findings(&Tls::default(), &[], 0)[0].state, State::Ok);
    }
}
