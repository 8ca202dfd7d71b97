//! When closes lose patience: soonest first.
//!
//! Owns a date per close and change of mind. A date whose close has ended, or has been put off, means nothing: the
//! close itself is asked when it comes up. What must never happen here: a close without a date.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use machines::machine::Token;

/// The dates of all closes in progress.
#[derive(Debug, Default)]
pub(super) struct Expiries(BinaryHeap<Expiry>);

/// Ordered so that the soonest is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Expiry {
    deadline: Reverse<u64>,
    slot: u32,
    generation: u32,
}

impl Expiries {
    /// This close is looked at again then, in `mono_ms`.
    pub(super) fn expect(&mut self, token: Token, deadline: u64) {
        let Token { slot, generation } = token;
        self.0.push(Expiry { deadline: Reverse(deadline), slot, generation });
    }

    /// The next close that is to be looked at by now.
    pub(super) fn next_due(&mut self, mono_ms: u64) -> Option<Token> {
        self.next().filter(|deadline| *deadline <= mono_ms)?;
        self.0.pop().map(|Expiry { slot, generation, .. }| Token { slot, generation })
    }

    /// When the next one is to be looked at, in `mono_ms`.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.peek().map(|expiry| expiry.deadline.0)
    }

    /// No close is in progress: those that ended before their time have left theirs behind.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Gives back room that is not needed now.
    pub(super) fn give_back_room(&mut self) {
        self.0.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soonest_is_due_first_and_none_before_its_time() {
        let mut expiries = Expiries::default();
        let token = |slot| Token { slot, generation: 7 };
        [(1, 30), (2, 10), (3, 20)]
            .into_iter()
            .for_each(|(slot, deadline)| expiries.expect(token(slot), deadline));
        assert_eq!(expiries.next(), Some(10));
        assert_eq!(expiries.next_due(9), None);
        assert_eq!(expiries.next_due(25), Some(token(2)));
        assert_eq!(expiries.next_due(25), Some(token(3)));
        assert_eq!(expiries.next_due(25), None);
        assert_eq!(expiries.next(), Some(30));
    }
}
