//! Signatures: of REST calls, of subscriptions, of sign-ins and of webhooks. Nothing here knows a clock or a socket.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::{digest, hmac};

use crate::credentials::Credentials;

impl Credentials {
    /// The signature of a text: HMAC-SHA256 in lower-case hex.
    pub fn sign(&self, text: &[u8]) -> String {
        sign(self.signing(), text)
    }

    /// The query of a REST call, signed at this time. `path` is as it is sent, with what a proxy puts before it.
    pub fn signed_query(
        &self,
        method: &str,
        path: &str,
        params: &[(&str, String)],
        body: &str,
        unix_seconds: u64,
    ) -> String {
        signed_query(self, method, path, params, body, unix_seconds)
    }
}

/// What stands in a path or in a query as it is (RFC 3986 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as a part of a path or a query.
pub(crate) fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The HMAC-SHA256 of a text, in lower-case hex.
pub(crate) fn sign(key: &hmac::Key, text: &[u8]) -> String {
    hex(hmac::sign(key, text).as_ref())
}

/// Whether a signature in hex is right, in constant time.
pub(crate) fn is_signed(key: &hmac::Key, text: &[u8], signature: &str) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let Some(bytes) = signature.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>() else {
        return false;
    };
    hmac::verify(key, text, &bytes).is_ok()
}

/// `auth` of a subscription. `channel_data` is the very text that is sent with it.
pub(crate) fn channel_auth(
    app: &Credentials,
    socket_id: &str,
    channel: &str,
    channel_data: Option<&str>,
) -> String {
    let mut text = format!("{socket_id}:{channel}");
    if let Some(data) = channel_data {
        text = format!("{text}:{data}");
    }
    format!("{}:{}", app.key(), sign(app.signing(), text.as_bytes()))
}

/// `auth` of a sign-in.
pub(crate) fn user_auth(app: &Credentials, socket_id: &str, user_data: &str) -> String {
    format!("{}:{}", app.key(), sign(app.signing(), format!("{socket_id}::user::{user_data}").as_bytes()))
}

/// `shared_secret` of an encrypted channel.
pub(crate) fn shared_secret(channel: &str, master_key: &[u8; 32]) -> String {
    let text = [channel.as_bytes(), master_key].concat();
    BASE64_STANDARD.encode(digest::digest(&digest::SHA256, &text))
}

/// The query of a signed REST call, ready for the URL. `path` is as it is sent, with what a proxy puts before it.
pub(crate) fn signed_query(
    app: &Credentials,
    method: &str,
    path: &str,
    params: &[(&str, String)],
    body: &str,
    unix_seconds: u64,
) -> String {
    let mut all: Vec<(&str, String)> = params.to_vec();
    all.push(("auth_key", app.key().to_owned()));
    all.push(("auth_timestamp", unix_seconds.to_string()));
    all.push(("auth_version", "1.0".to_owned()));
    if !body.is_empty() {
        all.push(("body_md5", hex(&Md5::digest(body.as_bytes()))));
    }
    all.sort();
    let join = |value: fn(&str) -> String| {
        let pairs: Vec<String> = all.iter().map(|(key, text)| format!("{key}={}", value(text))).collect();
        pairs.join("&")
    };
    let signature = sign(app.signing(), format!("{method}\n{path}\n{}", join(str::to_owned)).as_bytes());
    format!("{}&auth_signature={signature}", join(escape))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> Credentials {
        Credentials::new("3", "278d425bdf160c739803", "7ad3773142a6692b25b8")
    }

    // The worked examples of Pusher's documentation.
    #[test]
    fn signatures_are_those_of_the_documentation() {
        assert_eq!(
            channel_auth(&app(), "1234.1234", "private-foobar", None),
            "278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
        );
        assert_eq!(
            channel_auth(
                &app(),
                "1234.1234",
                "presence-foobar",
                Some(r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#)
            ),
            "278d425bdf160c739803:31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80"
        );
        let signature = "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba";
        let auth = user_auth(&app(), "1234.1234", r#"{"id":"12345"}"#);
        assert_eq!(auth, format!("278d425bdf160c739803:{signature}"));
        let body = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
        let query = signed_query(&app(), "POST", "/apps/3/events", &[], body, 1_353_088_179);
        assert_eq!(
            query,
            "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&\
             body_md5=ec365a775a4cd0599faeb73354201b6f&\
             auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
        );
    }

    #[test]
    fn values_are_signed_as_they_are_and_escaped_in_the_url() {
        let params = [("info", "user_count,subscription_count".to_owned())];
        let query = signed_query(&app(), "GET", "/apps/3/channels", &params, "", 1);
        assert!(query.contains("info=user_count%2Csubscription_count&auth_signature="), "{query}");
        let text = "GET\n/apps/3/channels\nauth_key=278d425bdf160c739803&auth_timestamp=1&auth_version=1.0&info=user_count,subscription_count";
        assert!(query.ends_with(&sign(app().signing(), text.as_bytes())), "{query}");
    }

    #[test]
    fn a_signature_in_hex_is_verified_and_anything_else_is_not() {
        let key = |secret: &str| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let good = sign(&key("s"), b"text");
        assert!(is_signed(&key("s"), b"text", &good) && is_signed(&key("s"), b"text", &good.to_uppercase()));
        for bad in ["", "zz", "abc", "é", &good[2..], &format!("{good}00")] {
            assert!(!is_signed(&key("s"), b"text", bad), "{bad}");
        }
        assert!(!is_signed(&key("other"), b"text", &good));
    }

    #[test]
    fn a_shared_secret_is_the_hash_of_channel_and_master_key() {
        let secret = shared_secret("private-encrypted-foo", &[b'0'; 32]);
        assert_eq!(secret, "If3QrzJqCCrjPVA/mh9eNOnnk0VEHhgfN4RmHBMj2kk=");
    }
}
