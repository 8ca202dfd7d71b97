//! What subscribers must be told of their number: the last one always, each one exactly where they are few, and not too
//! often where they are many. Knows nothing of how homes come to tell it.

use std::collections::{BTreeMap, BTreeSet};

use corecast_machines::limits::Limits;

use crate::client::{Client, Seen};
use crate::model::{Done, Expected};

/// The number that a channel was told last, and when it was last told one that is not exact.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    subscriptions: u64,
    many_at_ms: Option<u64>,
}

#[derive(Debug)]
pub struct CountsModel {
    exact_max: u64,
    interval_ms: u64,
    told: BTreeMap<String, Told>,
    /// Channels that were told in this phase.
    of_phase: BTreeSet<String>,
    /// Times that many were told too early.
    early: u64,
}

impl CountsModel {
    pub fn new(limits: &Limits) -> Self {
        Self {
            exact_max: limits.counts_exact_max,
            interval_ms: limits.counts_interval_ms,
            told: BTreeMap::new(),
            of_phase: BTreeSet::new(),
            early: 0,
        }
    }

    /// For how many seconds a number may be put off.
    pub fn interval_s(&self) -> u64 {
        self.interval_ms.div_ceil(1000)
    }

    pub fn begin_phase(&mut self) {
        self.of_phase.clear();
    }

    /// What a home has done in this phase.
    pub fn done(&mut self, channel: &str, done: &Done, now_ms: u64) -> Result<(), String> {
        let Done::Counted(subscriptions) = done else { return Ok(()) };
        if !is_counted(channel) {
            return Err(format!("{channel} was told that it has {subscriptions} subscriptions"));
        }
        if !self.of_phase.insert(channel.to_owned()) {
            return Err(format!("{channel} was told twice in a phase how many subscriptions it has"));
        }
        let told = self.told.entry(channel.to_owned()).or_default();
        told.subscriptions = *subscriptions;
        if *subscriptions > self.exact_max {
            let due_ms = told.many_at_ms.map_or(0, |at_ms| at_ms + self.interval_ms);
            self.early += u64::from(now_ms < due_ms);
            told.many_at_ms = Some(now_ms);
        }
        Ok(())
    }

    /// Everything has come to rest, and `hurried` channels might be told too early.
    pub fn check(
        &self,
        expected: &BTreeMap<String, Expected>,
        clients: &[Client],
        hurried: u64,
        now_ms: u64,
    ) -> Result<(), String> {
        if self.early > hurried {
            return Err(format!("numbers of many were told {} times too early", self.early));
        }
        for (name, expected) in expected.iter().filter(|(name, _)| is_counted(name)) {
            let told = self.told.get(name).copied().unwrap_or_default();
            let waits = expected.subscriptions > self.exact_max
                && told.many_at_ms.is_some_and(|at_ms| at_ms + self.interval_ms > now_ms);
            if waits {
                continue;
            }
            if told.subscriptions != expected.subscriptions {
                let (told, is) = (told.subscriptions, expected.subscriptions);
                return Err(format!("{name} has {is} subscriptions, and was last told {told}"));
            }
            let untold =
                clients.iter().filter(|client| !client.leaving && client.is_on(name)).find(|client| {
                    let last =
                        client.channels[name].seen.iter().rev().find(|seen| !matches!(seen, Seen::Event(_)));
                    last != Some(&Seen::Counted(expected.subscriptions))
                });
            if let Some(client) = untold {
                return Err(format!("{:?} does not know the last number of {name}", client.socket_id));
            }
        }
        Ok(())
    }
}

fn is_counted(channel: &str) -> bool {
    !channel.starts_with("presence-") && !channel.starts_with("#server-to-user-")
}
