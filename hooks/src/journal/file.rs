//! The journal's file: its schema, and the transactions on it.
//!
//! Four tables: rows by id, open edges, places of endpoints, and the last id ever given, which outlives its row. The only
//! file that writes SQL to the journal beside a running server. What must never happen here: half a batch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::app::Apps;
use protocol::hook_event::OpenEdges;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::StartError;
use super::batch::Batch;
use super::board::Release;
use super::checkpoint::Log;
use super::edges::sort_edges;
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

/// Nobody but us writes; a reader may hold a checkpoint up for a moment.
const BUSY_MAX: Duration = Duration::from_millis(50);

const CACHED_STATEMENTS_MAX: usize = 32;

/// Which rows there are. Ids between them have no gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    /// The oldest row that is kept, or the next one to come.
    pub(super) first_id: u64,
    /// The newest row that ever was; 0 when there was none.
    pub(super) last_id: u64,
}

/// How much of the disk it has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Size {
    /// Pages of the file that hold something, in bytes.
    pub(super) used_bytes: u64,
    /// Pages of the file that hold nothing, in bytes.
    pub(super) free_bytes: u64,
    /// The write-ahead log beside it, in bytes.
    pub(super) log_bytes: u64,
}

/// The one connection that writes.
#[derive(Debug)]
pub(super) struct JournalFile {
    connection: Connection,
    log_path: PathBuf,
    page_bytes: u64,
}

impl JournalFile {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, StartError> {
        let broken = |error| StartError::Sqlite { path: path.to_owned(), error };
        let connection = Connection::open(path).map_err(broken)?;
        prepare(&connection, durability).map_err(broken)?;
        let found = pragma(&connection, "user_version").map_err(broken)?;
        if found > SCHEMA {
            return Err(StartError::Newer { path: path.to_owned(), found, known: SCHEMA });
        }
        if found == 0 {
            create(&connection).map_err(broken)?;
        }
        let page_bytes = pragma(&connection, "page_size").map_err(broken)?.unsigned_abs();
        let mut log_path = path.as_os_str().to_owned();
        log_path.push("-wal");
        Ok(Self { connection, log_path: log_path.into(), page_bytes })
    }

    /// Which rows there are.
    pub(super) fn extent(&self) -> rusqlite::Result<Extent> {
        let last: i64 = self.connection.query_row("SELECT last FROM ids", [], |row| row.get(0))?;
        let bounds = "SELECT min(id), max(id) FROM rows";
        let (first, newest): (Option<i64>, Option<i64>) =
            self.connection.query_row(bounds, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let last_id = last.max(newest.unwrap_or(0)).unsigned_abs();
        Ok(Extent { first_id: first.map_or(last_id + 1, i64::unsigned_abs), last_id })
    }

    /// The open edges that some app still wants closed; the others are deleted.
    pub(super) fn keep_edges_of(&mut self, apps: &Apps) -> rusqlite::Result<Vec<OpenEdges>> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut select = tx.prepare("SELECT app_id, channel, user_id FROM edges")?;
        let kept: rusqlite::Result<_> =
            select.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?.collect();
        let (open, unwanted) = sort_edges(kept?, apps);
        for [app_id, channel, user_id] in &unwanted {
            close_edge(&tx, app_id, channel, user_id)?;
        }
        drop(select);
        tx.commit()?;
        Ok(open)
    }

