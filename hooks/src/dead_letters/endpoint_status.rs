//! The status of each endpoint, which the dispatcher stores beside the dead letters for `corecast hooks status`.

use rusqlite::{Connection, Row as Record, params};

use super::integer::{signed, unsigned};

/// What the second version of the schema added.
pub(super) const ENDPOINTS: &str = "
CREATE TABLE endpoints (
    name TEXT PRIMARY KEY,
    target TEXT NOT NULL,
    held INTEGER NOT NULL,
    error TEXT,
    since_ms INTEGER,
    next_ms INTEGER
) WITHOUT ROWID;
PRAGMA user_version = 2;
";

/// The status of an endpoint, as its dispatcher reports it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointStatus {
    /// Its name.
    pub name: String,
    /// Where its events go, without a password.
    pub target: String,
    /// Events that were read and are not accepted yet.
    pub held: u64,
    /// What is wrong; `None` while it accepts events.
    pub failure: Option<EndpointFailure>,
}

/// What is wrong with an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointFailure {
    /// Its last answer.
    pub error: String,
    /// When it last stopped accepting events, in milliseconds of Unix time.
    pub since_ms: u64,
    /// When it is tried again, in milliseconds of Unix time, if known.
    pub next_ms: Option<u64>,
}

/// Stores the status of these endpoints, and forgets all others.
pub(super) fn store(connection: &mut Connection, statuses: &[EndpointStatus]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute("DELETE FROM endpoints", [])?;
    for EndpointStatus { name, target, held, failure } in statuses {
        let error = failure.as_ref().map(|failure| &failure.error);
        let since_ms = failure.as_ref().map(|failure| signed(failure.since_ms));
        let next_ms = failure.as_ref().and_then(|failure| failure.next_ms).map(signed);
        let values = params![name, target, signed(*held), error, since_ms, next_ms];
        transaction
            .prepare_cached("INSERT OR REPLACE INTO endpoints VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(values)?;
    }
    transaction.commit()
}

/// The status of each endpoint at the last delivery from this directory.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Vec<EndpointStatus>> {
    let text = "SELECT name, target, held, error, since_ms, next_ms FROM endpoints ORDER BY name";
    let each = |record: &Record<'_>| {
        let (error, since_ms): (Option<String>, Option<i64>) = (record.get(3)?, record.get(4)?);
        let next_ms = record.get::<_, Option<i64>>(5)?.map(unsigned);
        let failure =
            error.map(|error| EndpointFailure { error, since_ms: unsigned(since_ms.unwrap_or(0)), next_ms });
        let held = unsigned(record.get(2)?);
        Ok(EndpointStatus { name: record.get(0)?, target: record.get(1)?, held, failure })
    };
    connection.prepare(text)?.query_map([], each)?.collect()
}
