//! What each home must remember of its cache channels: the last event of a server, for so long, and all of them together up to
//! so many bytes, the oldest going first. Knows nothing of how homes keep it.

use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
pub struct Remembered {
    ttl_ms_max: u64,
    bytes_max: usize,
    /// By home, the oldest first.
    events: BTreeMap<usize, VecDeque<Event>>,
}

#[derive(Clone, Debug)]
struct Event {
    channel: String,
    id: u64,
    ends_ms: u64,
    bytes: usize,
}

/// What an event counts for where it is remembered, and how long it is.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub bytes: usize,
    pub ttl_ms: u64,
}

/// Whether a channel remembers its last event.
pub fn is_cached(channel: &str) -> bool {
    channel.starts_with("cache-") || channel.starts_with("presence-cache-")
}

impl Remembered {
    pub fn new(bytes_max: usize) -> Self {
        Self { ttl_ms_max: 0, bytes_max, events: BTreeMap::new() }
    }

    /// The longest time for which an event was to be remembered.
    pub fn ttl_ms_max(&self) -> u64 {
        self.ttl_ms_max
    }

    /// A server's event is taken at its home.
    pub fn take(&mut self, home: usize, channel: &str, id: u64, kept: Kept, now_ms: u64) {
        if !is_cached(channel) {
            return;
        }
        let events = self.events.entry(home).or_default();
        events.retain(|event| event.channel != channel && event.ends_ms > now_ms);
        let Kept { bytes, ttl_ms } = kept;
        self.ttl_ms_max = self.ttl_ms_max.max(ttl_ms);
        events.push_back(Event { channel: channel.to_owned(), id, ends_ms: now_ms + ttl_ms, bytes });
        while events.iter().map(|event| event.bytes).sum::<usize>() > self.bytes_max {
            events.pop_front();
        }
    }

    /// The event that a channel remembers now, and for how many milliseconds.
    pub fn of(&self, channel: &str, now_ms: u64) -> Option<(u64, u64)> {
        let of_channel = self.events.values().flatten().find(|event| event.channel == channel);
        of_channel.filter(|event| event.ends_ms > now_ms).map(|event| (event.id, event.ends_ms - now_ms))
    }

    /// An outsider was told of this event and its seconds, between these two times.
    pub fn check(
        &self,
        channel: &str,
        told: Option<(u64, u32)>,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<(), String> {
        let (first, last) = (self.of(channel, from_ms), self.of(channel, to_ms));
        let seconds = |left_ms: u64| left_ms.div_ceil(1000) as u32;
        let fits = match (told, first) {
            (None, _) => last.is_none(),
            (Some((id, ttl_s)), Some((of, left_ms))) => {
                id == of
                    && (last.map_or(1, |(_, left_ms)| seconds(left_ms))..=seconds(left_ms)).contains(&ttl_s)
            }
            (Some(_), None) => false,
        };
        if fits { Ok(()) } else { Err(format!("{channel} remembers {first:?}, and {told:?} was told")) }
    }
}
