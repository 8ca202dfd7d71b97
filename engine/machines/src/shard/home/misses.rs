//! Which cache channels the hooks were told of as empty: each once, until an event is cached there again.
//!
//! A channel is remembered by its seeded hash alone, also when nobody is subscribed any more: clients choose names, so that
//! is bounded, and the one that was told first goes first.

use std::collections::VecDeque;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::limits::Limits;

/// Channels that were told as empty.
#[derive(Debug)]
pub(super) struct Misses {
    channels_max: usize,
    /// By hash, with the stamp of their telling.
    told: HashMap<u64, u64>,
    /// The same in the order of their telling. One that is not in the table with this stamp means nothing any more.
    order: VecDeque<(u64, u64)>,
    stamps: u64,
}

impl Misses {
    /// No channel was told.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            channels_max: limits.cache_misses_max,
            told: HashMap::new(),
            order: VecDeque::new(),
            stamps: 0,
        }
    }

    /// The channel with this hash is empty. Returns whether that must be told.
    pub(super) fn begin(&mut self, hash: u64) -> bool {
        let Entry::Vacant(vacant) = self.told.entry(hash) else { return false };
        vacant.insert(self.stamps);
        self.order.push_back((hash, self.stamps));
        self.stamps += 1;
        self.forget_first();
        true
    }

    /// The channel is empty no more, or could not be told.
    pub(super) fn end(&mut self, hash: u64) {
        self.told.remove(&hash);
    }

    fn forget_first(&mut self) {
        // What means nothing any more is at most as much as what is kept.
        if self.order.len() > 2 * self.channels_max {
            let told = &self.told;
            self.order.retain(|(hash, stamp)| told.get(hash) == Some(stamp));
        }
        while self.told.len() > self.channels_max
            && let Some((hash, stamp)) = self.order.pop_front()
        {
            if self.told.get(&hash) == Some(&stamp) {
                self.told.remove(&hash);
            }
        }
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        let told = &self.told;
        self.order.retain(|(hash, stamp)| told.get(hash) == Some(stamp));
        self.order.shrink_to_fit();
        self.told.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misses(channels_max: usize) -> Misses {
        Misses::new(&Limits { cache_misses_max: channels_max, ..Limits::default() })
    }

    #[test]
    fn a_channel_is_told_once_until_it_was_not_empty() {
        let mut misses = misses(10);
        assert_eq!([7, 7, 8, 7].map(|hash| misses.begin(hash)), [true, false, true, false]);
        misses.end(7);
        assert_eq!([7, 8, 7].map(|hash| misses.begin(hash)), [true, false, false]);
    }

    #[test]
    fn the_channel_that_was_told_first_is_forgotten_first() {
        let mut misses = misses(2);
        assert_eq!([1, 2].map(|hash| misses.begin(hash)), [true, true]);
        misses.end(1);
        // The order is now 2, 1: what came before the end of 1 means nothing.
        assert_eq!([1, 3, 1, 2].map(|hash| misses.begin(hash)), [true, true, false, true]);
    }

    #[test]
    fn channels_that_are_filled_and_emptied_for_ever_take_no_room() {
        let mut misses = misses(4);
        for round in 0..1000 {
            assert!(misses.begin(round % 2));
            misses.end(round % 2);
        }
        assert!(misses.order.len() <= 9 && misses.told.is_empty(), "{misses:?}");
    }
}
