//! Every bound of this crate that is not an option.

use std::time::Duration;

/// Channels that one connection may be subscribed to or wait for.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 10_000;
/// Bytes that wait to be written to the server. Beyond, `trigger` refuses.
pub(crate) const UNSENT_BYTES_MAX: usize = 1 << 20;
/// Bytes of one WebSocket message from the server: an event of 100 KiB, with every character escaped, has room.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Bytes that are read from a socket at once. What they hold is decoded before more is read.
pub(crate) const READ_BYTES_MAX: usize = 64 << 10;
/// Authorizations that are asked for at the same time.
pub(crate) const AUTHORIZATIONS_MAX: usize = 4;
/// Bytes of a response of the REST API or of an auth endpoint.
pub(crate) const RESPONSE_BYTES_MAX: u64 = 16 << 20;
/// Idle connections to the REST API that are kept open.
pub(crate) const IDLE_CONNECTIONS_MAX: usize = 16;
/// The least pause after the server has said to back off (4100 to 4199).
pub(crate) const BACK_OFF_LEAST: Duration = Duration::from_secs(1);
/// A connection that has lasted less is no reason to connect again at once.
pub(crate) const LASTING: Duration = Duration::from_secs(1);
