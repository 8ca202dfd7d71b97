//! An outage: something that is wrong for a while. The log says so when it begins, every minute, and when it is over.
//!
//! The pauses between tries grow. What must never happen here: a line per try.

use std::time::{Duration, Instant};

use crate::limits::{OUTAGE_PAUSE_MAX, OUTAGE_PAUSE_MIN};
use crate::notice::say;

const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Whether something is wrong, and how often it was tried.
#[derive(Debug, Default)]
pub struct Outage {
    said: Option<Instant>,
    tries: u32,
}

impl Outage {
    /// Another try has failed.
    pub fn goes_on(&mut self, text: impl FnOnce() -> String) {
        self.tries = self.tries.saturating_add(1);
        if self.said.is_none_or(|said| said.elapsed() > SAY_AGAIN) {
            self.said = Some(Instant::now());
            say(text());
        }
    }

    /// A try has succeeded.
    pub fn is_over(&mut self, text: impl FnOnce() -> String) {
        self.tries = 0;
        if self.said.take().is_some() {
            say(text());
        }
    }

    /// Whether something is wrong.
    pub fn is_there(&self) -> bool {
        self.said.is_some()
    }

    /// How long to wait before the next try; none when nothing is wrong.
    pub fn pause(&self) -> Option<Duration> {
        let doublings = self.tries.saturating_sub(1).min(16);
        self.is_there().then(|| (OUTAGE_PAUSE_MIN * (1 << doublings)).min(OUTAGE_PAUSE_MAX))
    }
}
