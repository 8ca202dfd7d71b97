//! The journal's file: its schema, and the transactions on it.
//!
//! Four tables: rows by id, open edges, places of endpoints, and the last id ever given, which outlives its row. The only
//! file that writes SQL to the journal beside a running server. What must never happen here: half a batch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::app::Apps;
use protocol::hook_event::OpenEdges;
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params, params_from_iter,
};

use super::StartError;
use super::batch::Batch;
use super::checkpoint::Log;
use super::edges::sort_edges;
use super::shared::Release;
use crate::aside::{set_aside, with};
use crate::data_dir::keep_private;
use crate::encoding::encode_row_data;
use crate::row::{Position, Row};
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

/// A successor that is made ready has this behind its name. While it is there, the journal itself is damaged.
const SUCCESSOR: &str = ".new";

/// No journal has given an id near those that SQLite cannot hold.
const ID_MAX: i64 = i64::MAX >> 8;

const INSERT_ROW: &str = "INSERT INTO rows VALUES (?1, ?2, ?3, ?4, ?5)";

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
    path: PathBuf,
    durability: Durability,
    log_path: PathBuf,
    page_bytes: u64,
}

/// What can still be read of a damaged journal.
#[derive(Debug, Default)]
struct Remains {
    last_id: u64,
    edges: Vec<[String; 3]>,
    places: BTreeMap<String, Position>,
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

    /// Whether a successor was made ready for the file at this path, and has not taken its place yet.
    pub(super) fn awaits_successor(path: &Path) -> bool {
        with(path, SUCCESSOR).exists()
    }

    /// Opens a new journal in the place of a damaged one that nobody has open, which is set aside. Its ids go on behind
    /// those that can still be read, and behind any that may have been given: none ever gave a million a second since 1970.
    /// Returns where the old one is.
    pub(super) fn succeed(path: &Path, durability: Durability) -> Result<(Self, PathBuf), StartError> {
        let remains = Remains::of(path);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let last_id = remains.last_id.max(u64::try_from(now).unwrap_or(0));
        Self::take_place(path, durability, &Remains { last_id, ..remains }, &[])
    }

    /// The same for this one, behind this id, with these rows.
    pub(super) fn succeed_itself(&mut self, last_id: u64, rows: &[Arc<Row>]) -> Result<PathBuf, StartError> {
        let (path, durability) = (self.path.clone(), self.durability);
        let broken = |error| StartError::Sqlite { path: path.clone(), error };
        let remains = Remains { last_id, ..Remains::read(&self.connection) };
        // SQLite removes the log by its name when a file is closed, so that must be before the new one has the name.
        self.connection = Connection::open_in_memory().map_err(broken)?;
        let (new, aside) = Self::take_place(&path, durability, &remains, rows)?;
        *self = new;
        Ok(aside)
    }

    /// The successor is complete before the damaged one is touched: whatever ends us in between, the next start goes on.
    fn take_place(
        path: &Path,
        durability: Durability,
        remains: &Remains,
        rows: &[Arc<Row>],
    ) -> Result<(Self, PathBuf), StartError> {
        let new = with(path, SUCCESSOR);
        if !new.exists() {
            let draft = with(path, ".draft");
            for part in ["", "-wal", "-shm"] {
                // One that was left half made.
                let _ = fs::remove_file(with(&draft, part));
            }
            let broken = |error| StartError::Sqlite { path: draft.clone(), error };
            let mut file = Self::open(&draft, Durability::Power)?;
            file.fill(remains, rows).and_then(|()| file.checkpoint()).map_err(broken)?;
            drop(file);
            fs::rename(&draft, &new).map_err(|error| unwritable(path, error))?;
        }
        let aside = set_aside(path).map_err(|error| unwritable(path, error))?;
        fs::rename(&new, path).map_err(|error| unwritable(path, error))?;
        Ok((Self::open(path, durability)?, aside))
    }

    fn fill(&mut self, remains: &Remains, rows: &[Arc<Row>]) -> rusqlite::Result<()> {
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

impl Remains {
    fn of(path: &Path) -> Self {
        let opened = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
        opened.map(|connection| Self::read(&connection)).unwrap_or_default()
    }

    fn read(connection: &Connection) -> Self {
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

/// All open edges: app, channel, and user.
fn edges(connection: &Connection) -> rusqlite::Result<Vec<[String; 3]>> {
    let mut select = connection.prepare("SELECT app_id, channel, user_id FROM edges")?;
    select.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?.collect()
}

fn unwritable(path: &Path, error: std::io::Error) -> StartError {
    StartError::Directory { path: path.parent().unwrap_or(path).to_owned(), error }
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
