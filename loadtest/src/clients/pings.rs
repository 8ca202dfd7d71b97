//! When each connection pings: once a period, all of them spread evenly over it.
//!
//! Owns the schedule and nothing else. Pure: asked with the time, it names the connections whose ping is due. A late look never
//! moves the times: pings count from when they were due.

use std::time::Duration;

use crate::clock::SECOND_NS;

pub(crate) struct Pings {
    period_ns: u64,
    connections: u64,
    start_ns: u64,
    /// Pings handed out so far.
    done: u64,
}

impl Pings {
    pub(crate) fn new(period_ns: u64, connections: usize, start_ns: u64) -> Self {
        Self { period_ns: period_ns.max(1), connections: connections.max(1) as u64, start_ns, done: 0 }
    }

    /// The next connection whose ping is due, and when it was.
    pub(crate) fn poll(&mut self, now_ns: u64) -> Option<(usize, u64)> {
        let due_ns = self.due_ns();
        let is_due = due_ns <= now_ns;
        let subscriber = (self.done % self.connections) as usize;
        self.done += u64::from(is_due);
        is_due.then_some((subscriber, due_ns))
    }

    pub(crate) fn until_next(&self, now_ns: u64) -> Duration {
        Duration::from_nanos(self.due_ns().saturating_sub(now_ns).min(SECOND_NS))
    }

    /// The first of each comes one period after the start, spread like all others.
    fn due_ns(&self) -> u64 {
        let (round, index) = (self.done / self.connections, self.done % self.connections);
        self.start_ns + round * self.period_ns + (index + 1) * self.period_ns / self.connections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_pings_once_a_period_and_never_two_at_once() {
        let mut pings = Pings::new(1000, 4, 50);
        assert_eq!(pings.poll(299), None);
        let due: Vec<_> = std::iter::from_fn(|| pings.poll(2050)).collect();
        let expected: Vec<_> = (0..8).map(|done| (done % 4, 50 + (done as u64 + 1) * 250)).collect();
        assert_eq!(due, expected);
    }
}
