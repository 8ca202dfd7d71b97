//! Where hook events end for now: a sink that counts them by name. It owns the hooks thread's loop; it never touches
//! a shard. The journal and the destinations will take its place.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::queue::{Drain, Waited};

/// Counts of events by name.
#[derive(Debug, Default)]
pub struct CountingSink {
    counts: BTreeMap<&'static str, u64>,
}

impl CountingSink {
    /// Takes events until every producer is gone and the queue is empty.
    pub fn run(mut self, drain: &Drain) -> Self {
        loop {
            match drain.wait(Duration::from_secs(1)) {
                Waited::Event(happened) => *self.counts.entry(happened.event.name()).or_default() += 1,
                Waited::Nothing => {}
                Waited::Finished => return self,
            }
        }
    }

    /// How many events of this name came.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }
}
