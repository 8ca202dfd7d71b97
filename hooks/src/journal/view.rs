//! The journal as somebody sees it from outside: read beside a running server, or without one.
//!
//! For the command line. Owns nothing; it only reads, but for [`clear`], which needs the directory for itself. What must
//! never happen here: a lock that a running server would feel, but for the moment of a read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::file::JournalFile;
use super::lock::DirectoryLock;
use super::source::open_to_read;
use super::start_error::StartError;
use super::tables::{SCHEMA, places, pragma};
use crate::data_dir::JOURNAL_FILE;
use crate::row::Position;
use crate::settings::Durability;

/// A journal that is only looked at.
#[derive(Debug)]
pub struct JournalView {
    connection: Connection,
    path: PathBuf,
}

/// How a journal is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Rows that are kept.
    pub rows: u64,
    /// When the oldest of them happened, in milliseconds of Unix time.
    pub oldest_ms: Option<u64>,
    /// The newest id that was ever given; 0 when none was.
    pub last_id: u64,
    /// What each endpoint has done with, as far as it is written.
    pub places: BTreeMap<String, Position>,
    /// Channels and members that are reported as there.
    pub open_edges: u64,
    /// Bytes of the file and its write-ahead log.
    pub bytes: u64,
}

/// A row as it lies there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptRow {
    /// Its id.
    pub id: u64,
    /// When it happened, in milliseconds of Unix time.
    pub time_ms: u64,
    /// The app it happened in.
    pub app_id: String,
    /// The kind of event.
    pub name: String,
    /// A JSON object.
    pub data: String,
}

impl JournalView {
    /// Looks at the journal in this data directory; `None` when there is none.
    pub fn open(data_dir: &Path) -> Result<Option<Self>, StartError> {
        let path = data_dir.join(JOURNAL_FILE);
        let unseen = |error| StartError::Directory { path: data_dir.to_owned(), error };
        if !path.try_exists().map_err(unseen)? {
            return Ok(None);
        }
        let broken = |error| StartError::Sqlite { path: path.clone(), error };
        let connection = open_to_read(&path).map_err(broken)?;
        let found = pragma(&connection, "user_version").map_err(broken)?;
        if found > SCHEMA {
            return Err(StartError::Newer { path, found, known: SCHEMA });
        }
        Ok(Some(Self { connection, path }))
    }

    /// How it is now.
    pub fn status(&self) -> Result<Status, StartError> {
        self.read_status().map_err(|error| self.broken(error))
    }

    /// Rows behind this id, oldest first, at most so many.
    pub fn rows_after(&self, id: u64, rows_max: usize) -> Result<Vec<KeptRow>, StartError> {
        self.read_rows(id, rows_max).map_err(|error| self.broken(error))
    }

    fn read_status(&self) -> rusqlite::Result<Status> {
        let one = "SELECT (SELECT count(*) FROM rows), (SELECT last FROM ids), \
                   (SELECT count(*) FROM edges), (SELECT time_ms FROM rows ORDER BY id LIMIT 1)";
        let file_bytes = fs::metadata(&self.path).map_or(0, |file| file.len());
        let mut log_path = self.path.as_os_str().to_owned();
        log_path.push("-wal");
        let log_bytes = fs::metadata(log_path).map_or(0, |log| log.len());
        let places = places(&self.connection)?;
        self.connection.query_row(one, [], |row| {
            Ok(Status {
                rows: row.get(0)?,
                oldest_ms: row.get(3)?,
                last_id: row.get(1)?,
                places,
                open_edges: row.get(2)?,
                bytes: file_bytes + log_bytes,
            })
        })
    }

    fn read_rows(&self, id: u64, rows_max: usize) -> rusqlite::Result<Vec<KeptRow>> {
        let text = "SELECT id, time_ms, app_id, name, data FROM rows WHERE id > ?1 ORDER BY id LIMIT ?2";
        let mut select = self.connection.prepare_cached(text)?;
        let each = |row: &rusqlite::Row<'_>| {
            Ok(KeptRow {
                id: row.get(0)?,
                time_ms: row.get(1)?,
                app_id: row.get(2)?,
                name: row.get(3)?,
                data: row.get(4)?,
            })
        };
        select.query_map(params![id, rows_max], each)?.collect()
    }

    fn broken(&self, error: rusqlite::Error) -> StartError {
        StartError::Sqlite { path: self.path.clone(), error }
    }
}

/// Deletes all rows, open edges and places of a journal that no server has. Ids go on where they were. Returns how many
/// rows there were.
pub fn clear(data_dir: &Path) -> Result<u64, StartError> {
    let path = data_dir.join(JOURNAL_FILE);
    if !path.exists() {
        return Ok(0);
    }
    let _lock = DirectoryLock::take(data_dir)?;
    let mut file = JournalFile::open(&path, Durability::Power)?;
    file.clear().map_err(|error| StartError::Sqlite { path, error })
}
