//! What the dispatcher has of an endpoint: its queue, its threads, and what the operator was told of it.
//!
//! What must never happen here: a line in the log per batch. What does not change is said once.

use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;

use super::endpoint_queue::{Action, Burial, EndpointQueue, Now};
use super::workers::Workers;
use crate::counters::EndpointCounters;
use crate::dead_letters::{EndpointFailure, EndpointStatus};
use crate::notice::say;
use crate::row::{Position, Row};
use crate::settings::{DeliverySettings, Endpoint, Retry};
use crate::sink::Outcome;
use crate::sinks::webhook::without_answer;

/// A failing endpoint is spoken of once, and again at the earliest after this.
const SILENCE_MS: u64 = 60_000;

pub(crate) struct EndpointState {
    settings: Endpoint,
    /// There as soon as the source has said where it goes on.
    queue: Option<EndpointQueue>,
    workers: Workers,
    /// True when the source had no more.
    caught_up: bool,
    delivery: DeliverySettings,
    said: Said,
    failing: Option<Failing>,
    /// Why it gets nothing, if it is disabled.
    disabled: Option<Arc<str>>,
}

/// An endpoint that accepts nothing, on the clock that goes on across restarts.
#[derive(Clone, Copy)]
struct Failing {
    since_unix_ms: u64,
    last_unix_ms: u64,
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
        let said = Said::default();
        Self {
            settings,
            queue: None,
            workers,
            caught_up: false,
            delivery,
            said,
            failing: None,
            disabled: None,
        }
    }

    /// It has accepted nothing since then, as a former dispatcher saw.
    pub(crate) fn fails_since(&mut self, unix_ms: u64) {
        self.failing = Some(Failing { since_unix_ms: unix_ms, last_unix_ms: unix_ms });
    }

    /// Why it is to be disabled, if it is.
    pub(crate) fn wants_disabling(&self) -> Option<String> {
        let (after, failing) = (self.delivery.disable_after?, self.failing?);
        let failed_ms = failing.last_unix_ms.saturating_sub(failing.since_unix_ms);
        if self.disabled.is_some() || u128::from(failed_ms) < after.as_millis() {
            return None;
        }
        let why = self.queue.as_ref().and_then(EndpointQueue::failure).unwrap_or_default();
        Some(format!(
            "the endpoint is disabled, since it accepted nothing for {} s: {why}",
            failed_ms / 1_000
        ))
    }

    /// From now on it gets nothing.
    pub(crate) fn disable(&mut self, reason: &str) {
        let reason: Arc<str> = reason.into();
        if let Some(queue) = &mut self.queue {
            queue.disable(Arc::clone(&reason));
        }
        self.disabled = Some(reason);
    }

    /// An operator has enabled it.
    pub(crate) fn enable(&mut self) {
        (self.failing, self.disabled, self.said) = (None, None, Said::default());
        if let Some(queue) = &mut self.queue {
            queue.enable();
        }
    }

    pub(crate) fn is_disabled(&self) -> bool {
        self.disabled.is_some()
    }

    /// The source goes on from here.
    pub(crate) fn begin(&mut self, place: Position) {
        let mut queue = EndpointQueue::new(&self.settings, &self.delivery, place, Rng::new());
        if let Some(reason) = &self.disabled {
            queue.disable(Arc::clone(reason));
        }
        self.queue = Some(queue);
        self.caught_up = false;
    }

    /// Goes on from here in a source that has begun anew.
    pub(crate) fn begin_anew(&mut self, place: Position) {
        self.caught_up = false;
        if let Some(queue) = &mut self.queue {
            queue.begin_anew(place);
        }
    }

    /// The name that its place is stored under.
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether its rows are of this app.
    pub(crate) fn is_of_app(&self, app_id: &str) -> bool {
        *self.settings.app.id == *app_id
    }

    /// True once the source has said where it goes on.
    pub(crate) fn has_begun(&self) -> bool {
        self.queue.is_some()
    }

    /// The source may have more rows.
    pub(crate) fn handle_wake(&mut self) {
        self.caught_up = false;
    }

    /// The row behind which it wants to read so many more, if it does: it has room, and the source may have more.
    pub(crate) fn wants_after(&self, rows: usize) -> Option<Position> {
        let queue = self.queue.as_ref().filter(|_| !self.caught_up)?;
        queue.has_room(rows).then(|| queue.read())
    }

    /// What the source had; nothing at its end.
    pub(crate) fn handle_rows(&mut self, rows: &[(Position, Arc<Row>)], now: Now) {
        debug_assert!(self.has_begun(), "rows are read from a place");
        self.caught_up = rows.is_empty();
        let Some(queue) = &mut self.queue else { return };
        for (position, row) in rows {
            queue.handle_row(*position, row, now);
        }
    }

    /// It is done with everything up to here.
    pub(crate) fn place(&self) -> Option<Position> {
        self.queue.as_ref().map(EndpointQueue::place)
    }

    /// Whether it takes so many dead letters again: it has room, and no failure with other rows.
    pub(crate) fn takes_replays(&self, rows: usize) -> bool {
        let is_ready = |queue: &EndpointQueue| {
            (queue.failure().is_none() || queue.held_rows() == 0) && queue.has_room(rows)
        };
        !self.is_disabled() && self.queue.as_ref().is_some_and(is_ready)
    }

    /// A dead letter that is to be tried again.
    pub(crate) fn handle_replay(&mut self, letter: i64, row: Arc<Row>, now: Now) {
        debug_assert!(self.has_begun(), "an endpoint without a place takes no replays");
        if let Some(queue) = &mut self.queue {
            queue.handle_replay(letter, row, now);
        }
    }

    /// Dead letters that were accepted since this was last asked.
    pub(crate) fn take_replayed(&mut self) -> Vec<i64> {
        self.queue.as_mut().map(EndpointQueue::take_replayed).unwrap_or_default()
    }

    /// When it may have something to do although nothing happens.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.queue.as_ref()?.deadline_ms()
    }

    /// From now on no batch waits for more events.
    pub(crate) fn flush(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.flush();
        }
    }

    /// Ends threads that have long had nothing to do.
    pub(crate) fn trim(&mut self, now: Instant) {
        self.workers.trim(now);
    }

    /// Sets its gauges, and adds what its queue has counted.
    pub(crate) fn count(&mut self, counters: &EndpointCounters) {
        counters.disabled.set(u64::from(self.is_disabled()));
        let Some(queue) = &mut self.queue else { return };
        let totals = queue.take_totals();
        counters.split.add(totals.split);
        counters.given_up_early.add(totals.given_up_early);
        counters.held.set(queue.held_rows() as u64);
        counters.paused.set(u64::from(queue.is_paused()));
        counters.retrying.set(queue.retrying() as u64);
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

    /// The rows of this burial are dead letters now.
    pub(crate) fn handle_buried(&mut self, flight: u64, burial: &Burial, now: Now) {
        self.said.given_up += burial.rows.len() as u64;
        self.said.why = burial.reason.to_string();
        self.speak_of_given_up(now);
        debug_assert!(self.has_begun(), "a burial is of a batch");
        if let Some(queue) = &mut self.queue {
            queue.handle_buried(flight);
        }
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
            Outcome::Refused(_) | Outcome::Later(..) | Outcome::Ended(_) => counters.refused.add(1),
            Outcome::Unreachable(_) => counters.unreachable.add(1),
        }
        self.failing = (outcome != Outcome::Done).then(|| {
            let since_unix_ms = self.failing.map_or(now.unix_ms, |failing| failing.since_unix_ms);
            Failing { since_unix_ms, last_unix_ms: now.unix_ms }
        });
        if let Some(queue) = &mut self.queue {
            queue.handle_outcome(flight, outcome, now);
        }
    }

    fn speak(&mut self, now: Now) {
        self.speak_of_given_up(now);
        let Some(queue) = self.queue.as_ref().filter(|_| self.disabled.is_none()) else { return };
        let name = &self.settings.name;
        match queue.failure() {
            Some(reason) if !self.said.failing && now.steady_ms >= self.said.not_before_ms => {
                let patience = match self.delivery.retry {
                    Retry::Pusher => format!("for {} s", self.delivery.give_up_after.as_secs_f32()),
                    Retry::Day => "over 28 hours".to_owned(),
                };
                let reason = without_answer(reason);
                say(format_args!(
                    "endpoint {name:?} does not accept events: {reason}; each is tried again {patience}, then it is a \
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
        let why = without_answer(why);
        say(format_args!(
            "EVENTS WERE GIVEN UP: endpoint {:?} did not accept {given_up}, which are dead letters now: {why}; see \
             `corecast hooks dlq list`",
            self.settings.name
        ));
        *given_up = 0;
        *given_up_not_before_ms = now.steady_ms + SILENCE_MS;
    }
}
