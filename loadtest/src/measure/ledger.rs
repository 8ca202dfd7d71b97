//! What each subscriber has seen: loss, duplicates and order, exact, by sequence number.
//!
//! Owns, per subscriber, the next sequence number expected and the gaps below it; both are small while a server behaves.
//! Pure accounting: it never decides what a gap means before the run is over, because a late event may still fill it.
//! Called for every event that arrives, so the usual case is one compare and one add.

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Sequence numbers of a run count from 0 without holes.
pub(crate) struct Ledger {
    /// Per subscriber, dense, because the slowest one is looked for while publishers wait.
    next: Vec<u64>,
    /// Sequence numbers below `next` that have not come, as sorted ranges.
    gaps: HashMap<usize, Vec<Range<u64>>>,
    /// Where a subscriber stood when its connection ended; its `next` is then u64::MAX.
    parted: HashMap<usize, u64>,
    counts: Counts,
}

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Events that came for the first time.
    pub(crate) delivered: u64,
    /// Events that came again.
    pub(crate) duplicated: u64,
    /// Events that came after one with a higher number.
    pub(crate) reordered: u64,
}

/// What the subscribers of a channel could expect.
#[derive(Clone, Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Promise {
    /// All sequence numbers below this one,
    pub(crate) sent: u64,
    /// but for these, sorted: refused, or never answered.
    pub(crate) excused: Vec<u64>,
}

impl Promise {
    fn missing(&self, range: Range<u64>) -> u64 {
        let first = self.excused.partition_point(|&sequence| sequence < range.start);
        let end = self.excused.partition_point(|&sequence| sequence < range.end);
        range.end.saturating_sub(range.start) - (end - first) as u64
    }
}

impl Ledger {
    pub(crate) fn new(subscribers: usize) -> Self {
        Self {
            next: vec![0; subscribers],
            gaps: HashMap::new(),
            parted: HashMap::new(),
            counts: Counts::default(),
        }
    }

    #[inline]
    pub(crate) fn handle_event(&mut self, subscriber: usize, sequence: u64) {
        let next = &mut self.next[subscriber];
        if *next == sequence {
            *next += 1;
            self.counts.delivered += 1;
        } else {
            self.handle_irregular(subscriber, sequence);
        }
    }

    /// The subscriber's connection ended: publishers no longer wait for it.
    pub(crate) fn handle_parted(&mut self, subscriber: usize) {
        let next = std::mem::replace(&mut self.next[subscriber], u64::MAX);
        self.parted.entry(subscriber).or_insert(next);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Every connected subscriber is past all sequence numbers below this one.
    pub(crate) fn seen_by_all(&self) -> u64 {
        self.next.iter().copied().min().unwrap_or(u64::MAX)
    }

    /// From here on nothing is expected of this subscriber, whatever its connection does.
    pub(crate) fn excuse(&mut self, subscriber: usize) {
        self.next[subscriber] = u64::MAX;
        self.parted.insert(subscriber, u64::MAX);
    }

    /// Deliveries that never came, of those promised to each subscriber.
    pub(crate) fn lost<'p>(&self, promise_to: impl Fn(usize) -> &'p Promise) -> u64 {
        let tails = self.next.iter().enumerate().map(|(subscriber, &next)| {
            let next = self.parted.get(&subscriber).copied().unwrap_or(next);
            let promise = promise_to(subscriber);
            promise.missing(next.min(promise.sent)..promise.sent)
        });
        let gaps =
            self.gaps.iter().flat_map(|(&subscriber, gaps)| gaps.iter().map(move |gap| (subscriber, gap)));
        tails.sum::<u64>()
            + gaps.map(|(subscriber, gap)| promise_to(subscriber).missing(gap.clone())).sum::<u64>()
    }

    #[cold]
    fn handle_irregular(&mut self, subscriber: usize, sequence: u64) {
        let next = self.next[subscriber];
        if next == u64::MAX {
            return;
        }
        if sequence > next {
            self.gaps.entry(subscriber).or_default().push(next..sequence);
            self.next[subscriber] = sequence + 1;
            self.counts.delivered += 1;
        } else if self.fill(subscriber, sequence) {
            self.counts.delivered += 1;
            self.counts.reordered += 1;
        } else {
            self.counts.duplicated += 1;
        }
    }

