//! The one clock of a run: nanoseconds since its start, the same for every thread.
//!
//! Owns the epoch. Stamps in payloads, schedules and arrivals all count from it, so a latency is one subtraction.
//! Wall time is asked for in one place only, the REST signature.

use std::time::{Duration, Instant};

pub(crate) const SECOND_NS: u64 = 1_000_000_000;
pub(crate) const MILLISECOND_NS: u64 = 1_000_000;

/// Copied into every thread of a run.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Nanoseconds since the start of the run; wraps after 584 years.
    pub(crate) fn now_ns(self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
