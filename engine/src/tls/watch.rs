//! Certificates follow their files: on SIGHUP, and within seconds of a change without it.
//!
//! All files are read at each look, and what they hold is compared, so that it does not matter how they were replaced. A
//! pair that is written one file after the other does not fit for a moment; the look after that one finds it whole. What
//! must never happen here: connections that are dropped, or a good certificate that is given up for one that is not.

use std::fs;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use logging::{event, warn};
use ring::digest::{Context, SHA256};

use super::certificate::{CertificateError, Certificates, read_certificates};
use super::showcase::Showcase;
use crate::limits::CERTIFICATES_LOOK;
use crate::settings::CertificateFiles;

/// Days before its end from which a certificate is warned of, once a day.
pub const WARNING_DAYS: i64 = 14;

/// The files of the certificates that are shown.
#[derive(Debug)]
pub struct CertificateWatch {
    showcase: Arc<Showcase>,
    seen: Mutex<Seen>,
}

/// What the last look found.
#[derive(Debug)]
struct Seen {
    files: Vec<CertificateFiles>,
    /// Of all that stands in them.
    digest: Vec<u8>,
    days_left: i64,
}

impl CertificateWatch {
    /// Of certificates that were just read from these files.
    pub(super) fn new(showcase: Arc<Showcase>, files: &[CertificateFiles]) -> Self {
        let seen = Seen { files: files.to_vec(), digest: digest(files), days_left: i64::MAX };
        Self { showcase, seen: Mutex::new(seen) }
    }

    /// Looks every few seconds, on a thread of its own, until the server has ended.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        let watch = Arc::downgrade(self);
        thread::Builder::new().name("certificates".to_owned()).spawn(move || look_on(&watch)).map(drop)
    }

    /// Shows what these files have from now on, if all of it is good; the log says so if it is not.
    pub fn follow(&self, files: &[CertificateFiles]) {
        if let Err(error) = self.try_follow(files) {
            warn!("certificates stay as they were: {error}");
        }
    }

    /// The same with the files that there are.
    pub fn look_again(&self) {
        let files = self.lock().files.clone();
        self.follow(&files);
    }

    fn try_follow(&self, files: &[CertificateFiles]) -> Result<(), CertificateError> {
        let mut seen = self.lock();
        let digest = digest(files);
        let certificates = read_certificates(files)?;
        let differs = seen.digest != digest || seen.files != files;
        (seen.files, seen.digest) = (files.to_vec(), digest);
        if differs {
            self.show(certificates);
        }
        Ok(())
    }

    fn look(&self) {
        let mut seen = self.lock();
        let digest = digest(&seen.files);
        if digest != seen.digest {
            seen.digest = digest;
            match read_certificates(&seen.files) {
                Ok(certificates) => self.show(certificates),
                Err(error) => warn!("certificates stay as they were: {error}"),
            }
        }
        let days_left = self.showcase.days_left(unix_s());
        if days_left <= WARNING_DAYS && days_left != seen.days_left {
            warn!("warning: {}", self.showcase.description(unix_s()));
        }
        seen.days_left = days_left;
    }

    fn show(&self, certificates: Certificates) {
        self.showcase.replace(certificates);
        let days_left = self.showcase.days_left(unix_s());
        let shown = self.showcase.description(unix_s());
        event!(INFO, "certificate", { days_left = days_left, }, "from now on {shown}");
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look_on(watch: &Weak<CertificateWatch>) {
    while let Some(watch) = watch.upgrade() {
        watch.look();
        drop(watch);
        thread::sleep(CERTIFICATES_LOOK);
    }
}

/// Of what stands in all of these files, as far as they can be read.
fn digest(files: &[CertificateFiles]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for path in files.iter().flat_map(|files| [&files.cert, &files.key]) {
        let bytes = fs::read(path).unwrap_or_default();
        context.update(&(bytes.len() as u64).to_ne_bytes());
        context.update(&bytes);
    }
    context.finish().as_ref().to_vec()
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
