//! Every bound that the protocol puts on what a peer sends, with its default and its unit.
//!
//! What belongs to an app can be set per app (`AppLimits`), the rest holds for the whole server. The parsers of this
//! crate take their bounds from here and nowhere else, so nothing that a peer sends may be unbounded.

/// The longest WebSocket message taken from a client, in decoded bytes and over all its fragments.
pub const MESSAGE_BYTES_MAX: usize = 128 << 10;

/// The deepest nesting of peer JSON. sonic-rs recurses, so more would be a way to overflow our stack.
pub const JSON_DEPTH_MAX: usize = 64;

/// The longest HTTP head, request line and blank line included, in bytes.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 << 10;

/// The most header lines of an HTTP request.
pub const HTTP_HEADERS_MAX: usize = 64;

/// The largest value that the bound of header lines may have: parsing has room for so many on its stack.
pub const HTTP_HEADERS_CAP: usize = 256;

/// The longest body of an HTTP request, in decoded bytes.
pub const HTTP_BODY_BYTES_MAX: usize = 2 << 20;

/// The most bytes that chunk sizes, chunk extensions and trailers may add to a chunked body. It bounds the work of
/// reading a body that comes in very small chunks.
pub const HTTP_CHUNK_FRAMING_BYTES_MAX: usize = 32 << 10;

/// The longest header of the PROXY protocol, with all its fields, in bytes. Proxies send one of at most a few hundred.
pub const PROXY_HEADER_BYTES_MAX: usize = 2 << 10;

/// The most query parameters of a request that are looked at. A publish by query has up to 100 channels.
pub const QUERY_PARAMS_MAX: usize = 256;

/// What `pusher:connection_established` announces, in seconds. Clients ping after so long a silence; nginx cuts an
/// idle connection at 60.
pub const ACTIVITY_TIMEOUT_SECONDS: u32 = 55;

/// The longest reason of a close frame, in bytes (RFC 6455 §5.5: a control frame holds 125, the code takes two).
pub const CLOSE_REASON_BYTES_MAX: usize = 123;

/// The bounds of HTTP requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpLimits {
    /// The head, request line and blank line included, in bytes.
    pub head_bytes_max: usize,
    /// Header lines, at most [`HTTP_HEADERS_CAP`].
    pub headers_max: usize,
    /// The body, in decoded bytes.
    pub body_bytes_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            head_bytes_max: HTTP_HEAD_BYTES_MAX,
            headers_max: HTTP_HEADERS_MAX,
            body_bytes_max: HTTP_BODY_BYTES_MAX,
        }
    }
}

/// The bounds of one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppLimits {
    /// Data of a published event, in decoded bytes.
    pub event_data_bytes_max: usize,
    /// Data of a client event, in decoded bytes.
    pub client_event_data_bytes_max: usize,
    /// Channels of one publish.
    pub channels_per_event_max: usize,
    /// Events of one batch.
    pub batch_events_max: usize,
    /// Name of a channel, prefix included, in bytes.
    pub channel_name_bytes_max: usize,
    /// Name of an event, in characters (Unicode code points, of at most 4 bytes each).
    pub event_name_characters_max: usize,
    /// Distinct users of one presence channel.
    pub presence_members_max: usize,
    /// `user_info` of a member, or of a user who signs in, as compact JSON, in bytes.
    pub presence_user_bytes_max: usize,
    /// Id of a user, in characters.
    pub user_id_characters_max: usize,
    /// Users that one user watches. The rest of a longer list is not watched.
    pub watchlist_users_max: usize,
    /// The roster of a presence channel as it is sent to who joins, in bytes on the wire.
    pub roster_bytes_max: usize,
    /// Client events of one connection per second, which is also the burst.
    pub client_events_per_second: u32,
    /// Subscriptions that one connection may take in place of others that it gave up, per second.
    pub subscription_changes_per_second: u32,
    /// Events that back ends publish per second, counted once for each of their channels; `None` is no bound.
    pub backend_events_per_second: Option<u32>,
    /// REST calls per second that only ask; `None` is no bound.
    pub read_requests_per_second: Option<u32>,
    /// Connections of the app on this server; `None` is no bound.
    pub connections_max: Option<u32>,
    /// Clients of the app that may connect per second, which is also the burst; `None` is no bound.
    pub new_connections_per_second_max: Option<u32>,
    /// Subscriptions of the app on this server; `None` leaves it to the server, which knows its memory.
    pub subscriptions_max: Option<u32>,
}

impl Default for AppLimits {
    fn default() -> Self {
        Self {
            event_data_bytes_max: 100 << 10,
            client_event_data_bytes_max: 10 << 10,
            channels_per_event_max: 100,
            batch_events_max: 10,
            channel_name_bytes_max: 200,
            event_name_characters_max: 200,
            presence_members_max: 100,
            presence_user_bytes_max: 2 << 10,
            user_id_characters_max: 128,
            watchlist_users_max: 100,
            roster_bytes_max: 1 << 20,
            client_events_per_second: 10,
            subscription_changes_per_second: 50,
            backend_events_per_second: None,
            read_requests_per_second: None,
            connections_max: None,
            new_connections_per_second_max: None,
            subscriptions_max: None,
        }
    }
}

/// The most bytes of a character in UTF-8.
pub const CHARACTER_BYTES_MAX: usize = 4;

/// How many characters `text` has, if those are more than `max`.
pub fn characters_beyond(text: &str, max: usize) -> Option<usize> {
    // No text has more characters than bytes.
    if text.len() <= max {
        return None;
    }
    Some(text.chars().count()).filter(|characters| *characters > max)
}

/// How far the clock of a REST caller may be from ours, in seconds. Pusher's is the same.
pub(crate) const TIMESTAMP_SKEW_SECONDS_MAX: u64 = 600;

/// What an error repeats of a REST caller's key or signature, in bytes: enough to recognise it.
pub(crate) const REST_EXCERPT_BYTES_MAX: usize = 128;

/// What an error repeats of a client's key, signature or signed text, in bytes. The signed text is longer.
pub(crate) const CLIENT_EXCERPT_BYTES_MAX: usize = 256;

/// The largest number in a socket id: JavaScript counts exactly up to there.
pub(crate) const SOCKET_ID_PART_MAX: u64 = 1 << 53;

/// The most digits of a number in a socket id; a number of 64 bits has no more.
pub(crate) const SOCKET_ID_DIGITS_MAX: usize = 20;

/// The longest header of a client frame: two bytes, eight of length, four of mask.
pub(crate) const FRAME_HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a control frame, in bytes (RFC 6455 §5.5).
pub(crate) const CONTROL_BYTES_MAX: usize = 125;

/// Slots of one shard, from 0, and so the most connections that it has room for. A power of two: a socket id has 20 bits
/// for a slot.
pub const SLOTS_MAX: u32 = 1 << 20;

/// Apps whose ids a line of the log names when the registry changes; the rest are counted.
pub(crate) const APP_IDS_SHOWN_MAX: usize = 10;

/// The longest key or id of an unknown app that is asked for, in bytes.
pub(crate) const APP_NAME_ASKED_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_counted_in_characters() {
        for character in ["a", "é", "日", "😀"] {
            assert_eq!(characters_beyond(&character.repeat(128), 128), None, "{character}");
            assert_eq!(characters_beyond(&character.repeat(129), 128), Some(129), "{character}");
            assert!(character.len() <= CHARACTER_BYTES_MAX);
        }
        assert_eq!(characters_beyond("", 0), None);
    }
}
