//! A batch: what one transaction will write. Owns the ids from the moment they are given until the rows are committed.
//!
//! It is kept whole while its transaction fails, so that the same events get the same ids. What must never happen here:
//! an id given to an event that is then let go.

use protocol::hook_event::Happened;
use std::sync::Arc;

use super::edges::EdgeChange;
use crate::encoding::encode_row_data;
use crate::row::Row;

/// Rows with their text, and what they do to the open edges. Its room is used again and again.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rows: Vec<Arc<Row>>,
    ends: Vec<usize>,
    data: Vec<u8>,
    edges: Vec<EdgeChange>,
}

impl Batch {
    /// Takes an event, and the next id if it becomes a row: an event of a kind that its app does not want only moves its
    /// edge.
    pub(super) fn take(&mut self, happened: Happened, next_id: &mut u64) {
        let Happened { event, time_ms } = happened;
        self.edges.extend(EdgeChange::of(&event));
        if !event.app().hooks.has(event.kind()) {
            return;
        }
        let id = *next_id;
        *next_id += 1;
        encode_row_data(&mut self.data, id, time_ms, &event);
        self.ends.push(self.data.len());
        self.rows.push(Arc::new(Row { id, time_ms, event }));
    }

    /// The rows with their text, oldest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Row, &str)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let texts = starts.zip(&self.ends).map(|(start, end)| {
            // The encoder copies UTF-8 and adds ASCII.
            let text = self.data.get(start..*end).and_then(|bytes| std::str::from_utf8(bytes).ok());
            debug_assert!(text.is_some(), "a row has its text");
            text.unwrap_or_default()
        });
        self.rows.iter().map(|row| &**row).zip(texts)
    }

    /// How many rows it holds.
    pub(super) fn rows_len(&self) -> usize {
        self.rows.len()
    }

    /// What happens to open edges, in order.
    pub(super) fn edges(&self) -> &[EdgeChange] {
        &self.edges
    }

    /// The id of the last row.
    pub(super) fn last_id(&self) -> Option<u64> {
        self.rows.last().map(|row| row.id)
    }

    /// When the first row happened, in milliseconds of Unix time.
    pub(super) fn oldest_ms(&self) -> u64 {
        self.rows.first().map_or(0, |row| row.time_ms)
    }

    /// How many rows and edges it holds.
    pub(super) fn len(&self) -> usize {
        self.rows.len().max(self.edges.len())
    }

    /// True when it would write nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.edges.is_empty()
    }

    /// Bytes of the rows' text.
    pub(super) fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Gives the rows away, each with the length of its text, once they are committed.
    pub(super) fn hand_over(&mut self, mut to: impl FnMut(Arc<Row>, usize)) {
        let mut start = 0;
        for (row, end) in self.rows.drain(..).zip(self.ends.drain(..)) {
            to(row, end - start);
            start = end;
        }
        self.data.clear();
        self.edges.clear();
    }
}
