//! The inbox of this node, as far as it was read: entries wait here while homes have no room, and are acknowledged when they
//! were taken.

use std::collections::VecDeque;

use crate::cluster::call::Call;
use crate::cluster::epoch::Epoch;
use crate::cluster::item::{Entry, Item};
use crate::limits::ClusterLimits;

/// How far the inbox was read.
#[derive(Debug)]
pub(super) struct Inbox {
    ack_entries_max: u64,
    ack_bytes_max: u64,
    ack_ms_max: u64,
    /// The number of the last entry that was taken.
    taken: u64,
    /// What all entries that were taken came to.
    bytes: u64,
    /// The number of the last entry that was acknowledged, and what all up to it came to.
    acknowledged: u64,
    acknowledged_bytes: u64,
    /// When the next acknowledgement must go out, if there is one.
    ack_ms: Option<u64>,
    /// What was read and not taken.
    waiting: VecDeque<Entry>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// An entry.
    Entry(Entry),
    /// An entry is missing.
    Jump,
    /// The inbox was cut.
    Cut,
}

impl Inbox {
    /// Nothing was read.
    pub(super) fn new(limits: &ClusterLimits) -> Self {
        Self {
            ack_entries_max: limits.ack_entries_max,
            // What was taken takes room until it is acknowledged, as what is asked for will: a quarter of it.
            ack_bytes_max: limits.inbox_bytes_max / 8,
            ack_ms_max: limits.ack_ms_max,
            taken: 0,
            bytes: 0,
            acknowledged: 0,
            acknowledged_bytes: 0,
            ack_ms: None,
            waiting: VecDeque::new(),
        }
    }

    /// A session begins, or is over.
    pub(super) fn begin_anew(&mut self) {
        self.waiting.clear();
        (self.taken, self.bytes, self.acknowledged, self.acknowledged_bytes) = (0, 0, 0, 0);
        self.ack_ms = None;
    }

    /// The connection is another: what was not taken is read again.
    pub(super) fn read_again(&mut self) {
        self.waiting.clear();
    }

    /// The number of the last entry that was taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Entries were read.
    pub(super) fn push(&mut self, entries: Vec<Entry>) {
        self.waiting.extend(entries);
    }

    /// True when nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the next entry.
    pub(super) fn take(&mut self, mono_ms: u64) -> Next {
        while let Some(entry) = self.waiting.pop_front() {
            if entry.number <= self.taken {
                continue;
            }
            if entry.fields.iter().any(|(field, value)| matches!(Item::read(field, value), Some(Item::Cut))) {
                return Next::Cut;
            }
            if entry.number != self.taken + 1 {
                return Next::Jump;
            }
            self.taken = entry.number;
            self.bytes += entry.bytes();
            self.ack_ms.get_or_insert(mono_ms + self.ack_ms_max);
            return Next::Entry(entry);
        }
        Next::Nothing
    }

    /// When an acknowledgement must go out, in `mono_ms`.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.ack_ms
    }

    /// The acknowledgement, if one must go out now.
    pub(super) fn next_ack(&mut self, epoch: Epoch, mono_ms: u64) -> Option<Call> {
        let many = self.taken - self.acknowledged >= self.ack_entries_max
            || self.bytes - self.acknowledged_bytes >= self.ack_bytes_max;
        if !many && self.ack_ms.is_none_or(|ack_ms| ack_ms > mono_ms) {
            return None;
        }
        self.ack_ms = None;
        (self.acknowledged, self.acknowledged_bytes) = (self.taken, self.bytes);
        Some(Call::Ack { epoch, entry: self.taken, bytes: self.bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox() -> Inbox {
        Inbox::new(&ClusterLimits { ack_entries_max: 3, ack_ms_max: 50, ..ClusterLimits::default() })
    }

    fn entries(numbers: &[u64]) -> Vec<Entry> {
        let field = || vec![(b"-t".to_vec(), b"u".to_vec())];
        numbers.iter().map(|number| Entry { number: *number, fields: field() }).collect()
    }

    #[test]
    fn an_entry_is_taken_once_and_one_that_is_missing_is_noticed() {
        let mut inbox = inbox();
        inbox.push(entries(&[1, 1, 2, 4]));
        assert!(matches!(inbox.take(0), Next::Entry(Entry { number: 1, .. })));
        assert!(matches!(inbox.take(0), Next::Entry(Entry { number: 2, .. })));
        assert!(matches!(inbox.take(0), Next::Jump));
        inbox.push(vec![Entry { number: 9, fields: vec![(b"!".to_vec(), Vec::new())] }]);
        assert!(matches!(inbox.take(0), Next::Cut));
    }

    #[test]
    fn entries_are_acknowledged_when_they_take_much_of_the_inbox() {
        let mut inbox = Inbox::new(&ClusterLimits { inbox_bytes_max: 8 * 100, ..ClusterLimits::default() });
        inbox.push(entries(&[1, 2]));
        inbox.take(0);
        assert_eq!(inbox.next_ack(Epoch(1), 0), None);
        inbox.take(0);
        assert!(inbox.next_ack(Epoch(1), 0).is_some() && inbox.next_ack(Epoch(1), 0).is_none());
    }

    #[test]
    fn entries_are_acknowledged_when_they_are_many_or_old() {
        let mut inbox = inbox();
        let epoch = Epoch(1);
        inbox.push(entries(&[1, 2, 3, 4]));
        (0..2).for_each(|_| drop(inbox.take(10)));
        assert_eq!((inbox.next_ack(epoch, 59), inbox.deadline()), (None, Some(60)));
        assert_eq!(inbox.next_ack(epoch, 60), Some(Call::Ack { epoch, entry: 2, bytes: 2 * 67 }));
        assert_eq!((inbox.next_ack(epoch, 99), inbox.deadline()), (None, None));
        (0..2).for_each(|_| drop(inbox.take(99)));
        assert_eq!(inbox.next_ack(epoch, 99), None);
        inbox.push(entries(&[5]));
        inbox.take(99);
        assert_eq!(inbox.next_ack(epoch, 99), Some(Call::Ack { epoch, entry: 5, bytes: 5 * 67 }));
    }
}
