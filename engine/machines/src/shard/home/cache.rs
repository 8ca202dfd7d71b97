//! The last event of each cache channel that lives here, until its time is over, whether anybody is subscribed or not.
//!
//! Only frames are kept, and only those of servers: what comes here was taken for all subscribers. All of it together is
//! bounded in bytes, and what was published first goes first. What is over is never given out; its memory comes back within
//! a second, without anybody asking.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashTable;
use protocol::hook_event::HookEvent;
use protocol::hook_kind::HookKind;
use protocol::server_event;
use protocol::ws::Frame;
use slab::Slab;

use crate::invariant::Expected;
use crate::limits::Limits;
use crate::mesh::{Cached, Event, Origin};
use crate::shard::home::Home;
use crate::shard::home::witness::Deed;
use crate::topic::Topic;

/// What a cached event takes besides its frame and the name of its channel: its places in all tables, about.
const ENTRY_BYTES: usize = 256;

/// Events go together, so that many of them wake a core once.
const EXPIRY_STEP_MS: u64 = 1000;

/// What holds for every entry.
const LISTED: &str = "an entry is in every list until it is removed";

/// The cached events of one home.
#[derive(Debug)]
pub struct Cache {
    bytes_max: usize,
    expiries_max: usize,
    /// Of this phase, in `mono_ms`.
    now_ms: u64,
    entries: Slab<Entry>,
    table: HashTable<u32>,
    /// Places by stamp, the oldest first.
    by_age: BTreeMap<u64, u32>,
    /// Ends with their places, the next one first.
    by_end: BTreeSet<(u64, u32)>,
    stamps: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    topic: Arc<Topic>,
    frame: Frame,
    stamp: u64,
    ends_ms: u64,
}

/// What an event of this topic counts for in the cache, in bytes.
pub fn cached_bytes(topic: &Topic, frame: &Frame) -> usize {
    ENTRY_BYTES + topic.name().len() + frame.len()
}

