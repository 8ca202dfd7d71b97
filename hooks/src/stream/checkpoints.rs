//! Which row a place in the stream belongs to: one checkpoint for each batch that was added. Pure.
//!
//! Bounded: when there are too many, every other one is forgotten, which only makes the answer older. The newest one is
//! never forgotten. What must never happen here: an answer that is newer than the place.

use std::collections::VecDeque;

use crate::limits::CHECKPOINTS_MAX;
use crate::row::Position;

/// Ascending pairs of a stream's entry and the row it holds.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    pairs: VecDeque<(Position, u64)>,
}

impl Checkpoints {
    /// All rows up to `row` are in the stream, up to the entry `at`.
    pub(super) fn push(&mut self, at: Position, row: u64) {
        self.pairs.pop_back_if(|(last, _)| *last == at);
        self.pairs.push_back((at, row));
        if self.pairs.len() > CHECKPOINTS_MAX {
            let last = self.pairs.len() - 1;
            let mut place = 0..;
            self.pairs.retain(|_| place.next().is_some_and(|place| place % 2 == 1 || place == last));
        }
    }

    /// The last row known to lie at or before `mark`, and forgets what is older.
    pub(super) fn row_at(&mut self, mark: Position) -> Option<u64> {
        let known = self.pairs.partition_point(|(at, _)| *at <= mark);
        self.pairs.drain(..known.saturating_sub(1));
        self.pairs.front().filter(|(at, _)| *at <= mark).map(|(_, row)| *row)
    }

    /// The newest entry.
    pub(super) fn last(&self) -> Option<(Position, u64)> {
        self.pairs.back().copied()
    }

    /// Nothing is known of the stream any more.
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_between_two_checkpoints_is_worth_the_older_one() {
        let mut checkpoints = Checkpoints::default();
        checkpoints.push(Position(10, 4), 5);
        checkpoints.push(Position(20, 0), 9);
        assert_eq!(checkpoints.row_at(Position(10, 3)), None);
        assert_eq!(checkpoints.row_at(Position(10, 4)), Some(5));
        assert_eq!(checkpoints.row_at(Position(19, 9)), Some(5));
        assert_eq!(checkpoints.row_at(Position(30, 0)), Some(9));
        assert_eq!(checkpoints.row_at(Position(30, 0)), Some(9), "the newest one is kept");
    }

    #[test]
    fn too_many_checkpoints_thin_out_and_keep_the_newest() {
        let mut checkpoints = Checkpoints::default();
        for row in 1..=200_000_u64 {
            checkpoints.push(Position(row, 0), row);
        }
        assert!(checkpoints.pairs.len() <= CHECKPOINTS_MAX);
        assert_eq!(checkpoints.last(), Some((Position(200_000, 0), 200_000)));
        let row = checkpoints.row_at(Position(150_000, 0)).unwrap();
        assert!(row <= 150_000 && row > 100_000, "{row}");
    }
}
