//! A Redis server that cannot be used for a while: what is wrong since when, and the pauses between tries.
//!
//! What must never happen here: a line for the operator per try.

use std::fmt::Display;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use crate::notice::say;

/// Wrong or not. `K` tells one fault from another: each is said once.
#[derive(Debug)]
pub(crate) struct RedisOutage<K> {
    now: Option<(K, Instant)>,
    backoff: Backoff,
}

impl<K: Copy + PartialEq> RedisOutage<K> {
    /// Nothing is wrong yet. Pauses grow up to `pause_max`.
    pub(crate) fn new(pause_max: Duration) -> Self {
        Self { now: None, backoff: Backoff::new(pause_max) }
    }

    /// Something of this kind is wrong. Says so if it is not known yet, and returns how long to wait before the next try.
    pub(crate) fn goes_on(&mut self, kind: K, text: impl Display) -> Duration {
        if self.now.is_none_or(|(known, _)| known != kind) {
            say(text);
        }
        let since = self.now.map_or_else(Instant::now, |(_, since)| since);
        self.now = Some((kind, since));
        self.backoff.pause()
    }

    /// Nothing is wrong. Returns how long something was, if it was.
    pub(crate) fn is_over(&mut self) -> Option<Duration> {
        let (_, since) = self.now.take()?;
        self.backoff.reset();
        Some(since.elapsed())
    }

    /// Whether something is wrong.
    pub(crate) fn is_there(&self) -> bool {
        self.now.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_from_its_first_fault_whatever_came_after() {
        let mut outage = RedisOutage::new(Duration::from_secs(1));
        assert!(outage.is_over().is_none() && !outage.is_there());
        let first = outage.goes_on(1, "first");
        let began = outage.now.unwrap().1;
        let second = outage.goes_on(2, "second");
        assert!(first < Duration::from_millis(101) && second > first / 2, "{first:?} {second:?}");
        assert_eq!(outage.now.unwrap(), (2, began));
        assert!(outage.is_over().is_some() && !outage.is_there());
        assert!(outage.goes_on(1, "again") <= Duration::from_millis(100), "pauses begin anew");
    }
}
