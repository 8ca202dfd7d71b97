//! Every limit that an operator may set: its key, its bounds, and the field that it sets.
//!
//! A key is the name of its field, and the name that refusals show to clients. Limits that contradict each other are
//! refused together, whichever was set. Defaults are those of `Limits` and `AppLimits`, and are written nowhere else.

use protocol::limits::{AppLimits, CHARACTER_BYTES_MAX, HTTP_HEADERS_CAP};

use super::fault::Fault;
use super::section::{Section, Table, Value};
use machines::limits::Limits;

/// The largest value of `roster_bytes_max`, and what a roster's limits may come to together.
const ROSTER_BYTES_MAX: usize = 16 << 20;

/// On the wire an event is up to six times as long as its data, if each character must be escaped; outboxes hold that and
/// some more.
const OUTBOX_PER_EVENT_DATA: usize = 8;

/// A limit of `T`.
struct Limit<T> {
    key: &'static str,
    min: u64,
    max: u64,
    set: fn(&mut T, u64),
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
const SERVER: [Limit<Limits>; 19] = [
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
const IDLE_CHECK: &str = "idle_check";

/// The limits that an app may set for itself.
const APP: [Limit<AppLimits>; 14] = [
    limit!(event_data_bytes_max, 1, 64 << 20),
    limit!(client_event_data_bytes_max, 1, 16 << 20),
    limit!(channels_per_event_max, 1, 1000),
    limit!(batch_events_max, 1, 1000),
    limit!(channel_name_bytes_max, 1, 1000),
    limit!(event_name_characters_max, 1, 1000),
    limit!(presence_members_max, 1, 100_000),
    limit!(presence_user_bytes_max, 2, 64 << 10),
    limit!(user_id_characters_max, 1, 1000),
    limit!(roster_bytes_max, 1 << 10, ROSTER_BYTES_MAX as u64),
    // A bucket of one second is refilled in whole milliseconds.
    limit!(client_events_per_second, 1, 1000),
    limit!(subscription_changes_per_second, 1, 1000),
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
pub(super) fn limit_keys() -> impl Iterator<Item = &'static str> {
    SERVER.iter().map(|limit| limit.key).chain([IDLE_CHECK]).chain(app_limit_keys())
}

/// The keys of limits that an app may set for itself.
pub(super) fn app_limit_keys() -> impl Iterator<Item = &'static str> {
    APP.iter().map(|limit| limit.key)
}

/// The limits of `[limits]`, or the defaults without it.
pub(super) struct Limited<'a> {
    pub(super) server: Limits,
    pub(super) app: AppLimits,
    set: Vec<Value<'a>>,
}

impl<'a> Limited<'a> {
    /// Limits that do not contradict each other.
    pub(super) fn parse(value: Option<Value<'a>>) -> Result<Self, Fault> {
        let mut this = Self { server: Limits::default(), app: AppLimits::default(), set: Vec::new() };
        let Some(value) = value else { return Ok(this) };
        let mut section = value.section(Table::Limits)?;
        read(&SERVER, &mut section, &mut this.server, &mut this.set)?;
        read(&APP, &mut section, &mut this.app, &mut this.set)?;
        if let Some(value) = section.take(IDLE_CHECK) {
            this.server.idle_check = value.boolean()?;
        }
        this.server.unflushed_bytes_max =
            this.server.unflushed_bytes_max.min(this.server.outbox_bytes_max / 4);
        this.check(&this.app, &[])?;
        Ok(this)
    }

    /// The limits of an app: its own where it sets them, else those of all apps.
    pub(super) fn parse_app(&self, value: Option<Value<'_>>) -> Result<AppLimits, Fault> {
        let mut limits = self.app.clone();
        let Some(value) = value else { return Ok(limits) };
        let mut set = Vec::new();
        read(&APP, &mut value.section(Table::AppLimits)?, &mut limits, &mut set)?;
        self.check(&limits, &set)?;
        Ok(limits)
    }

    /// Refuses limits of an app, of which `set` are its own, that contradict those of this server.
    fn check(&self, app: &AppLimits, set: &[Value<'_>]) -> Result<(), Fault> {
        for Pair { keys, broken } in PAIRS {
            let Some(why) = broken(&self.server, app) else { continue };
            let place = set.iter().chain(&self.set).find(|value| keys.contains(&value.key()));
            return match place {
                Some(value) => Err(value.fault(&format!("does not fit: {why}"))),
                None => unreachable!("the defaults of {keys:?} go together"),
            };
        }
        Ok(())
    }
}

fn read<'a, T>(
    table: &[Limit<T>],
    section: &mut Section<'a>,
    limits: &mut T,
    set: &mut Vec<Value<'a>>,
) -> Result<(), Fault> {
    for limit in table {
        if let Some(value) = section.take(limit.key) {
            (limit.set)(limits, value.integer(limit.min, limit.max)?);
            set.push(value);
        }
    }
    Ok(())
}

