//! Reads the dispatcher's source and tells it what is done.
//!
//! Endpoints at the same place share one read. A source that fails is asked again after growing pauses. Rows are checked for
//! their order, because anybody may have written what the source reads. What must never happen here: a place reported to the
//! source that lies behind a row which is not done.

use std::sync::Arc;

use fastrand::Rng;

use super::backoff;
use super::endpoint_queue::Now;
use super::endpoint_state::EndpointState;
use crate::row::{Position, Row};
use crate::source::{Source, SourceError};

/// Rows of one read.
const READ_ROWS: usize = 500;
const RELEASE_EVERY_MS: u64 = 100;
const PAUSE_MAX_MS: u64 = 5_000;

pub(crate) struct SourceReader<S> {
    source: S,
    rng: Rng,
    rows: Vec<(Position, Arc<Row>)>,
    released: Vec<Position>,
    /// The source's, in which the queues' places are.
    epoch: u64,
    release_at_ms: u64,
    failures: u32,
    retry_at_ms: u64,
}

impl<S: Source> SourceReader<S> {
    pub(crate) fn new(source: S) -> Self {
        let rows = Vec::with_capacity(READ_ROWS);
        Self {
            epoch: source.epoch(),
            source,
            rng: Rng::new(),
            rows,
            released: Vec::new(),
            release_at_ms: 0,
            failures: 0,
            retry_at_ms: 0,
        }
    }

    /// One read for each endpoint that has room and may have more to read. Returns true when there may be still more.
    pub(crate) fn read(&mut self, endpoints: &mut [EndpointState], now: Now) -> bool {
        if now.steady_ms < self.retry_at_ms {
            return false;
        }
        let result = self.try_read(endpoints, now);
        self.note(result, now).unwrap_or(false)
    }

    /// Tells the source what is done, if something is and it is time or `at_once`.
    pub(crate) fn release(&mut self, endpoints: &[EndpointState], now: Now, at_once: bool) {
        let is_time = now.steady_ms >= self.release_at_ms.max(self.retry_at_ms);
        if !(at_once || is_time) || self.source.epoch() != self.epoch {
            return;
        }
        let places: Option<Vec<Position>> = endpoints.iter().map(EndpointState::place).collect();
        let Some(places) = places else { return };
        let Some(all) = places.iter().min().copied() else { return };
        if places == self.released {
            return;
        }
        let named = endpoints.iter().zip(&places).map(|(endpoint, place)| (endpoint.name(), *place));
        let named: Vec<(&str, Position)> = named.collect();
        let result = self.source.release(all, &named);
        if self.note(result, now).is_some() {
            self.released = places;
            self.release_at_ms = now.steady_ms + RELEASE_EVERY_MS;
        }
    }

    /// When it wants to be called again although nothing happens.
    pub(crate) fn deadline_ms(&self, endpoints: &[EndpointState]) -> Option<u64> {
        if self.is_failing() {
            return Some(self.retry_at_ms);
        }
        let is_behind = endpoints.len() != self.released.len()
            || endpoints
                .iter()
                .zip(&self.released)
                .any(|(endpoint, released)| endpoint.place().is_some_and(|place| place != *released));
        is_behind.then_some(self.release_at_ms)
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    fn try_read(&mut self, endpoints: &mut [EndpointState], now: Now) -> Result<bool, SourceError> {
        self.follow_epoch(endpoints)?;
        let mut read_after = None;
        let mut more = false;
        for endpoint in endpoints {
            if !endpoint.has_begun() {
                endpoint.begin(self.source.place_of(endpoint.name())?);
            }
            let Some(after) = endpoint.wants_after(READ_ROWS) else { continue };
            if read_after != Some(after) {
                self.rows.clear();
                self.source.read(after, READ_ROWS, &mut self.rows)?;
                if self.source.epoch() != self.epoch {
                    return Err("they begin anew".into());
                }
                check_order(after, &self.rows)?;
                read_after = Some(after);
            }
            endpoint.handle_rows(&self.rows, now);
            more |= !self.rows.is_empty();
        }
        Ok(more)
    }

    /// Places of another epoch say nothing of this one.
    fn follow_epoch(&mut self, endpoints: &mut [EndpointState]) -> Result<(), SourceError> {
        let epoch = self.source.epoch();
        if epoch == self.epoch {
            return Ok(());
        }
        let places = endpoints.iter().map(|endpoint| self.source.place_of(endpoint.name()));
        let places = places.collect::<Result<Vec<Position>, SourceError>>()?;
        for (endpoint, place) in endpoints.iter_mut().zip(places) {
            endpoint.begin_anew(place);
        }
        self.epoch = epoch;
        self.released.clear();
        Ok(())
    }

    fn note<T>(&mut self, result: Result<T, SourceError>, now: Now) -> Option<T> {
        match result {
            Ok(value) => {
                if self.failures > 0 {
                    logging::say!("hook events can be read again");
                }
                self.failures = 0;
                self.retry_at_ms = 0;
                Some(value)
            }
            Err(error) => {
                if self.failures == 0 {
                    logging::warn!("hook events cannot be read: {error}; tried again until it works");
                }
                self.failures = self.failures.saturating_add(1);
                self.retry_at_ms =
                    now.steady_ms + backoff::pause_ms(self.failures, PAUSE_MAX_MS, &mut self.rng);
                None
            }
        }
    }
}

fn check_order(after: Position, rows: &[(Position, Arc<Row>)]) -> Result<(), SourceError> {
    let mut last = after;
    for (place, _) in rows {
        if *place <= last {
            return Err(format!("{place} comes behind {last}").into());
        }
        last = *place;
    }
    Ok(())
}
