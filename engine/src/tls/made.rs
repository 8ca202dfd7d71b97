//! Certificates for tests, made by openssl as an operator makes them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::settings::CertificateFiles;

/// A certificate of its own authority for this name, and its key, in a folder of this test's own.
pub(crate) fn make(test: &str, name: &str, days: u32) -> CertificateFiles {
    let directory = std::env::temp_dir().join(format!("corecast-tls-{}-{test}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let files = CertificateFiles { cert: directory.join("cert.pem"), key: directory.join("key.pem") };
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", "/CN=test", "-addext", &format!("subjectAltName=DNS:{name}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-days", &days.to_string(), "-keyout"])
        .args([&files.key, &PathBuf::from("-out"), &files.cert])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    files
}

/// Removes what was made for a test.
pub(crate) fn remove(files: &CertificateFiles) {
    fs::remove_dir_all(files.cert.parent().unwrap()).unwrap();
}
