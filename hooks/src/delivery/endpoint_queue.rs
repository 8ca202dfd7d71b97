//! Decides what is sent to one endpoint and when: a value without I/O that is given rows, outcomes and the time.
//!
//! It filters, makes batches, keeps the order of each channel, and decides about retries, pauses and dead letters. A refused
//! batch is split in two, so that one refused channel does not hold up others, and what such a channel holds up has a bound.
//! It holds the rows that the endpoint is not done with. What must never happen here: two batches with rows of one channel at the same time, a batch that changes in
//! any other way once it was tried, or a row that is done without an acknowledgement or a dead letter.

use std::mem;
use std::sync::Arc;

use fastrand::Rng;
use protocol::hook_event::HookEvent;

use super::channel_queues::{ChannelQueues, HeldRow, Origin};
use super::filter::Filter;
use super::flights::{Flight, Flights};
use super::health::Health;
use super::schedule::Schedule;
use super::watermark::Watermark;
use crate::limits::{HELD_BYTES_MAX, HELD_ROWS_MAX, PARTS_MAX, RETRIES_MAX, SPAN_ROWS_MAX, SPARE_ROWS_MIN};
use crate::row::{Position, Row};
use crate::settings::{DeliverySettings, Endpoint};
use crate::sink::{Batch, Outcome};

/// Batches that are split before one is accepted: enough to find the channel that is refused among those of a batch, and
/// few for an endpoint that refuses all.
const SPLITS_IN_VAIN: u32 = 4;
/// After these, one batch is split in this time.
const SPLIT_EVERY_MS: u64 = 20_000;
/// How often a batch goes before its time when no new one may begin.
const STUCK_RETRY_MS: u64 = 60_000;

/// The time, as the dispatcher's thread knows it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    /// Never goes back.
    pub(crate) steady_ms: u64,
    /// Unix time.
    pub(crate) unix_ms: u64,
}

/// What the dispatcher's thread must do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Deliver this, and say what became of it.
    Send { flight: u64, batch: Batch },
    /// Keep these rows as dead letters, and say when they are safe.
    Bury { flight: u64, burial: Burial },
}

/// Rows that the endpoint will not get.
#[derive(Clone, Debug)]
pub(crate) struct Burial {
    /// Each with the number of its dead letter if it was one before.
    pub(crate) rows: Vec<(Arc<Row>, Option<i64>)>,
    /// How often they were tried.
    pub(crate) tries: u32,
    /// What the endpoint said last.
    pub(crate) reason: Arc<str>,
}

/// The deliveries of one endpoint.
#[derive(Debug)]
pub(crate) struct EndpointQueue {
    filter: Filter,
    timing: Timing,
    rng: Rng,
    mark: Watermark,
    channels: ChannelQueues,
    held_rows: usize,
    held_bytes: usize,
    orders: u64,
    flights: Flights,
    /// Batches on their way.
    sent: usize,
    health: Health,
    splits_left: u32,
    split_at_ms: u64,
    replayed: Vec<i64>,
    flushing: bool,
    /// Why the endpoint gets nothing.
    disabled: Option<Arc<str>>,
    /// When a try last failed.
    failed_ms: u64,
    /// Batches that were accepted.
    accepted: u64,
    totals: Totals,
}

/// What an endpoint's queue counts.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Totals {
    /// Batches that went on in parts.
    pub(crate) split: u64,
    /// Events that were given up before their time.
    pub(crate) given_up_early: u64,
}

#[derive(Debug)]
struct Timing {
    held_rows_max: usize,
    span_rows_max: usize,
    span_bytes_max: u64,
    window_ms: u64,
    events_max: usize,
    in_flight_max: usize,
    schedule: Schedule,
}

impl EndpointQueue {
    /// Deliveries to this endpoint, from this place on.
    pub(crate) fn new(endpoint: &Endpoint, delivery: &DeliverySettings, place: Position, rng: Rng) -> Self {
        Self {
            filter: Filter::new(endpoint),
            timing: Timing::new(endpoint, delivery),
            rng,
            mark: Watermark::new(place),
            channels: ChannelQueues::default(),
            held_rows: 0,
            held_bytes: 0,
            orders: 0,
            flights: Flights::default(),
            sent: 0,
            health: Health::new(),
            splits_left: SPLITS_IN_VAIN,
            split_at_ms: 0,
            replayed: Vec::new(),
            flushing: false,
            disabled: None,
            failed_ms: 0,
            accepted: 0,
            totals: Totals::default(),
        }
    }

