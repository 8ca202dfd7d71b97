//! A damaged journal gets a successor: it is set aside, and a new one with what is left of it takes its place.
//!
//! The successor is complete before the damaged one is touched, so whatever ends the process in between, the next start
//! goes on. What must never happen here: an id given twice, or a damaged file that is deleted.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::file::JournalFile;
use super::remains::Remains;
use super::start_error::StartError;
use crate::aside::{set_aside, with};
use crate::notice::say;
use crate::row::Row;
use crate::settings::Durability;

/// A successor that is made ready has this behind its name. While it is there, the journal itself is damaged.
const SUCCESSOR: &str = ".new";

/// Whether a successor was made ready for the file at this path, and has not taken its place yet.
pub(super) fn is_awaited(path: &Path) -> bool {
    with(path, SUCCESSOR).exists()
}

/// Opens a new journal in the place of a damaged one that nobody has open. Its ids go on behind those that can still be
/// read, and behind any that may have been given: none ever gave a million a second since 1970. Returns where the old one
/// is.
pub(super) fn succeed(path: &Path, durability: Durability) -> Result<(JournalFile, PathBuf), StartError> {
    let remains = Remains::of(path);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let last_id = remains.last_id.max(u64::try_from(now).unwrap_or(0));
    take_place(path, durability, &Remains { last_id, ..remains }, &[])
}

/// The same for one that is open here, behind this id, with these rows.
pub(super) fn succeed_open(
    file: &mut JournalFile,
    last_id: u64,
    rows: &[Arc<Row>],
) -> Result<PathBuf, StartError> {
    let (path, durability) = file.at();
    let path = path.to_owned();
    let remains = Remains { last_id, ..file.remains() };
    file.close().map_err(|error| StartError::Sqlite { path: path.clone(), error })?;
    let (new, aside) = take_place(&path, durability, &remains, rows)?;
    *file = new;
    Ok(aside)
}

fn take_place(
    path: &Path,
    durability: Durability,
    remains: &Remains,
    rows: &[Arc<Row>],
) -> Result<(JournalFile, PathBuf), StartError> {
    let new = with(path, SUCCESSOR);
    if !new.exists() {
        let draft = with(path, ".draft");
        for part in ["", "-wal", "-shm"] {
            // One that was left half made.
            let _ = fs::remove_file(with(&draft, part));
        }
        let broken = |error| StartError::Sqlite { path: draft.clone(), error };
        let mut file = JournalFile::open(&draft, Durability::Power)?;
        file.fill(remains, rows).and_then(|()| file.checkpoint()).map_err(broken)?;
        drop(file);
        fs::rename(&draft, &new).map_err(|error| unwritable(path, error))?;
    }
    let aside = set_aside(path).map_err(|error| unwritable(path, error))?;
    fs::rename(&new, path).map_err(|error| unwritable(path, error))?;
    Ok((JournalFile::open(path, durability)?, aside))
}

fn unwritable(path: &Path, error: std::io::Error) -> StartError {
    StartError::Directory { path: path.parent().unwrap_or(path).to_owned(), error }
}

/// The one line by which an operator hears of it.
pub(super) fn say_set_aside(path: &Path, error: &dyn fmt::Display, aside: &Path, kept: &str) {
    let (path, aside) = (path.display(), aside.display());
    say(format_args!(
        "{path} IS DAMAGED ({error}): it is set aside as {aside}, and a new one goes on{kept}. Events in it that were not \
         delivered are delivered no more; `sqlite3 {aside} .recover` shows what can be read of them"
    ));
}
