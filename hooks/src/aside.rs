//! A SQLite file whose contents are wrong is set aside, so that a new one can take its place.
//!
//! Its log goes with it, and before it: SQLite would read a log that is left behind into the new file. What must never
//! happen here: a file that is deleted or overwritten.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The suffixes of the files that SQLite keeps for a database; the database itself comes last.
const PARTS: [&str; 3] = ["-wal", "-shm", ""];

/// Renames the file at this path, which nobody has open, and its log. Returns its new name.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = free_name(path);
    for part in PARTS {
        match fs::rename(with(path, part), with(&aside, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// A path with this end appended to its name.
pub(crate) fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn free_name(path: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let first = with(path, &format!(".damaged-{now}"));
    let others = (1..).map(|number| with(path, &format!(".damaged-{now}-{number}")));
    let is_free = |name: &PathBuf| PARTS.iter().all(|part| !with(name, part).exists());
    std::iter::once(first.clone()).chain(others).find(is_free).unwrap_or(first)
}
