//! Every limit that an operator may set: its key, its bounds, and the field that it sets.
//!
//! A key is the name of its field, and the name that refusals show to clients. Defaults are those of `Limits` and
//! `AppLimits`, and are written nowhere else.

use protocol::limits::{AppLimits, HTTP_HEADERS_CAP};

use super::key::{Key, boolean, integer};
use machines::limits::Limits;

/// The largest value of `roster_bytes_max`, and what a roster's limits may come to together.
pub(super) const ROSTER_BYTES_MAX: usize = 16 << 20;

/// A limit of `T`.
pub(super) struct Limit<T> {
    pub(super) key: &'static str,
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) set: fn(&mut T, u64),
}

/// A limit whose key is the name of its field. Its largest value fits the field.
macro_rules! limit {
    ($field:ident, $min:expr, $max:expr) => {
        Limit {
            key: stringify!($field),
            min: $min,
            max: $max,
            set: |limits, value| limits.$field = value as _,
        }
    };
}

/// The limits that hold for the whole server.
pub(super) const SERVER: [Limit<Limits>; 20] = [
    limit!(outbox_bytes_max, 64 << 10, 1 << 30),
    limit!(outbox_frames_max, 16, 1 << 20),
    Limit {
        key: "outboxes_bytes_max",
        min: 1 << 20,
        max: 1 << 40,
        set: |limits, value| limits.outboxes_bytes_max = Some(value as usize),
    },
    // Never less than what one outbox may gain.
    limit!(unflushed_shard_bytes_max, 64 << 10, 1 << 30),
    limit!(message_bytes_max, 1 << 10, 16 << 20),
    limit!(http_body_bytes_max, 1 << 10, 64 << 20),
    limit!(http_bodies_bytes_max, 1 << 20, 1 << 40),
    limit!(http_idle_s, 1, 86_400),
    // Each byte of a head that comes alone has it parsed again.
    limit!(http_head_bytes_max, 1 << 10, 32 << 10),
    limit!(http_headers_max, 8, HTTP_HEADERS_CAP as u64),
    limit!(subscriptions_per_connection_max, 1, 1_000_000),
    Limit {
        key: "subscriptions_per_shard_max",
        min: 1,
        max: u32::MAX as u64,
        set: |limits, value| limits.subscriptions_per_shard_max = Some(value as usize),
    },
    limit!(cache_bytes_max, 64 << 10, 1 << 40),
    limit!(commands_per_turn_max, 1, 1024),
    limit!(half_open_max, 16, 1 << 20),
    limit!(head_ms_max, 100, 600_000),
    // Silence is counted in seconds that wrap after 18 hours.
    limit!(activity_timeout_s, 1, 7200),
    limit!(ping_grace_s, 1, 3600),
    limit!(pong_s_max, 1, 3600),
    // A core shows once a second that it lives.
    limit!(nap_ms_max, 0, 1000),
];

/// The only key here that is not a number.
pub(super) const IDLE_CHECK: &str = "idle_check";

/// The limits that an app may set for itself.
pub(super) const APP: [Limit<AppLimits>; 17] = [
    limit!(event_data_bytes_max, 1, 64 << 20),
    limit!(client_event_data_bytes_max, 1, 16 << 20),
    limit!(channels_per_event_max, 1, 1000),
    limit!(batch_events_max, 1, 1000),
    limit!(channel_name_bytes_max, 1, 1000),
    limit!(event_name_characters_max, 1, 1000),
    limit!(presence_members_max, 1, 100_000),
    limit!(presence_user_bytes_max, 2, 64 << 10),
    limit!(user_id_characters_max, 1, 1000),
    limit!(watchlist_users_max, 1, 1000),
    limit!(roster_bytes_max, 1 << 10, ROSTER_BYTES_MAX as u64),
    // A bucket of one second is refilled in whole milliseconds.
    limit!(client_events_per_second, 1, 1000),
    limit!(subscription_changes_per_second, 1, 1000),
    // What fills again is counted in microseconds.
    Limit {
        key: "backend_events_per_second",
        min: 1,
        max: 1_000_000,
        set: |limits, value| limits.backend_events_per_second = Some(value as u32),
    },
    Limit {
        key: "read_requests_per_second",
        min: 1,
        max: 1_000_000,
        set: |limits, value| limits.read_requests_per_second = Some(value as u32),
    },
    Limit {
        key: "connections_max",
        min: 1,
        max: u32::MAX as u64,
        set: |limits, value| limits.connections_max = Some(value as u32),
    },
    Limit {
        key: "subscriptions_max",
        min: 1,
        max: u32::MAX as u64,
        set: |limits, value| limits.subscriptions_max = Some(value as u32),
    },
];

/// The keys that `[limits]` may have: those of an app hold for all apps there.
pub(super) fn limit_keys() -> impl Iterator<Item = Key> {
    SERVER.iter().map(|limit| integer(limit.key)).chain([boolean(IDLE_CHECK)]).chain(app_limit_keys())
}

/// The keys of limits that an app may set for itself.
pub(super) fn app_limit_keys() -> impl Iterator<Item = Key> {
    APP.iter().map(|limit| integer(limit.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_sets_a_field_of_its_own() {
        let change = |set: fn(&mut AppLimits, u64), value| {
            let mut limits = AppLimits::default();
            set(&mut limits, value);
            limits
        };
        let mut seen = vec![AppLimits::default()];
        for limit in &APP {
            let changed = change(limit.set, limit.max);
            assert!(!seen.contains(&changed), "{}", limit.key);
            seen.push(changed);
        }
    }
}
