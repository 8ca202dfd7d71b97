//! Rows that become dead letters, dead letters that are tried again, and endpoints that are disabled.
//!
//! It has the file of the dead letters, and the rows that are not in it yet. What must never happen here: a row that counts
//! as done before its dead letter is committed.

use std::sync::Arc;

use protocol::app::Apps;

use super::endpoint_queue::{Burial, Now};
use super::endpoint_state::EndpointState;
use crate::counters::DeliveryCounters;
use crate::dead_letters::{DeadLetter, DeadLetters, DisabledEndpoint, EndpointStatus, Mark};
use crate::encoding::{decode_row, encode_row_data};
use crate::notice::say;
use crate::sinks::webhook::without_answer;

/// Letters that are taken at once to be tried again.
const REPLAY_ROWS: usize = 500;
const REPLAY_EVERY_MS: u64 = 1_000;
const RETRY_AFTER_MS: u64 = 1_000;
const STATUSES_EVERY_MS: u64 = 1_000;

pub(crate) struct DeadLetterQueue {
    file: DeadLetters,
    apps: Arc<Apps>,
    burials: Vec<Pending>,
    accepted: Vec<i64>,
    /// What is written of the endpoints.
    statuses: Vec<EndpointStatus>,
    statuses_at_ms: u64,
    replay_at_ms: u64,
    retry_at_ms: u64,
    is_failing: bool,
}

struct Pending {
    endpoint: usize,
    flight: u64,
    burial: Burial,
}

impl DeadLetterQueue {
    pub(crate) fn new(mut file: DeadLetters, apps: Arc<Apps>) -> rusqlite::Result<Self> {
        file.untake()?;
        Ok(Self {
            file,
            apps,
            burials: Vec::new(),
            accepted: Vec::new(),
            statuses: Vec::new(),
            statuses_at_ms: 0,
            replay_at_ms: 0,
            retry_at_ms: 0,
            is_failing: false,
        })
    }

    /// Keeps these rows as dead letters with the next write.
    pub(crate) fn bury(&mut self, endpoint: usize, flight: u64, burial: Burial) {
        self.burials.push(Pending { endpoint, flight, burial });
    }

    /// Writes what must be written, and tells the queues.
    pub(crate) fn write(&mut self, endpoints: &mut [EndpointState], counters: &DeliveryCounters, now: Now) {
        for (endpoint, counters) in endpoints.iter_mut().zip(&counters.endpoints) {
            let accepted = endpoint.take_replayed();
            counters.replayed.add(accepted.len() as u64);
            self.accepted.extend(accepted);
        }
        let is_idle = self.burials.is_empty() && self.accepted.is_empty();
        if is_idle || now.steady_ms < self.retry_at_ms {
            return;
        }
        let result = self.try_write(endpoints, counters, now);
        self.note(result, now);
    }

    /// Endpoints are disabled that are so in the file, and fail since when they did for a former dispatcher.
    pub(crate) fn begin(&self, endpoints: &mut [EndpointState]) -> rusqlite::Result<()> {
        let (disabled, statuses) = (self.file.disabled()?, self.file.endpoints()?);
        for endpoint in endpoints {
            let failure =
                statuses.iter().find(|it| it.name == endpoint.name()).and_then(|it| it.failure.as_ref());
            if let Some(failure) = failure {
                endpoint.fails_since(failure.since_ms);
            }
            if let Some(it) = disabled.iter().find(|it| it.name == endpoint.name()) {
                say_disabled(it);
                endpoint.disable(&it.reason);
            }
        }
        Ok(())
    }

    /// Disables endpoints that failed for too long: a restart finds them disabled, too.
    pub(crate) fn disable(&mut self, endpoints: &mut [EndpointState], now: Now) {
        if now.steady_ms < self.retry_at_ms {
            return;
        }
        for endpoint in endpoints {
            let Some(reason) = endpoint.wants_disabling() else { continue };
            let name = endpoint.name().to_owned();
            let disabled = DisabledEndpoint { name, since_ms: now.unix_ms, reason };
            let result = self.file.disable(&disabled);
            if result.is_ok() {
                say_disabled(&disabled);
                endpoint.disable(&disabled.reason);
            }
            self.note(result, now);
        }
    }

