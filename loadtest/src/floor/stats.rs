//! What the floor did: the absolute figures that stand beside every ratio to it.
//!
//! Owns the counters, the answer to `GET /stats` and the report at the end. Syscalls are those that deliver frames;
//! answers to requests and messages are counted by themselves.

use serde_json::{Value, json};

use crate::options::FloorMode;
use crate::report::{Report, Unit};

#[derive(Default)]
pub(super) struct Stats {
    pub(super) connections: u64,
    pub(super) requests: u64,
    /// Client messages after the subscription.
    pub(super) messages: u64,
    /// Writes of answers, each with all answers to one read.
    pub(super) answers: u64,
    /// Frames, once for each subscriber that there was.
    pub(super) deliveries: u64,
    /// Sends of frames.
    pub(super) writes: u64,
    /// System calls that did the sends.
    pub(super) syscalls: u64,
}

impl Stats {
    pub(super) fn encode(&self) -> String {
        self.counts()
            .into_iter()
            .map(|(name, count)| (name.to_owned(), json!(count)))
            .collect::<Value>()
            .to_string()
    }

    pub(super) fn report(&self, mode: FloorMode) -> Report {
        let mut report = Report::new("floor");
        report.text("mode", "mode", &mode.to_string());
        self.counts().into_iter().for_each(|(name, count)| report.count(name, name, count));
        let ratio = (self.deliveries > 0).then(|| self.syscalls as f64 / self.deliveries as f64);
        report.figure("syscalls_per_delivery", "syscalls per delivery", ratio, Unit::Plain);
        report
    }

    fn counts(&self) -> [(&'static str, u64); 7] {
        [
            ("connections", self.connections),
            ("requests", self.requests),
            ("messages", self.messages),
            ("answers", self.answers),
            ("deliveries", self.deliveries),
            ("writes", self.writes),
            ("syscalls", self.syscalls),
        ]
    }
}
