//! `/metrics`: every shard is asked how it stands, and what all of them say is put together with what the API core
//! knows and what others in the process add. Nothing is kept between two scrapes and no label names a channel or a user, so a scrape costs the
//! same however many there are.
//!
//! Names that users of other servers know (`connected`, `new_connections_total`, `socket_received_bytes`, …) mean here
//! what they mean there. All else has the name of its counter in the code, with `_total`.

use super::ApiCore;
use super::exposition::Exposition;
use crate::invariant::violations;
use crate::machine::Now;
use crate::readings::Reading;
use crate::readings::closes::{By, Closes, Code};
use crate::readings::stats::Stats;

impl ApiCore {
    /// All metrics. The readings are those of all shards, each with its shard's number.
    pub(super) fn encode_metrics(&self, readings: &[(usize, Reading)], now: Now) -> String {
        let mut all = Exposition::new(&self.metrics.prefix);
        let sum = sum(readings);
        if self.is_soketi() {
            self.describe_as_soketi(&mut all);
        } else {
            self.describe_connections(&mut all);
            describe_traffic(&mut all, &sum.stats);
            self.describe_rest_traffic(&mut all);
        }
        self.describe_subscriptions(&mut all);
        describe_shards(&mut all, readings);
        self.describe_rest(&mut all);
        describe_fanout(&mut all, &sum);
        describe_back_pressure(&mut all, &sum, self.gates.ms(), self.gates.bytes());
        describe_closes(&mut all, &sum.closes);
        let elsewhere = [("api", violations().count), ("takeover", (self.metrics.relay_violations)())];
        describe_violations(&mut all, readings, &elsewhere);
        describe_hook_drops(&mut all, &sum.stats);
        describe_counters(&mut all, &sum.stats);
        (self.metrics.others)(&mut all, now);
        all.encode()
    }

    fn describe_connections(&self, all: &mut Exposition) {
        let mut connected = all.gauges("connected", "WebSocket connections of an app.");
        let mut opened = all.counters("new_connections_total", "WebSocket connections that an app has had.");
        let mut ended = all.counters("new_disconnections_total", "Those of them that have ended.");
        for app in self.apps.iter() {
            let labels = [("app_id", &*app.id)];
            let now = u64::from(app.connections());
            let ever = app.admitted().max(now);
            connected.sample(&labels, now as f64);
            opened.sample(&labels, ever as f64);
            ended.sample(&labels, (ever - now) as f64);
        }
        [connected, opened, ended].into_iter().for_each(|family| all.add(family));
    }

    fn describe_subscriptions(&self, all: &mut Exposition) {
        let mut subscribed = all.gauges("app_subscriptions", "Subscriptions of an app.");
        let mut occupied = all.gauges("app_channels", "Occupied channels of an app.");
        for app in self.apps.iter() {
            let labels = [("app_id", &*app.id)];
            subscribed.sample(&labels, app.subscriptions() as f64);
            occupied.sample(&labels, app.channels() as f64);
        }
        [subscribed, occupied].into_iter().for_each(|family| all.add(family));
    }

    fn describe_rest_traffic(&self, all: &mut Exposition) {
        let stats = &self.stats;
        all.counter("http_calls_received_total", "Requests taken by the API core.", stats.requests);
        all.counter("http_received_bytes", "Bytes received by the API core.", stats.bytes_received);
        all.counter("http_transmitted_bytes", "Bytes sent by the API core.", stats.bytes_sent);
    }

