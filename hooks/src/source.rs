//! Where a dispatcher takes rows from: the journal of this server, or a Redis stream.
//!
//! Each endpoint reads at its own place, so one that stands still holds up no other. Rows leave the source when all endpoints
//! have passed them. What a source reads from outside may be in any order, so its reader checks the order. What must never
//! happen in a source: a row that is forgotten before it was released.

use std::error::Error;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::row::{Position, Row};

/// Wakes a dispatcher when its source has new rows. A call is cheap, never waits, and may come too often.
#[derive(Clone, Debug)]
pub struct Wake(Sender<()>);

impl Wake {
    /// Both ends. A dispatcher that is not woken looks once a second.
    pub fn new() -> (Self, Receiver<()>) {
        let (sender, receiver) = bounded(1);
        (Self(sender), receiver)
    }

    /// Tells the dispatcher that there are new rows, or that the source can be read again.
    pub fn wake(&self) {
        // A wake that is pending already says the same.
        let _ = self.0.try_send(());
    }
}

/// Where a dispatcher's rows come from. All methods may block while disk or network answer, but none waits for rows that are
/// not there yet. No shard calls them.
pub trait Source: Send {
    /// Where the endpoint of this name goes on: behind the last row that it has done with. A new one begins at the start
    /// of what is kept.
    fn place_of(&mut self, endpoint: &str) -> Result<Position, SourceError>;

    /// Appends rows that lie behind `after`, oldest first, at most `rows_max`. Nothing when there are none yet.
    fn read(
        &mut self,
        after: Position,
        rows_max: usize,
        rows: &mut Vec<(Position, Arc<Row>)>,
    ) -> Result<(), SourceError>;

    /// Changes when older places have lost their meaning, as in a stream that was deleted. Each endpoint then goes on at its
    /// `place_of`, and rows that it still holds from before no longer count for what is released.
    fn epoch(&self) -> u64 {
        0
    }

    /// The endpoints are done with all rows up to these places. Rows up to `all` need not be kept: every endpoint is done
    /// with them. Calls are rare enough that it may write.
    fn release(&mut self, all: Position, places: &[(&str, Position)]) -> Result<(), SourceError>;

    /// All rows up to this one are in the stream that the source is moved to.
    fn note_moved(&mut self, _row: u64) {}
}

/// A source that cannot be read or written now. The dispatcher waits and tries again; it says so once.
pub type SourceError = Box<dyn Error + Send + Sync>;
