//! Dead letters: events that an endpoint did not accept in time, in a SQLite file of their own, to inspect and to retry.
//!
//! The server writes to the file, and so do an operator's commands: each holds it for one short transaction. A command asks
//! the server for another try by marking a letter. Beside them stand the endpoints: how they are, and which are disabled. What must never happen here: unbounded growth, or the loss of a letter
//! for any other reason than that bound.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row as Record, params};

use self::disabled::DISABLED;
use self::endpoint_status::ENDPOINTS;
use self::integer::{signed, unsigned};
use self::open_error::Fault;
use crate::aside::set_aside;
use crate::data_dir::{self, DEAD_LETTERS_FILE, keep_private};
use crate::disk_fault::is_damaged;
use crate::limits::LETTERS_MAX;
use crate::notice::say;

pub use self::disabled::DisabledEndpoint;
pub use self::endpoint_status::{EndpointFailure, EndpointStatus};
pub use self::open_error::DeadLettersError;

mod disabled;
mod endpoint_status;
mod integer;
mod open_error;

const SCHEMA_VERSION: i64 = 3;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const SCHEMA: &str = "
CREATE TABLE letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    app_id TEXT NOT NULL,
    row_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    tries INTEGER NOT NULL,
    died_ms INTEGER NOT NULL,
    mark INTEGER NOT NULL DEFAULT 0,
    UNIQUE (endpoint, row_id)
);
CREATE INDEX marks ON letters (endpoint, id) WHERE mark <> 0;
";
const COLUMNS: &str = "id, endpoint, app_id, row_id, name, data, time_ms, reason, tries, died_ms, mark";

/// An event that an endpoint did not accept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Its number in this file, increasing; 0 before it is stored.
    pub id: i64,
    /// The name of the endpoint.
    pub endpoint: String,
    /// The app of the event.
    pub app_id: String,
    /// The id of the event.
    pub row_id: u64,
    /// The event's kind.
    pub name: String,
    /// The event, as in the journal.
    pub data: String,
    /// When it happened, in milliseconds of Unix time.
    pub time_ms: u64,
    /// The endpoint's last answer.
    pub reason: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it was given up, in milliseconds of Unix time.
    pub died_ms: u64,
    /// Whether it is to be tried again.
    pub mark: Mark,
}

/// What is to happen to a letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// Nothing; it is kept.
    Kept,
    /// It is to be tried again.
    Wanted,
    /// A server is trying it again.
    Taken,
}

/// A choice of letters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// All of them.
    All,
    /// Those of an endpoint.
    Endpoint(String),
    /// One, by its number.
    Id(i64),
}

/// The file.
#[derive(Debug)]
pub struct DeadLetters {
    connection: Connection,
    letters_max: u64,
    /// An upper bound on the letters in the file: the last count, plus what was stored since.
    letters_at_most: u64,
}

impl DeadLetters {
    /// Opens the letters of a data directory, and creates directory and file if they do not exist.
    pub fn open(data_dir: &Path) -> Result<Self, DeadLettersError> {
        let path = data_dir.join(DEAD_LETTERS_FILE);
        let made = data_dir::open(data_dir).map_err(Fault::from);
        let opened = made.and_then(|()| Self::open_with(&path, OpenFlags::SQLITE_OPEN_CREATE));
        let opened = match opened {
            Err(Fault::Sqlite(error)) if is_damaged(&error) => Self::open_anew(&path, &error),
            opened => opened,
        };
        opened.map_err(|fault| DeadLettersError::new(path, fault))
    }

