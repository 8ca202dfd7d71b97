//! How connections are spread over processors: the number of shards, and which one gets a new connection.

use std::fmt;
use std::str::FromStr;
use std::thread;

use crate::limits::SHARDS_MAX;

/// The settings of all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shards {
    /// How many there are.
    pub count: ShardCount,
    /// Whether each keeps a processor of its own, if there are more processors than shards.
    pub pin: bool,
    /// Which of them gets a new connection.
    pub accept_steering: Steering,
}

impl Default for Shards {
    fn default() -> Self {
        Self { count: ShardCount::default(), pin: true, accept_steering: Steering::default() }
    }
}

/// From 1 to `SHARDS_MAX`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardCount(usize);

impl ShardCount {
    /// This many shards, if that is possible.
    pub fn new(count: usize) -> Option<Self> {
        (1..=SHARDS_MAX).contains(&count).then_some(Self(count))
    }

    /// The number.
    pub fn get(self) -> usize {
        self.0
    }
}

impl Default for ShardCount {
    /// One processor is left to the API core, the hooks and the kernel; a machine with one processor still has one shard.
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self(processors.saturating_sub(1).clamp(1, SHARDS_MAX))
    }
}

/// What decides which shard gets a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Steering {
    /// The kernel, by a hash of the addresses: evenly.
    #[default]
    Hash,
    /// The processor that received its first packet: the shard beside that queue of the network card.
    Cpu,
}

impl fmt::Display for Steering {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Hash => "hash",
            Self::Cpu => "cpu",
        })
    }
}

impl FromStr for Steering {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "hash" => Ok(Self::Hash),
            "cpu" => Ok(Self::Cpu),
            _ => Err(format!("must be {:?} or {:?}", "hash", "cpu")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_1_to_256_shards() {
        let table = [(0, None), (1, Some(1)), (256, Some(256)), (257, None)];
        for (count, shards) in table {
            assert_eq!(ShardCount::new(count).map(ShardCount::get), shards, "{count}");
        }
        assert!(ShardCount::new(ShardCount::default().get()).is_some());
    }
}