    /// An operator may have enabled some.
    fn enable(&self, endpoints: &mut [EndpointState]) -> rusqlite::Result<()> {
        if !endpoints.iter().any(EndpointState::is_disabled) {
            return Ok(());
        }
        let disabled = self.file.disabled()?;
        for endpoint in endpoints.iter_mut().filter(|endpoint| endpoint.is_disabled()) {
            if disabled.iter().all(|it| it.name != endpoint.name()) {
                say(format_args!("endpoint {:?} is enabled again", endpoint.name()));
                endpoint.enable();
            }
        }
        Ok(())
    }

    /// Once a second, takes letters that an operator wants to be tried again.
    pub(crate) fn replay(&mut self, endpoints: &mut [EndpointState], now: Now) {
        if now.steady_ms < self.replay_at_ms.max(self.retry_at_ms) {
            return;
        }
        self.replay_at_ms = now.steady_ms + REPLAY_EVERY_MS;
        let result = self.enable(endpoints);
        self.note(result, now);
        for endpoint in endpoints {
            let result = self.try_replay(endpoint, now);
            self.note(result, now);
        }
    }

    /// Stores the status of the endpoints if it has changed.
    pub(crate) fn note_statuses(&mut self, endpoints: &[EndpointState], now: Now) {
        if now.steady_ms < self.statuses_at_ms.max(self.retry_at_ms) {
            return;
        }
        self.statuses_at_ms = now.steady_ms + STATUSES_EVERY_MS;
        let statuses: Vec<EndpointStatus> = endpoints.iter().map(|endpoint| endpoint.status(now)).collect();
        // The time of this process is read at two clocks, which differ by a millisecond now and then.
        let is_as_before = statuses.len() == self.statuses.len()
            && statuses.iter().zip(&self.statuses).all(|(status, before)| is_like(status, before));
        if is_as_before {
            return;
        }
        let result = self.file.note_endpoints(&statuses);
        if result.is_ok() {
            self.statuses = statuses;
        }
        self.note(result, now);
    }

    /// When it wants to be called again although nothing happens.
    pub(crate) fn deadline_ms(&self) -> u64 {
        let has_work = !self.burials.is_empty() || !self.accepted.is_empty();
        if has_work { self.retry_at_ms } else { self.replay_at_ms.max(self.retry_at_ms) }
    }

    fn try_write(
        &mut self,
        endpoints: &mut [EndpointState],
        counters: &DeliveryCounters,
        now: Now,
    ) -> rusqlite::Result<()> {
        if !self.burials.is_empty() {
            let letters: Vec<DeadLetter> =
                self.burials.iter().flat_map(|pending| letters_of(pending, endpoints, now)).collect();
            counters.dead_letters_dropped.add(self.file.keep(&letters)?);
            for Pending { endpoint, flight, burial } in self.burials.drain(..) {
                tell(endpoints.get(endpoint), &burial);
                if let Some(counters) = counters.endpoints.get(endpoint) {
                    counters.dead_letters.add(burial.rows.len() as u64);
                }
                let endpoint = endpoints.get_mut(endpoint);
                debug_assert!(endpoint.is_some(), "a burial is of an endpoint");
                let Some(endpoint) = endpoint else { continue };
                endpoint.handle_buried(flight, &burial, now);
            }
        }
        if !self.accepted.is_empty() {
            self.file.remove(&self.accepted)?;
            self.accepted.clear();
        }
        Ok(())
    }

