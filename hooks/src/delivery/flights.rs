//! The batches of one endpoint that are not done: on their way, or waiting for their next try.
//!
//! It owns when each of those that wait is tried again, and when it is given up. What must never happen here: a batch that
//! is sent while it waits, or one that waits twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::channel_queues::HeldRow;
use crate::sink::Batch;

/// A batch with its rows and what is known of its tries.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) batch: Batch,
    pub(crate) held: Vec<HeldRow>,
    /// The keys of the channels that are busy with it.
    pub(crate) channels: Vec<usize>,
    /// When it is given up.
    pub(crate) expiry_ms: u64,
    /// When it is tried next.
    pub(crate) due_ms: u64,
    /// When it is tried next by its schedule, which may be later.
    pub(crate) regular_ms: u64,
    /// Before this it is not tried again, whatever happens: the endpoint has asked for that.
    pub(crate) earliest_ms: u64,
    /// After how many pauses.
    pub(crate) pauses: u32,
    /// How many batches the endpoint had accepted at the last try, and whether it accepted some between the last two, so that
    /// these rows are refused and not the endpoint gone.
    pub(crate) accepted_before: u64,
    pub(crate) is_beside_accepted: bool,
    /// The endpoint wants no further try of it.
    pub(crate) is_ended: bool,
    /// What the endpoint said last.
    pub(crate) reason: Arc<str>,
}

/// All flights by their number.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    by_id: BTreeMap<u64, Flight>,
    begun: u64,
    /// Those that wait: by when they are given up, and by the time of their next try.
    waiting: BTreeSet<(u64, u64)>,
    due: BTreeSet<(u64, u64)>,
}

impl Flights {
    /// A new one, which does not wait.
    pub(crate) fn insert(&mut self, flight: Flight) -> u64 {
        let id = self.begun;
        self.begun += 1;
        self.by_id.insert(id, flight);
        id
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Flight> {
        self.by_id.get(&id)
    }

    /// For one that does not wait: its times are what those that wait are found by.
    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Flight> {
        debug_assert!(!self.is_waiting(id), "the times of a flight that waits stay");
        let flight = self.by_id.get_mut(&id);
        debug_assert!(flight.is_some(), "flight {id} is not done");
        flight
    }

    /// Takes out one that does not wait.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Flight> {
        debug_assert!(!self.is_waiting(id), "a flight that waits is not done");
        let flight = self.by_id.remove(&id);
        debug_assert!(flight.is_some(), "flight {id} is not done");
        flight
    }

    /// It waits for its next try.
    pub(crate) fn schedule(&mut self, id: u64) {
        let flight = self.by_id.get(&id);
        debug_assert!(flight.is_some(), "what waits is not done");
        if let Some(flight) = flight {
            self.due.insert((flight.due_ms, id));
            self.waiting.insert((flight.expiry_ms, id));
        }
    }

    /// It waits no more, if it did.
    pub(crate) fn unschedule(&mut self, id: u64) {
        if let Some(flight) = self.by_id.get(&id) {
            self.waiting.remove(&(flight.expiry_ms, id));
            self.due.remove(&(flight.due_ms, id));
        }
    }

    /// All that wait may go by now, or as soon as the endpoint has allowed.
    pub(crate) fn bring_forward(&mut self, now_ms: u64) {
        self.due.clear();
        for (_, id) in &self.waiting {
            if let Some(flight) = self.by_id.get_mut(id) {
                flight.due_ms = flight.due_ms.min(now_ms.max(flight.earliest_ms));
                self.due.insert((flight.due_ms, *id));
            }
        }
    }

    pub(crate) fn is_waiting(&self, id: u64) -> bool {
        self.by_id.get(&id).is_some_and(|flight| self.waiting.contains(&(flight.expiry_ms, id)))
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The oldest of those that wait and failed while others were accepted.
    pub(crate) fn first_beside_accepted(&self) -> Option<u64> {
        self.waiting
            .iter()
            .map(|(_, id)| *id)
            .filter(|id| self.get(*id).is_some_and(|it| it.is_beside_accepted))
            .min()
    }

    /// The one that is given up first of those that wait, with its time.
    pub(crate) fn first_expiry(&self) -> Option<(u64, u64)> {
        self.waiting.first().copied()
    }

    /// The one that is tried first of those that wait, with its time.
    pub(crate) fn first_due(&self) -> Option<(u64, u64)> {
        self.due.first().copied()
    }
}