    /// The places of endpoints with these names; the others are deleted.
    pub(super) fn keep_places_of(&mut self, names: &[&str]) -> rusqlite::Result<BTreeMap<String, Position>> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut places = places(&tx)?;
        for gone in places.extract_if(.., |name, _| !names.contains(&name.as_str())) {
            tx.execute("DELETE FROM places WHERE endpoint = ?1", [gone.0])?;
        }
        tx.commit()?;
        Ok(places)
    }

    /// Writes a batch and a release in one transaction: all or nothing.
    pub(super) fn write(&mut self, batch: &Batch, release: &Release) -> rusqlite::Result<()> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !was_written(&tx, batch)? {
            insert_rows(&tx, batch)?;
            change_edges(&tx, batch)?;
        }
        tx.prepare_cached("DELETE FROM rows WHERE id <= ?1")?.execute([release.all])?;
        let mut replace = tx.prepare_cached("INSERT OR REPLACE INTO places VALUES (?1, ?2, ?3)")?;
        for (endpoint, place) in &release.places {
            replace.execute(params![endpoint, place.0, place.1])?;
        }
        drop(replace);
        tx.commit()
    }

    /// Deletes everything but the last id. Returns how many rows there were.
    pub(super) fn clear(&mut self) -> rusqlite::Result<u64> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute("UPDATE ids SET last = max(last, (SELECT ifnull(max(id), 0) FROM rows))", [])?;
        let rows = tx.execute("DELETE FROM rows", [])?;
        tx.execute("DELETE FROM edges", [])?;
        tx.execute("DELETE FROM places", [])?;
        tx.commit()?;
        self.shrink(u64::MAX)?;
        self.checkpoint()?;
        Ok(rows as u64)
    }

    /// When the oldest row happened, in milliseconds of Unix time.
    pub(super) fn oldest_ms(&self) -> rusqlite::Result<Option<u64>> {
        let mut select = self.connection.prepare_cached("SELECT time_ms FROM rows ORDER BY id LIMIT 1")?;
        select.query_row([], |row| row.get(0)).optional()
    }

    /// How much of the disk it has.
    pub(super) fn size(&self) -> rusqlite::Result<Size> {
        let pages = |name| pragma(&self.connection, name).map(i64::unsigned_abs);
        let (all, free) = (pages("page_count")?, pages("freelist_count")?);
        let log_bytes = fs::metadata(&self.log_path).map_or(0, |log| log.len());
        let bytes = |pages: u64| pages * self.page_bytes;
        Ok(Size { used_bytes: bytes(all.saturating_sub(free)), free_bytes: bytes(free), log_bytes })
    }

    /// Gives up to so many free bytes back, at the next checkpoint to the disk.
    pub(super) fn shrink(&self, bytes: u64) -> rusqlite::Result<()> {
        let pages = (bytes / self.page_bytes).clamp(1, u32::MAX.into());
        let mut vacuum = self.connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut steps = vacuum.query([])?;
        while steps.next()?.is_some() {}
        Ok(())
    }

    /// The log, as it is now.
    pub(super) fn log(&self) -> rusqlite::Result<Log> {
        let mut ask = self.connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
        let (all, moved): (i64, i64) = ask.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
        let all = u64::try_from(all).unwrap_or(0);
        Ok(Log { all, left: all.saturating_sub(u64::try_from(moved).unwrap_or(0)) })
    }

    /// Moves what it can of the log, without waiting for anybody.
    pub(super) fn pass(&self) -> rusqlite::Result<()> {
        pass(&self.connection)
    }

    /// Moves the log into the file, and empties the log; false where a reader or another checkpoint stood in the way.
    pub(super) fn checkpoint(&self) -> rusqlite::Result<bool> {
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
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

fn pass(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))
}

/// A number that SQLite tells by a pragma.
pub(super) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached(&format!("PRAGMA {name}"))?.query_row([], |row| row.get(0))
}

/// Every endpoint's place.
pub(super) fn places(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Position>> {
    let mut select = connection.prepare("SELECT endpoint, first, second FROM places")?;
    let each = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Position(row.get(1)?, row.get(2)?)));
    select.query_map([], each)?.collect()
}

fn prepare(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_MAX)?;
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

fn set_durability(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let synchronous = match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous)
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;"))
}

// After a commit that failed nobody knows whether it did: the last id tells.
fn was_written(tx: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<bool> {
    let Some(last_id) = batch.last_id() else { return Ok(false) };
    let last: u64 = tx.prepare_cached("SELECT last FROM ids")?.query_row([], |row| row.get(0))?;
    Ok(last >= last_id)
}

fn insert_rows(tx: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached("INSERT INTO rows VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (row, text) in batch.rows() {
        insert.execute(params![row.id, row.time_ms, &*row.event.app().id, row.event.name(), text])?;
    }
    if let Some(last_id) = batch.last_id() {
        tx.prepare_cached("UPDATE ids SET last = ?1")?.execute([last_id])?;
    }
    Ok(())
}

fn change_edges(tx: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    for change in batch.edges() {
        let (app_id, channel, user_id) = (&change.app.id, &change.channel, &change.user_id);
        if change.opens {
            let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO edges VALUES (?1, ?2, ?3)")?;
            insert.execute([&**app_id, &**channel, &**user_id])?;
        } else {
            close_edge(tx, app_id, channel, user_id)?;
        }
    }
    Ok(())
}

fn close_edge(tx: &Transaction<'_>, app_id: &str, channel: &str, user_id: &str) -> rusqlite::Result<()> {
    let delete = "DELETE FROM edges WHERE app_id = ?1 AND channel = ?2 AND user_id = ?3";
    tx.prepare_cached(delete)?.execute([app_id, channel, user_id])?;
    Ok(())
}
