//! What can still be read of a damaged journal, for its successor.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::tables::{ID_MAX, edges, places};
use crate::row::Position;

/// What is left: the newest id, open edges, and places.
#[derive(Debug, Default)]
pub(super) struct Remains {
    pub(super) last_id: u64,
    pub(super) edges: Vec<[String; 3]>,
    pub(super) places: BTreeMap<String, Position>,
}

impl Remains {
    /// Of the file at this path, which nobody has open.
    pub(super) fn of(path: &Path) -> Self {
        let opened = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
        opened.map(|connection| Self::read(&connection)).unwrap_or_default()
    }

    /// Over a connection to it.
    pub(super) fn read(connection: &Connection) -> Self {
        let number = |text: &str| connection.query_row(text, [], |row| row.get::<_, Option<i64>>(0));
        let ids = [number("SELECT last FROM ids"), number("SELECT max(id) FROM rows")];
        let ids = ids.into_iter().filter_map(|id| id.ok().flatten()).filter(|id| (0..=ID_MAX).contains(id));
        Self {
            last_id: ids.max().unwrap_or(0).unsigned_abs(),
            edges: edges(connection).unwrap_or_default(),
            places: places(connection).unwrap_or_default(),
        }
    }
}