impl Cache {
    /// Nothing is remembered.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            bytes_max: limits.cache_bytes_max,
            expiries_max: limits.cache_expiries_per_turn_max,
            now_ms: 0,
            entries: Slab::new(),
            table: HashTable::new(),
            by_age: BTreeMap::new(),
            by_end: BTreeSet::new(),
            stamps: 0,
            bytes: 0,
        }
    }

    /// What follows happens now.
    pub(super) fn begin_phase(&mut self, mono_ms: u64) {
        self.now_ms = mono_ms;
    }

    /// What the topic remembers.
    pub(super) fn get(&self, topic: &Topic) -> Option<&Frame> {
        self.entry_of(topic).map(|entry| &entry.frame)
    }

    /// The same, and for how long.
    pub(super) fn read(&self, topic: &Topic) -> Option<Cached> {
        let Entry { frame, ends_ms, .. } = self.entry_of(topic)?;
        let ttl_s = (ends_ms - self.now_ms).div_ceil(1000);
        Some(Cached { frame: frame.clone(), ttl_s: u32::try_from(ttl_s).unwrap_or(u32::MAX) })
    }

    fn entry_of(&self, topic: &Topic) -> Option<&Entry> {
        let entry = self.entries.get(self.place_of(topic)? as usize)?;
        (entry.ends_ms > self.now_ms).then_some(entry)
    }

    fn place_of(&self, topic: &Topic) -> Option<u32> {
        let is = |at: &u32| self.entries.get(*at as usize).is_some_and(|it| *it.topic == *topic);
        self.table.find(topic.hash, is).copied()
    }

    /// The topic remembers this event from now on. Returns how many others had to go for it, itself included if it is larger
    /// than all may be together.
    pub(super) fn insert(&mut self, topic: &Arc<Topic>, frame: &Frame) -> u64 {
        self.insert_for(topic, frame, 1000 * u64::from(topic.app.cache_ttl_s))
    }

    /// The same for so many milliseconds.
    fn insert_for(&mut self, topic: &Arc<Topic>, frame: &Frame, ttl_ms: u64) -> u64 {
        if let Some(earlier) = self.place_of(topic) {
            self.remove(earlier);
        }
        let (topic, frame, stamp) = (Arc::clone(topic), frame.clone(), self.stamps);
        let (hash, ends_ms) = (topic.hash, self.now_ms + ttl_ms);
        self.stamps += 1;
        self.bytes += cached_bytes(&topic, &frame);
        let at = self.entries.insert(Entry { topic, frame, stamp, ends_ms }) as u32;
        let entries = &self.entries;
        self.table.insert_unique(hash, at, |at| hash_of(entries, *at));
        self.by_age.insert(stamp, at);
        self.by_end.insert((ends_ms, at));
        self.evict()
    }

    /// Brings all down to what it may be. What is over goes first, and is not counted.
    fn evict(&mut self) -> u64 {
        let mut evicted = 0;
        while self.bytes > self.bytes_max {
            let over = self.by_end.first().filter(|(ends_ms, _)| *ends_ms <= self.now_ms);
            let over = over.map(|(_, at)| *at);
            let oldest = self.by_age.first_key_value().map(|(_, at)| *at);
            let Some(at) = over.or(oldest).expected("what is too much is in the cache") else { break };
            self.remove(at);
            evicted += u64::from(over.is_none());
        }
        evicted
    }

    fn remove(&mut self, at: u32) {
        let Some(entry) = self.entries.try_remove(at as usize).expected(LISTED) else { return };
        let found = self.table.find_entry(entry.topic.hash, |other| *other == at);
        if let Some(found) = found.ok().expected(LISTED) {
            found.remove();
        }
        self.by_age.remove(&entry.stamp);
        self.by_end.remove(&(entry.ends_ms, at));
        self.bytes -= cached_bytes(&entry.topic, &entry.frame);
    }

    /// When something is over, in `mono_ms`.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.by_end.first().map(|(ends_ms, _)| ends_ms.next_multiple_of(EXPIRY_STEP_MS))
    }

    /// Gives back what is over, as much as a turn may. Returns how many events that were.
    pub(super) fn expire(&mut self, mono_ms: u64) -> u64 {
        let mut expired = 0;
        while expired < self.expiries_max as u64
            && let Some((_, at)) = self.by_end.first().filter(|(ends_ms, _)| *ends_ms <= mono_ms)
        {
            self.remove(*at);
            expired += 1;
        }
        if expired > 0 && self.entries.is_empty() {
            self.give_back_room();
        }
        expired
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.entries.shrink_to_fit();
        let entries = &self.entries;
        self.table.shrink_to_fit(|at| hash_of(entries, *at));
    }

    /// How many events are remembered, those included that are over and not given back yet.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What they count for, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Home {
    /// An event is on its way to all subscribers. If its channel remembers it, it is empty no more.
    pub(super) fn remember(&mut self, event: &Event) {
        let Event { topic, frame, origin, .. } = event;
        if *origin == Origin::Client || !topic.key.is_cached() {
            return;
        }
        self.misses.end(topic.hash);
        self.stats.cache_evicted += self.cache.insert(topic, frame);
        self.count_grants_again(topic);
    }

    /// What the topic remembers by what the cluster says, and for how many milliseconds.
    pub(super) fn replace_cached(&mut self, topic: &Arc<Topic>, cached: Option<(Frame, u64)>) {
        if let Some((frame, ttl_ms)) = cached {
            self.misses.end(topic.hash);
            self.stats.cache_evicted += self.cache.insert_for(topic, &frame, ttl_ms);
        } else if let Some(earlier) = self.cache.place_of(topic) {
            self.cache.remove(earlier);
        }
    }

    /// What so many subscriptions to a cache channel get behind their acknowledgement.
    pub(super) fn replay_to(&mut self, topic: &Arc<Topic>, subscriptions: u64) -> Frame {
        let cached = self.cache.get(topic).cloned();
        self.show(Deed::Replayed { topic, frame: cached.as_ref() });
        if let Some(cached) = cached {
            self.stats.cache_hits += subscriptions;
            return cached;
        }
        self.stats.cache_misses += subscriptions;
        if topic.app.hooks.has(HookKind::CacheMiss) && self.misses.begin(topic.hash) {
            let (app, channel) = (Arc::clone(&topic.app), topic.shared_name());
            self.edges.note_event(topic.hash, HookEvent::CacheMiss { app, channel });
        }
        cache_miss(topic)
    }

    /// How long that is at most, whatever is cached or over by then.
    pub(super) fn replay_bytes_max(&self, topic: &Topic) -> usize {
        cache_miss(topic).len().max(self.cache.get(topic).map_or(0, Frame::len))
    }
}

fn cache_miss(topic: &Topic) -> Frame {
    let mut bytes = Vec::new();
    server_event::encode_cache_miss(&mut bytes, &topic.name());
    Frame::from(bytes).holding_json(true)
}