    fn describe_rest(&self, all: &mut Exposition) {
        let stats = &self.stats;
        all.counter("http_calls_refused_total", "Requests answered with 4xx.", stats.refused);
        let limited = "Requests answered with 429: their app's back ends are too fast.";
        all.counter("http_calls_rate_limited_total", limited, stats.rate_limited);
        all.counter("http_calls_overloaded_total", "Requests answered with 503.", stats.overloaded);
        let waits = "Requests that waited for a source of apps (apps_url).";
        all.counter("http_app_waits_total", waits, stats.app_waits);
        let refused = "Requests answered with 503 because too many waited for a source of apps.";
        all.counter("http_app_waits_refused_total", refused, stats.app_waits_refused);
        let refused = "Requests answered with 503 for http_bodies_bytes_max.";
        all.counter("http_bodies_refused_total", refused, stats.bodies_refused);
        all.counter(
            "http_slow_readers_total",
            "Connections reset for reading too slowly.",
            stats.slow_readers,
        );
        all.counter("http_calls_gated_total", "Parts of calls that waited for their home.", stats.gated);
        all.gauge("http_connections", "Connections of the API core.", self.connections.len() as u64);
        let kept = "What is kept of requests that have not come whole.";
        all.gauge("http_bodies_bytes", kept, self.connections.kept_bytes() as u64);
        if let Some(console) = &self.console {
            let lost = "Events that streams of the console were not told, because they read too slowly.";
            all.counter("console_events_lost_total", lost, console.streams.lost);
            let refused = "Tokens for the console that were wrong, or came too fast after wrong ones.";
            all.counter("console_tokens_refused_total", refused, console.refused_tokens());
            all.gauge("console_streams", "Streams of the console.", console.streams.len() as u64);
        }
        all.counter("rest_published_total", "Events published over REST, by channel.", stats.published);
    }
}

fn sum(readings: &[(usize, Reading)]) -> Reading {
    let mut sum = Reading::default();
    readings.iter().for_each(|(_, reading)| sum.add(reading));
    sum
}

fn describe_shards(all: &mut Exposition, readings: &[(usize, Reading)]) {
    let mut connections = all.gauges("connections", "WebSocket connections of a shard.");
    let mut half_open = all.gauges("half_open", "Connections of a shard without a complete request head.");
    let mut subscriptions = all.gauges("subscriptions", "Subscriptions of the connections of a shard.");
    let mut signed_in = all.gauges("signed_in", "Connections of a shard that are signed in as users.");
    let mut watched = all.gauges("watched_users", "Users on the watchlists of the connections of a shard.");
    let mut channels = all.gauges("channels", "Occupied channels that have their home on a shard.");
    let mut members =
        all.gauges("members", "Members of the presence channels that have their home on a shard.");
    for (shard, reading) in readings {
        let number = shard.to_string();
        let labels = [("shard", &*number)];
        connections.sample(&labels, reading.connections as f64);
        half_open.sample(&labels, reading.half_open as f64);
        subscriptions.sample(&labels, reading.subscriptions as f64);
        signed_in.sample(&labels, reading.signed_in as f64);
        watched.sample(&labels, reading.watched_users as f64);
        channels.sample(&labels, reading.channels as f64);
        let stats = &reading.stats;
        members.sample(&labels, stats.members_added.saturating_sub(stats.members_removed) as f64);
    }
    [connections, half_open, subscriptions, signed_in, watched, channels, members]
        .into_iter()
        .for_each(|family| all.add(family));
}

fn describe_traffic(all: &mut Exposition, stats: &Stats) {
    all.counter("socket_received_bytes", "Bytes received from WebSocket clients.", stats.bytes_received);
    all.counter("socket_transmitted_bytes", "Bytes sent to WebSocket clients.", stats.bytes_sent);
    all.counter("ws_messages_received_total", "Messages of WebSocket clients.", stats.commands);
    let sent = stats.deliveries + stats.replies;
    all.counter("ws_messages_sent_total", "Messages to WebSocket clients.", sent);
}

fn describe_fanout(all: &mut Exposition, sum: &Reading) {
    let help = "Time from when a published event was received until it was written to all of its subscribers on a shard.";
    all.latencies("fanout_seconds", help, &sum.fanout);
}