    /// The next row of the source.
    pub(crate) fn handle_row(&mut self, position: Position, row: &Arc<Row>, now: Now) {
        let bytes = bytes_of(&row.event);
        if !self.filter.wants(&row.event) {
            return self.mark.pass(position, bytes);
        }
        let ticket = self.mark.open(position, bytes);
        let happened_ms = now.steady_ms.saturating_sub(now.unix_ms.saturating_sub(row.time_ms));
        self.hold(Arc::clone(row), Origin::Source(ticket), happened_ms, now);
    }

    /// A dead letter that shall be tried again, behind all that waits on its channel.
    pub(crate) fn handle_replay(&mut self, letter: i64, row: Arc<Row>, now: Now) {
        self.hold(row, Origin::DeadLetter(letter), now.steady_ms, now);
    }

    /// What became of a batch that was sent.
    pub(crate) fn handle_outcome(&mut self, flight: u64, outcome: Outcome, now: Now) {
        assert!(
            self.sent > 0 && !self.flights.is_waiting(flight),
            "an outcome belongs to a batch on its way"
        );
        self.sent -= 1;
        match outcome {
            Outcome::Done => self.handle_done(flight, now),
            Outcome::Refused(reason) => {
                self.health.handle_refused(reason, now.steady_ms);
                self.note_try(flight, now);
                if !self.split(flight, now) {
                    self.retry_later(flight, now);
                }
            }
            Outcome::Later(reason, pause) => {
                self.health.handle_refused(reason, now.steady_ms);
                self.note_try(flight, now);
                if let Some(flight) = self.flights.get_mut(flight) {
                    flight.earliest_ms =
                        now.steady_ms + millis(pause).min(self.timing.schedule.wait_max_ms());
                }
                if !self.split(flight, now) {
                    self.retry_later(flight, now);
                }
            }
            Outcome::Ended(reason) => {
                self.health.handle_refused(reason, now.steady_ms);
                self.note_try(flight, now);
                if let Some(flight) = self.flights.get_mut(flight) {
                    flight.is_ended = true;
                    flight.expiry_ms = now.steady_ms;
                }
                self.flights.schedule(flight);
            }
            Outcome::Unreachable(reason) => {
                let (now_ms, max_ms) = (now.steady_ms, self.timing.schedule.probe_pause_max_ms());
                self.health.handle_unreachable(flight, reason, now_ms, max_ms, &mut self.rng);
                self.note_try(flight, now);
                if self.flights.get(flight).is_some_and(|it| it.is_beside_accepted && it.channels.len() > 1) {
                    for part in self.part(flight, PARTS_MAX) {
                        self.retry_later(part, now);
                    }
                } else {
                    self.retry_later(flight, now);
                }
            }
        }
    }

    /// The rows of a burial are safe.
    pub(crate) fn handle_buried(&mut self, flight: u64) {
        self.finish(flight, false);
    }

    /// The source has begun anew, and goes on here. What is held is still delivered.
    pub(crate) fn begin_anew(&mut self, place: Position) {
        self.mark.begin_anew(place);
    }

    /// From now on the endpoint gets nothing: what waits and what comes are dead letters, for this reason.
    pub(crate) fn disable(&mut self, reason: Arc<str>) {
        self.disabled = Some(reason);
    }

    /// It gets events again, as if it had never failed.
    pub(crate) fn enable(&mut self) {
        self.disabled = None;
        self.health = Health::new();
        self.splits_left = SPLITS_IN_VAIN;
    }

    /// From now on no batch waits for more events.
    pub(crate) fn flush(&mut self) {
        self.flushing = true;
    }

    /// What to do now. To be asked until there is nothing.
    pub(crate) fn poll(&mut self, now: Now) -> Option<Action> {
        if let Some(reason) = self.disabled.clone() {
            let flight =
                self.flights.first_expiry().map(|(_, id)| id).or_else(|| self.take(now, |_| true))?;
            return Some(self.bury(flight, Some(reason)));
        }
        if let Some(flight) = self.expired(now) {
            return Some(self.bury(flight, None));
        }
        if self.is_stuck()
            && let Some(flight) = self.take_hopeless(now)
        {
            return Some(self.bury(flight, None));
        }
        if self.is_crowded()
            && let Some(flight) = self.flights.first_beside_accepted()
        {
            return Some(self.bury_early(flight));
        }
        let flight = self.next_flight(now)?;
        let batch = self.flights.get(flight)?.batch.clone();
        self.flights.unschedule(flight);
        self.sent += 1;
        self.health.handle_sent(flight);
        Some(Action::Send { flight, batch })
    }

