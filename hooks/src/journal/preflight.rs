//! Whether a journal could be written in a data directory, found out without touching it.
//!
//! `corecast check` warns with this. What must never happen here: a directory or a file that is made.

use std::path::Path;

use crate::limits::JOURNAL_ROOM_BYTES_MIN;
use rustix::fs::{Access, access, statvfs};

/// Why a journal in this data directory could not be written now, if so.
pub fn preflight(data_dir: &Path) -> Option<String> {
    let place = data_dir.ancestors().map(or_here).find(|it| it.symlink_metadata().is_ok())?;
    let shown = data_dir.display();
    if !place.is_dir() {
        return Some(format!(
            "the data directory {shown} cannot be made: {} is no directory",
            place.display()
        ));
    }
    if let Err(error) = access(place, Access::WRITE_OK | Access::EXEC_OK) {
        return Some(format!("the data directory {shown} cannot be written: {error}"));
    }
    let room = statvfs(place).ok()?;
    let bytes = room.f_bavail.saturating_mul(room.f_frsize);
    (bytes < JOURNAL_ROOM_BYTES_MIN)
        .then(|| format!("the data directory {shown} has room for {bytes} bytes only"))
}

// The parent of a bare name is where we are.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}
