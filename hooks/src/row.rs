//! A row: one hook event with its id, as it lies in the journal and in the stream.
//!
//! The id is given by the journal alone, increases over all apps of a data directory, and is the same on every delivery.
//! What must never happen here: an id or a time made up on the way.

use std::fmt;

use protocol::hook_event::HookEvent;

/// One event on its way to the operator's back end.
#[derive(Clone, Debug)]
pub struct Row {
    /// Unique, increasing in order of occurrence; in webhooks a decimal string.
    pub id: u64,
    /// When it happened, in milliseconds of Unix time.
    pub time_ms: u64,
    /// What happened.
    pub event: HookEvent,
}

/// A place in a source of rows: (id, 0) in the journal, the two halves of an entry's id in a stream. Ordered as the rows
/// are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Position(pub u64, pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}