    /// When `poll` may have something to do although nothing happens, on the steady clock.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        if self.disabled.is_some() {
            return None;
        }
        let expiry = self.flights.first_expiry().map(|(expiry_ms, _)| expiry_ms);
        let hopeless = self.is_stuck().then(|| self.channels.oldest_ready()).flatten();
        let hopeless = hopeless.map(|held| self.hopeless_at_ms(held));
        [expiry, hopeless, self.send_at_ms()].into_iter().flatten().min()
    }

    /// True while more rows may come.
    pub(crate) fn has_room(&self, rows: usize) -> bool {
        self.held_rows + rows <= self.timing.held_rows_max && self.held_bytes < HELD_BYTES_MAX
    }

    /// True when little more can be read: what one channel's refusals hold up must not hold up the others.
    fn is_crowded(&self) -> bool {
        !self.has_room(SPARE_ROWS_MIN.min(self.timing.held_rows_max / 2))
            || self.mark.span() > self.timing.span_rows_max
            || self.mark.span_bytes() > self.timing.span_bytes_max
    }

    /// The last row that was read.
    pub(crate) fn read(&self) -> Position {
        self.mark.read()
    }

    /// Everything up to here is done.
    pub(crate) fn place(&self) -> Position {
        self.mark.low()
    }

    /// Dead letters that were accepted since this was last asked.
    pub(crate) fn take_replayed(&mut self) -> Vec<i64> {
        mem::take(&mut self.replayed)
    }

    /// Rows that are not done.
    pub(crate) fn held_rows(&self) -> usize {
        self.held_rows
    }

    /// The same with other bounds.
    #[cfg(test)]
    pub(crate) fn bounded(mut self, held_rows_max: usize, span_rows_max: usize) -> Self {
        (self.timing.held_rows_max, self.timing.span_rows_max) = (held_rows_max, span_rows_max);
        self
    }

    /// Channels that something is kept for.
    #[cfg(test)]
    pub(crate) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Batches that wait for their next try.
    pub(crate) fn retrying(&self) -> usize {
        self.flights.waiting()
    }

    /// What it has counted since this was last asked.
    pub(crate) fn take_totals(&mut self) -> Totals {
        mem::take(&mut self.totals)
    }

    /// Batches on their way.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// True while the endpoint gets nothing but a probe now and then.
    pub(crate) fn is_paused(&self) -> bool {
        self.health.pause().is_some()
    }

    /// What it said last that was no success, if nothing was accepted since.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.health.failing_since_ms().map(|_| &**self.health.last_failure())
    }

    /// While it fails: since when, and when it is tried again if that is known, on the steady clock.
    pub(crate) fn failing_ms(&self) -> Option<(u64, Option<u64>)> {
        let since_ms = self.health.failing_since_ms()?;
        let paused = self.health.pause().map(|pause| pause.until_ms);
        Some((since_ms, paused.or_else(|| self.flights.first_due().map(|(due_ms, _)| due_ms))))
    }

    fn hold(&mut self, row: Arc<Row>, origin: Origin, happened_ms: u64, now: Now) {
        let bytes = bytes_of(&row.event);
        self.held_rows += 1;
        self.held_bytes += bytes;
        self.orders += 1;
        let arrived_ms = now.steady_ms;
        self.channels.push(HeldRow { order: self.orders, row, origin, arrived_ms, happened_ms, bytes });
    }

    fn handle_done(&mut self, flight: u64, now: Now) {
        let was_refusing_all =
            self.is_paused() || self.splits_left == 0 || self.flights.waiting() >= RETRIES_MAX;
        self.health.handle_done();
        self.splits_left = SPLITS_IN_VAIN;
        self.accepted += 1;
        if was_refusing_all {
            // It is back: what waits for it need not wait longer. At most `in_flight_max` go at once.
            self.flights.bring_forward(now.steady_ms);
        }
        self.finish(flight, true);
    }

    fn note_try(&mut self, id: u64, now: Now) {
        let Some(flight) = self.flights.get_mut(id) else { return };
        self.failed_ms = now.steady_ms;
        flight.is_beside_accepted = flight.batch.tries > 0 && self.accepted > flight.accepted_before;
        flight.accepted_before = self.accepted;
        flight.batch.tries += 1;
        flight.reason = Arc::clone(self.health.last_failure());
    }

    /// Those of one channel that have stood behind others which were given up are given up as they would have been.
    fn retry_later(&mut self, id: u64, now: Now) {
        let Some(flight) = self.flights.get(id) else { return };
        let since_ms = self.tried_since_ms(&flight.held, &flight.channels, now);
        let Some(flight) = self.flights.get_mut(id) else { return };
        flight.expiry_ms = flight.expiry_ms.min(since_ms + self.timing.schedule.give_up_after_ms());
        let is_before_its_time = self.timing.schedule.is_by_count() && now.steady_ms < flight.regular_ms;
        if !is_before_its_time {
            flight.pauses += 1;
            match self.timing.schedule.pause_ms(flight.pauses, &mut self.rng) {
                Some(pause_ms) => flight.regular_ms = now.steady_ms + pause_ms,
                None => flight.expiry_ms = now.steady_ms,
            }
        }
        flight.due_ms = flight.regular_ms.max(now.steady_ms + 1).max(flight.earliest_ms);
        self.flights.schedule(id);
    }

    /// It may be one channel that is refused: the batch goes on as two, at once. False when it stays one, since it is of one
    /// channel, or since nothing that was split of late was accepted.
    fn split(&mut self, id: u64, now: Now) -> bool {
        let is_time = self.splits_left > 0 || now.steady_ms >= self.split_at_ms;
        if !is_time || self.flights.get(id).is_none_or(|flight| flight.channels.len() < 2) {
            return false;
        }
        self.splits_left = self.splits_left.saturating_sub(1);
        self.split_at_ms = now.steady_ms + SPLIT_EVERY_MS;
        for half in self.part(id, 2) {
            if let Some(half) = self.flights.get_mut(half) {
                half.due_ms = now.steady_ms.max(half.earliest_ms);
            }
            self.flights.schedule(half);
        }
        true
    }

    /// The same rows in so many batches, or as many as they have channels.
    fn part(&mut self, id: u64, parts: usize) -> Vec<u64> {
        let Some(flight) = self.flights.remove(id) else { return Vec::new() };
        self.totals.split += 1;
        let mut left = flight.held;
        let each = flight.channels.len().div_ceil(parts).max(1);
        let mut ids = Vec::new();
        for channels in flight.channels.chunks(each) {
            let is_of_part =
                |held: &HeldRow| self.channels.key_of(&held.row).is_some_and(|key| channels.contains(&key));
            let (held, others) = left.into_iter().partition::<Vec<HeldRow>, _>(is_of_part);
            left = others;
            ids.push(self.flights.insert(Flight {
                batch: Batch { rows: rows_of(&held), ..flight.batch.clone() },
                held,
                channels: channels.to_vec(),
                reason: Arc::clone(&flight.reason),
                ..flight
            }));
        }
        debug_assert!(left.is_empty(), "each row is of one of its channels");
        ids
    }

    fn finish(&mut self, id: u64, accepted: bool) {
        let Some(flight) = self.flights.remove(id) else { return };
        for held in &flight.held {
            self.held_bytes -= held.bytes;
            match held.origin {
                Origin::Source(ticket) => self.mark.close(ticket),
                Origin::DeadLetter(letter) if accepted => self.replayed.push(letter),
                Origin::DeadLetter(_) => {}
            }
        }
        if accepted {
            self.channels.end_failing(&flight.channels);
        }
        self.held_rows -= flight.held.len();
        self.channels.release(&flight.channels);
    }

    /// A batch that waits for a try and has been tried for too long.
    fn expired(&self, now: Now) -> Option<u64> {
        let (expiry_ms, id) = self.flights.first_expiry()?;
        (expiry_ms <= now.steady_ms).then_some(id)
    }

    /// Since when rows that are taken now would have been tried, had they not stood behind others of their channels that
    /// failed until they were given up. So what waits behind these is given up as fast as it comes.
    fn tried_since_ms(&self, taken: &[HeldRow], channels: &[usize], now: Now) -> u64 {
        let failing_ms = self.channels.failing_since_ms(channels);
        let happened_ms = taken.iter().map(|held| held.happened_ms).max();
        failing_ms
            .max(happened_ms)
            .filter(|_| failing_ms.is_some())
            .unwrap_or(now.steady_ms)
            .min(now.steady_ms)
    }

    /// True while rows that were never tried stand behind others that fail.
    fn is_stuck(&self) -> bool {
        self.health.failing_since_ms().is_some()
            && (self.is_paused() || self.flights.waiting() >= RETRIES_MAX)
    }

    /// Had it not been spared while it failed, a row would have been tried since it happened, or since the failures began.
    fn hopeless_at_ms(&self, held: &HeldRow) -> u64 {
        let failing_since_ms = self.health.failing_since_ms().unwrap_or(u64::MAX);
        held.happened_ms.max(failing_since_ms).saturating_add(self.timing.schedule.give_up_after_ms())
    }

    fn take_hopeless(&mut self, now: Now) -> Option<u64> {
        let since_ms = now.steady_ms.checked_sub(self.timing.schedule.give_up_after_ms())?;
        let failing_since_ms = self.health.failing_since_ms()?;
        self.take(now, |held| held.happened_ms.max(failing_since_ms) <= since_ms)
    }

    /// These rows are given up, for the endpoint's last answer to them or for another reason, which says nothing of their
    /// channels.
    fn bury(&mut self, id: u64, other_reason: Option<Arc<str>>) -> Action {
        self.flights.unschedule(id);
        let mut burial = Burial { rows: Vec::new(), tries: 0, reason: "".into() };
        if let Some(flight) = self.flights.get(id) {
            let each = |held: &HeldRow| match held.origin {
                Origin::DeadLetter(letter) => (Arc::clone(&held.row), Some(letter)),
                Origin::Source(_) => (Arc::clone(&held.row), None),
            };
            burial.rows = flight.held.iter().map(each).collect();
            burial.tries = flight.batch.tries;
            burial.reason = Arc::clone(&flight.reason);
            let is_of_channels = !flight.is_ended && other_reason.is_none();
            if flight.batch.tries > 0 && is_of_channels {
                self.channels.begin_failing(
                    &flight.channels,
                    flight.expiry_ms.saturating_sub(self.timing.schedule.give_up_after_ms()),
                );
            }
        }
        burial.reason = other_reason.unwrap_or(burial.reason);
        Action::Bury { flight: id, burial }
    }

    /// What one channel's refusals hold up, when the endpoint can hold little more.
    fn bury_early(&mut self, id: u64) -> Action {
        let flight = self.flights.get(id);
        self.totals.given_up_early += flight.map_or(0, |flight| flight.held.len()) as u64;
        let reason = flight.map_or("", |flight| &*flight.reason);
        let reason = format!("given up early, since too many later events waited behind it: {reason}");
        self.bury(id, Some(reason.into()))
    }

    /// The batch that may go now: a probe, one that is due again, or a new one.
    fn next_flight(&mut self, now: Now) -> Option<u64> {
        if self.send_at_ms()? > now.steady_ms {
            return None;
        }
        if let Some(pause) = self.health.pause() {
            return self.next_probe(pause.probes, now);
        }
        self.next_due(now).or_else(|| self.take(now, |_| true))
    }

    /// In turn one that failed and one that was never tried: it may be the rows that fail, not the endpoint.
    fn next_probe(&mut self, probes: u32, now: Now) -> Option<u64> {
        let retry = self.first_to_probe().filter(|(due_ms, _)| *due_ms <= now.steady_ms).map(|(_, id)| id);
        if probes.is_multiple_of(2) {
            return self.take(now, |_| true).or(retry);
        }
        retry.or_else(|| self.take(now, |_| true))
    }

    /// The batch that failed and may be the next probe, and from when: where tries are few it has its time, unless nothing but
    /// such batches is left, and where the endpoint has asked for a pause, so has that.
    fn first_to_probe(&self) -> Option<(u64, u64)> {
        let (due_ms, id) = self.flights.first_due()?;
        let waits = self.timing.schedule.is_by_count() && self.flights.waiting() < RETRIES_MAX;
        let earliest_ms = self.flights.get(id).map_or(0, |flight| flight.earliest_ms);
        Some((if waits { due_ms } else { earliest_ms }, id))
    }

    fn next_due(&self, now: Now) -> Option<u64> {
        let (due_ms, id) = self.first_retry()?;
        (due_ms <= now.steady_ms).then_some(id)
    }

    /// The batch that is tried again first, and when. Where tries are few and no new batch begins, one goes before its time now
    /// and then, so that an endpoint which is well again is found out.
    fn first_retry(&self) -> Option<(u64, u64)> {
        let (due_ms, id) = self.flights.first_due()?;
        let is_stuck = self.timing.schedule.is_by_count() && self.flights.waiting() >= RETRIES_MAX;
        let earliest_ms = self.flights.get(id).map_or(0, |flight| flight.earliest_ms);
        Some((
            if is_stuck { due_ms.min((self.failed_ms + STUCK_RETRY_MS).max(earliest_ms)) } else { due_ms },
            id,
        ))
    }

    /// When the next batch may go, if nothing else happens before.
    fn send_at_ms(&self) -> Option<u64> {
        if let Some(pause) = self.health.pause() {
            if pause.probe.is_some() || self.sent >= self.timing.in_flight_max {
                return None;
            }
            let retry_ms = self.first_to_probe().map(|(due_ms, _)| due_ms);
            let work_ms = if self.channels.rows_ready() > 0 { Some(0) } else { retry_ms };
            return work_ms.map(|ms| ms.max(pause.until_ms));
        }
        if self.sent >= self.timing.in_flight_max {
            return None;
        }
        let retry = self.first_retry().map(|(due_ms, _)| due_ms);
        let fresh = (self.flights.waiting() < RETRIES_MAX).then(|| self.fresh_at_ms()).flatten();
        [retry, fresh].into_iter().flatten().min()
    }

    fn fresh_at_ms(&self) -> Option<u64> {
        let oldest = self.channels.oldest_ready()?;
        let is_full = self.flushing || self.channels.rows_ready() >= self.timing.events_max;
        Some(if is_full { 0 } else { oldest.arrived_ms + self.timing.window_ms })
    }

    fn take(&mut self, now: Now, wanted: impl Fn(&HeldRow) -> bool) -> Option<u64> {
        let (taken, channels) = self.channels.take(self.timing.events_max, wanted);
        if taken.is_empty() {
            return None;
        }
        let since_ms = self.tried_since_ms(&taken, &channels, now);
        let batch = Batch {
            app: Arc::clone(self.filter.app()),
            rows: rows_of(&taken),
            time_ms: now.unix_ms,
            tries: 0,
        };
        let expiry_ms = since_ms + self.timing.schedule.give_up_after_ms();
        let reason = Arc::clone(self.health.last_failure());
        let due_ms = now.steady_ms;
        Some(self.flights.insert(Flight {
            batch,
            held: taken,
            channels,
            expiry_ms,
            due_ms,
            regular_ms: due_ms,
            earliest_ms: 0,
            pauses: 0,
            accepted_before: self.accepted,
            is_beside_accepted: false,
            is_ended: false,
            reason,
        }))
    }
}

