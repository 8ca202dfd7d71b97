//! What waits for a time, each under a number of its own: to be put off, taken back, or found when it is due.
//!
//! Bounded by the numbers: each stands here once at most.

use std::collections::BTreeSet;

use hashbrown::HashMap;

/// Times in `mono_ms`, by number.
#[derive(Debug, Default)]
pub struct Deadlines {
    in_order: BTreeSet<(u64, u32)>,
    by_number: HashMap<u32, u64>,
}

impl Deadlines {
    /// This number is due then, whatever was said of it before.
    pub fn set(&mut self, number: u32, due_ms: u64) {
        if let Some(earlier) = self.by_number.insert(number, due_ms) {
            self.in_order.remove(&(earlier, number));
        }
        self.in_order.insert((due_ms, number));
    }

    /// This number waits no more. Returns whether it did.
    pub fn cancel(&mut self, number: u32) -> bool {
        if self.by_number.is_empty() {
            return false;
        }
        let Some(due_ms) = self.by_number.remove(&number) else { return false };
        self.in_order.remove(&(due_ms, number))
    }

    /// Whether this number waits.
    pub fn has(&self, number: u32) -> bool {
        self.by_number.contains_key(&number)
    }

    /// The first that is due, which waits no more.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<u32> {
        let (_, number) = *self.in_order.first().filter(|(due_ms, _)| *due_ms <= now_ms)?;
        self.cancel(number);
        Some(number)
    }

    /// When the first is due.
    pub fn next_ms(&self) -> Option<u64> {
        self.in_order.first().map(|(due_ms, _)| *due_ms)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// Gives back what nothing needs now.
    pub fn give_back_room(&mut self) {
        self.by_number.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_due_in_order_of_their_times_and_once() {
        let mut deadlines = Deadlines::default();
        for (number, due_ms) in [(1, 30), (2, 10), (3, 20), (4, 20)] {
            deadlines.set(number, due_ms);
        }
        assert_eq!((deadlines.next_ms(), deadlines.pop_due(9)), (Some(10), None));
        let due: Vec<u32> = std::iter::from_fn(|| deadlines.pop_due(20)).collect();
        assert_eq!((due, deadlines.len(), deadlines.next_ms()), (vec![2, 3, 4], 1, Some(30)));
    }

    #[test]
    fn a_number_can_be_put_off_and_taken_back() {
        let mut deadlines = Deadlines::default();
        deadlines.set(1, 10);
        deadlines.set(1, 20);
        assert_eq!((deadlines.len(), deadlines.pop_due(10), deadlines.has(1)), (1, None, true));
        assert!(deadlines.cancel(1) && !deadlines.cancel(1) && deadlines.is_empty());
        assert_eq!((deadlines.pop_due(u64::MAX), deadlines.next_ms()), (None, None));
    }
}
