//! What the last answers say of an endpoint, and whether it is paused.
//!
//! An endpoint that could not be reached several times in a row gets one probe at a time, with growing pauses, until it
//! answers: one clock for all its channels. What must never happen here: a pause of an endpoint that answers.

use std::sync::Arc;

use fastrand::Rng;

use super::backoff;

/// Transport failures in a row that pause an endpoint.
const FAILURES_TO_PAUSE: u32 = 5;

#[derive(Debug)]
pub(crate) struct Health {
    unreachable_in_row: u32,
    /// Since when nothing was accepted, if the last outcome was a failure.
    failing_since_ms: Option<u64>,
    last_failure: Arc<str>,
    pause: Option<Pause>,
}

#[derive(Debug)]
pub(crate) struct Pause {
    /// When the next probe may go.
    pub(crate) until_ms: u64,
    /// Which probe that will be, from 1.
    pub(crate) probes: u32,
    /// The probe that is on its way.
    pub(crate) probe: Option<u64>,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self { unreachable_in_row: 0, failing_since_ms: None, last_failure: "".into(), pause: None }
    }

    pub(crate) fn handle_done(&mut self) {
        self.unreachable_in_row = 0;
        self.failing_since_ms = None;
        self.pause = None;
    }

    /// It answers, so it is there.
    pub(crate) fn handle_refused(&mut self, reason: String, now_ms: u64) {
        self.note_failure(reason, now_ms);
        self.unreachable_in_row = 0;
        self.pause = None;
    }

    /// This batch was not answered. A pause begins, or goes on after its probe; what else was on its way says no more.
    pub(crate) fn handle_unreachable(
        &mut self,
        flight: u64,
        reason: String,
        now_ms: u64,
        pause_max_ms: u64,
        rng: &mut Rng,
    ) {
        self.note_failure(reason, now_ms);
        self.unreachable_in_row = self.unreachable_in_row.saturating_add(1);
        let is_told = self.pause.as_ref().is_some_and(|pause| pause.probe != Some(flight));
        if is_told || self.unreachable_in_row < FAILURES_TO_PAUSE {
            return;
        }
        let probes = self.pause.as_ref().map_or(0, |pause| pause.probes) + 1;
        let until_ms = now_ms + backoff::pause_ms(probes, pause_max_ms, rng);
        self.pause = Some(Pause { until_ms, probes, probe: None });
    }

    /// While it is paused, this is its probe.
    pub(crate) fn handle_sent(&mut self, flight: u64) {
        if let Some(pause) = &mut self.pause {
            pause.probe = Some(flight);
        }
    }

    pub(crate) fn pause(&self) -> Option<&Pause> {
        self.pause.as_ref()
    }

    pub(crate) fn failing_since_ms(&self) -> Option<u64> {
        self.failing_since_ms
    }

    pub(crate) fn last_failure(&self) -> &Arc<str> {
        &self.last_failure
    }

    fn note_failure(&mut self, reason: String, now_ms: u64) {
        self.failing_since_ms.get_or_insert(now_ms);
        self.last_failure = reason.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable(health: &mut Health, flight: u64, now_ms: u64) {
        health.handle_unreachable(flight, "gone".to_owned(), now_ms, 60_000, &mut Rng::with_seed(1));
    }

    #[test]
    fn five_failures_in_a_row_pause_and_any_answer_ends_it() {
        let mut health = Health::new();
        for flight in 0..4 {
            unreachable(&mut health, flight, 10 + flight);
        }
        health.handle_refused("500".to_owned(), 20);
        for flight in 0..4 {
            unreachable(&mut health, flight, 30);
        }
        assert!(health.pause().is_none());
        unreachable(&mut health, 4, 30);
        assert!(health.pause().is_some_and(|pause| pause.until_ms > 30));
        assert_eq!(health.failing_since_ms(), Some(10));
        health.handle_refused("500".to_owned(), 40);
        assert!(health.pause().is_none());
        health.handle_done();
        assert_eq!(health.failing_since_ms(), None);
    }

    #[test]
    fn only_the_probe_prolongs_a_pause() {
        let mut health = Health::new();
        for flight in 0..5 {
            unreachable(&mut health, flight, 0);
        }
        let first = health.pause().unwrap().until_ms;
        unreachable(&mut health, 6, 100_000);
        assert_eq!(health.pause().unwrap().until_ms, first);
        health.handle_sent(7);
        unreachable(&mut health, 7, 100_000);
        let pause = health.pause().unwrap();
        assert!(pause.until_ms > 100_000 && pause.probes == 2 && pause.probe.is_none());
    }
}
