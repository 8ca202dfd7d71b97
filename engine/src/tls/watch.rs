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

use logging::event;
use ring::digest::{Context, SHA256};

use super::certificate::{CertificateError, read_certificates};
use super::showcase::Showcase;
use crate::limits::CERTIFICATES_LOOK;
use crate::settings::CertificateFiles;

/// With fewer days left a certificate is warned of, once a day.
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
    /// What the log was last told.
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

    /// Says for how long the certificates may be shown.
    pub fn tell(&self) {
        self.tell_of(&mut self.lock(), unix_s(), "");
    }

    /// Shows what these files have from now on, if all of it is good. The log says what is shown then.
    pub fn follow(&self, files: &[CertificateFiles]) {
        let mut seen = self.lock();
        let digest = digest(files);
        let certificates = match read_certificates(files) {
            Ok(certificates) => certificates,
            Err(error) => {
                if seen.files == files {
                    seen.digest = digest;
                }
                return tell_refused(&error);
            }
        };
        let differs = seen.digest != digest || seen.files != files;
        (seen.files, seen.digest) = (files.to_vec(), digest);
        if differs {
            self.showcase.replace(certificates);
        }
        self.tell_of(&mut seen, unix_s(), if differs { "from now on " } else { "as before: " });
    }

    /// The same with the files that there are.
    pub fn look_again(&self) {
        let files = self.lock().files.clone();
        self.follow(&files);
    }

    fn look(&self, unix_s: u64) {
        let mut seen = self.lock();
        let digest = digest(&seen.files);
        if digest != seen.digest {
            seen.digest = digest;
            match read_certificates(&seen.files) {
                Ok(certificates) => {
                    self.showcase.replace(certificates);
                    self.tell_of(&mut seen, unix_s, "from now on ");
                }
                Err(error) => tell_refused(&error),
            }
        }
        let days_left = self.showcase.days_left(unix_s);
        if days_left < WARNING_DAYS && days_left != seen.days_left {
            self.tell_of(&mut seen, unix_s, "");
        }
    }

    fn tell_of(&self, seen: &mut Seen, unix_s: u64, since: &str) {
        let (days_left, shown) = (self.showcase.days_left(unix_s), self.showcase.description(unix_s));
        seen.days_left = days_left;
        if days_left < WARNING_DAYS {
            event!(WARN, "certificate", { days_left = days_left, }, "warning: {since}{shown}");
        } else {
            event!(INFO, "certificate", { days_left = days_left, }, "{since}{shown}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn look_on(watch: &Weak<CertificateWatch>) {
    loop {
        thread::sleep(CERTIFICATES_LOOK);
        let Some(watch) = watch.upgrade() else { return };
        watch.look(unix_s());
    }
}

/// A pair that is not good changes nothing.
fn tell_refused(error: &CertificateError) {
    event!(WARN, "reload_failed", {}, "certificates stay as they were: {error}");
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

#[cfg(test)]
mod tests {
    use super::super::made::{make, remove};
    use super::*;

    fn watch(files: &[CertificateFiles]) -> CertificateWatch {
        CertificateWatch::new(Arc::new(Showcase::new(read_certificates(files).unwrap())), files)
    }

    fn days_left(watch: &CertificateWatch) -> i64 {
        watch.showcase.days_left(soon())
    }

    /// A minute after what was made just now.
    fn soon() -> u64 {
        unix_s() + 60
    }

    #[test]
    fn a_pair_that_is_written_one_file_after_the_other_is_shown_when_it_fits() {
        let (files, next) = (make("halves", "a.test", 30), make("halves-next", "a.test", 20));
        let watch = watch(std::slice::from_ref(&files));
        assert_eq!(days_left(&watch), 29);
        fs::copy(&next.cert, &files.cert).unwrap();
        watch.look(unix_s());
        watch.look_again();
        assert_eq!(days_left(&watch), 29, "a certificate without its key is not shown");
        fs::copy(&next.key, &files.key).unwrap();
        watch.look(unix_s());
        assert_eq!(days_left(&watch), 19);
        fs::remove_file(&files.cert).unwrap();
        watch.look(unix_s());
        assert_eq!(days_left(&watch), 19, "a good one is not given up");
        remove(&files);
        remove(&next);
    }

    #[test]
    fn what_is_told_is_told_once_a_day_from_the_day_on_that_is_too_near() {
        let files = make("daily", "a.test", 15);
        let watch = watch(std::slice::from_ref(&files));
        let said = |watch: &CertificateWatch| watch.lock().days_left;
        watch.look(soon());
        assert_eq!(said(&watch), i64::MAX, "there is time");
        watch.tell_of(&mut watch.lock(), soon(), "");
        assert_eq!(said(&watch), 14);
        watch.look(soon() + 60);
        assert_eq!(said(&watch), 14);
        for days in 1..4 {
            watch.look(soon() + days * 86_400);
            assert_eq!(said(&watch), 14 - days as i64);
        }
        remove(&files);
    }

    #[test]
    fn other_files_are_followed_if_they_are_good() {
        let (files, others) = (make("follow", "a.test", 30), make("follow-others", "a.test", 12));
        let watch = watch(std::slice::from_ref(&files));
        let bad = CertificateFiles { cert: others.cert.clone(), key: files.key.clone() };
        watch.follow(&[bad]);
        assert_eq!((days_left(&watch), watch.lock().files.as_slice()), (29, std::slice::from_ref(&files)));
        watch.follow(std::slice::from_ref(&others));
        assert_eq!((days_left(&watch), watch.lock().files.as_slice()), (11, std::slice::from_ref(&others)));
        remove(&files);
        remove(&others);
    }
}