    fn try_replay(&mut self, endpoint: &mut EndpointState, now: Now) -> rusqlite::Result<()> {
        if !endpoint.takes_replays(REPLAY_ROWS) {
            return Ok(());
        }
        for letter in self.file.take_marked(endpoint.name(), REPLAY_ROWS)? {
            let DeadLetter { id, app_id, name, data, .. } = &letter;
            let refused = match decode_row(letter.row_id, letter.time_ms, app_id, name, data, &self.apps) {
                Ok(row) if endpoint.is_of_app(app_id) => {
                    endpoint.handle_replay(*id, Arc::new(row), now);
                    continue;
                }
                Ok(_) => format!("the endpoint {:?} is another app's now", letter.endpoint),
                Err(error) => error.to_string(),
            };
            self.give_back(&letter, refused)?;
        }
        Ok(())
    }

    fn give_back(&mut self, letter: &DeadLetter, reason: String) -> rusqlite::Result<()> {
        self.file.keep(&[DeadLetter { reason, tries: 0, ..letter.clone() }]).map(drop)
    }

    fn note(&mut self, result: rusqlite::Result<()>, now: Now) {
        match result {
            Ok(()) if self.is_failing => {
                logging::say!("dead letters can be written again");
                self.is_failing = false;
            }
            Ok(()) => {}
            Err(error) => {
                if !self.is_failing {
                    logging::warn!(
                        "dead letters cannot be written: {error}; their events are kept meanwhile"
                    );
                }
                self.file.succeed_if_damaged(&error);
                self.is_failing = true;
                self.retry_at_ms = now.steady_ms + RETRY_AFTER_MS;
            }
        }
    }
}

fn say_disabled(endpoint: &DisabledEndpoint) {
    let DisabledEndpoint { name, reason, .. } = endpoint;
    let reason = without_answer(reason);
    logging::event!(WARN, "endpoint_disabled", { endpoint = %name, reason = %reason, },
        "hooks: ENDPOINT DISABLED: {name:?}: {reason}; its events are dead letters until `corecast hooks enable {name}`");
}

/// One line for what is given up at once.
fn tell(endpoint: Option<&EndpointState>, burial: &Burial) {
    let (endpoint, count) = (endpoint.map_or("", EndpointState::name), burial.rows.len());
    let reason = without_answer(&burial.reason);
    logging::event!(
        WARN,
        "dead_letter",
        { endpoint = endpoint, count = count, reason = reason, },
        "hooks: endpoint {endpoint:?}: {count} event(s) are dead letters: {reason}"
    );
}

/// What is worth a write: other errors and times, and other counts only of an endpoint that fails.
fn is_like(status: &EndpointStatus, before: &EndpointStatus) -> bool {
    let about = |ms: u64| ms / 1_000;
    match (&status.failure, &before.failure) {
        (None, None) => (&status.name, &status.target) == (&before.name, &before.target),
        (Some(now), Some(then)) => {
            now.error == then.error
                && about(now.since_ms) == about(then.since_ms)
                && now.next_ms.map(about) == then.next_ms.map(about)
                && status.held == before.held
        }
        _ => false,
    }
}

fn letters_of(pending: &Pending, endpoints: &[EndpointState], now: Now) -> Vec<DeadLetter> {
    let Pending { endpoint, burial, .. } = pending;
    let endpoint = endpoints.get(*endpoint).map(|endpoint| endpoint.name().to_owned()).unwrap_or_default();
    let letter = |(row, letter): &(Arc<crate::row::Row>, Option<i64>)| {
        let mut data = Vec::new();
        encode_row_data(&mut data, row.id, row.time_ms, &row.event);
        DeadLetter {
            id: letter.unwrap_or(0),
            endpoint: endpoint.clone(),
            app_id: row.event.app().id.to_string(),
            row_id: row.id,
            name: row.event.name().to_owned(),
            data: String::from_utf8_lossy(&data).into_owned(),
            time_ms: row.time_ms,
            reason: burial.reason.to_string(),
            tries: burial.tries,
            died_ms: now.unix_ms,
            mark: Mark::Kept,
        }
    };
    burial.rows.iter().map(letter).collect()
}
