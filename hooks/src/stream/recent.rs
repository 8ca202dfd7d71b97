//! The rows that were taken last, in memory, so that endpoints which keep up need not ask Redis for them.
//!
//! Bounded by rows and by bytes: what does not fit is forgotten here and read from the stream again. What must never happen
//! here: a gap.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::limits::{RECENT_BYTES_MAX, RECENT_ROWS_MAX};
use crate::row::{Position, Row};

/// The newest rows, complete from a place on.
#[derive(Debug, Default)]
pub(super) struct Recent {
    rows: VecDeque<(Position, Arc<Row>, usize)>,
    bytes: usize,
    complete_after: Position,
}

impl Recent {
    /// Nothing yet, behind this place.
    pub(super) fn begin(&mut self, place: Position) {
        self.rows.clear();
        self.bytes = 0;
        self.complete_after = place;
    }

    /// Every row that was taken behind this place is here.
    pub(super) fn complete_after(&self) -> Position {
        self.complete_after
    }

    /// Appends the row of an entry that has about so many bytes.
    pub(super) fn push(&mut self, at: Position, row: Arc<Row>, bytes: usize) {
        self.rows.push_back((at, row, bytes));
        self.bytes += bytes;
        while self.rows.len() > RECENT_ROWS_MAX || self.bytes > RECENT_BYTES_MAX {
            let oldest = self.rows.pop_front();
            debug_assert!(oldest.is_some(), "bytes are those of rows");
            let Some((at, _, bytes)) = oldest else { return };
            self.bytes -= bytes;
            self.complete_after = at;
        }
    }

    /// Forgets rows up to this place.
    pub(super) fn forget(&mut self, up_to: Position) {
        while let Some((at, _, bytes)) = self.rows.pop_front_if(|(at, ..)| *at <= up_to) {
            self.bytes -= bytes;
            self.complete_after = at;
        }
    }

    /// Appends rows behind `after`, at most so many.
    pub(super) fn read(&self, after: Position, rows_max: usize, rows: &mut Vec<(Position, Arc<Row>)>) {
        let start = self.rows.partition_point(|(at, ..)| *at <= after);
        rows.extend(self.rows.range(start..).take(rows_max).map(|(at, row, _)| (*at, Arc::clone(row))));
    }
}
