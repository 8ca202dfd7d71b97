//! Limits that follow the machine where the operator has set none: what its memory and its descriptors allow.

use super::capacity::Capacity;
use super::memory::memory_bytes;
use machines::limits::{
    Limits, MEMORY_PER_SUBSCRIPTION, OUTBOXES_BYTES_MIN, OUTBOXES_MEMORY_PART, SUBSCRIPTIONS_MIN,
};

/// The limits of each of so many shards that serve so many apps. Connections without a head may not use up the descriptors
/// of the others, nor clients those of publishers.
pub fn fitted(limits: Limits, shards: usize, apps: usize, capacity: Capacity) -> Limits {
    let memory = memory_bytes().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    let outboxes = limits.outboxes_bytes_max.unwrap_or_else(|| outboxes_bytes(&limits, shards, memory));
    Limits {
        half_open_max: limits.half_open_max.min(capacity.half_open_per_shard()),
        connections_max: limits.connections_max.min(capacity.clients_per_shard()),
        outboxes_bytes_max: Some(outboxes),
        ..with_room_for_subscriptions(limits, shards, apps, memory)
    }
}

/// How many subscriptions each of so many shards may have with this memory. Where there are several apps, one of them gets
/// no more than half of the total.
fn with_room_for_subscriptions(limits: Limits, shards: usize, apps: usize, memory: usize) -> Limits {
    let by_memory = (memory / MEMORY_PER_SUBSCRIPTION / shards).max(SUBSCRIPTIONS_MIN);
    let of_shard = limits.subscriptions_per_shard_max.unwrap_or(by_memory);
    let all = of_shard.saturating_mul(shards) as u64;
    Limits {
        subscriptions_per_shard_max: Some(of_shard),
        subscriptions_per_app_max: if apps > 1 { all.div_ceil(2) } else { all },
        ..limits
    }
}

/// What the outboxes of one of so many shards may keep with this memory.
fn outboxes_bytes(limits: &Limits, shards: usize, memory: usize) -> usize {
    (memory / OUTBOXES_MEMORY_PART / shards).max(OUTBOXES_BYTES_MIN).max(limits.outbox_bytes_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: usize = 4 << 30;

    #[test]
    fn room_for_subscriptions_follows_the_memory_and_is_shared_by_apps() {
        let of = |limits: &Limits, shards, apps| {
            let limits = with_room_for_subscriptions(limits.clone(), shards, apps, MEMORY);
            (limits.subscriptions_per_shard_max.unwrap(), limits.subscriptions_per_app_max)
        };
        for shards in [1, 4] {
            let (each, of_app) = of(&Limits::default(), shards, 1);
            assert_eq!(each, MEMORY / 2048 / shards);
            assert_eq!(of_app, (each * shards) as u64);
        }
        assert_eq!(of(&Limits::default(), 1 << 40, 1).0, 50_000, "a small machine");
        let set = Limits { subscriptions_per_shard_max: Some(7), ..Limits::default() };
        assert_eq!((of(&set, 3, 1), of(&set, 3, 2)), ((7, 21), (7, 11)));
    }

    #[test]
    fn outboxes_follow_the_memory_and_hold_at_least_one_full_outbox() {
        let of = |limits: Limits, memory| outboxes_bytes(&limits, 2, memory);
        assert_eq!(of(Limits::default(), MEMORY), 256 << 20);
        assert_eq!(of(Limits::default(), 0), 64 << 20);
        assert_eq!(of(Limits { outbox_bytes_max: 1 << 30, ..Limits::default() }, 0), 1 << 30);
    }

    #[test]
    fn a_limit_that_is_set_holds_unless_descriptors_allow_less() {
        let set = Limits { half_open_max: 20, outboxes_bytes_max: Some(1 << 20), ..Limits::default() };
        let few = fitted(set.clone(), 1, 1, Capacity::new(64, 1));
        assert_eq!((few.half_open_max, few.connections_max, few.outboxes_bytes_max), (16, 16, Some(1 << 20)));
        let many = fitted(set, 1, 1, Capacity::new(1 << 20, 1));
        assert_eq!(many.half_open_max, 20);
    }
}
