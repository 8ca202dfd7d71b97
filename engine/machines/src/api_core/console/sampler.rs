//! How the server is, once a second: every shard is asked as for a scrape, and what has changed since the last time becomes a
//! sample. The samples of the last minutes are kept, as they were told.

use std::collections::VecDeque;

use api::answer::Manner;
use api::console::object::{Object, list};
use api::refused::Refused;

use super::Console;
use super::facts::ProcessFacts;
use super::streams::Stream;
use crate::api_core::ApiCore;
use crate::api_core::open_call::OpenCall;
use crate::api_core::pending::{self, Pending};
use crate::limits::{CONSOLE_APPS_MAX, CONSOLE_SAMPLE_MS, CONSOLE_SAMPLES_MAX};
use crate::machine::{Now, Token};
use crate::mesh::Ask;
use crate::readings::Reading;

/// What has been seen.
#[derive(Debug, Default)]
pub(in crate::api_core) struct Sampler {
    /// When it looks next, on the monotonic clock.
    due_ms: u64,
    /// Some shard has not answered yet.
    is_asking: bool,
    last: Option<Seen>,
    history: VecDeque<String>,
}

/// Everything that only grows, at one instant.
#[derive(Clone, Debug)]
struct Seen {
    mono_ms: u64,
    sum: Reading,
    /// For how long gates of each shard have been closed.
    gated_ms: Vec<u64>,
    rest_ms: u64,
    process: ProcessFacts,
}

impl Sampler {
    /// When it looks next.
    pub(in crate::api_core) fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// A look has come to nothing.
    pub(in crate::api_core) fn give_up(&mut self) {
        self.is_asking = false;
    }

    fn keep(&mut self, sample: String) {
        if self.history.len() >= CONSOLE_SAMPLES_MAX {
            self.history.pop_front();
        }
        self.history.push_back(sample);
    }
}

impl ApiCore {
    /// Somebody wants to see how the server is.
    pub(super) fn open_overview(
        &mut self,
        token: Token,
        manner: Manner,
        session: Option<u64>,
        now: Now,
    ) -> Result<(), Refused> {
        self.open_stream(token, manner, Stream::Overview, session, now)?;
        if let Some(console) = self.console.as_ref().filter(|console| console.streams.len() > 0) {
            let history = list(console.sampler.history.iter().cloned());
            if !manner.head_only {
                self.tell_stream(token, "history", &history, now);
                self.tell_rest(&[token], now);
            }
        }
        Ok(())
    }

    /// Looks at the server, if it is time.
    pub(in crate::api_core) fn sample_if_due(&mut self, now: Now) {
        let Some(console) = self.console.as_mut() else { return };
        if self.draining || now.mono_ms < console.sampler.due_ms {
            return;
        }
        self.follow_token();
        let Some(Console { sampler, .. }) = &mut self.console else { return };
        // A core that was asleep for long has missed nothing that could be seen now.
        sampler.due_ms = (sampler.due_ms + CONSOLE_SAMPLE_MS).max(now.mono_ms + CONSOLE_SAMPLE_MS / 2);
        if std::mem::replace(&mut sampler.is_asking, true) {
            return;
        }
        let (id, mut call) = (self.calls.name(), OpenCall::of_nobody());
        for (number, home) in self.topics.cores().each_shard().enumerate() {
            self.ask(id, &mut call, home, number as u32, Ask::Reading);
        }
        self.answer_now_or_later(id, call, Pending::Sample(pending::Readings::default()), now);
    }

    /// All shards have said how they stand.
    pub(in crate::api_core) fn take_sample(&mut self, mut readings: Vec<(usize, Reading)>, now: Now) {
        readings.sort_unstable_by_key(|(shard, _)| *shard);
        let Some(process) = self.facts().map(|facts| facts.process()) else { return };
        let mut sum = Reading::default();
        readings.iter().for_each(|(_, reading)| sum.add(reading));
        let gated_ms = readings.iter().map(|(_, reading)| gated_ms(reading)).collect();
        let seen = Seen { mono_ms: now.mono_ms, sum, gated_ms, rest_ms: self.gates.ms(), process };
        let api_connections = self.connections.len() as u64;
        let Some(console) = &mut self.console else { return };
        console.sampler.is_asking = false;
        let Some(before) = console.sampler.last.replace(seen.clone()) else { return };
        let sample = encode_sample(&before, &seen, &readings, api_connections, now);
        console.sampler.keep(sample.clone());
        let streams = console.streams.about(&Stream::Overview);
        for stream in &streams {
            self.tell_stream(*stream, "sample", &sample, now);
        }
        self.tell_rest(&streams, now);
    }

    /// What is told beside each sample.
    fn tell_rest(&mut self, streams: &[Token], now: Now) {
        if streams.is_empty() {
            return;
        }
        self.ask_hooks_for_overview(now);
        let apps = self.encode_apps();
        let nodes = self.facts().and_then(|facts| facts.nodes());
        for stream in streams {
            self.tell_stream(*stream, "apps", &apps, now);
            if let Some(nodes) = &nodes {
                self.tell_stream(*stream, "nodes", nodes, now);
            }
        }
    }

    /// The apps with most connections.
    fn encode_apps(&self) -> String {
        let mut apps: Vec<_> = self.apps.iter().map(|app| (app.connections(), app)).collect();
        if apps.len() > CONSOLE_APPS_MAX {
            apps.select_nth_unstable_by_key(CONSOLE_APPS_MAX, |(connections, _)| u32::MAX - connections);
            apps.truncate(CONSOLE_APPS_MAX);
        }
        apps.sort_by_key(|(connections, _)| u32::MAX - connections);
        list(apps.into_iter().map(|(connections, app)| {
            Object::default()
                .text("id", &app.id)
                .plain("connections", connections)
                .plain("subscriptions", app.subscriptions())
                .plain("channels", app.channels())
                .plain("enabled", app.enabled)
                .end()
        }))
    }
}

