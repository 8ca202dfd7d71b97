//! What proves to a receiver that a webhook came from here: HMAC-SHA256 over exactly the bytes that are sent.
//!
//! Pusher's signature is over the body alone; that of Standard Webhooks over id, time and body; webman-push-server's over
//! method, path, query and body. What must never
//! happen here: a signature over anything that is encoded again before it is sent.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::hmac;

/// `X-Pusher-Signature` of a body.
pub(crate) fn sign_pusher(key: &hmac::Key, body: &[u8]) -> String {
    hex(hmac::sign(key, body).as_ref())
}

/// `webhook-signature` of Standard Webhooks: one signature for each key, in order.
pub(crate) fn sign_standard(keys: &[hmac::Key], id: &str, unix_s: u64, body: &[u8]) -> String {
    let sign = |key: &hmac::Key| {
        let mut context = hmac::Context::with_key(key);
        context.update(format!("{id}.{unix_s}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    };
    keys.iter().map(sign).collect::<Vec<_>>().join(" ")
}

/// webman's `sign` of a body that is sent to this path with this query.
pub(crate) fn sign_webman(key: &hmac::Key, path: &str, query: &str, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("POST\n{path}\n{}\n", sorted_query(query)).as_bytes());
    context.update(body);
    hex(context.sign().as_ref())
}

/// A query as PHP's `http_build_query` writes it once its parameters are sorted by name.
fn sorted_query(query: &str) -> String {
    const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b' ');
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    parameters.sort();
    let encode = |text: &str| utf8_percent_encode(text, &KEPT).to_string().replace(' ', "+");
    let pairs = parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::StandardSecret;

    fn key(secret: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
    }

    #[test]
    fn pushers_signature_is_as_published() {
        let body =
            br#"{"time_ms":1327078148132,"events":[{"name":"channel_occupied","channel":"my-channel"}]}"#;
        let signature = "c19001ae3963ccb13bf618e5b16ba9848e7e74df0993aa0689168e341c6833cf";
        assert_eq!(sign_pusher(&key("7ad3773142a6692b25b8"), body), signature);
        assert_ne!(sign_pusher(&key("7ad3773142a6692b25b8"), &body[1..]), signature);
    }

    #[test]
    fn webmans_sign_is_as_its_server_makes_it() {
        let body = br#"{"time_ms":1711965636.5,"events":[]}"#;
        let sign = "ada0b177f6d71289dd1e6eaffc0bb225e97c35d4ee013dbb13f4ba9cd0caaa71";
        assert_eq!(sign_webman(&key("YOUR_WEBHOOK_SECRET"), "/webhook", "id=abc", body), sign);
        assert_ne!(sign_webman(&key("YOUR_WEBHOOK_SECRET"), "/webhook", "id=abd", body), sign);
    }

    #[test]
    fn signatures_of_standard_webhooks_are_as_published() {
        let key = |secret: &str| {
            let secret = StandardSecret::parse(secret).unwrap();
            hmac::Key::new(hmac::HMAC_SHA256, secret.bytes())
        };
        let keys = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_bmV3"].map(key);
        let sign = |keys| {
            sign_standard(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#)
        };
        let published = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(&keys[..1]), published);
        let both = sign(&keys);
        assert_eq!(both.split(' ').next(), Some(published), "the first key's signature comes first");
        assert_eq!(both.split(' ').count(), 2);
    }

    #[test]
    fn a_query_is_sorted_and_encoded_as_php_does() {
        assert_eq!(sorted_query("id=7&a=x%20y&b=~%2F&c"), "a=x+y&b=%7E%2F&c=&id=7");
        assert_eq!(sorted_query(""), "");
    }
}
