//! Whether a journal could be written in a data directory, found out without touching it.
//!
//! `corecast check` warns with this, and `corecast doctor` tells it. What must never happen here: a directory or a file that
//! is made.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::limits::JOURNAL_ROOM_BYTES_MIN;
use rustix::fs::{Access, access, statvfs};

/// Where a journal can be written now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalSite {
    /// The data directory, or what it would be made in.
    pub place: PathBuf,
    /// The room on its disk, if the system tells.
    pub room_bytes: Option<u64>,
}

/// Why a journal cannot be written.
#[derive(Debug)]
pub struct JournalSiteFault {
    data_dir: PathBuf,
    /// What is wrong.
    pub kind: SiteFaultKind,
}

/// What is wrong with a data directory.
#[derive(Debug)]
pub enum SiteFaultKind {
    /// This, which is on the way to it, is no directory.
    NoDirectory(PathBuf),
    /// It may not be written.
    Unwritable(io::Error),
    /// Its disk has room for so many bytes, which is too little.
    Full(u64),
}

impl fmt::Display for JournalSiteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.data_dir.display();
        match &self.kind {
            SiteFaultKind::NoDirectory(place) => {
                write!(f, "the data directory {shown} cannot be made: {} is no directory", place.display())
            }
            SiteFaultKind::Unwritable(error) => {
                write!(f, "the data directory {shown} cannot be written: {error}")
            }
            SiteFaultKind::Full(bytes) => {
                write!(f, "the data directory {shown} has room for {bytes} bytes only")
            }
        }
    }
}

impl std::error::Error for JournalSiteFault {}

/// Where a journal in this data directory would be written now, or why that is impossible.
pub fn preflight(data_dir: &Path) -> Result<JournalSite, JournalSiteFault> {
    let fault = |kind| JournalSiteFault { data_dir: data_dir.to_owned(), kind };
    let Some(place) = data_dir.ancestors().map(or_here).find(|it| it.symlink_metadata().is_ok()) else {
        return Ok(JournalSite { place: data_dir.to_owned(), room_bytes: None });
    };
    if !place.is_dir() {
        return Err(fault(SiteFaultKind::NoDirectory(place.to_owned())));
    }
    access(place, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| fault(SiteFaultKind::Unwritable(error.into())))?;
    let room_bytes = statvfs(place).ok().map(|room| room.f_bavail.saturating_mul(room.f_frsize));
    match room_bytes {
        Some(bytes) if bytes < JOURNAL_ROOM_BYTES_MIN => Err(fault(SiteFaultKind::Full(bytes))),
        room_bytes => Ok(JournalSite { place: place.to_owned(), room_bytes }),
    }
}

// The parent of a bare name is where we are.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
