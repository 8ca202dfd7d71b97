//! Entries of a stream that were taken and not yet acknowledged, in little room: entries of one millisecond are
//! numbered from 0, so they are kept as runs. Pure.
//!
//! A run may name entries that never were; to acknowledge those changes nothing.

use std::collections::VecDeque;

use crate::row::Position;

/// One millisecond's entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    ms: u64,
    first: u64,
    last: u64,
}

/// Ascending entries.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: VecDeque<Run>,
}

impl Runs {
    /// Adds an entry behind all others; one that is not behind them is there already.
    pub(super) fn push(&mut self, at: Position) {
        match self.runs.back_mut() {
            Some(run) if at <= Position(run.ms, run.last) => {}
            // Ids far apart within one millisecond were not made by counting.
            Some(run) if run.ms == at.0 && at.1 - run.last == 1 => run.last = at.1,
            _ => self.runs.push_back(Run { ms: at.0, first: at.1, last: at.1 }),
        }
    }

    /// Takes out the entries that lie at or before `mark`.
    pub(super) fn take(&mut self, mark: Position, out: &mut Vec<Position>) {
        while let Some(run) = self.runs.front_mut() {
            if Position(run.ms, run.first) > mark {
                return;
            }
            out.push(Position(run.ms, run.first));
            if run.first == run.last {
                self.runs.pop_front();
            } else {
                run.first += 1;
            }
        }
    }

    /// How many runs there are.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_that_can_be_is_one() {
        let mut runs = Runs::default();
        let last = Position(u64::MAX, u64::MAX);
        runs.push(last);
        let mut out = Vec::new();
        runs.take(last, &mut out);
        assert_eq!((out, runs.len()), (vec![last], 0));
    }

    #[test]
    fn entries_come_out_as_they_went_in_up_to_the_mark() {
        let mut runs = Runs::default();
        let entries = [(1, 0), (1, 1), (1, 3), (2, 0), (2, 1), (2, 1), (3, 0)].map(|(ms, n)| Position(ms, n));
        entries.iter().for_each(|at| runs.push(*at));
        assert_eq!(runs.len(), 4);
        let mut out = Vec::new();
        runs.take(Position(2, 0), &mut out);
        assert_eq!(out, [(1, 0), (1, 1), (1, 3), (2, 0)].map(|(ms, n)| Position(ms, n)));
        out.clear();
        runs.take(Position(9, 0), &mut out);
        assert_eq!(out, [Position(2, 1), Position(3, 0)]);
        assert_eq!(runs.len(), 0);
    }
}
