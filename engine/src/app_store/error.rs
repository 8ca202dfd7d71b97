//! What can be wrong with an app store or with a change to it: one line that says what to do.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::config::Fault;

/// Why apps cannot be read or changed.
#[derive(Debug)]
pub enum StoreError {
    /// The file cannot be reached or kept private.
    Unreachable {
        /// The store.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file belongs to a user who is neither this one nor root.
    Owner {
        /// The store.
        path: PathBuf,
        /// Who has it.
        user: u32,
    },
    /// SQLite cannot read or write it.
    Sqlite {
        /// The store.
        path: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
    /// The file is a database of something else.
    NoStore(PathBuf),
    /// A newer version has written it.
    Newer {
        /// The store.
        path: PathBuf,
        /// The version of its tables.
        found: i64,
        /// The version that is known here.
        known: i64,
    },
    /// There is no app with this id.
    UnknownId {
        /// The store.
        path: PathBuf,
        /// What was asked for.
        id: String,
    },
    /// An app of the store has this id already.
    TakenId {
        /// The store.
        path: PathBuf,
        /// What was to be added.
        id: String,
    },
    /// An app of the store has this key already.
    TakenKey {
        /// The store.
        path: PathBuf,
        /// What was to be added.
        key: String,
    },
    /// An app outside the store has this id.
    ElsewhereId {
        /// The store.
        path: PathBuf,
        /// The id that is there twice.
        id: String,
    },
    /// An app outside the store has this key.
    ElsewhereKey {
        /// The store.
        path: PathBuf,
        /// The key that is there twice.
        key: String,
    },
    /// An app that is none.
    App(Fault),
}

impl StoreError {
    /// Whether what was asked for is wrong; otherwise something outside is.
    pub fn is_of_the_asker(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::Owner { .. } | Self::Sqlite { .. })
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { path, error } => {
                write!(f, "the app store {} cannot be opened: {error}", path.display())
            }
            Self::Owner { path, user } => write!(
                f,
                "the app store {} belongs to another user (uid {user}), who could read and change its secrets: give it to \
                 the user of this server with chown",
                path.display()
            ),
            Self::Sqlite { path, error } => write!(f, "the app store {}: {error}", path.display()),
            Self::NoStore(path) => write!(f, "{} is no app store: it has other tables", path.display()),
            Self::Newer { path, found, known } => write!(
                f,
                "the app store {} was written by a newer version (tables {found}, known are {known}): use that version",
                path.display()
            ),
            Self::UnknownId { path, id } => write!(f, "{} has no app with the id {id:?}", path.display()),
            Self::TakenId { path, id } => {
                write!(f, "{} has an app with the id {id:?} already", path.display())
            }
            Self::TakenKey { path, key } => {
                write!(f, "{} has an app with the key {key:?} already", path.display())
            }
            Self::ElsewhereId { path, id } => write!(
                f,
                "{}: the app {id:?} of the store has the id of an app in the configuration file",
                path.display()
            ),
            Self::ElsewhereKey { path, key } => write!(
                f,
                "{}: the key {key:?} of the store is that of an app in the configuration file",
                path.display()
            ),
            Self::App(fault) => fault.fmt(f),
        }
    }
}

impl Error for StoreError {}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::App(fault)
    }
}
