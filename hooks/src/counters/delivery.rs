//! What the dispatcher counts, endpoint by endpoint. Its thread alone writes these.

use super::count::Count;
use crate::settings::Endpoint;

/// The counters of all endpoints.
#[derive(Debug, Default)]
pub struct DeliveryCounters {
    /// In the order of the settings.
    pub endpoints: Vec<EndpointCounters>,
    /// Total: dead letters that were deleted because too many were kept.
    pub dead_letters_dropped: Count,
    /// Gauge: 1 while the source of rows cannot be read or written.
    pub source_failing: Count,
}

/// The counters of one endpoint.
#[derive(Debug, Default)]
pub struct EndpointCounters {
    /// The endpoint.
    pub name: String,
    /// Its app.
    pub app_id: String,
    /// Total: events that it accepted.
    pub accepted: Count,
    /// Total: batches that it accepted.
    pub batches: Count,
    /// Total: batches that it answered without success.
    pub refused: Count,
    /// Total: batches that it did not answer.
    pub unreachable: Count,
    /// Total: events that were given up and kept as dead letters.
    pub dead_letters: Count,
    /// Total: dead letters that it accepted later.
    pub replayed: Count,
    /// Total: batches that went on in parts after a failure.
    pub split: Count,
    /// Total: events that were given up before their time, since they held up others.
    pub given_up_early: Count,
    /// Gauge: batches that wait for their next try.
    pub retrying: Count,
    /// Gauge: 1 while it gets nothing because it failed for too long.
    pub disabled: Count,
    /// Gauge: events that are read and not yet accepted.
    pub held: Count,
    /// Gauge: 1 while nothing but a probe is sent to it.
    pub paused: Count,
}

impl EndpointCounters {
    fn go_on_from(&self, before: &Self) {
        for (mine, its) in [
            (&self.accepted, &before.accepted),
            (&self.batches, &before.batches),
            (&self.refused, &before.refused),
            (&self.unreachable, &before.unreachable),
            (&self.dead_letters, &before.dead_letters),
            (&self.replayed, &before.replayed),
            (&self.split, &before.split),
            (&self.given_up_early, &before.given_up_early),
        ] {
            mine.set(its.now());
        }
    }
}

impl DeliveryCounters {
    /// Counters for other endpoints; those that were there go on with their totals.
    pub(crate) fn for_others<'a>(&self, endpoints: impl IntoIterator<Item = &'a Endpoint>) -> Self {
        let next = Self::new(endpoints);
        next.dead_letters_dropped.set(self.dead_letters_dropped.now());
        for it in &next.endpoints {
            if let Some(before) = self.endpoints.iter().find(|before| before.name == it.name) {
                it.go_on_from(before);
            }
        }
        next
    }

    /// Counters for these endpoints.
    pub fn new<'a>(endpoints: impl IntoIterator<Item = &'a Endpoint>) -> Self {
        let endpoints = endpoints.into_iter().map(|endpoint| EndpointCounters {
            name: endpoint.name.clone(),
            app_id: endpoint.app.id.to_string(),
            ..EndpointCounters::default()
        });
        Self { endpoints: endpoints.collect(), ..Self::default() }
    }
}
