//! The tables of a journal: how they are made, how a connection is set up for them, and what is read of them whole.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::limits::{CACHED_STATEMENTS_MAX, JOURNAL_BUSY_MAX};
use crate::row::Position;
use crate::settings::Durability;

/// The schema that is written here. Older ones would be brought up to it when the journal is opened.
pub(super) const SCHEMA: i64 = 1;

const TABLES: &str = "
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, app_id TEXT NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL
) STRICT;
CREATE TABLE edges (
    app_id TEXT NOT NULL, channel TEXT NOT NULL, user_id TEXT NOT NULL, PRIMARY KEY (app_id, channel, user_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE places (endpoint TEXT PRIMARY KEY, first INTEGER NOT NULL, second INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE ids (last INTEGER NOT NULL) STRICT;
INSERT INTO ids VALUES (0);
";

/// No journal has given an id near those that SQLite cannot hold.
pub(super) const ID_MAX: i64 = i64::MAX >> 8;

/// Sets a connection up that writes.
pub(super) fn prepare(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.busy_timeout(JOURNAL_BUSY_MAX)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS_MAX);
    // Must come before the first table.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    set_durability(connection, durability)?;
    connection.pragma_update(None, "cache_size", -16 * 1024)?;
    // A commit would wait for the disk; a thread of its own does that.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))
}

/// What a commit survives.
pub(super) fn set_durability(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let synchronous = match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)
}

/// Makes the tables in an empty file.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;"))
}

/// A number that SQLite tells by a pragma.
pub(super) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached(&format!("PRAGMA {name}"))?.query_row([], |row| row.get(0))
}

/// All open edges: app, channel, and user.
pub(super) fn edges(connection: &Connection) -> rusqlite::Result<Vec<[String; 3]>> {
    let mut select = connection.prepare("SELECT app_id, channel, user_id FROM edges")?;
    select.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?.collect()
}

/// Every endpoint's place.
pub(super) fn places(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Position>> {
    let mut select = connection.prepare("SELECT endpoint, first, second FROM places")?;
    let each = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Position(row.get(1)?, row.get(2)?)));
    select.query_map([], each)?.collect()
}