fn describe_back_pressure(all: &mut Exposition, sum: &Reading, parts_ms: u64, parts_bytes: usize) {
    let mut gated = all.counters("gated_seconds_total", "Time behind a closed gate, over all cores.");
    let (flush, roots) = (sum.gated_ms.flush, sum.gated_ms.roots);
    for (gate, ms) in
        [("flush", flush), ("roots", roots), ("commands", sum.gated_ms.commands), ("rest", parts_ms)]
    {
        gated.sample(&[("gate", gate)], ms as f64 / 1e3);
    }
    let mut queues = all.gauges("queue_bytes", "What waits for another core, by queue.");
    for (queue, bytes) in
        [("roots", sum.queue_bytes.roots), ("leaves", sum.queue_bytes.leaves), ("rest", parts_bytes as u64)]
    {
        queues.sample(&[("queue", queue)], bytes as f64);
    }
    [gated, queues].into_iter().for_each(|family| all.add(family));
    all.gauge("outbox_bytes", "What all outboxes keep in memory, each frame once.", sum.outbox_bytes);
    all.gauge("parting_bytes", "What is kept for connections that are closed.", sum.parting_bytes);
    all.gauge(
        "departed_connections",
        "Connections that have gone and whose subscriptions are still to be given up.",
        sum.departed,
    );
    all.gauge("cache_events", "Events that cache channels remember.", sum.cache_events);
    all.gauge("cache_bytes", "What they take in memory.", sum.cache_bytes);
    all.gauge("blocked_connections", "Clients that the kernel takes nothing more for.", sum.blocked);
}

fn describe_closes(all: &mut Exposition, closes: &Closes) {
    let mut family = all.counters("closes_total", "WebSocket connections ended or refused, by code.");
    for (by, code, count) in closes.iter() {
        let by = match by {
            By::Server => "server",
            By::Peer => "peer",
        };
        let code = match code {
            Code::None => "none".to_owned(),
            Code::Known(code) => code.to_string(),
            Code::Other => "other".to_owned(),
        };
        family.sample(&[("by", by), ("code", &code)], count as f64);
    }
    all.add(family);
}

/// Those of each shard, and those of the other cores.
fn describe_violations(all: &mut Exposition, readings: &[(usize, Reading)], elsewhere: &[(&str, u64)]) {
    let help = "Cases that cannot occur unless the server has a bug, by core. Please report them.";
    let mut family = all.counters("invariant_violations_total", help);
    for (shard, reading) in readings {
        family.sample(&[("core", &*format!("shard-{shard}"))], reading.violations as f64);
    }
    for (core, count) in elsewhere {
        family.sample(&[("core", core)], *count as f64);
    }
    all.add(family);
}

fn describe_hook_drops(all: &mut Exposition, stats: &Stats) {
    let mut dropped = all.counters("hooks_dropped_total", "Hook events dropped since the queue was full.");
    for (kind, count) in [
        ("client_event", stats.hook_client_events_dropped),
        ("server_event", stats.hook_server_events_dropped),
        ("subscription_count", stats.hook_subscription_counts_dropped),
        ("cache_miss", stats.hook_cache_misses_dropped),
    ] {
        dropped.sample(&[("kind", kind)], count as f64);
    }
    all.add(dropped);
}

/// Every counter of the shards, under its own name.
fn describe_counters(all: &mut Exposition, stats: &Stats) {
    for (name, help, value) in stats.explained() {
        all.counter(&format!("{name}_total"), help, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_told_core_by_core() {
        let mut all = Exposition::new("x_");
        let reading = |violations| Reading { violations, ..Reading::default() };
        describe_violations(&mut all, &[(0, reading(0)), (1, reading(7))], &[("api", 2), ("takeover", 1)]);
        let text = all.encode();
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "x_invariant_violations_total{core=\"shard-0\"} 0",
            "x_invariant_violations_total{core=\"shard-1\"} 7",
            "x_invariant_violations_total{core=\"api\"} 2",
            "x_invariant_violations_total{core=\"takeover\"} 1",
        ];
        assert_eq!(samples, expected);
    }
}
