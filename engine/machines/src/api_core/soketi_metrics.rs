//! Metrics as soketi has them, for dashboards that were made for it: its names, each app apart, with its port. They take the place
//! of ours of the same names where the prefix is soketi's.

use protocol::app::{App, Traffic};

use super::ApiCore;
use super::exposition::{Exposition, Family};
use crate::readings::latencies::Latencies;

/// soketi's prefix of metric names.
const PREFIX: &str = "soketi_";

/// Name, meaning and value of each counter.
type Counters = [(&'static str, &'static str, fn(&App, &Traffic) -> u64); 9];

const COUNTERS: Counters = [
    ("new_connections_total", "WebSocket connections that an app has had.", |app, _| {
        app.admitted().max(u64::from(app.connections()))
    }),
    ("new_disconnections_total", "Those of them that have ended.", |app, _| {
        app.admitted().saturating_sub(u64::from(app.connections()))
    }),
    ("socket_received_bytes", "Bytes received from WebSocket clients.", |_, traffic| traffic.received_bytes),
    ("socket_transmitted_bytes", "Bytes sent to WebSocket clients.", |_, traffic| traffic.sent_bytes),
    ("ws_messages_received_total", "Messages of WebSocket clients.", |_, traffic| traffic.received),
    ("ws_messages_sent_total", "Messages to WebSocket clients.", |_, traffic| traffic.sent),
    ("http_received_bytes", "Bytes of the calls of back ends.", |_, traffic| traffic.calls_bytes),
    ("http_transmitted_bytes", "Bytes of the answers to them.", |_, traffic| traffic.answers_bytes),
    ("http_calls_received_total", "Calls of back ends.", |_, traffic| traffic.calls),
];

/// What servers of soketi ask each other for. This server asks no other: its nodes know what they need.
const OF_ITS_ADAPTER: [&str; 5] = [
    "horizontal_adapter_resolved_promises",
    "horizontal_adapter_uncomplete_promises",
    "horizontal_adapter_sent_requests",
    "horizontal_adapter_received_requests",
    "horizontal_adapter_received_responses",
];

impl ApiCore {
    /// Whether metrics are told as soketi tells them.
    pub(super) fn is_soketi(&self) -> bool {
        &*self.metrics.prefix == PREFIX
    }

    /// All that soketi has names for.
    pub(super) fn describe_as_soketi(&self, all: &mut Exposition) {
        let port = self.metrics.port.to_string();
        let mut connected = all.gauges("connected", "WebSocket connections of an app.");
        let mut counters: Vec<Family> =
            COUNTERS.iter().map(|(name, help, _)| all.counters(name, help)).collect();
        let never = "Always 0: no other server is asked.";
        let mut of_adapter: Vec<Family> =
            OF_ITS_ADAPTER.iter().map(|name| all.counters(name, never)).collect();
        let mut resolve_time = all.histograms("horizontal_adapter_resolve_time", never);
        for app in self.apps.iter() {
            let labels = [("app_id", &*app.id), ("port", &*port)];
            let traffic = app.traffic();
            connected.sample(&labels, f64::from(app.connections()));
            for (family, (_, _, value)) in counters.iter_mut().zip(COUNTERS) {
                family.sample(&labels, value(app, &traffic) as f64);
            }
            of_adapter.iter_mut().for_each(|family| family.sample(&labels, 0.0));
            resolve_time.spread(&labels, &Latencies::default());
        }
        all.add(connected);
        counters.into_iter().chain(of_adapter).for_each(|family| all.add(family));
        all.add(resolve_time);
    }
}