/// Limits of which one bounds another.
struct Pair {
    keys: &'static [&'static str],
    broken: fn(&Limits, &AppLimits) -> Option<String>,
}

const PAIRS: [Pair; 7] = [
    Pair { keys: &["event_data_bytes_max", "outbox_bytes_max"], broken: event_beyond_outbox },
    Pair { keys: &["event_data_bytes_max", "http_body_bytes_max"], broken: event_beyond_body },
    Pair { keys: &["http_body_bytes_max", "http_bodies_bytes_max"], broken: body_beyond_all },
    Pair { keys: &["message_bytes_max", "outbox_bytes_max"], broken: message_beyond_outbox },
    Pair { keys: &["outboxes_bytes_max", "outbox_bytes_max"], broken: outbox_beyond_all },
    Pair { keys: &["client_event_data_bytes_max", "message_bytes_max"], broken: client_event_beyond_message },
    Pair {
        keys: &["presence_members_max", "presence_user_bytes_max", "user_id_characters_max"],
        broken: roster_too_long,
    },
];

fn event_beyond_outbox(server: &Limits, app: &AppLimits) -> Option<String> {
    let (data, outbox) = (app.event_data_bytes_max, server.outbox_bytes_max);
    (data > outbox / OUTBOX_PER_EVENT_DATA).then(|| {
        format!(
            "outbox_bytes_max ({outbox}) must be at least {OUTBOX_PER_EVENT_DATA} times \
             event_data_bytes_max ({data}), or healthy readers are closed as too slow"
        )
    })
}

fn event_beyond_body(server: &Limits, app: &AppLimits) -> Option<String> {
    let (data, body) = (app.event_data_bytes_max, server.http_body_bytes_max);
    (data > body).then(|| {
        format!("event_data_bytes_max ({data}) is more than http_body_bytes_max ({body}), so no call could hold it")
    })
}

// The room of a body grows by doubling.
fn body_beyond_all(server: &Limits, _: &AppLimits) -> Option<String> {
    let (body, all) = (server.http_body_bytes_max, server.http_bodies_bytes_max);
    (2 * body > all).then(|| {
        format!("http_bodies_bytes_max ({all}) must be at least 2 times http_body_bytes_max ({body})")
    })
}

fn message_beyond_outbox(server: &Limits, _: &AppLimits) -> Option<String> {
    let (message, outbox) = (server.message_bytes_max, server.outbox_bytes_max);
    (message > outbox / 4).then(|| {
        format!(
            "outbox_bytes_max ({outbox}) must be at least 4 times message_bytes_max ({message}), \
             or healthy readers are closed as too slow"
        )
    })
}

fn outbox_beyond_all(server: &Limits, _: &AppLimits) -> Option<String> {
    let (all, outbox) = (server.outboxes_bytes_max?, server.outbox_bytes_max);
    (all < outbox).then(|| {
        format!(
            "outboxes_bytes_max ({all}) is less than outbox_bytes_max ({outbox}), so no outbox could reach its limit"
        )
    })
}

fn client_event_beyond_message(server: &Limits, app: &AppLimits) -> Option<String> {
    let (data, message) = (app.client_event_data_bytes_max, server.message_bytes_max);
    (data > message).then(|| {
        format!(
            "client_event_data_bytes_max ({data}) is more than message_bytes_max ({message}), \
             so no message could hold it"
        )
    })
}

fn roster_too_long(_: &Limits, app: &AppLimits) -> Option<String> {
    let member = app.presence_user_bytes_max + CHARACTER_BYTES_MAX * app.user_id_characters_max;
    let roster = app.presence_members_max * member;
    (roster > ROSTER_BYTES_MAX).then(|| {
        format!(
            "presence_members_max ({}) times presence_user_bytes_max + {CHARACTER_BYTES_MAX} * user_id_characters_max ({member}) is {roster}, \
             and a roster may have {ROSTER_BYTES_MAX} bytes",
            app.presence_members_max
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_go_together_and_lie_within_their_bounds() {
        let (server, app) = (Limits::default(), AppLimits::default());
        for pair in PAIRS {
            assert_eq!((pair.broken)(&server, &app), None, "{:?}", pair.keys);
        }
        assert!(server.unflushed_bytes_max <= server.outbox_bytes_max / 4);
    }

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
