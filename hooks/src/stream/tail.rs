//! Which of the journal's rows are in a stream already: looked up at the stream's end, after a start and after every
//! lost connection. Rows go in in order, so the last one that is there vouches for those before it.
//!
//! What must never happen here: a row taken for one that is there because another journal gave out the same id.
//! Therefore it must be there as the journal has it.

use redis::{Value, cmd};

use super::entry::{Entry, parse_entries};
use super::fault::MoveFault;
use crate::limits::LOOKED_AT_MAX;
use crate::redis::connection::RedisConnection;
use crate::row::{Position, Row};
use crate::source::Source;

/// The last row behind `released` that the stream holds, and its entry.
pub(super) fn find_last(
    connection: &mut RedisConnection,
    key: &str,
    journal: &mut dyn Source,
    released: u64,
) -> Result<Option<(Position, u64)>, MoveFault> {
    let mut question = cmd("XREVRANGE");
    question.arg(key).arg("+").arg("-").arg("COUNT").arg(LOOKED_AT_MAX);
    for entry in parse_entries(connection.ask::<Value>(&question)?) {
        let Some(id) = entry.id() else { continue };
        // What is released has left the journal, and nothing can vouch for it.
        if id > released && is_in_journal(journal, &entry, id)? {
            return Ok(Some((entry.at, id)));
        }
    }
    Ok(None)
}

/// The last row that lies at or before `mark`, as far as the stream still shows it.
pub(super) fn row_at(
    connection: &mut RedisConnection,
    key: &str,
    journal: &mut dyn Source,
    mark: Position,
) -> Result<Option<u64>, MoveFault> {
    let mut question = cmd("XREVRANGE");
    question.arg(key).arg(mark.to_string()).arg("-").arg("COUNT").arg(LOOKED_AT_MAX);
    for entry in parse_entries(connection.ask::<Value>(&question)?) {
        let Some(id) = entry.id() else { continue };
        if is_in_journal(journal, &entry, id)? {
            return Ok(Some(id));
        }
    }
    // What was acknowledged may have been deleted: then the first that is left tells.
    let mut question = cmd("XRANGE");
    question.arg(key).arg(format!("({mark}")).arg("+").arg("COUNT").arg(LOOKED_AT_MAX);
    for entry in parse_entries(connection.ask::<Value>(&question)?) {
        let Some(id) = entry.id() else { continue };
        if is_in_journal(journal, &entry, id)? {
            return Ok(Some(id.saturating_sub(1)));
        }
    }
    Ok(None)
}

fn is_in_journal(journal: &mut dyn Source, entry: &Entry, id: u64) -> Result<bool, MoveFault> {
    let mut rows = Vec::new();
    let before = Position(id.saturating_sub(1), 0);
    journal.read(before, 1, &mut rows).map_err(MoveFault::Journal)?;
    Ok(rows
        .first()
        .is_some_and(|(_, row): &(Position, std::sync::Arc<Row>)| row.id == id && entry.holds(row)))
}
