//! The one clock of a run: nanoseconds since its start, the same for every thread and every process of it.
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

    /// The clock of a run that another process of this machine has begun; exact to the time between two readings.
    pub(crate) fn join(epoch_ns: u64) -> Self {
        let age = Duration::from_nanos(monotonic_ns().saturating_sub(epoch_ns));
        let now = Instant::now();
        Self { epoch: now.checked_sub(age).unwrap_or(now) }
    }

    /// The start of the run on the kernel's clock, for `join`.
    pub(crate) fn epoch_ns(self) -> u64 {
        monotonic_ns().saturating_sub(self.now_ns())
    }

    /// Nanoseconds since the start of the run; wraps after 584 years.
    pub(crate) fn now_ns(self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * SECOND_NS + time.tv_nsec as u64
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_that_joins_tells_the_same_time() {
        let clock = Clock::start();
        let joined = Clock::join(clock.epoch_ns());
        assert!(clock.now_ns().abs_diff(joined.now_ns()) < MILLISECOND_NS * 100);
    }
}
