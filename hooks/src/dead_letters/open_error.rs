//! Why the file of the dead letters cannot be opened.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::data_dir::{Exposed, Unusable};
use crate::disk_fault::{io_passes, sqlite_passes};

/// The file cannot be opened.
#[derive(Debug)]
pub struct DeadLettersError {
    path: PathBuf,
    fault: Fault,
}

/// What is wrong with it.
#[derive(Debug)]
pub(super) enum Fault {
    Directory(io::Error),
    Exposed(Exposed),
    Newer { found: i64, known: i64 },
    Sqlite(rusqlite::Error),
}

impl From<Unusable> for Fault {
    fn from(error: Unusable) -> Self {
        match error {
            Unusable::Exposed(exposed) => Self::Exposed(exposed),
            Unusable::System(error) => Self::Directory(error),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl DeadLettersError {
    /// The file at this path has this fault.
    pub(super) fn new(path: PathBuf, fault: Fault) -> Self {
        Self { path, fault }
    }

    /// Whether they may open later, when there is room or permission to write.
    pub fn may_pass(&self) -> bool {
        match &self.fault {
            Fault::Directory(error) => io_passes(error),
            Fault::Sqlite(error) => sqlite_passes(error),
            Fault::Exposed(_) | Fault::Newer { .. } => false,
        }
    }
}

impl fmt::Display for DeadLettersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.fault {
            Fault::Directory(error) => {
                write!(f, "the directory of the dead letters {path} cannot be used: {error}")
            }
            Fault::Exposed(exposed) => exposed.fmt(f),
            Fault::Newer { found, known } => write!(
                f,
                "the dead letters in {path} have schema {found}, written by a newer corecast; this one knows {known}"
            ),
            Fault::Sqlite(error) => write!(f, "the dead letters in {path} cannot be opened: {error}"),
        }
    }
}

impl std::error::Error for DeadLettersError {}
