//! Where a dispatcher takes rows from: the journal of this server, or a Redis stream.
//!
//! Each endpoint reads at its own place, so one that stands still keeps nobody; rows leave the source when all endpoints
//! have passed them. What must never happen in a source: a row that is forgotten before it was released. What a source reads
//! from outside may be in any order; whoever reads the source looks.

use std::error::Error;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::row::{Position, Row};

/// Wakes a dispatcher when its source has new rows. Cheap, never waits, and may be called too often.
#[derive(Clone, Debug)]
pub struct Wake(Sender<()>);

impl Wake {
    /// Both ends. Without a call the dispatcher looks once a second.
    pub fn new() -> (Self, Receiver<()>) {
        let (sender, receiver) = bounded(1);
        (Self(sender), receiver)
    }

    /// There are new rows, or the source can be read again.
    pub fn wake(&self) {
        // A wake that is already there says the same.
        let _ = self.0.try_send(());
    }
}

/// What stands behind a dispatcher. All methods may block on disk or network for as long as these take to answer, but
/// never to wait for rows that are not there yet; none is called by a shard.
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

    /// Changes when places from before mean nothing any more, as those in a stream that was deleted. Each endpoint then goes
    /// on at its `place_of`, and what it holds of before counts no more for what is released.
    fn epoch(&self) -> u64 {
        0
    }

    /// The endpoints have done with all rows up to these places, and all of them together with those up to `all`, which
    /// need not be kept. Called seldom enough that it may write.
    fn release(&mut self, all: Position, places: &[(&str, Position)]) -> Result<(), SourceError>;
}

/// A source that cannot be read or written now. The dispatcher waits and tries again; it says so once.
pub type SourceError = Box<dyn Error + Send + Sync>;