fn hash_of(entries: &Slab<Entry>, at: u32) -> u64 {
    entries.get(at as usize).map_or(0, |it| it.topic.hash)
}

#[cfg(test)]
mod tests {
    use protocol::app::App;

    use super::*;
    use crate::topic::{TopicHash, TopicKey};

    /// A frame of so many bytes.
    fn frame(len: usize) -> Frame {
        Frame::from(vec![0x81; len])
    }

    struct Rig {
        cache: Cache,
        topics: TopicHash,
        apps: [Arc<App>; 2],
    }

    impl Rig {
        /// A cache for three events of a hundred bytes, of apps that remember for 10 and for 2 seconds.
        fn new() -> Self {
            let app = |id, ttl_s| {
                let mut app = App::new(id, id, "s");
                app.cache_ttl_s = ttl_s;
                Arc::new(app)
            };
            let (topics, apps) = (TopicHash::new(7, 1), [app("1", 10), app("2", 2)]);
            let bytes_max = 3 * (ENTRY_BYTES + "cache-a".len() + 100);
            let limits =
                Limits { cache_bytes_max: bytes_max, cache_expiries_per_turn_max: 2, ..Limits::default() };
            Self { cache: Cache::new(&limits), topics, apps }
        }

        fn topic(&self, app: usize, name: &str) -> Arc<Topic> {
            self.topics.topic(&self.apps[app], TopicKey::of(name))
        }

        fn insert(&mut self, name: &str, len: usize) -> u64 {
            let topic = self.topic(0, name);
            self.cache.insert(&topic, &frame(len))
        }

        /// Which of these channels remember something.
        fn kept(&self, names: &'static [&str]) -> Vec<&'static str> {
            names.iter().filter(|name| self.cache.get(&self.topic(0, name)).is_some()).copied().collect()
        }
    }

    #[test]
    fn what_was_published_first_goes_first_and_the_newest_of_a_channel_counts() {
        let mut rig = Rig::new();
        let names = &["cache-a", "cache-b", "cache-c", "cache-d"];
        assert_eq!(["cache-a", "cache-b", "cache-c", "cache-a"].map(|name| rig.insert(name, 100)), [0; 4]);
        assert_eq!((rig.insert("cache-d", 100), rig.kept(names)), (1, vec!["cache-a", "cache-c", "cache-d"]));
        assert_eq!((rig.insert("cache-c", 300), rig.kept(names)), (1, vec!["cache-c", "cache-d"]));
    }

    #[test]
    fn an_event_that_is_too_large_for_all_leaves_its_channel_empty() {
        let mut rig = Rig::new();
        rig.insert("cache-a", 100);
        assert_eq!((rig.insert("cache-a", 5000), rig.cache.len(), rig.cache.bytes()), (1, 0, 0));
    }

    #[test]
    fn an_event_is_over_to_the_millisecond_and_gives_its_memory_back_within_a_second() {
        let mut rig = Rig::new();
        rig.cache.begin_phase(500);
        rig.insert("cache-a", 100);
        let short = rig.topic(1, "cache-a");
        rig.cache.insert(&short, &frame(100));
        assert_eq!(rig.cache.read(&short).map(|cached| cached.ttl_s), Some(2));
        assert_eq!(rig.cache.deadline(), Some(3000));
        rig.cache.begin_phase(2499);
        assert_eq!(rig.cache.read(&short).map(|cached| cached.ttl_s), Some(1));
        rig.cache.begin_phase(2500);
        assert!(rig.cache.get(&short).is_none() && rig.kept(&["cache-a"]).len() == 1);
        assert_eq!((rig.cache.expire(3000), rig.cache.deadline()), (1, Some(11_000)));
        assert_eq!((rig.cache.expire(11_000), rig.cache.len(), rig.cache.bytes()), (1, 0, 0));
        assert_eq!(rig.cache.deadline(), None);
    }

    #[test]
    fn a_turn_gives_back_so_many_and_the_rest_is_due_at_once() {
        let mut rig = Rig::new();
        for name in ["cache-a", "cache-b", "cache-c"] {
            rig.insert(name, 100);
        }
        assert_eq!((rig.cache.expire(10_000), rig.cache.deadline()), (2, Some(10_000)));
        assert_eq!((rig.cache.expire(10_000), rig.cache.deadline()), (1, None));
    }
}
