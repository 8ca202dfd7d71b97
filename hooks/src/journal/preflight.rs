//! Whether a journal could be written in a data directory, found out without touching it.
//!
//! `corecast check` warns with this, and `corecast doctor` tells it. What must never happen here: a directory or a file that
//! is made.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::data_dir::{Exposed, LOCK_FILE, exposure};
use crate::limits::JOURNAL_ROOM_BYTES_MIN;
use rustix::fs::{Access, access, statvfs};

/// Where a journal can be written now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalSite {
    /// The data directory, or what it would be made in.
    pub place: PathBuf,
    /// The room on its disk, if the system tells.
    pub room_bytes: Option<u64>,
    /// The process that writes there already.
    pub holder: Option<u32>,
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
    /// Another user could turn it against the server.
    Exposed(Exposed),
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
            SiteFaultKind::Exposed(exposed) => exposed.fmt(f),
        }
    }
}

impl std::error::Error for JournalSiteFault {}

/// Where a journal in this data directory would be written now, or why that is impossible.
pub fn preflight(data_dir: &Path) -> Result<JournalSite, JournalSiteFault> {
    let fault = |kind| JournalSiteFault { data_dir: data_dir.to_owned(), kind };
    let Some(place) = data_dir.ancestors().map(or_here).find(|it| it.symlink_metadata().is_ok()) else {
        return Ok(JournalSite { place: data_dir.to_owned(), room_bytes: None, holder: None });
    };
    if !place.is_dir() {
        return Err(fault(SiteFaultKind::NoDirectory(place.to_owned())));
    }
    access(place, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| fault(SiteFaultKind::Unwritable(error.into())))?;
    if let Some(exposed) = exposure(data_dir) {
        return Err(fault(SiteFaultKind::Exposed(exposed)));
    }
    let room_bytes = statvfs(place).ok().map(|room| room.f_bavail.saturating_mul(room.f_frsize));
    match room_bytes {
        Some(bytes) if bytes < JOURNAL_ROOM_BYTES_MIN => Err(fault(SiteFaultKind::Full(bytes))),
        room_bytes => Ok(JournalSite { place: place.to_owned(), room_bytes, holder: holder(data_dir) }),
    }
}

/// The process that has the lock of a data directory, by the kernel's table: to try the lock would keep a server out.
fn holder(data_dir: &Path) -> Option<u32> {
    let lock = fs::metadata(data_dir.join(LOCK_FILE)).ok()?;
    parse_holder(&fs::read_to_string("/proc/locks").ok()?, lock.ino())
}

/// Finds the process whose lock of a whole file is on this inode; the fifth column is the process, the sixth ends with the
/// inode. One in another namespace of processes has none.
fn parse_holder(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, process, file, ..] = columns[..] else { return None };
        let (_, locked) = file.rsplit_once(':')?;
        let process = process.parse().ok().filter(|process| *process > 0);
        process.filter(|_| locked.parse() == Ok(inode))
    })
}

// The parent of a bare name is where we are.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_has_the_lock_is_found_by_the_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:5 0 EOF\n\
            1: -> FLOCK  ADVISORY  WRITE 12 fe:00:5 0 EOF\n\
            2: FLOCK  ADVISORY  WRITE 13 fe:00:55 0 EOF\n\
            3: FLOCK  ADVISORY  WRITE 14 fe:00:5 0 EOF\n\
            4: FLOCK  ADVISORY  WRITE -1 fe:00:7 0 EOF\nnonsense\n";
        for (inode, process) in [(5, Some(14)), (55, Some(13)), (7, None), (9, None)] {
            assert_eq!(parse_holder(locks, inode), process, "{inode}");
        }
    }
}
