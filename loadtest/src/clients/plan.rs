//! Who subscribes to what, from where and how fast: all that the receiving half must know before it begins.
//!
//! Owns the numbering: subscribers count from 0 over all threads and processes of a run, and a part of a plan is a range of
//! them. Values only; a plan goes to other processes as JSON.

use std::net::IpAddr;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::options::{Site, Target};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) site: Site,
    /// Subscriber i is on channel i modulo their number; without channels, it connects and subscribes to nothing.
    pub(crate) channels: Vec<String>,
    pub(crate) subscribers: Range<usize>,
    /// Connections that may be under way at once.
    pub(crate) under_way_max: usize,
    /// Nanoseconds from one connect to the next; None opens as fast as `under_way_max` allows.
    pub(crate) period_ns: Option<u64>,
    /// Each connection pings once in this time, as official clients do when they hear nothing.
    pub(crate) ping_period_ns: Option<u64>,
    /// Share of the subscribers that never read once they are subscribed.
    pub(crate) mute_ratio: f64,
    pub(crate) threads: usize,
}

impl Plan {
    /// All connections of the target on these channels.
    pub(crate) fn new(target: &Target, channels: Vec<String>) -> Self {
        Self {
            site: target.site(),
            channels,
            subscribers: 0..target.connections as usize,
            under_way_max: target.opening as usize,
            period_ns: None,
            ping_period_ns: None,
            mute_ratio: 0.0,
            threads: target.threads as usize,
        }
    }

    /// Nearly equal parts, which together open and ping as the whole would.
    pub(crate) fn split(&self, parts: usize) -> Vec<Self> {
        let count = self.subscribers.len();
        let mut start = self.subscribers.start;
        let part = |index: usize| {
            let end = start + count / parts + usize::from(index < count % parts);
            let subscribers = start..end;
            start = end;
            Self {
                subscribers,
                under_way_max: (self.under_way_max / parts).max(1),
                period_ns: self.period_ns.map(|period| period * parts as u64),
                ..self.clone()
            }
        };
        (0..parts).map(part).collect()
    }

    pub(crate) fn channel_of(&self, subscriber: usize) -> usize {
        subscriber % self.channels.len().max(1)
    }

    pub(crate) fn source_of(&self, subscriber: usize) -> Option<IpAddr> {
        let sources = &self.site.sources;
        sources.get(subscriber % sources.len().max(1)).copied()
    }

    /// Those that never read are spread evenly over all.
    pub(crate) fn is_mute(&self, subscriber: usize) -> bool {
        let before = |subscriber: usize| (subscriber as f64 * self.mute_ratio).floor();
        before(subscriber + 1) > before(subscriber)
    }

    /// How many of all subscribers read.
    pub(crate) fn readers(&self) -> usize {
        self.subscribers.clone().filter(|&subscriber| !self.is_mute(subscriber)).count()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::script::tests::site;
    use super::*;

    pub(crate) fn plan(subscribers: usize) -> Plan {
        Plan {
            site: site(),
            channels: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
            subscribers: 0..subscribers,
            under_way_max: 10,
            period_ns: Some(100),
            ping_period_ns: None,
            mute_ratio: 0.0,
            threads: 1,
        }
    }

    #[test]
    fn parts_add_up_to_the_whole_and_keep_its_pace() {
        for (whole, parts) in [(10, 3), (3, 3), (1, 4), (20_000, 7)] {
            let split = plan(whole).split(parts);
            let all: Vec<usize> = split.iter().flat_map(|part| part.subscribers.clone()).collect();
            assert_eq!(all, (0..whole).collect::<Vec<_>>());
            assert!(split.iter().all(|part| part.period_ns == Some(100 * parts as u64)));
        }
    }

    #[test]
    fn mute_subscribers_are_as_many_as_asked_for_and_spread() {
        let plan = Plan { mute_ratio: 0.1, ..plan(1000) };
        assert_eq!(plan.readers(), 900);
        assert_eq!((0..100).filter(|&subscriber| plan.is_mute(subscriber)).count(), 10);
        assert_eq!(Plan { mute_ratio: 1.0, ..plan.clone() }.readers(), 0);
        assert_eq!(Plan { mute_ratio: 0.0, ..plan }.readers(), 1000);
    }

    #[test]
    fn sources_are_taken_in_turn() {
        let mut plan = plan(3);
        assert_eq!(plan.source_of(0), None);
        plan.site.sources = ["127.0.0.2", "127.0.0.3"].map(|text| text.parse().unwrap()).to_vec();
        assert_ne!(plan.source_of(0), plan.source_of(1));
        assert_eq!(plan.source_of(0), plan.source_of(2));
    }
}
