//! The newest rows of the journal in memory, so that endpoints which keep up cost no read from disk.
//!
//! Bounded by rows and by bytes: what does not fit is forgotten here and read from the file. Owns the knowledge from
//! which id on it is complete. What must never happen here: a row that is not committed, or a gap.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::limits::{TAIL_BYTES_MAX, TAIL_ROWS_MAX};
use crate::row::{Position, Row};

/// What a row costs besides its text, about.
const ROW_BYTES: usize = 256;

/// The newest rows, complete from an id on.
#[derive(Debug)]
pub(super) struct Tail {
    rows: VecDeque<(Arc<Row>, usize)>,
    bytes: usize,
    complete_after: u64,
}

impl Tail {
    /// An empty tail behind this id.
    pub(super) fn new(last_id: u64) -> Self {
        Self { rows: VecDeque::new(), bytes: 0, complete_after: last_id }
    }

    /// Appends a committed row whose text has so many bytes.
    pub(super) fn push(&mut self, row: Arc<Row>, text_bytes: usize) {
        let bytes = text_bytes + ROW_BYTES;
        self.bytes += bytes;
        self.rows.push_back((row, bytes));
        while self.rows.len() > TAIL_ROWS_MAX || self.bytes > TAIL_BYTES_MAX {
            self.pop();
        }
    }

    /// Forgets rows up to this id.
    pub(super) fn forget(&mut self, up_to: u64) {
        while self.rows.front().is_some_and(|(row, _)| row.id <= up_to) {
            self.pop();
        }
    }

    /// Every row behind this id is here.
    pub(super) fn complete_after(&self) -> u64 {
        self.complete_after
    }

    /// All rows that are here.
    pub(super) fn rows(&self) -> Vec<Arc<Row>> {
        self.rows.iter().map(|(row, _)| Arc::clone(row)).collect()
    }

    /// Appends rows behind `after`, at most so many.
    pub(super) fn read(&self, after: u64, rows_max: usize, rows: &mut Vec<(Position, Arc<Row>)>) {
        let start = self.rows.partition_point(|(row, _)| row.id <= after);
        let some = self.rows.iter().skip(start).take(rows_max);
        rows.extend(some.map(|(row, _)| (Position(row.id, 0), Arc::clone(row))));
    }

    fn pop(&mut self) {
        if let Some((row, bytes)) = self.rows.pop_front() {
            self.bytes -= bytes;
            self.complete_after = row.id;
        }
    }
}
