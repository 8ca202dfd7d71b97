//! The signature of a subscription: `KEY:HEX` over `socket_id:channel[:channel_data]`.
//!
//! It is bound to one connection and one channel, so it cannot be used by anybody else. `channel_data` is signed as the
//! exact text that was sent. Called by the shard before anything of a private or presence subscription is believed.

use super::client::{ClientAuthError, parse_client_auth, sign_client_auth};
use super::is_signature;
use crate::app::App;
use crate::channel::ChannelKind;
use crate::socket_id::SocketId;

/// Checks `auth` against the app's enabled keys, of which the client may use any, whatever key it has connected with. On a channel without members a `channel_data` that was not
/// signed is let pass, for nothing uses it there and some backends return one without signing it.
pub fn verify_subscription(
    app: &App,
    socket_id: SocketId,
    channel: &str,
    channel_data: Option<&str>,
    auth: &str,
) -> Result<(), ClientAuthError> {
    let (key, signature) = parse_client_auth(app, auth, "subscription")?;
    let is_signed = |text: &str| is_signature(key.signing(), text, signature);
    let text = text_to_sign(socket_id, channel, channel_data);
    if ChannelKind::of(channel).is_presence() {
        return if is_signed(&text) { Ok(()) } else { Err(ClientAuthError::signature(&text, signature)) };
    }
    let without = text_to_sign(socket_id, channel, None);
    if is_signed(&without) || (channel_data.is_some() && is_signed(&text)) {
        return Ok(());
    }
    Err(ClientAuthError::signature(&without, signature))
}

/// The `auth` that a backend gives to its client.
pub fn sign_subscription(
    app: &App,
    socket_id: SocketId,
    channel: &str,
    channel_data: Option<&str>,
) -> String {
    sign_client_auth(app, &text_to_sign(socket_id, channel, channel_data))
}

fn text_to_sign(socket_id: SocketId, channel: &str, channel_data: Option<&str>) -> String {
    match channel_data {
        Some(data) => format!("{socket_id}:{channel}:{data}"),
        None => format!("{socket_id}:{channel}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppKey;

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
            assert!(matches!(result, Err(ClientAuthError::Signature { .. })), "{index}: {result:?}");
        }
    }

    #[test]
    fn every_enabled_key_signs_subscriptions() {
        let mut app = app();
        app.add_key(AppKey::parse("newer", "other").unwrap());
        let by_newer = sign_subscription(&App::new("1", "newer", "other"), SOCKET_ID, "private-a", None);
        let by_older = sign_subscription(&app, SOCKET_ID, "private-a", None);
        let verify = |app: &App, auth: &str| verify_subscription(app, SOCKET_ID, "private-a", None, auth);
        assert!(by_older.starts_with(KEY));
        assert_eq!((verify(&app, &by_older), verify(&app, &by_newer)), (Ok(()), Ok(())));
        let crossed = by_newer.replace("newer", KEY);
        assert!(matches!(verify(&app, &crossed), Err(ClientAuthError::Signature { .. })));
        app.keys_mut().for_each(|key| key.enabled = &*key.name == "newer");
        assert!(matches!(verify(&app, &by_older), Err(ClientAuthError::Key { .. })));
        assert_eq!(verify(&app, &by_newer), Ok(()));
    }

    // Their SDKs put a shared secret beside `auth`, which no signature covers and no server sees.
    #[test]
    fn encrypted_channels_are_signed_as_private_ones() {
        let app = app();
        for channel in ["private-encrypted-a", "private-encrypted-cache-a"] {
            let auth = sign_subscription(&app, SOCKET_ID, channel, None);
            assert_eq!(verify_subscription(&app, SOCKET_ID, channel, None, &auth), Ok(()));
            let other = channel.replace("encrypted-", "");
            assert!(verify_subscription(&app, SOCKET_ID, &other, None, &auth).is_err());
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

    // Of webman-push-server's documentation of its defaults.
    #[test]
    fn a_presence_channel_of_webman_is_signed_as_php_writes_its_object() {
        use crate::message::{ClientMessage, parse_client_message};
        let app = App::new("1", "workbunny", "U2FsdGVkX1+vlfFH8Q9XdZ9t9h2bABGYAZltEYAX6UM=");
        let auth = "workbunny:9aed86725b4342118e8d56fe97b35a9fe758b702401c3815f2d8e59573f2acd8";
        let object = r#"{"user_info":"{\"name\":\"John\",\"sex\":\"man\"}","user_id":"100"}"#;
        let text = format!(
            r#"{{"event":"pusher:subscribe","data":{{"channel":"presence-test","channel_data":{object},"auth":"{auth}"}}}}"#
        );
        let Ok(ClientMessage::Subscribe { channel, auth, channel_data }) =
            parse_client_message(text.as_bytes())
        else {
            panic!("{text}")
        };
        assert_eq!(verify_subscription(&app, SOCKET_ID, &channel, channel_data.as_deref(), &auth), Ok(()));
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
