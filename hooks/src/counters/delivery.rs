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
    /// Gauge: events that are read and not yet accepted.
    pub held: Count,
    /// Gauge: 1 while nothing but a probe is sent to it.
    pub paused: Count,
}

impl DeliveryCounters {
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