fn rows_of(held: &[HeldRow]) -> Vec<Arc<Row>> {
    held.iter().map(|held| Arc::clone(&held.row)).collect()
}

impl Timing {
    fn new(endpoint: &Endpoint, delivery: &DeliverySettings) -> Self {
        Self {
            held_rows_max: HELD_ROWS_MAX,
            span_rows_max: SPAN_ROWS_MAX,
            span_bytes_max: delivery.span_bytes_max,
            window_ms: millis(endpoint.batch_window),
            events_max: endpoint.batch_events_max.max(1),
            in_flight_max: delivery.in_flight_max.max(1),
            schedule: Schedule::new(delivery),
        }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

/// About what a row keeps in memory. Its channel is shared with others at best.
fn bytes_of(event: &HookEvent) -> usize {
    const ROW_BYTES: usize = 256;
    let own = match event {
        HookEvent::ChannelOccupied { .. }
        | HookEvent::ChannelVacated { .. }
        | HookEvent::CacheMiss { .. }
        | HookEvent::SubscriptionCount { .. }
        | HookEvent::UserOnline { .. }
        | HookEvent::UserOffline { .. } => 0,
        HookEvent::MemberAdded { user_id, user_info, .. } => {
            user_id.len() + user_info.as_ref().map_or(0, |info| info.len())
        }
        HookEvent::MemberRemoved { user_id, .. } => user_id.len(),
        HookEvent::ClientEvent { event, data_literal, user_id, .. } => {
            event.len() + data_literal.len() + user_id.as_ref().map_or(0, |id| id.len())
        }
        HookEvent::ServerEvent { event, .. } => event.len(),
    };
    ROW_BYTES + event.channel().len() + own
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::app::App;

    use super::*;
    use crate::settings::SinkSettings;

    const WINDOW_MS: u64 = 250;

    fn queue() -> (EndpointQueue, Arc<App>) {
        let app = Arc::new(App::new("1", "k", "s"));
        let endpoint = Endpoint::new("e", Arc::clone(&app), SinkSettings::None);
        let rng = Rng::with_seed(1);
        (EndpointQueue::new(&endpoint, &DeliverySettings::default(), Position(0, 0), rng), app)
    }

    fn at(ms: u64) -> Now {
        Now { steady_ms: ms, unix_ms: 1_000_000 + ms }
    }

    fn read(queue: &mut EndpointQueue, app: &Arc<App>, ids: std::ops::Range<u64>, now: Now) {
        for id in ids {
            let event =
                HookEvent::ChannelVacated { app: Arc::clone(app), channel: format!("c{}", id % 7).into() };
            queue.handle_row(Position(id, 0), &Arc::new(Row { id, time_ms: now.unix_ms, event }), now);
        }
    }

    fn sent(queue: &mut EndpointQueue, now: Now) -> Option<(u64, usize)> {
        match queue.poll(now)? {
            Action::Send { flight, batch } => Some((flight, batch.rows.len())),
            Action::Bury { .. } => panic!("nothing is given up"),
        }
    }

    #[test]
    fn a_batch_goes_when_it_is_full_or_its_window_is_over() {
        let (mut queue, app) = queue();
        read(&mut queue, &app, 1..20, at(10));
        assert_eq!(sent(&mut queue, at(10 + WINDOW_MS - 1)), None);
        assert_eq!(queue.deadline_ms(), Some(10 + WINDOW_MS));
        read(&mut queue, &app, 20..21, at(11));
        let full = sent(&mut queue, at(11)).unwrap();
        assert_eq!(full.1, 20);
        queue.handle_outcome(full.0, Outcome::Done, at(12));
        read(&mut queue, &app, 21..22, at(20));
        assert_eq!(sent(&mut queue, at(20 + WINDOW_MS)).map(|(_, rows)| rows), Some(1));
    }

    #[test]
    fn nothing_waits_for_a_window_when_flushing() {
        let (mut queue, app) = queue();
        read(&mut queue, &app, 1..3, at(10));
        queue.flush();
        assert_eq!(sent(&mut queue, at(10)).map(|(_, rows)| rows), Some(2));
    }

    #[test]
    fn the_first_retry_comes_within_a_second() {
        let (mut queue, app) = queue();
        read(&mut queue, &app, 1..21, at(10));
        let (flight, _) = sent(&mut queue, at(10)).unwrap();
        queue.handle_outcome(flight, Outcome::Unreachable("gone".to_owned()), at(10));
        let retry_ms = queue.deadline_ms().unwrap();
        assert!((11..=1_010).contains(&retry_ms), "{retry_ms}");
        assert_eq!(sent(&mut queue, at(retry_ms)), Some((flight, 20)));
    }

    #[test]
    fn what_an_endpoint_wants_later_is_tried_no_sooner_and_no_later_than_is_allowed() {
        let pause_max_ms = DeliverySettings::default().pause_max.as_millis() as u64;
        for (asked_s, wait_ms) in [(20, 20_000), (86_400, pause_max_ms)] {
            let (mut queue, app) = queue();
            read(&mut queue, &app, 1..2, at(10));
            queue.flush();
            let (flight, _) = sent(&mut queue, at(10)).unwrap();
            let later = Outcome::Later("503".to_owned(), Duration::from_secs(asked_s));
            queue.handle_outcome(flight, later, at(10));
            // Another batch is accepted meanwhile.
            read(&mut queue, &app, 2..3, at(20));
            let (other, _) = sent(&mut queue, at(20)).unwrap();
            queue.handle_outcome(other, Outcome::Done, at(20));
            assert_eq!(queue.deadline_ms(), Some(10 + wait_ms));
            assert_eq!(sent(&mut queue, at(10 + wait_ms - 1)), None);
            assert_eq!(sent(&mut queue, at(10 + wait_ms)), Some((flight, 1)));
        }
    }

    #[test]
    fn what_one_channel_holds_up_in_the_journal_has_a_bound_in_bytes() {
        let (mut queue, app) = queue();
        queue.timing.span_bytes_max = 50_000;
        queue.flush();
        let mut died = 0;
        for id in 1..=500 {
            let now = at(id * 1_000);
            let event = HookEvent::ChannelVacated {
                app: Arc::clone(&app),
                channel: format!("c{}", id.min(9)).into(),
            };
            queue.handle_row(Position(id, 0), &Arc::new(Row { id, time_ms: now.unix_ms, event }), now);
            while let Some(action) = queue.poll(now) {
                match action {
                    Action::Send { flight, batch } => {
                        let is_refused = &**batch.rows[0].event.channel() == "c1";
                        let outcome =
                            if is_refused { Outcome::Refused("500".to_owned()) } else { Outcome::Done };
                        queue.handle_outcome(flight, outcome, now);
                    }
                    Action::Bury { flight, burial } => {
                        died += burial.rows.len();
                        assert!(burial.reason.contains("given up early"), "{}", burial.reason);
                        queue.handle_buried(flight);
                    }
                }
            }
            assert!(queue.mark.span_bytes() < 51_000, "{}", queue.mark.span_bytes());
            if died > 0 {
                break;
            }
        }
        assert_eq!((died, queue.held_rows()), (1, 0));
    }

    /// Answers all that is to be sent now by this. Returns how many rows were accepted, and how many batches were tried.
    fn answer_all(queue: &mut EndpointQueue, now: Now, refuses: impl Fn(&Row) -> bool) -> (usize, usize) {
        let (mut accepted, mut tried) = (0, 0);
        while let Some(action) = queue.poll(now) {
            let Action::Send { flight, batch } = action else { panic!("nothing is given up") };
            tried += 1;
            let is_refused = batch.rows.iter().any(|row| refuses(row));
            accepted += if is_refused { 0 } else { batch.rows.len() };
            let outcome = if is_refused { Outcome::Refused("500".to_owned()) } else { Outcome::Done };
            queue.handle_outcome(flight, outcome, now);
        }
        (accepted, tried)
    }

    #[test]
    fn a_channel_that_is_refused_holds_no_other() {
        let (mut queue, app) = queue();
        let refuses = |row: &Row| &**row.event.channel() == "c3";
        read(&mut queue, &app, 1..21, at(10));
        let (accepted, tried) = answer_all(&mut queue, at(10), refuses);
        assert_eq!((accepted, queue.held_rows()), (17, 3), "all but those of c3, at once");
        assert!(tried <= 7, "{tried} tries for one channel of seven");
        read(&mut queue, &app, 21..61, at(20));
        queue.flush();
        let (accepted, tried) = answer_all(&mut queue, at(20), refuses);
        assert_eq!((accepted, tried), (34, 2), "what comes behind a refused row of c3 is not tried");
        let (accepted, _) = answer_all(&mut queue, at(2_000), |_| false);
        assert_eq!((accepted, queue.held_rows()), (9, 0));
    }

    #[test]
    fn an_endpoint_that_refuses_everything_is_hardly_asked_more_often_for_it() {
        let tries = |splits: bool| {
            let (mut queue, app) = queue();
            let mut tried = 0;
            for second in 0..280 {
                let now = at(second * 1_000);
                if !splits {
                    (queue.splits_left, queue.split_at_ms) = (0, u64::MAX);
                }
                for id in (second * 20 + 1..=second * 20 + 20).filter(|_| second < 20) {
                    let channel = format!("c{second}-{}", id % 7).into();
                    let event = HookEvent::ChannelVacated { app: Arc::clone(&app), channel };
                    let row = Arc::new(Row { id, time_ms: now.unix_ms, event });
                    queue.handle_row(Position(id, 0), &row, now);
                }
                tried += answer_all(&mut queue, now, |_| true).1;
            }
            tried
        };
        let (whole, split) = (tries(false), tries(true));
        assert!(split <= whole * 3 / 2, "{split} tries in place of {whole}");
    }

    #[test]
    fn what_stands_behind_a_dead_letter_is_given_up_as_fast_as_it_comes() {
        let (mut queue, app) = queue();
        let give_up_ms = DeliverySettings::default().give_up_after.as_millis() as u64;
        let mut died = 0;
        for second in 0..3 * give_up_ms / 1_000 {
            let now = at(second * 1_000);
            let rows = (second * 7 + 1)..(second * 7 + 8);
            read(&mut queue, &app, rows, now);
            while let Some(action) = queue.poll(now) {
                match action {
                    Action::Send { flight, .. } => {
                        queue.handle_outcome(flight, Outcome::Refused("500".to_owned()), now);
                    }
                    Action::Bury { flight, burial } => {
                        died += burial.rows.len();
                        queue.handle_buried(flight);
                    }
                }
            }
        }
        assert!(died >= 7 * 550, "only {died} of 6300 rows were given up in three times the patience");
    }

    #[test]
    fn a_paused_endpoint_gets_one_probe_and_then_all_that_failed() {
        let (mut queue, app) = queue();
        read(&mut queue, &app, 1..8, at(10));
        queue.flush();
        queue.timing.events_max = 1;
        let flights: Vec<u64> =
            std::iter::from_fn(|| sent(&mut queue, at(10))).map(|(flight, _)| flight).collect();
        assert_eq!(flights.len(), 7);
        for flight in &flights {
            queue.handle_outcome(*flight, Outcome::Unreachable("gone".to_owned()), at(10));
        }
        assert!(queue.is_paused());
        let probe_ms = queue.deadline_ms().unwrap();
        assert_eq!(sent(&mut queue, at(probe_ms - 1)), None);
        let (probe, _) = sent(&mut queue, at(probe_ms)).unwrap();
        assert_eq!(sent(&mut queue, at(probe_ms + 10_000)), None, "a second probe");
        queue.handle_outcome(probe, Outcome::Done, at(probe_ms + 10_000));
        let rest = std::iter::from_fn(|| sent(&mut queue, at(probe_ms + 10_000))).count();
        assert_eq!(rest, 6);
    }

    #[test]
    fn an_endpoint_that_holds_much_reads_no_more() {
        let (mut queue, app) = queue();
        let most = HELD_ROWS_MAX as u64;
        read(&mut queue, &app, 1..most, at(10));
        assert!(queue.has_room(1) && !queue.has_room(2));
        let (flight, rows) = sent(&mut queue, at(10)).unwrap();
        queue.handle_outcome(flight, Outcome::Done, at(10));
        assert!(queue.has_room(1 + rows) && !queue.has_room(2 + rows));
    }
}
