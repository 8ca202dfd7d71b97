//! Why a connection ends: the code and the reason of its close frame, and what the client does next.
//!
//! Codes from 4000 are Pusher's: 4000–4099 stop a client for good, 4100–4199 let it come back after a second,
//! 4200–4299 at once. pusher-js takes any code from 4300 as "never again", so 4301 and 4302 exist only as codes of
//! `pusher:error` frames: a `Close` cannot be made outside this file, and none here has such a code.

use crate::limits::CLOSE_REASON_BYTES_MAX;

/// `pusher:error` code: the connection sends client events, or changes its subscriptions, too fast. What was asked is not
/// done, the connection stays.
pub const TOO_FAST: u16 = 4301;

/// `pusher:error` code: a watchlist was longer than allowed and was cut. The connection stays.
pub const WATCHLIST: u16 = 4302;

/// Code and reason of a close frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Close {
    /// The code (RFC 6455 §7.4 below 4000, Pusher's from there).
    pub code: u16,
    /// The reason, at most 123 bytes.
    pub reason: &'static str,
}

/// What a client does after a close.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Retry {
    /// It stays away until somebody acts.
    Never,
    /// It comes back after a second or more.
    Later,
    /// It comes back at once.
    Now,
}

impl Close {
    /// The peer closed, or everything is said.
    pub const NORMAL: Self = Self::new(1000, "");
    /// The peer broke the WebSocket framing.
    pub const PROTOCOL_ERROR: Self = Self::new(1002, "WebSocket protocol error");
    /// A binary message came.
    pub const BINARY: Self = Self::new(1003, "Binary messages are not supported");
    /// Text that is not UTF-8.
    pub const NOT_UTF8: Self = Self::new(1007, "Text is not valid UTF-8");
    /// A message is longer than allowed.
    pub const TOO_BIG: Self = Self::new(1009, "Message is too big (message_bytes_max)");

    /// The app takes clients by TLS only (`tls_only`).
    pub const TLS_ONLY: Self =
        Self::new(4000, "Application only accepts SSL connections, reconnect using wss://");
    /// No app has this key.
    pub const APP_UNKNOWN: Self =
        Self::new(4001, "App key does not exist. Did you use the right key and host?");
    /// The app is disabled.
    pub const APP_DISABLED: Self = Self::new(4003, "App is disabled");
    /// The app has as many connections as it may, and its operator wants clients to stay away.
    pub const OVER_QUOTA: Self = Self::new(4004, "App is over its connection quota (connections_max)");
    /// The path is not `/app/KEY`.
    pub const PATH_NOT_FOUND: Self = Self::new(4005, "Path not found: connect to /app/KEY");
    /// The protocol version is no number.
    pub const VERSION_FORMAT: Self = Self::new(4006, "Invalid protocol version: it must be an integer");
    /// The protocol version is not spoken here.
    pub const VERSION_UNSUPPORTED: Self = Self::new(4007, "Unsupported protocol version: 4 to 7 are spoken");
    /// The page that connects is of an origin that the app does not allow.
    pub const ORIGIN: Self = Self::new(4009, "Origin is not allowed (allowed_origins)");
    /// The app takes no connection without an origin.
    pub const ORIGIN_MISSING: Self = Self::new(4009, "Origin header is missing (require_origin)");
    /// The connection has not signed in, nor subscribed to a channel that needs a signature, in the time that its app allows.
    pub const NOT_AUTHORIZED_IN_TIME: Self = Self::new(4009, "Connection not authorized within timeout");
    /// The app's back end has terminated the connections of this user.
    pub const TERMINATED: Self = Self::new(4009, "You got disconnected by the app");
    /// The operator of the server has disconnected this client.
    pub const OPERATOR: Self = Self::new(4009, "You got disconnected by the operator of the server");

