//! Why there is no journal: one line for the operator that says what to do.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::data_dir::Exposed;
use crate::disk_fault::{io_passes, is_damaged, sqlite_passes};

/// Why there is no journal. Each is one line that says what to do.
#[derive(Debug)]
pub enum StartError {
    /// The data directory cannot be made or written.
    Directory {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another user could read or change what is in the data directory.
    Exposed(Exposed),
    /// Another server has the data directory.
    InUse {
        /// Which.
        path: PathBuf,
        /// Its process, if it says so.
        process: Option<u32>,
    },
    /// The journal was written by a newer version.
    Newer {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that is known here.
        known: i64,
    },
    /// SQLite cannot read or write the journal.
    Sqlite {
        /// Which.
        path: PathBuf,
        /// What it says.
        error: rusqlite::Error,
    },
    /// A damaged journal was about to be set aside when the process ended.
    Unfinished,
    /// The system gives no thread.
    Thread(io::Error),
}

impl StartError {
    /// Whether the file's contents are wrong.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Sqlite { error, .. } => is_damaged(error),
            Self::Unfinished => true,
            _ => false,
        }
    }

    /// Whether the journal may open later although nobody starts anything anew: when there is room, or the right to write.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Directory { error, .. } => io_passes(error),
            Self::Sqlite { error, .. } => sqlite_passes(error),
            Self::Exposed(_)
            | Self::InUse { .. }
            | Self::Newer { .. }
            | Self::Unfinished
            | Self::Thread(_) => false,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &'_ Path| path.display().to_string();
        match self {
            Self::Directory { path, error } => {
                write!(f, "the data directory {} cannot be written: {error}", shown(path))
            }
            Self::Exposed(exposed) => exposed.fmt(f),
            Self::InUse { path, process } => {
                write!(f, "the data directory {} is in use by another server", shown(path))?;
                if let Some(process) = process {
                    write!(f, " (process {process})")?;
                }
                write!(f, ": stop that one, or give this one a directory of its own with --data-dir")
            }
            Self::Newer { path, found, known } => write!(
                f,
                "{} was written by a newer version (schema {found}, here up to {known}): start that version, or \
                 move the file away",
                shown(path)
            ),
            Self::Sqlite { path, error } => write!(f, "{} cannot be used: {error}", shown(path)),
            Self::Unfinished => f.write_str("it was to be set aside when the last server ended"),
            Self::Thread(error) => write!(f, "no thread for hooks: {error}"),
        }
    }
}

impl Error for StartError {}
