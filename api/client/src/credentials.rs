//! The credentials of an app, by themselves or in the URL that SDKs call `PUSHER_URL`.
//!
//! What must never happen here: a secret in a message.

use std::fmt;

use percent_encoding::percent_decode_str;
use ring::hmac;

use crate::place::{Place, UrlError};

/// An app: its id, its key and its secret. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct Credentials {
    app_id: String,
    key: String,
    signing: hmac::Key,
}

impl Credentials {
    /// The credentials of an app.
    pub fn new(app_id: impl Into<String>, key: impl Into<String>, secret: &str) -> Self {
        Self::of_signing_key(app_id, key, hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// The same for a program that keeps the secret as what it signs with: HMAC-SHA256 of ring 0.17.
    pub fn of_signing_key(app_id: impl Into<String>, key: impl Into<String>, signing: hmac::Key) -> Self {
        Self { app_id: app_id.into(), key: key.into(), signing }
    }

    /// The id of the app, which stands in the paths of the REST API.
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// The key, which clients connect with.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn signing(&self) -> &hmac::Key {
        &self.signing
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credentials")
            .field("app_id", &self.app_id)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Reads what SDKs call `PUSHER_URL`: `http(s)://KEY:SECRET@HOST[:PORT][/PATH]/apps/ID`.
pub fn parse_pusher_url(url: &str) -> Result<(Place, Credentials), UrlError> {
    let wrong = || UrlError("the URL must be http://KEY:SECRET@HOST:PORT/apps/ID".to_owned());
    let (front, app_id) = url.rsplit_once("/apps/").ok_or_else(wrong)?;
    let app_id = app_id.trim_end_matches('/');
    let (place, userinfo) = Place::parse(front)?;
    let (key, secret) = userinfo.and_then(|userinfo| userinfo.split_once(':')).ok_or_else(wrong)?;
    if app_id.is_empty() || key.is_empty() || secret.is_empty() || app_id.contains(['/', '?', '#']) {
        return Err(wrong());
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Ok((place, Credentials::new(decoded(app_id), decoded(key), &decoded(secret))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::sign;

    #[test]
    fn pusher_url_names_server_and_app_and_no_fault_shows_its_secret() {
        let (place, app) = parse_pusher_url("https://k:hunter2@api.example.com/apps/7").unwrap();
        assert_eq!((place.address(), app.app_id(), app.key()), ("api.example.com:443".to_owned(), "7", "k"));
        let (place, app) = parse_pusher_url("http://k:a/@%2Fb@h:1/push/apps/7/").unwrap();
        assert_eq!(
            (place.path.as_str(), sign(app.signing(), b"x")),
            ("/push", sign(Credentials::new("7", "k", "a/@/b").signing(), b"x"))
        );
        for url in [
            "x",
            "http://k:hunter2@h",
            "http://hunter2@h/apps/1",
            "http://h/apps/1",
            "http://k:hunter2@h:x/apps/1",
            "http://k:hunter2@h/apps/",
        ] {
            let fault = parse_pusher_url(url).unwrap_err().to_string();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        assert!(!format!("{app:?}").contains("a/@/b") && format!("{app:?}").contains("\"k\""));
    }
}
