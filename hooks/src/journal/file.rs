//! The journal's file: the transactions on it.
//!
//! Four tables: rows by id, open edges, places of endpoints, and the last id ever given, which outlives its row. The only
//! file that writes SQL to the journal beside a running server. What must never happen here: half a batch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::app::Apps;
use protocol::hook_event::OpenEdges;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params, params_from_iter};

use super::batch::Batch;
use super::edges::sort_edges;
use super::log::{self, Log};
use super::release::Release;
use super::remains::Remains;
use super::start_error::StartError;
use super::tables::{ID_MAX, SCHEMA, create, edges, places, pragma, prepare};
use crate::aside::with;
use crate::data_dir::keep_private;
use crate::encoding::encode_row_data;
use crate::row::{Position, Row};
use crate::settings::Durability;

const INSERT_ROW: &str = "INSERT INTO rows VALUES (?1, ?2, ?3, ?4, ?5)";

/// Which rows there are. Ids between them have no gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    /// The oldest row that is kept, or the next one to come.
    pub(super) first_id: u64,
    /// The newest row that ever was; 0 when there was none.
    pub(super) last_id: u64,
}

impl Extent {
    /// Whether there are no rows.
    pub(super) fn is_empty(self) -> bool {
        self.first_id > self.last_id
    }
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
    path: PathBuf,
    durability: Durability,
    log_path: PathBuf,
    page_bytes: u64,
}

impl JournalFile {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, StartError> {
        let broken = |error| StartError::Sqlite { path: path.to_owned(), error };
        keep_private(path).map_err(|error| StartError::Directory { path: path.to_owned(), error })?;
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
        Ok(Self { connection, path: path.to_owned(), durability, log_path: with(path, "-wal"), page_bytes })
    }

    /// Where it is, and how durable its commits are.
    pub(super) fn at(&self) -> (&Path, Durability) {
        (&self.path, self.durability)
    }

    /// What a successor goes on with.
    pub(super) fn remains(&self) -> Remains {
        Remains::read(&self.connection)
    }

    /// Leaves the file, to be replaced. SQLite removes the log by its name when a file is closed, so that must be before a
    /// successor has the name.
    pub(super) fn close(&mut self) -> rusqlite::Result<()> {
        self.connection = Connection::open_in_memory()?;
        Ok(())
    }

    /// Writes what is left of a predecessor.
    pub(super) fn fill(&mut self, remains: &Remains, rows: &[Arc<Row>]) -> rusqlite::Result<()> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute("UPDATE ids SET last = ?1", [remains.last_id])?;
        for edge in &remains.edges {
            tx.execute("INSERT OR IGNORE INTO edges VALUES (?1, ?2, ?3)", params_from_iter(edge))?;
        }
        for (endpoint, place) in &remains.places {
            tx.execute(
                "INSERT OR REPLACE INTO places VALUES (?1, ?2, ?3)",
                params![endpoint, place.0, place.1],
            )?;
        }
        let mut text = Vec::new();
        for row in rows {
            text.clear();
            encode_row_data(&mut text, row.id, row.time_ms, &row.event);
            let (app_id, name, text) =
                (&*row.event.app().id, row.event.name(), String::from_utf8_lossy(&text));
            tx.prepare_cached(INSERT_ROW)?.execute(params![row.id, row.time_ms, app_id, name, text])?;
        }
        tx.commit()
    }

    /// The next row gets an id behind this one. There are no rows.
    pub(super) fn give_ids_after(&self, last_id: u64) -> rusqlite::Result<()> {
        self.connection.execute("UPDATE ids SET last = ?1", [last_id]).map(drop)
    }

    /// Which rows there are.
    pub(super) fn extent(&self) -> rusqlite::Result<Extent> {
        let last: i64 = self.connection.query_row("SELECT last FROM ids", [], |row| row.get(0))?;
        let bounds = "SELECT min(id), max(id) FROM rows";
        let (first, newest): (Option<i64>, Option<i64>) =
            self.connection.query_row(bounds, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let last = last.max(newest.unwrap_or(0));
        if !(0..=ID_MAX).contains(&last) || first.is_some_and(|first| first < 1) {
            return Err(rusqlite::Error::IntegralValueOutOfRange(0, last));
        }
        let last_id = last.unsigned_abs();
        Ok(Extent { first_id: first.map_or(last_id + 1, i64::unsigned_abs), last_id })
    }

    /// The open edges that some app still wants closed; the others are deleted.
    pub(super) fn keep_edges_of(&mut self, apps: &Apps) -> rusqlite::Result<Vec<OpenEdges>> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (open, unwanted) = sort_edges(edges(&tx)?, apps);
        for [app_id, channel, user_id] in &unwanted {
            close_edge(&tx, app_id, channel, user_id)?;
        }
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
        log::pass(&self.connection)
    }

    /// Moves the log into the file, and empties the log; false where a reader or another checkpoint stood in the way.
    pub(super) fn checkpoint(&self) -> rusqlite::Result<bool> {
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }
}

// After a commit that failed nobody knows whether it did: the last id tells.
fn was_written(tx: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<bool> {
    let Some(last_id) = batch.last_id() else { return Ok(false) };
    let last: u64 = tx.prepare_cached("SELECT last FROM ids")?.query_row([], |row| row.get(0))?;
    Ok(last >= last_id)
}

fn insert_rows(tx: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(INSERT_ROW)?;
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
