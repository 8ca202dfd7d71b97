//! The number of shards, within what a machine can have.

use std::thread;

/// More than any machine has processors for.
pub const SHARDS_MAX: usize = 256;

/// From 1 to `SHARDS_MAX`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shards(usize);

impl Shards {
    /// This many shards, if that is possible.
    pub fn new(count: usize) -> Option<Self> {
        (1..=SHARDS_MAX).contains(&count).then_some(Self(count))
    }

    /// One processor is left to the API core, the hooks and the kernel; a machine with one processor still has one shard.
    pub fn by_machine() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self(processors.saturating_sub(1).clamp(1, SHARDS_MAX))
    }

    /// The number.
    pub fn count(self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_1_to_256_shards() {
        let table = [(0, None), (1, Some(1)), (256, Some(256)), (257, None)];
        for (count, shards) in table {
            assert_eq!(Shards::new(count).map(Shards::count), shards, "{count}");
        }
        assert!(Shards::new(Shards::by_machine().count()).is_some());
    }
}
