//! An endpoint's place in the dispatcher: its courier, its threads, and what is told of it.
//!
//! What must never happen here: a line for the operator per batch; what stays as it is is said once.

use std::time::Instant;

use fastrand::Rng;

use super::courier::{Action, Burial, Courier, Now};
use super::workers::Workers;
use crate::dispatch::EndpointCounters;
use crate::row::Position;
use crate::settings::{DeliverySettings, Endpoint};
use crate::sink::Outcome;

/// A failing endpoint is spoken of once, and again at the earliest after this.
const SILENCE_MS: u64 = 60_000;

pub(crate) struct Desk {
    pub(crate) endpoint: Endpoint,
    /// There as soon as the source has said where it goes on.
    pub(crate) courier: Option<Courier>,
    pub(crate) workers: Workers,
    /// True when the source had no more.
    pub(crate) caught_up: bool,
    delivery: DeliverySettings,
    said: Said,
}

#[derive(Default)]
struct Said {
    failing: bool,
    not_before_ms: u64,
}

impl Desk {
    pub(crate) fn new(endpoint: Endpoint, workers: Workers, delivery: DeliverySettings) -> Self {
        Self { endpoint, courier: None, workers, caught_up: false, delivery, said: Said::default() }
    }

    /// The source goes on from here.
    pub(crate) fn begin(&mut self, place: Position) {
        self.courier = Some(Courier::new(&self.endpoint, &self.delivery, place, Rng::new()));
        self.caught_up = false;
    }

    /// Does all that can be done now. Rows to bury go to `burials`.
    pub(crate) fn advance(
        &mut self,
        now: Now,
        instant: Instant,
        counters: &EndpointCounters,
        mut burials: impl FnMut(u64, Burial),
    ) {
        while let Some(action) = self.courier.as_mut().and_then(|courier| courier.poll(now)) {
            match action {
                Action::Bury { flight, burial } => burials(flight, burial),
                Action::Send { flight, batch } if self.workers.is_instant() => {
                    self.handle_outcome(flight, batch.rows.len(), Outcome::Done, now, counters);
                }
                Action::Send { flight, batch } => {
                    let rows = batch.rows.len();
                    if let Err(error) = self.workers.send(flight, batch, instant) {
                        let outcome = Outcome::Unreachable(format!("no thread to deliver with: {error}"));
                        self.handle_outcome(flight, rows, outcome, now, counters);
                    }
                }
            }
        }
        self.speak(now);
    }

    /// A thread has done with a batch.
    pub(crate) fn handle_delivered(
        &mut self,
        flight: u64,
        rows: usize,
        outcome: Outcome,
        now: Now,
        instant: Instant,
        counters: &EndpointCounters,
    ) {
        self.workers.handle_delivered(flight, instant);
        self.handle_outcome(flight, rows, outcome, now, counters);
    }

    /// True when nothing is on its way and the source has no more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.courier
            .as_ref()
            .is_none_or(|courier| courier.sent() == 0 && (self.caught_up || courier.failure().is_some()))
    }

    fn handle_outcome(
        &mut self,
        flight: u64,
        rows: usize,
        outcome: Outcome,
        now: Now,
        counters: &EndpointCounters,
    ) {
        match &outcome {
            Outcome::Done => {
                counters.batches.add(1);
                counters.accepted.add(rows as u64);
            }
            Outcome::Refused(_) => counters.refused.add(1),
            Outcome::Unreachable(_) => counters.unreachable.add(1),
        }
        if let Some(courier) = &mut self.courier {
            courier.handle_outcome(flight, outcome, now);
        }
    }

    fn speak(&mut self, now: Now) {
        let Some(courier) = &self.courier else { return };
        let name = &self.endpoint.name;
        match courier.failure() {
            Some(reason) if !self.said.failing && now.steady_ms >= self.said.not_before_ms => {
                logging::say!(
                    "hook endpoint {name:?} accepts no events: {reason}; they are kept and tried again"
                );
                self.said = Said { failing: true, not_before_ms: now.steady_ms + SILENCE_MS };
            }
            None if self.said.failing => {
                logging::say!("hook endpoint {name:?} accepts events again");
                self.said.failing = false;
            }
            _ => {}
        }
    }
}