    /// Takes a sequence number out of the subscriber's gaps; false when it was in none.
    fn fill(&mut self, subscriber: usize, sequence: u64) -> bool {
        let Some(gaps) = self.gaps.get_mut(&subscriber) else { return false };
        let at = gaps.partition_point(|gap| gap.end <= sequence);
        let Some(gap) = gaps.get(at).filter(|gap| gap.contains(&sequence)).cloned() else { return false };
        let rest = [gap.start..sequence, sequence + 1..gap.end];
        gaps.splice(at..=at, rest.into_iter().filter(|range| !range.is_empty()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays one subscriber's arrivals of `sent` events; returns (counts, lost).
    fn play(arrivals: &[u64], sent: u64, excused: &[u64]) -> (Counts, u64) {
        let mut ledger = Ledger::new(1);
        arrivals.iter().for_each(|&sequence| ledger.handle_event(0, sequence));
        let promise = promise(sent, excused);
        (ledger.counts(), ledger.lost(|_| &promise))
    }

    fn promise(sent: u64, excused: &[u64]) -> Promise {
        Promise { sent, excused: excused.to_vec() }
    }

    fn counts(delivered: u64, duplicated: u64, reordered: u64) -> Counts {
        Counts { delivered, duplicated, reordered }
    }

    #[test]
    fn scripted_loss_duplicates_and_reordering_are_reported_exactly() {
        let cases: [(&str, &[u64], (Counts, u64)); 9] = [
            ("all in order", &[0, 1, 2, 3], (counts(4, 0, 0), 0)),
            ("nothing came", &[], (counts(0, 0, 0), 4)),
            ("first lost", &[1, 2, 3], (counts(3, 0, 0), 1)),
            ("middle lost", &[0, 3], (counts(2, 0, 0), 2)),
            ("last lost", &[0, 1], (counts(2, 0, 0), 2)),
            ("one twice at once", &[0, 1, 1, 2, 3], (counts(4, 1, 0), 0)),
            ("first one again at the end", &[0, 1, 2, 3, 0, 0], (counts(4, 2, 0), 0)),
            ("two swapped", &[0, 2, 1, 3], (counts(4, 0, 1), 0)),
            ("late one comes twice, another never", &[0, 3, 1, 1], (counts(3, 1, 1), 1)),
        ];
        for (name, arrivals, expected) in cases {
            assert_eq!(play(arrivals, 4, &[]), expected, "{name}");
        }
    }

    #[test]
    fn gap_filled_backwards_leaves_nothing_lost() {
        let arrivals: Vec<u64> = [0, 9].into_iter().chain((1..9).rev()).collect();
        assert_eq!(play(&arrivals, 10, &[]), (counts(10, 0, 8), 0));
    }

    #[test]
    fn events_that_the_server_refused_are_not_lost() {
        assert_eq!(play(&[0, 3], 6, &[1, 4]).1, 2, "2 and 5 are lost, 1 and 4 were refused");
        assert_eq!(play(&[0, 1, 2], 3, &[1]).1, 0, "a refused event that came all the same");
    }

    #[test]
    fn parted_subscriber_loses_its_tail_and_holds_up_nobody() {
        let mut ledger = Ledger::new(2);
        ledger.handle_event(0, 0);
        ledger.handle_event(1, 0);
        ledger.handle_event(1, 1);
        assert_eq!(ledger.seen_by_all(), 1);
        ledger.handle_parted(0);
        assert_eq!(ledger.seen_by_all(), 2);
        let three = promise(3, &[]);
        assert_eq!(ledger.lost(|_| &three), 2 + 1);
    }

    #[test]
    fn excused_subscriber_loses_nothing() {
        let mut ledger = Ledger::new(2);
        ledger.handle_event(0, 0);
        ledger.excuse(1);
        ledger.handle_parted(1);
        let one = promise(1, &[]);
        assert_eq!((ledger.seen_by_all(), ledger.lost(|_| &one)), (1, 0));
    }

    #[test]
    fn subscribers_are_kept_apart() {
        let mut ledger = Ledger::new(3);
        for (subscriber, sequence) in [(0, 0), (1, 1), (2, 0), (0, 1), (1, 0)] {
            ledger.handle_event(subscriber, sequence);
        }
        assert_eq!(ledger.counts(), counts(5, 0, 1));
        let two = promise(2, &[]);
        assert_eq!(ledger.lost(|_| &two), 1);
    }
}
