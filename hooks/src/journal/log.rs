//! The write-ahead log beside the journal's file: how long it is, whose turn it is to move it, and a pass that does.
//!
//! What must never happen here: a wait for a reader.

use std::path::Path;

use rusqlite::Connection;

use super::start_error::StartError;
use super::tables::set_durability;
use crate::limits::LOG_PAGES_MAX;
use crate::settings::Durability;

/// This many pages are worth a pass, and too many for the writer to move.
const WORTH_A_PASS: u64 = 500;

/// A log of this many pages should start over: 16 MB.
const LOG_PAGES_USUAL: u64 = 4_000;

/// The write-ahead log, in pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    /// How many it has.
    pub(super) all: u64,
    /// How many of them are not in the file yet.
    pub(super) left: u64,
}

/// Which thread should move a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    Nobody,
    Checkpointer,
    Writer,
}

impl Log {
    /// Which thread's turn it is.
    pub(super) fn turn(self) -> Turn {
        let is_short = self.left < WORTH_A_PASS;
        if self.all >= LOG_PAGES_MAX || self.all >= LOG_PAGES_USUAL && is_short {
            return Turn::Writer;
        }
        if is_short { Turn::Nobody } else { Turn::Checkpointer }
    }
}

/// A second connection, which only moves the log.
#[derive(Debug)]
pub(super) struct LogFile(Connection);

impl LogFile {
    /// For the journal at this path, which is there.
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, StartError> {
        let broken = |error| StartError::Sqlite { path: path.to_owned(), error };
        let connection = Connection::open(path).map_err(broken)?;
        set_durability(&connection, durability).map_err(broken)?;
        Ok(Self(connection))
    }

    /// Moves what is in the log now.
    pub(super) fn pass(&self) -> rusqlite::Result<()> {
        pass(&self.0)
    }
}

/// Moves what it can of the log, without waiting for anybody.
pub(super) fn pass(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_moves_little_unless_the_log_grows_out_of_hand() {
        let turn = |all, left| Log { all, left }.turn();
        assert_eq!(turn(100, 100), Turn::Nobody);
        assert_eq!(turn(3_000, 600), Turn::Checkpointer);
        assert_eq!(turn(5_000, 600), Turn::Checkpointer);
        assert_eq!(turn(5_000, 400), Turn::Writer);
        assert_eq!(turn(12_000, 9_000), Turn::Writer);
    }
}
