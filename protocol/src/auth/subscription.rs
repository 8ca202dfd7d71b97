//! The signature of a subscription: `KEY:HEX` over `socket_id:channel[:channel_data]`.
//!
//! It is bound to one connection and one channel, so it cannot be used by anybody else. `channel_data` is signed as the
//! exact text that was sent. Called by the shard before anything of a private or presence subscription is believed.

use std::fmt;

use super::{excerpt, is_signature, sign_hex};
use crate::app::App;
use crate::channel::ChannelKind;
use crate::socket_id::SocketId;

const EXCERPT_BYTES_MAX: usize = 256;

/// Checks `auth` against the app's own key and secret. On a channel without members a `channel_data` that was not
/// signed is let pass, for nothing uses it there and some backends return one without signing it.
pub fn verify_subscription(
    app: &App,
    socket_id: SocketId,
    channel: &str,
    channel_data: Option<&str>,
    auth: &str,
) -> Result<(), SubscriptionAuthError> {
    let (key, signature) = auth.split_once(':').ok_or(SubscriptionAuthError::Format)?;
    if key != &*app.key {
        return Err(SubscriptionAuthError::Key { key: excerpt(key, EXCERPT_BYTES_MAX) });
    }
    let text = text_to_sign(socket_id, channel, channel_data);
    if is_signature(app.signing_key(), &text, signature) {
        return Ok(());
    }
    if channel_data.is_some() && !ChannelKind::of(channel).is_presence() {
        return verify_subscription(app, socket_id, channel, None, auth);
    }
    Err(SubscriptionAuthError::Signature {
        expected: excerpt(&text, EXCERPT_BYTES_MAX),
        got: excerpt(signature, EXCERPT_BYTES_MAX),
    })
}

/// The `auth` that a backend gives to its client.
pub fn sign_subscription(
    app: &App,
    socket_id: SocketId,
    channel: &str,
    channel_data: Option<&str>,
) -> String {
    let text = text_to_sign(socket_id, channel, channel_data);
    format!("{}:{}", app.key, sign_hex(app.signing_key(), &text))
}

fn text_to_sign(socket_id: SocketId, channel: &str, channel_data: Option<&str>) -> String {
    match channel_data {
        Some(data) => format!("{socket_id}:{channel}:{data}"),
        None => format!("{socket_id}:{channel}"),
    }
}

/// Why a subscription is not authorised. The text goes to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionAuthError {
    /// Not `key:signature`.
    Format,
    /// The key is not that of the connection's app.
    Key {
        /// The beginning of what came.
        key: Box<str>,
    },
    /// The signature is not that of this connection and channel.
    Signature {
        /// The beginning of what was to be signed.
        expected: Box<str>,
        /// The beginning of what came.
        got: Box<str>,
    },
}

impl fmt::Display for SubscriptionAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => write!(f, "Invalid format: auth must have the format key:signature"),
            Self::Key { key } => write!(f, "Invalid key in subscription auth data: '{key}'"),
            Self::Signature { expected, got } => {
                write!(f, "Invalid signature: Expected HMAC SHA256 hex digest of {expected}, but got {got}")
            }
        }
    }
}

impl std::error::Error for SubscriptionAuthError {}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "278d425bdf160c739803";
    const SECRET: &str = "7ad3773142a6692b25b8";
    const SOCKET_ID: SocketId = SocketId { first: 1234, second: 1234 };

    fn app() -> App {
        App::new("1", KEY, SECRET)
    }

    // channel, channel_data, signature: from Pusher's documentation and from its Go library.
    const VECTORS: [(&str, Option<&str>, &str); 4] = [
        ("private-foobar", None, "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"),
        (
            "presence-foobar",
            Some(r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#),
            "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
        ),
        (
            "presence-foobar",
            Some(r#"{"user_id":10,"user_info":{"name":"Mr. Pusher"}}"#),
            "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c",
        ),
        (
            "presence-foobar",
            Some(r#"{"user_id":"10","user_info":{"name":"Mr. Pusher"}}"#),
            "48dac51d2d7569e1e9c0f48c227d4b26f238fa68e5c0bb04222c966909c4f7c4",
        ),
    ];

    #[test]
    fn published_signatures_are_made_and_accepted() {
        let app = app();
        for (channel, data, signature) in VECTORS {
            let auth = format!("{KEY}:{signature}");
            assert_eq!(sign_subscription(&app, SOCKET_ID, channel, data), auth);
            assert_eq!(verify_subscription(&app, SOCKET_ID, channel, data, &auth), Ok(()));
        }
    }

    #[test]
    fn a_signature_holds_for_nothing_but_what_was_signed() {
        let app = app();
        let (channel, data, signature) = VECTORS[1];
        let auth = format!("{KEY}:{signature}");
        let other_id = SocketId { first: 1234, second: 1235 };
        let other_secret = App::new("1", KEY, "other");
        let other_data = Some(r#"{"user_id":11}"#);
        let results = [
            verify_subscription(&app, other_id, channel, data, &auth),
            verify_subscription(&app, SOCKET_ID, "presence-other", data, &auth),
            verify_subscription(&app, SOCKET_ID, channel, other_data, &auth),
            verify_subscription(&app, SOCKET_ID, channel, None, &auth),
            verify_subscription(&other_secret, SOCKET_ID, channel, data, &auth),
            verify_subscription(&app, SOCKET_ID, channel, data, &auth[..auth.len() - 1]),
            verify_subscription(&app, SOCKET_ID, channel, data, &format!("{KEY}:")),
        ];
        for (index, result) in results.into_iter().enumerate() {
            assert!(matches!(result, Err(SubscriptionAuthError::Signature { .. })), "{index}: {result:?}");
        }
    }

    #[test]
    fn unsigned_channel_data_passes_only_where_there_are_no_members() {
        let app = app();
        let private = sign_subscription(&app, SOCKET_ID, "private-a", None);
        assert_eq!(verify_subscription(&app, SOCKET_ID, "private-a", Some("{}"), &private), Ok(()));
        let signed = sign_subscription(&app, SOCKET_ID, "private-a", Some("{}"));
        assert_eq!(verify_subscription(&app, SOCKET_ID, "private-a", Some("{}"), &signed), Ok(()));
        assert!(verify_subscription(&app, SOCKET_ID, "private-a", Some("[]"), &signed).is_err());
        let presence = sign_subscription(&app, SOCKET_ID, "presence-a", None);
        assert!(verify_subscription(&app, SOCKET_ID, "presence-a", Some("{}"), &presence).is_err());
    }

    #[test]
    fn errors_say_what_pusher_says() {
        let app = app();
        let text = |data, auth: &str| {
            verify_subscription(&app, SOCKET_ID, "private-a", data, auth).unwrap_err().to_string()
        };
        assert_eq!(text(None, ""), "Invalid format: auth must have the format key:signature");
        assert_eq!(text(None, "other:ab"), "Invalid key in subscription auth data: 'other'");
        let digest = "Invalid signature: Expected HMAC SHA256 hex digest of ";
        assert_eq!(text(None, &format!("{KEY}:ab")), format!("{digest}1234.1234:private-a, but got ab"));
        assert_eq!(
            text(Some("{}"), &format!("{KEY}:ab")),
            format!("{digest}1234.1234:private-a, but got ab")
        );
        let long = text(None, &format!("{KEY}:{}", "é".repeat(100_000)));
        assert!(long.len() < 1024 && !long.contains(SECRET), "{long}");
    }
}