fn gated_ms(reading: &Reading) -> u64 {
    let gated = reading.gated_ms;
    gated.flush.max(gated.roots).max(gated.commands)
}

/// What has happened between two looks.
fn encode_sample(
    before: &Seen,
    seen: &Seen,
    readings: &[(usize, Reading)],
    api_connections: u64,
    now: Now,
) -> String {
    let elapsed_ms = (seen.mono_ms - before.mono_ms).max(1);
    let per_s = |now: u64, then: u64| (now.saturating_sub(then) as f64 * 1e3 / elapsed_ms as f64).round();
    // Of that time, rounded so that it is short.
    let share = |now: u64, then: u64, unit: f64| {
        let share = now.saturating_sub(then) as f64 / unit / elapsed_ms as f64;
        (share.min(1.0) * 1e3).round() / 1e3
    };
    let (stats, then) = (&seen.sum.stats, &before.sum.stats);
    let (gated, were) = (seen.sum.gated_ms, before.sum.gated_ms);
    let fanout = seen.sum.fanout.since(&before.sum.fanout);
    let shards = readings.len().max(1) as f64;
    let gates = Object::default()
        .plain("flush", share(gated.flush, were.flush, shards))
        .plain("roots", share(gated.roots, were.roots, shards))
        .plain("commands", share(gated.commands, were.commands, shards))
        .plain("rest", share(seen.rest_ms, before.rest_ms, 1.0));
    let core = |name: &str, busy: Option<(u64, u64)>, gated: (u64, u64), connections: u64| {
        Object::default()
            .text("name", name)
            .maybe("busy", busy.map(|(now, then)| share(now, then, 1e3)))
            .plain("gated", share(gated.0, gated.1, 1.0))
            .plain("connections", connections)
            .end()
    };
    let (busy, was_busy) = (&seen.process, &before.process);
    let shards = readings.iter().map(|(number, reading)| {
        let of = |all: &[u64]| all.get(*number).copied();
        let busy_us = of(&busy.shards_busy_us).zip(of(&was_busy.shards_busy_us));
        let gated_ms = of(&seen.gated_ms).zip(of(&before.gated_ms)).unwrap_or_default();
        core(&format!("shard-{number}"), busy_us, gated_ms, reading.connections)
    });
    let api_busy = Some((busy.api_busy_us, was_busy.api_busy_us));
    let api = core("api", api_busy, (seen.rest_ms, before.rest_ms), api_connections);
    Object::default()
        .plain("at", now.unix_ms)
        .plain("connections", seen.sum.connections)
        .plain("subscriptions", seen.sum.subscriptions)
        .plain("channels", seen.sum.channels)
        .plain("deliveries_per_s", per_s(stats.deliveries, then.deliveries))
        .plain("publishes_per_s", per_s(stats.published, then.published))
        .plain("bytes_in_per_s", per_s(stats.bytes_received, then.bytes_received))
        .plain("bytes_out_per_s", per_s(stats.bytes_sent, then.bytes_sent))
        .maybe("latency_p50_us", fanout.quantile_us(0.5))
        .maybe("latency_p99_us", fanout.quantile_us(0.99))
        .maybe("memory_bytes", busy.memory_bytes)
        .maybe("memory_high_bytes", busy.memory_high_bytes)
        .plain("waiting_bytes", seen.sum.outbox_bytes)
        .raw("gates", &gates.end())
        .raw("cores", &list(shards.chain([api])))
        .end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(mono_ms: u64, deliveries: u64, busy_us: u64, gated_ms: u64) -> Seen {
        let mut sum = Reading { connections: 7, outbox_bytes: 9, ..Reading::default() };
        (sum.stats.deliveries, sum.gated_ms.flush) = (deliveries, gated_ms);
        sum.fanout.note(80, deliveries);
        let process =
            ProcessFacts { shards_busy_us: vec![busy_us], api_busy_us: 0, ..ProcessFacts::default() };
        Seen { mono_ms, sum, gated_ms: vec![gated_ms], rest_ms: 0, process }
    }

    #[test]
    fn a_sample_is_what_has_happened_since_the_one_before() {
        let (before, now) = (seen(1_000, 100, 500_000, 0), seen(3_000, 300, 1_000_000, 500));
        let readings = [(0, Reading { connections: 7, ..Reading::default() })];
        let sample = encode_sample(&before, &now, &readings, 2, Now::at(3_000, 1_700_000_000_000));
        let sample: serde_json::Value = serde_json::from_str(&sample).unwrap();
        assert_eq!(
            (sample["at"].as_u64(), sample["connections"].as_u64()),
            (Some(1_700_000_000_000), Some(7))
        );
        assert_eq!(sample["deliveries_per_s"].as_f64(), Some(100.0));
        assert_eq!((sample["memory_bytes"].is_null(), sample["waiting_bytes"].as_u64()), (true, Some(9)));
        assert!((50..=100).contains(&sample["latency_p50_us"].as_u64().unwrap()), "{sample}");
        assert_eq!(sample["gates"]["flush"].as_f64(), Some(0.25));
        let cores = serde_json::json!([
            {"name": "shard-0", "busy": 0.25, "gated": 0.25, "connections": 7},
            {"name": "api", "busy": 0, "gated": 0, "connections": 2},
        ]);
        assert_eq!(sample["cores"].to_string(), cores.to_string());
        let quiet = encode_sample(&now, &now, &readings, 2, Now::at(3_000, 0));
        assert!(quiet.contains("\"latency_p50_us\":null"), "{quiet}");
    }
}
