//! What the dispatcher has of an endpoint: its queue, its threads, and what the operator was told of it.
//!
//! What must never happen here: a line for the operator per batch; what stays as it is is said once.

use std::time::Instant;

use fastrand::Rng;

use super::endpoint_queue::{Action, Burial, EndpointQueue, Now};
use super::workers::Workers;
use crate::counters::EndpointCounters;
use crate::dead_letters::{EndpointFailure, EndpointStatus};
use crate::notice::say;
use crate::row::Position;
use crate::settings::{DeliverySettings, Endpoint};
use crate::sink::Outcome;

/// A failing endpoint is spoken of once, and again at the earliest after this.
const SILENCE_MS: u64 = 60_000;

pub(crate) struct EndpointState {
    pub(crate) settings: Endpoint,
    /// There as soon as the source has said where it goes on.
    pub(crate) queue: Option<EndpointQueue>,
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
    /// Events that were given up and not yet spoken of, and why the last of them was.
    given_up: u64,
    why: String,
    given_up_not_before_ms: u64,
}

impl EndpointState {
    pub(crate) fn new(settings: Endpoint, workers: Workers, delivery: DeliverySettings) -> Self {
        Self { settings, queue: None, workers, caught_up: false, delivery, said: Said::default() }
    }

    /// The source goes on from here.
    pub(crate) fn begin(&mut self, place: Position) {
        self.queue = Some(EndpointQueue::new(&self.settings, &self.delivery, place, Rng::new()));
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
        while let Some(action) = self.queue.as_mut().and_then(|queue| queue.poll(now)) {
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

    /// So many events have become dead letters.
    pub(crate) fn handle_given_up(&mut self, rows: u64, why: &str, now: Now) {
        self.said.given_up += rows;
        self.said.why = why.to_owned();
        self.speak_of_given_up(now);
    }

    /// How the endpoint is, for the operator.
    pub(crate) fn status(&self, now: Now) -> EndpointStatus {
        let unix_ms = |steady_ms: u64| (now.unix_ms + steady_ms).saturating_sub(now.steady_ms);
        let queue = self.queue.as_ref();
        let failing = queue.and_then(|it| Some((it.failure()?, it.failing_ms()?)));
        EndpointStatus {
            name: self.settings.name.clone(),
            target: self.settings.sink.shown(),
            held: queue.map_or(0, |queue| queue.held_rows() as u64),
            failure: failing.map(|(error, (since_ms, next_ms))| EndpointFailure {
                error: error.to_owned(),
                since_ms: unix_ms(since_ms),
                next_ms: next_ms.map(unix_ms),
            }),
        }
    }

    /// True when nothing is on its way and the source has no more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue
            .as_ref()
            .is_none_or(|queue| queue.sent() == 0 && (self.caught_up || queue.failure().is_some()))
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
        if let Some(queue) = &mut self.queue {
            queue.handle_outcome(flight, outcome, now);
        }
    }

    fn speak(&mut self, now: Now) {
        self.speak_of_given_up(now);
        let Some(queue) = &self.queue else { return };
        let name = &self.settings.name;
        match queue.failure() {
            Some(reason) if !self.said.failing && now.steady_ms >= self.said.not_before_ms => {
                let patience = self.delivery.give_up_after.as_secs_f32();
                say(format_args!(
                    "endpoint {name:?} does not accept events: {reason}; each is tried again for {patience} s, then it is a \
                     dead letter"
                ));
                (self.said.failing, self.said.not_before_ms) = (true, now.steady_ms + SILENCE_MS);
            }
            None if self.said.failing => {
                say(format_args!("endpoint {name:?} accepts events again"));
                self.said.failing = false;
            }
            _ => {}
        }
    }

    fn speak_of_given_up(&mut self, now: Now) {
        let Said { given_up, why, given_up_not_before_ms, .. } = &mut self.said;
        if *given_up == 0 || now.steady_ms < *given_up_not_before_ms {
            return;
        }
        say(format_args!(
            "EVENTS WERE GIVEN UP: endpoint {:?} did not accept {given_up}, which are dead letters now: {why}; see \
             `corecast hooks dlq list`",
            self.settings.name
        ));
        *given_up = 0;
        *given_up_not_before_ms = now.steady_ms + SILENCE_MS;
    }
}