    /// A new file in place of a damaged one that is not open here.
    fn open_anew(path: &Path, error: &rusqlite::Error) -> Result<Self, Fault> {
        let aside = set_aside(path).map_err(Fault::Directory)?;
        let (shown, aside) = (path.display(), aside.display());
        say(format_args!("{shown} IS DAMAGED ({error}): it is set aside as {aside}, with its dead letters"));
        Self::open_with(path, OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Replaces the file with a new one if this error says that it is damaged.
    pub(crate) fn succeed_if_damaged(&mut self, error: &rusqlite::Error) {
        let Some(path) = self.connection.path().map(PathBuf::from) else { return };
        let is_placeholder = path.as_os_str().is_empty();
        if !is_damaged(error) || is_placeholder {
            return;
        }
        // SQLite removes the log by its name when a file is closed, so that must be before the new one has the name.
        let Ok(placeholder) = Connection::open_in_memory() else { return };
        self.connection = placeholder;
        match Self::open_anew(&path, error) {
            Ok(new) => *self = Self { letters_max: self.letters_max, ..new },
            Err(_) => {
                if let Ok(again) = Connection::open(&path) {
                    self.connection = again;
                }
            }
        }
    }

    /// Opens the letters of a data directory; `None` if there have never been any.
    pub fn open_existing(data_dir: &Path) -> Result<Option<Self>, DeadLettersError> {
        let path = data_dir.join(DEAD_LETTERS_FILE);
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(DeadLettersError::new(path, Fault::Directory(error))),
        }
        let opened = Self::open_with(&path, OpenFlags::empty());
        opened.map(Some).map_err(|fault| DeadLettersError::new(path, fault))
    }

    /// The same with a bound other than `LETTERS_MAX`.
    #[must_use]
    pub fn bounded(self, letters_max: u64) -> Self {
        Self { letters_max, ..self }
    }

    /// Stores these letters; an event that an endpoint fails to accept again stays one letter. Past the bound, the oldest
    /// are deleted, down to fifteen sixteenths of it. Returns how many were deleted.
    pub fn keep(&mut self, letters: &[DeadLetter]) -> rusqlite::Result<u64> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO letters (endpoint, app_id, row_id, name, data, time_ms, reason, tries, died_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (endpoint, row_id) DO UPDATE SET reason = ?7, tries = tries + ?8, died_ms = ?9, mark = 0",
            )?;
            for letter in letters {
                let DeadLetter { endpoint, app_id, name, data, reason, tries, .. } = letter;
                let [row_id, time_ms, died_ms] = [letter.row_id, letter.time_ms, letter.died_ms].map(signed);
                insert.execute(params![
                    endpoint, app_id, row_id, name, data, time_ms, reason, tries, died_ms
                ])?;
            }
        }
        let (at_most, gone) =
            trim(&transaction, self.letters_at_most + letters.len() as u64, self.letters_max)?;
        transaction.commit()?;
        self.letters_at_most = at_most;
        Ok(gone)
    }

    /// The oldest letters after `after`, at most `letters_max`.
    pub fn list(
        &self,
        selection: &Selection,
        after: i64,
        letters_max: usize,
    ) -> rusqlite::Result<Vec<DeadLetter>> {
        let text = format!(
            "SELECT {COLUMNS} FROM letters
             WHERE (?1 IS NULL OR endpoint = ?1) AND (?2 IS NULL OR id = ?2) AND id > ?3 ORDER BY id LIMIT ?4"
        );
        let (endpoint, id) = selection.parts();
        let mut select = self.connection.prepare_cached(&text)?;
        let letters = select.query_map(params![endpoint, id, after, letters_max as i64], letter_of)?;
        letters.collect()
    }

    /// How many letters there are, and how many of them wait for another try.
    pub fn counts(&self, selection: &Selection) -> rusqlite::Result<(u64, u64)> {
        let text = "SELECT count(*), coalesce(sum(mark <> 0), 0) FROM letters
                    WHERE (?1 IS NULL OR endpoint = ?1) AND (?2 IS NULL OR id = ?2)";
        let (endpoint, id) = selection.parts();
        let counts: (i64, i64) = self
            .connection
            .query_row(text, params![endpoint, id], |record| Ok((record.get(0)?, record.get(1)?)))?;
        Ok((counts.0.max(0) as u64, counts.1.max(0) as u64))
    }

    /// Asks for another try of these letters. Returns how many there are.
    pub fn mark(&mut self, selection: &Selection) -> rusqlite::Result<u64> {
        let text = "UPDATE letters SET mark = 1
                    WHERE mark = 0 AND (?1 IS NULL OR endpoint = ?1) AND (?2 IS NULL OR id = ?2)";
        let (endpoint, id) = selection.parts();
        Ok(self.connection.execute(text, params![endpoint, id])? as u64)
    }

    /// Takes letters of an endpoint that are to be tried again, oldest first. They stay in the file until they are removed.
    pub fn take_marked(&mut self, endpoint: &str, letters_max: usize) -> rusqlite::Result<Vec<DeadLetter>> {
        let any = "SELECT 1 FROM letters WHERE endpoint = ?1 AND mark = 1 LIMIT 1";
        if self.connection.prepare_cached(any)?.query_row([endpoint], |_| Ok(())).optional()?.is_none() {
            return Ok(Vec::new());
        }
        let text = format!(
            "UPDATE letters SET mark = 2 WHERE id IN
             (SELECT id FROM letters WHERE endpoint = ?1 AND mark = 1 ORDER BY id LIMIT ?2) RETURNING {COLUMNS}"
        );
        let mut update = self.connection.prepare_cached(&text)?;
        let letters = update.query_map(params![endpoint, letters_max as i64], letter_of)?;
        let mut letters = letters.collect::<rusqlite::Result<Vec<_>>>()?;
        letters.sort_by_key(|letter| letter.id);
        Ok(letters)
    }

    /// The letter that was given up last.
    pub fn newest(&self, selection: &Selection) -> rusqlite::Result<Option<DeadLetter>> {
        let text = format!(
            "SELECT {COLUMNS} FROM letters
             WHERE (?1 IS NULL OR endpoint = ?1) AND (?2 IS NULL OR id = ?2) ORDER BY died_ms DESC LIMIT 1"
        );
        let (endpoint, id) = selection.parts();
        self.connection.query_row(&text, params![endpoint, id], letter_of).optional()
    }

    /// Stores the status of these endpoints, and forgets all others.
    pub fn note_endpoints(&mut self, statuses: &[EndpointStatus]) -> rusqlite::Result<()> {
        endpoint_status::store(&mut self.connection, statuses)
    }

    /// The status of each endpoint at the last delivery from this directory.
    pub fn endpoints(&self) -> rusqlite::Result<Vec<EndpointStatus>> {
        endpoint_status::read(&self.connection)
    }

    /// Notes that an endpoint is disabled.
    pub fn disable(&mut self, endpoint: &DisabledEndpoint) -> rusqlite::Result<()> {
        disabled::disable(&self.connection, endpoint)
    }

    /// Enables an endpoint. A server that runs looks once a second. False if it was not disabled.
    pub fn enable(&mut self, name: &str) -> rusqlite::Result<bool> {
        disabled::enable(&self.connection, name)
    }

    /// The endpoints that are disabled.
    pub fn disabled(&self) -> rusqlite::Result<Vec<DisabledEndpoint>> {
        disabled::read(&self.connection)
    }

    /// Letters that a former server had taken are to be tried again.
    pub fn untake(&mut self) -> rusqlite::Result<()> {
        self.connection.execute("UPDATE letters SET mark = 1 WHERE mark = 2", [])?;
        Ok(())
    }

    /// Deletes these letters: they were accepted, or are no longer wanted.
    pub fn remove(&mut self, ids: &[i64]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut delete = transaction.prepare_cached("DELETE FROM letters WHERE id = ?1")?;
            for id in ids {
                delete.execute([id])?;
            }
        }
        transaction.commit()
    }

    fn open_with(path: &Path, flags: OpenFlags) -> Result<Self, Fault> {
        if flags.contains(OpenFlags::SQLITE_OPEN_CREATE) {
            keep_private(path).map_err(Fault::Directory)?;
        }
        let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", 1 << 20)?;
        prepare_schema(&mut connection)?;
        let letters_at_most = count(&connection)?;
        Ok(Self { connection, letters_max: LETTERS_MAX, letters_at_most })
    }
}

