//! Limits of which one bounds another. Those that contradict each other are refused together, whichever was set.

use protocol::limits::{AppLimits, CHARACTER_BYTES_MAX};

use super::bounds::ROSTER_BYTES_MAX;
use machines::limits::Limits;

/// On the wire an event is up to six times as long as its data, if each character must be escaped; outboxes hold that and
/// some more.
const OUTBOX_PER_EVENT_DATA: usize = 8;

/// Limits of which one bounds another.
pub(super) struct Pair {
    pub(super) keys: &'static [&'static str],
    pub(super) broken: fn(&Limits, &AppLimits) -> Option<String>,
}

pub(super) const PAIRS: [Pair; 8] = [
    Pair { keys: &["event_data_bytes_max", "outbox_bytes_max"], broken: event_beyond_outbox },
    Pair { keys: &["event_data_bytes_max", "http_body_bytes_max"], broken: event_beyond_body },
    Pair { keys: &["event_data_bytes_max", "cache_bytes_max"], broken: event_beyond_cache },
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

fn event_beyond_cache(server: &Limits, app: &AppLimits) -> Option<String> {
    let (data, cache) = (app.event_data_bytes_max, server.cache_bytes_max);
    (data > cache).then(|| {
        format!("event_data_bytes_max ({data}) is more than cache_bytes_max ({cache}), so no cache channel could remember such an event")
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
             but a roster may have at most {ROSTER_BYTES_MAX} bytes",
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
}
