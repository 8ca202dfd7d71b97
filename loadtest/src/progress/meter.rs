//! How busy this program is, second by second: a mean over a run hides the moment in which it could not keep up.
//!
//! Owns the reading before. All threads count, and receiving processes; waiting for a core that others have counts like using it. What
//! cannot be read is not told.

use std::time::{Duration, Instant};

use crate::clock::nanoseconds;
use crate::proc::{Process, Usage};

pub(super) struct Meter {
    own: Option<Process>,
    before: Option<Usage>,
    since: Instant,
}

impl Meter {
    pub(super) fn start() -> Self {
        let own = Process::own().ok();
        let before = own.as_ref().and_then(|own| own.usage().ok());
        Self { own, before, since: Instant::now() }
    }

    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The share since the last call.
    pub(super) fn share(&mut self) -> Option<f64> {
        let own = self.own.as_ref()?;
        let (now, wall_ns) = (own.usage().ok()?, nanoseconds(self.since.elapsed()));
        self.since = Instant::now();
        let spent = self.before.as_ref().map(|before| now.since(before));
        self.before = Some(now);
        spent?.restless_ratio(own.cores().ok()?.len(), wall_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_this_program_shows() {
        let mut meter = Meter::start();
        while meter.age() < Duration::from_millis(20) {}
        // How much depends on who else wants the core.
        assert!(meter.share().unwrap() > 0.0);
    }
}
