//! Which endpoints are disabled: the dispatcher writes it, a restart reads it, and `corecast hooks enable` takes it back.

use rusqlite::{Connection, Row as Record, params};

use super::integer::{signed, unsigned};

/// What the third version of the schema added.
pub(super) const DISABLED: &str = "
CREATE TABLE disabled (
    name TEXT PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 3;
";

/// An endpoint that gets nothing until an operator enables it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DisabledEndpoint {
    /// Its name.
    pub name: String,
    /// Since when, in milliseconds of Unix time.
    pub since_ms: u64,
    /// Why, with its last answer.
    pub reason: String,
}

pub(super) fn disable(connection: &Connection, endpoint: &DisabledEndpoint) -> rusqlite::Result<()> {
    let DisabledEndpoint { name, since_ms, reason } = endpoint;
    let text = "INSERT OR REPLACE INTO disabled VALUES (?1, ?2, ?3)";
    connection.execute(text, params![name, signed(*since_ms), reason]).map(drop)
}

pub(super) fn enable(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    Ok(connection.execute("DELETE FROM disabled WHERE name = ?1", [name])? > 0)
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<DisabledEndpoint>> {
    let each = |record: &Record<'_>| {
        Ok(DisabledEndpoint {
            name: record.get(0)?,
            since_ms: unsigned(record.get(1)?),
            reason: record.get(2)?,
        })
    };
    let text = "SELECT name, since_ms, reason FROM disabled ORDER BY name";
    connection.prepare_cached(text)?.query_map([], each)?.collect()
}