    /// There is no room for this connection just now.
    pub const OVER_CAPACITY: Self = Self::new(4100, "Over capacity");
    /// The server has little memory left, and keeps it for those who are there.
    pub const MEMORY: Self = Self::new(4100, "Over capacity: memory is scarce (memory_high_bytes)");
    /// The source of apps could not say whether there is an app with this key.
    pub const APP_UNANSWERED: Self = Self::new(4100, "The app could not be looked up just now (apps_url)");
    /// The app has as many connections as it may; clients try again.
    pub const APP_FULL: Self =
        Self::new(4100, "Over capacity: the app is at its connection quota (connections_max)");
    /// The clients of the app connect faster than they may.
    pub const APP_TOO_FAST: Self =
        Self::new(4100, "Too many new connections of the app just now (new_connections_per_second_max)");
    /// The address has as many connections as it may.
    pub const ADDRESS_FULL: Self = Self::new(
        4100,
        "Over capacity: too many connections from this address (connections_per_address_max)",
    );
    /// The client reads more slowly than its channels speak.
    pub const SLOW_CONSUMER: Self =
        Self::new(4100, "Too slow: more was waiting for this connection than allowed (outbox_bytes_max)");
    /// The same, counted in frames.
    pub const SLOW_CONSUMER_FRAMES: Self =
        Self::new(4100, "Too slow: more was waiting for this connection than allowed (outbox_frames_max)");
    /// Too much is waiting for all connections together, and most of it for this one.
    pub const OUTBOXES_FULL: Self =
        Self::new(4100, "Too slow: more was waiting for all connections than allowed (outboxes_bytes_max)");
    /// The server is being drained.
    pub const DRAINING: Self = Self::new(4100, "Server is restarting");
    /// Come back at once: another server waits.
    pub const RECONNECT: Self = Self::new(4200, "Please reconnect");
    /// Our ping was not answered.
    pub const PONG_MISSED: Self = Self::new(4201, "Pong reply not received in time");

    const fn new(code: u16, reason: &'static str) -> Self {
        assert!(code < 4300 && reason.len() <= CLOSE_REASON_BYTES_MAX);
        Self { code, reason }
    }

    /// The same code with another reason of at most 123 bytes.
    #[must_use]
    pub const fn with_reason(self, reason: &'static str) -> Self {
        Self::new(self.code, reason)
    }

    /// Whether a peer may send this code: what IANA has registered for close frames, and what is left to libraries and
    /// applications. 1004 is reserved; 1005, 1006 and 1015 only say that no close frame came.
    pub const fn may_be_sent(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// Whether a code means the same to everybody: one that IANA has registered, or one of Pusher's.
    pub const fn is_known(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 4000..=4009 | 4100 | 4200..=4202)
    }

    /// What pusher-js and its siblings do when they see this code.
    pub const fn retry(self) -> Retry {
        match self.code {
            4000..=4099 | 4300.. => Retry::Never,
            4200..=4299 => Retry::Now,
            _ => Retry::Later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_a_code_says_when_to_come_back() {
        let table = [
            (Close::NORMAL, Retry::Later),
            (Close::TOO_BIG, Retry::Later),
            (Close::TLS_ONLY, Retry::Never),
            (Close::ORIGIN, Retry::Never),
            (Close::TERMINATED, Retry::Never),
            (Close::OVER_QUOTA, Retry::Never),
            (Close::APP_FULL, Retry::Later),
            (Close::OVER_CAPACITY, Retry::Later),
            (Close::DRAINING, Retry::Later),
            (Close::RECONNECT, Retry::Now),
            (Close::PONG_MISSED, Retry::Now),
        ];
        for (close, retry) in table {
            assert_eq!(close.retry(), retry, "{close:?}");
        }
    }

    #[test]
    fn codes_that_may_be_sent_follow_the_registry() {
        let table = [
            (0..=999, false),
            (1000..=1003, true),
            (1004..=1006, false),
            (1007..=1014, true),
            (1015..=2999, false),
            (3000..=4999, true),
            (5000..=u16::MAX, false),
        ];
        for (codes, valid) in table {
            for code in codes {
                assert_eq!(Close::may_be_sent(code), valid, "{code}");
                assert!(valid || !Close::is_known(code), "{code}");
            }
        }
    }

    #[test]
    fn the_page_of_refusals_has_each_of_them() {
        let page = include_str!("../../docs/refusals.md");
        let code = include_str!("close.rs").split("#[cfg(test)]").next().unwrap();
        let mut found = 0;
        for part in code.split("Self::new(").skip(1) {
            let (number, rest) = part.split_once(',').unwrap();
            let Ok(number) = number.trim().parse::<u16>() else { continue };
            let reason = rest.split('"').nth(1).unwrap();
            let row = format!("| {number} | `{reason}` | ");
            assert!(reason.is_empty() || page.contains(&row), "docs/refusals.md lacks {row}");
            found += 1;
        }
        assert!(found > 20, "{found}");
    }

    #[test]
    fn another_reason_keeps_the_code() {
        let close = Close::OVER_CAPACITY.with_reason("no slot");
        assert_eq!((close.code, close.reason), (4100, "no slot"));
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn a_frame_only_code_cannot_be_a_close() {
        let _ = Close::new(TOO_FAST, "");
    }
}
