//! Events that were published here on topics with subscribers here, and have not come back from their server.
//!
//! They come back in their order. When the session is lost none comes any more: they are delivered here, in their order, and
//! what is published until that is done lines up behind them.

use std::collections::VecDeque;

use crate::mesh::Event;
use crate::now::Moment;

/// The echoes of one server.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    queue: VecDeque<(u64, Event)>,
    bytes: usize,
    /// The number of the last one. No number is 0.
    last: u64,
}

impl Echoes {
    /// An event is kept. Returns its number.
    pub(super) fn push(&mut self, event: Event) -> u64 {
        self.last += 1;
        self.bytes += event.frame.len();
        self.queue.push_back((self.last, event));
        self.last
    }

    /// This one has come back, and with it all before it. Returns when it was received.
    pub(super) fn end(&mut self, number: u64) -> Option<Moment> {
        let mut received = None;
        while let Some((first, event)) = self.queue.front().filter(|(first, _)| *first <= number) {
            received = event.received.filter(|_| *first == number);
            self.pop();
        }
        received
    }

    /// The oldest, which is delivered here.
    pub(super) fn pop(&mut self) -> Option<Event> {
        let (_, event) = self.queue.pop_front()?;
        self.bytes -= event.frame.len();
        Some(event)
    }

    /// True when there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// What they keep, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