impl Selection {
    fn parts(&self) -> (Option<&str>, Option<i64>) {
        match self {
            Self::All => (None, None),
            Self::Endpoint(endpoint) => (Some(endpoint), None),
            Self::Id(id) => (None, Some(*id)),
        }
    }
}

fn prepare_schema(connection: &mut Connection) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |record| record.get(0))?;
    match version {
        0 => transaction.execute_batch(&[SCHEMA, ENDPOINTS, DISABLED].concat())?,
        1 => transaction.execute_batch(&[ENDPOINTS, DISABLED].concat())?,
        2 => transaction.execute_batch(DISABLED)?,
        SCHEMA_VERSION => {}
        found => return Err(Fault::Newer { found, known: SCHEMA_VERSION }),
    }
    Ok(transaction.commit()?)
}

/// Deletes the oldest letters if there are too many. Returns how many are left at most, and how many were deleted.
fn trim(connection: &Connection, letters_at_most: u64, letters_max: u64) -> rusqlite::Result<(u64, u64)> {
    if letters_at_most <= letters_max {
        return Ok((letters_at_most, 0));
    }
    let count = count(connection)?;
    if count <= letters_max {
        return Ok((count, 0));
    }
    let gone = count - (letters_max - letters_max / 16);
    let oldest = "DELETE FROM letters WHERE id IN (SELECT id FROM letters ORDER BY id LIMIT ?1)";
    connection.execute(oldest, params![signed(gone)])?;
    Ok((count - gone, gone))
}

fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) FROM letters", [], |record| record.get(0)).map(unsigned)
}

fn letter_of(record: &Record<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        id: record.get(0)?,
        endpoint: record.get(1)?,
        app_id: record.get(2)?,
        row_id: unsigned(record.get(3)?),
        name: record.get(4)?,
        data: record.get(5)?,
        time_ms: unsigned(record.get(6)?),
        reason: record.get(7)?,
        tries: record.get(8)?,
        died_ms: unsigned(record.get(9)?),
        mark: match record.get::<_, i64>(10)? {
            0 => Mark::Kept,
            1 => Mark::Wanted,
            _ => Mark::Taken,
        },
    })
}
