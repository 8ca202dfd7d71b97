//! The signature of a sign-in: `KEY:HEX` over `socket_id::user::user_data`.
//!
//! It is bound to one connection, and no signature of a subscription can stand for it: no channel's name begins with a
//! colon. `user_data` is signed as the exact text that was sent. Called by the shard before anything of a user is
//! believed.

use super::client::{ClientAuthError, parse_client_auth, sign_client_auth};
use super::is_signature;
use crate::app::App;
use crate::socket_id::SocketId;

/// Checks `auth` against the app's enabled keys, of which the client may use any, whatever key it has connected with.
pub fn verify_signin(
    app: &App,
    socket_id: SocketId,
    user_data: &str,
    auth: &str,
) -> Result<(), ClientAuthError> {
    let (key, signature) = parse_client_auth(app, auth, "signin")?;
    let text = text_to_sign(socket_id, user_data);
    if is_signature(key.signing(), &text, signature) {
        return Ok(());
    }
    Err(ClientAuthError::signature(&text, signature))
}

/// The `auth` that a back end gives to its client.
pub fn sign_signin(app: &App, socket_id: SocketId, user_data: &str) -> String {
    sign_client_auth(app, &text_to_sign(socket_id, user_data))
}

fn text_to_sign(socket_id: SocketId, user_data: &str) -> String {
    format!("{socket_id}::user::{user_data}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppKey;
    use crate::auth::{sign_subscription, verify_subscription};

    const KEY: &str = "278d425bdf160c739803";
    const SECRET: &str = "7ad3773142a6692b25b8";
    const SOCKET_ID: SocketId = SocketId { first: 1234, second: 1234 };
    // From Pusher's documentation of signatures.
    const USER_DATA: &str = r#"{"id":"12345"}"#;
    const SIGNATURE: &str = "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba";

    fn app() -> App {
        App::new("1", KEY, SECRET)
    }

    #[test]
    fn the_published_signature_is_made_and_accepted() {
        let auth = format!("{KEY}:{SIGNATURE}");
        assert_eq!(sign_signin(&app(), SOCKET_ID, USER_DATA), auth);
        assert_eq!(verify_signin(&app(), SOCKET_ID, USER_DATA, &auth), Ok(()));
    }

    #[test]
    fn a_signature_holds_for_one_connection_and_one_text() {
        let auth = format!("{KEY}:{SIGNATURE}");
        let other_id = SocketId { first: 1234, second: 1235 };
        let results = [
            verify_signin(&app(), other_id, USER_DATA, &auth),
            verify_signin(&app(), SOCKET_ID, r#"{"id":"12346"}"#, &auth),
            verify_signin(&app(), SOCKET_ID, r#"{"id": "12345"}"#, &auth),
            verify_signin(&app(), SOCKET_ID, "", &auth),
            verify_signin(&App::new("1", KEY, "other"), SOCKET_ID, USER_DATA, &auth),
            verify_signin(&app(), SOCKET_ID, USER_DATA, &auth[..auth.len() - 1]),
            verify_signin(&app(), SOCKET_ID, USER_DATA, &format!("{KEY}:")),
            // What Pusher's page on the protocol shows, which no SDK sends.
            verify_signin(&app(), SOCKET_ID, USER_DATA, &format!("{KEY}::user::{SIGNATURE}")),
        ];
        for (index, result) in results.into_iter().enumerate() {
            assert!(matches!(result, Err(ClientAuthError::Signature { .. })), "{index}: {result:?}");
        }
    }

    #[test]
    fn a_sign_in_and_a_subscription_cannot_stand_for_each_other() {
        let channel = format!(":user::{USER_DATA}");
        let as_channel = sign_subscription(&app(), SOCKET_ID, &channel, None);
        assert_eq!(as_channel, sign_signin(&app(), SOCKET_ID, USER_DATA), "the same text");
        assert!(crate::channel::parse_channel_name(&channel, 200).is_err(), "which no channel can have");
        let signin = sign_signin(&app(), SOCKET_ID, USER_DATA);
        assert!(verify_subscription(&app(), SOCKET_ID, "presence-a", Some(USER_DATA), &signin).is_err());
    }

    #[test]
    fn every_enabled_key_signs_sign_ins() {
        let mut app = app();
        app.add_key(AppKey::parse("newer", "other").unwrap());
        let by_newer = sign_signin(&App::new("1", "newer", "other"), SOCKET_ID, USER_DATA);
        let by_older = sign_signin(&app, SOCKET_ID, USER_DATA);
        let verify = |app: &App, auth: &str| verify_signin(app, SOCKET_ID, USER_DATA, auth);
        assert_eq!((verify(&app, &by_older), verify(&app, &by_newer)), (Ok(()), Ok(())));
        app.keys_mut().for_each(|key| key.enabled = &*key.name == "newer");
        let disabled = ClientAuthError::Key { what: "signin", key: KEY.into() };
        assert_eq!((verify(&app, &by_older), verify(&app, &by_newer)), (Err(disabled), Ok(())));
    }

    #[test]
    fn errors_say_what_was_to_be_signed_and_no_secret() {
        let text = |auth: &str| verify_signin(&app(), SOCKET_ID, USER_DATA, auth).unwrap_err().to_string();
        assert_eq!(text(""), "Invalid format: auth must have the format key:signature");
        assert_eq!(text("other:ab"), "Invalid key in signin auth data: 'other'");
        let expected = r#"Invalid signature: Expected HMAC SHA256 hex digest of 1234.1234::user::{"id":"12345"}, but got ab"#;
        assert_eq!(text(&format!("{KEY}:ab")), expected);
        let long = text(&format!("{KEY}:{}", "é".repeat(100_000)));
        assert!(long.len() < 1024 && !long.contains(SECRET), "{long}");
    }
}
