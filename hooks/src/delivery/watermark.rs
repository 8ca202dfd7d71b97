//! How far an endpoint has come: rows are read in order and done in any order, and its place is behind the last row
//! before which nothing is open.
//!
//! It owns one bit per row that is read and open. What must never happen here: a place behind a row that is not done.

use std::collections::VecDeque;

use crate::row::Position;

/// Reads and completions of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Watermark {
    read: Position,
    /// Bytes of all rows that were read.
    read_bytes: u64,
    tickets_closed: u64,
    open: VecDeque<Slot>,
}

#[derive(Debug)]
struct Slot {
    before: Position,
    bytes_before: u64,
    done: bool,
}

impl Watermark {
    /// Begins behind this place.
    pub(crate) fn new(place: Position) -> Self {
        Self { read: place, ..Self::default() }
    }

    /// This row of so many bytes is read, and nothing is to be done with it.
    pub(crate) fn pass(&mut self, position: Position, bytes: usize) {
        assert!(position > self.read, "rows come in order");
        self.read = position;
        self.read_bytes += bytes as u64;
    }

    /// This row is read and open until its ticket is closed.
    pub(crate) fn open(&mut self, position: Position, bytes: usize) -> u64 {
        self.open.push_back(Slot { before: self.read, bytes_before: self.read_bytes, done: false });
        self.pass(position, bytes);
        self.tickets_closed + self.open.len() as u64 - 1
    }

    /// Goes on behind this place, which may be before all others. What is open counts no more.
    pub(crate) fn begin_anew(&mut self, place: Position) {
        self.read = place;
        self.tickets_closed += self.open.len() as u64;
        self.open.clear();
    }

    /// The row of this ticket is done.
    pub(crate) fn close(&mut self, ticket: u64) {
        // One of before the last beginning counts no more.
        let Some(index) = ticket.checked_sub(self.tickets_closed) else { return };
        let slot = self.open.get_mut(index as usize);
        debug_assert!(slot.is_some(), "a ticket that is closed was open");
        if let Some(slot) = slot {
            assert!(!slot.done, "a row is done once");
            slot.done = true;
        }
        while self.open.front().is_some_and(|slot| slot.done) {
            self.open.pop_front();
            self.tickets_closed += 1;
        }
    }

    /// How many rows were open when the oldest that is open was read, or later.
    pub(crate) fn span(&self) -> usize {
        self.open.len()
    }

    /// Bytes of all rows that were read since the oldest that is open, with it.
    pub(crate) fn span_bytes(&self) -> u64 {
        self.open.front().map_or(0, |slot| self.read_bytes - slot.bytes_before)
    }

    /// Everything up to here is done.
    pub(crate) fn low(&self) -> Position {
        self.open.front().map_or(self.read, |slot| slot.before)
    }

    /// The last row that was read.
    pub(crate) fn read(&self) -> Position {
        self.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_waits_for_the_oldest_open_row() {
        let mut mark = Watermark::new(Position(3, 0));
        assert_eq!(mark.low(), Position(3, 0));
        let first = mark.open(Position(5, 0), 10);
        mark.pass(Position(6, 0), 10);
        let second = mark.open(Position(9, 0), 10);
        mark.pass(Position(10, 0), 10);
        mark.close(second);
        assert_eq!((mark.low(), mark.read()), (Position(3, 0), Position(10, 0)));
        assert_eq!((mark.span(), mark.span_bytes()), (2, 40));
        mark.close(first);
        assert_eq!((mark.low(), mark.span_bytes()), (Position(10, 0), 0));
        let third = mark.open(Position(11, 0), 10);
        assert_eq!(mark.low(), Position(10, 0));
        mark.close(third);
        assert_eq!(mark.low(), Position(11, 0));
    }

    #[test]
    fn what_was_open_before_a_new_beginning_counts_no_more() {
        let mut mark = Watermark::new(Position(3, 0));
        let [before, other] = [5, 6].map(|id| mark.open(Position(id, 0), 10));
        mark.begin_anew(Position(1, 0));
        assert_eq!((mark.low(), mark.read()), (Position(1, 0), Position(1, 0)));
        let later = mark.open(Position(2, 0), 10);
        mark.close(before);
        assert_eq!(mark.low(), Position(1, 0));
        mark.close(later);
        mark.close(other);
        assert_eq!(mark.low(), Position(2, 0));
    }

    #[test]
    #[should_panic(expected = "rows come in order")]
    fn a_row_before_the_last_one_is_our_fault() {
        Watermark::new(Position(3, 0)).pass(Position(3, 0), 10);
    }
}
