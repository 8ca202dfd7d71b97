//! Every limit that an operator may set: its key, its bounds, and the field that it sets.
//!
//! A key is the name of its field, and the name that refusals show to clients. Defaults are those of `Limits` and
//! `AppLimits`, and are written nowhere else. A limit that is no number by default follows the machine, or is none.

use protocol::limits::{AppLimits, HTTP_HEADERS_CAP};

use super::Config;
use super::key::{Key, boolean, integer};
use crate::settings::capacity::Capacity;
use crate::settings::fitted;
use machines::limits::Limits;

/// The largest value of `roster_bytes_max`, and what a roster's limits may come to together.
pub(super) const ROSTER_BYTES_MAX: usize = 16 << 20;

/// What a limit follows from: in words, and as a value.
type Followed = (&'static str, fn(&Config) -> String);

/// A limit of `T`.
pub(super) struct Limit<T> {
    pub(super) key: &'static str,
    pub(super) max: u64,
    pub(super) min: u64,
    pub(super) set: fn(&mut T, u64),
    /// Its value, if it has one by default.
    get: fn(&T) -> Option<u64>,
    meaning: &'static str,
    /// What it follows from where it is not set, in words, and what that comes to.
    follows: Option<Followed>,
}

impl<T: Default> Limit<T> {
    fn as_key(&self) -> Key {
        let key = integer(self.key, self.min, self.max, self.meaning);
        match (self.follows, (self.get)(&T::default())) {
            (Some((words, value)), _) => key.or_follows(words, value),
            (None, Some(default)) => key.or_number(default),
            (None, None) => key,
        }
    }
}

/// The limits of a shard on this machine. Those that follow its memory do not depend on its descriptors.
fn on_this_machine(config: &Config) -> Limits {
    let shards = config.shards.count.get();
    fitted(config.limits.clone(), shards, config.apps.len(), Capacity::new(u64::MAX, shards))
}

fn shown(limit: Option<usize>) -> String {
    limit.unwrap_or(0).to_string()
}

/// A limit whose key is the name of its field. Its largest value fits the field.
macro_rules! limit {
    ($field:ident, $min:expr, $max:expr, $meaning:expr) => {
        Limit {
            key: stringify!($field),
            min: $min,
            max: $max,
            set: |limits, value| limits.$field = value as _,
            get: |limits| Some(limits.$field as u64),
            meaning: $meaning,
            follows: None,
        }
    };
}

/// A limit of what one address may have; 0: there is none.
macro_rules! cap {
    ($field:ident, $meaning:expr) => {
        Limit {
            key: stringify!($field),
            min: 0,
            max: u32::MAX as u64,
            set: |limits, value| limits.$field = Some(value as u32).filter(|max| *max > 0),
            get: |limits| limits.$field.map(u64::from),
            meaning: $meaning,
            follows: None,
        }
    };
}

/// The limits that hold for the whole server.
pub(super) const SERVER: [Limit<Limits>; 23] = [
    limit!(
        outbox_bytes_max,
        64 << 10,
        1 << 30,
        "What may wait for a slow reader once the kernel takes no more, in bytes. Beyond it: closed with 4100."
    ),
    limit!(outbox_frames_max, 16, 1 << 20, "The same, in frames."),
    Limit {
        key: "outboxes_bytes_max",
        min: 1 << 20,
        max: 1 << 40,
        set: |limits, value| limits.outboxes_bytes_max = Some(value as usize),
        get: |limits| limits.outboxes_bytes_max.map(|value| value as u64),
        meaning: "What may wait like that on one shard for all its connections together.",
        follows: Some((
            "an eighth of the memory divided by the number of shards, at least 67108864",
            |config| shown(on_this_machine(config).outboxes_bytes_max),
        )),
    },
    // Never less than what one outbox may gain.
    limit!(
        unflushed_shard_bytes_max,
        64 << 10,
        1 << 30,
        "The size of a shard's events that were not yet tried to be written to all their subscribers. Beyond it a shard takes no input until it has flushed."
    ),
    limit!(
        message_bytes_max,
        1 << 10,
        16 << 20,
        "A WebSocket message of a client. Beyond it: closed with 1009. At most a quarter of `outbox_bytes_max`."
    ),
    limit!(http_body_bytes_max, 1 << 10, 64 << 20, "The body of a REST call, decoded. Beyond it: 413."),
    limit!(
        http_bodies_bytes_max,
        1 << 20,
        1 << 40,
        "What all incomplete REST calls may keep together. Beyond it: 503. At least twice `http_body_bytes_max`."
    ),
    limit!(http_idle_s, 1, 86_400, "Seconds that a REST connection stays open after its last answer."),
    // Each byte of a head that comes alone has it parsed again.
    limit!(http_head_bytes_max, 1 << 10, 32 << 10, "The head of an HTTP request, in bytes. Beyond it: 431."),
    limit!(http_headers_max, 8, HTTP_HEADERS_CAP as u64, "The same, in header lines."),
    limit!(
        subscriptions_per_connection_max,
        1,
        1_000_000,
        "Channels that one connection may be subscribed to."
    ),
    Limit {
        key: "subscriptions_per_shard_max",
        min: 1,
        max: u32::MAX as u64,
        set: |limits, value| limits.subscriptions_per_shard_max = Some(value as usize),
        get: |limits| limits.subscriptions_per_shard_max.map(|value| value as u64),
        meaning: "Subscriptions of all connections of one shard.",
        follows: Some((
            "one for every 2 KiB of the memory divided by the number of shards, at least 50000",
            |config| shown(on_this_machine(config).subscriptions_per_shard_max),
        )),
    },
    limit!(
        cache_bytes_max,
        64 << 10,
        1 << 40,
        "What the cache channels of a shard may remember. Past it the event that was published first goes first."
    ),
    limit!(
        commands_per_turn_max,
        1,
        1024,
        "Messages of one connection handled before others have their turn."
    ),
    limit!(half_open_max, 16, 1 << 20, "Connections of one shard without a complete HTTP head."),
    cap!(
        half_open_per_address_max,
        "Of them, those from one address (IPv6: from one /64), on the whole server. Beyond it: another one is closed. 0, the \
         default: any number."
    ),
    cap!(
        connections_per_address_max,
        "WebSocket connections from one address (IPv6: from one /64), on the whole server. Beyond it: closed with 4100. 0, the \
         default: any number."
    ),
    limit!(head_ms_max, 100, 600_000, "Milliseconds that a client has for its HTTP head."),
    limit!(
        tls_handshake_ms_max,
        100,
        600_000,
        "Milliseconds that a client has for its TLS handshake, before its head."
    ),
    // Silence is counted in seconds that wrap after 18 hours.
    limit!(
        activity_timeout_s,
        1,
        7200,
        "Seconds of silence after which clients ping; each is told when it connects."
    ),
    limit!(ping_grace_s, 1, 3600, "Seconds that their ping may take before the server pings them."),
    limit!(
        pong_s_max,
        1,
        3600,
        "Seconds that the answer to that may take before the connection is closed with 4201."
    ),
    // A core shows once a second that it lives.
    limit!(
        nap_ms_max,
        0,
        1000,
        "Milliseconds after which a core that hears only pings answers them together. 0: never."
    ),
];

/// The only key here that is not a number.
pub(super) const IDLE_CHECK: &str = "idle_check";

const IDLE_CHECK_KEY: Key =
    boolean(IDLE_CHECK, "Whether silent connections are pinged and closed at all.").or("true");

/// The limits that an app may set for itself.
pub(super) const APP: [Limit<AppLimits>; 18] = [
    limit!(
        event_data_bytes_max,
        1,
        64 << 20,
        "Data of a published event, decoded. Beyond it: 413. At most an eighth of `outbox_bytes_max`."
    ),
    limit!(
        client_event_data_bytes_max,
        1,
        16 << 20,
        "Data of a client event, decoded. At most `message_bytes_max`."
    ),
    limit!(channels_per_event_max, 1, 1000, "Channels of one publish."),
    limit!(batch_events_max, 1, 1000, "Events of one batch."),
    limit!(channel_name_bytes_max, 1, 1000, "Name of a channel, with its prefix."),
    limit!(event_name_characters_max, 1, 1000, "Name of an event, in characters."),
    limit!(presence_members_max, 1, 100_000, "Distinct users of one presence channel."),
    limit!(presence_user_bytes_max, 2, 64 << 10, "`user_info` of each, as compact JSON."),
    limit!(user_id_characters_max, 1, 1000, "The id of each, in characters."),
    limit!(watchlist_users_max, 1, 1000, "Users that one signed-in user may watch."),
    limit!(
        roster_bytes_max,
        1 << 10,
        ROSTER_BYTES_MAX as u64,
        "The roster that each member of a presence channel receives, in bytes on the wire."
    ),
    // A bucket of one second is refilled in whole milliseconds.
    limit!(
        client_events_per_second,
        1,
        1000,
        "Client events of one connection per second. Beyond it: error 4301, the event is dropped."
    ),
    limit!(
        subscription_changes_per_second,
        1,
        1000,
        "Subscriptions per second that one connection may take in place of others that it gave up. Beyond it: error 4301."
    ),
    // What fills again is counted in microseconds.
    Limit {
        key: "backend_events_per_second",
        min: 1,
        max: 1_000_000,
        set: |limits, value| limits.backend_events_per_second = Some(value as u32),
        get: |limits| limits.backend_events_per_second.map(|value| value as u64),
        meaning: "Events that an app's back ends may publish per second, counted for each channel. Beyond it: 429. No limit by default.",
        follows: None,
    },
    Limit {
        key: "read_requests_per_second",
        min: 1,
        max: 1_000_000,
        set: |limits, value| limits.read_requests_per_second = Some(value as u32),
        get: |limits| limits.read_requests_per_second.map(|value| value as u64),
        meaning: "Calls per second that ask about channels, users or connections. Beyond it: 429. No limit by default.",
        follows: None,
    },
    Limit {
        key: "connections_max",
        min: 1,
        max: u32::MAX as u64,
        set: |limits, value| limits.connections_max = Some(value as u32),
        get: |limits| limits.connections_max.map(|value| value as u64),
        meaning: "Connections of the app on this server. No limit by default.",
        follows: None,
    },
    // What fills again is counted in microseconds.
    Limit {
        key: "new_connections_per_second_max",
        min: 1,
        max: 1_000_000,
        set: |limits, value| limits.new_connections_per_second_max = Some(value as u32),
        get: |limits| limits.new_connections_per_second_max.map(|value| value as u64),
        meaning: "Clients of the app that may connect per second, which is also the burst. Beyond it: closed with 4100. No limit by default.",
        follows: None,
    },
    Limit {
        key: "subscriptions_max",
        min: 1,
        max: u32::MAX as u64,
        set: |limits, value| limits.subscriptions_max = Some(value as u32),
        get: |limits| limits.subscriptions_max.map(|value| value as u64),
        meaning: "Subscriptions of the app on this server. By default as many as all shards may have, and half of that if there are several apps.",
        follows: None,
    },
];

/// The keys that `[limits]` may have: those of an app hold for all apps there.
pub(super) fn limit_keys() -> impl Iterator<Item = Key> {
    SERVER.iter().map(Limit::as_key).chain([IDLE_CHECK_KEY]).chain(app_limit_keys())
}

/// Whether a running server follows a change of this key of `[limits]`.
pub(super) fn is_read_again(key: &str) -> bool {
    ["half_open_per_address_max", "connections_per_address_max"].contains(&key)
        || APP.iter().any(|limit| limit.key == key)
}

/// The keys of limits that an app may set for itself.
pub(super) fn app_limit_keys() -> impl Iterator<Item = Key> {
    APP.iter().map(Limit::as_key)
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
