//! What the reader of the log can do about a refusal, where the text for the client does not say it.
//!
//! Clients and their authors know the texts of Pusher, which name the fault and hardly ever a setting.

/// How a text begins, and what to do.
const REMEDIES: [(&str, &str); 12] = [
    ("App is disabled", "enable the app (enabled)"),
    ("The app is disabled", "enable the app (enabled)"),
    (
        "Application only accepts SSL",
        "the app is there over TLS only (tls_only); where a proxy ends TLS, name it in trusted_proxies and let it send \
         X-Forwarded-Proto",
    ),
    ("Over capacity", "raise the limit of open files (ulimit -n), or start further servers"),
    ("client events are not enabled", "set client_events of the app, if its clients may send them"),
    ("you didn't subscribe", "the client must subscribe to the channel before it sends to it"),
    (
        "only supported on private",
        "the client must use a channel whose name begins with private- or presence-",
    ),
    ("Unknown auth_key", "sign with an enabled key of the app that the path names, and its secret"),
    ("Missing parameter: auth", "sign the call, as server SDKs do"),
    ("Missing parameter: body_md5", "sign the call, as server SDKs do"),
    ("Timestamp expired", "set the clock of the back end, or of this machine"),
    ("Invalid body_md5", "sign the bytes of the body as they are sent"),
];

/// What to do about it.
pub(crate) fn remedy_of(text: &str) -> Option<&'static str> {
    // A text that names a setting says it already.
    let says = text.rsplit_once('(').is_some_and(|(_, last)| last.ends_with(')') && last.contains('_'));
    let remedy = REMEDIES.iter().find(|(start, _)| !says && text.starts_with(start));
    remedy.map(|(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use protocol::auth::RestAuthError;
    use protocol::close::Close;

    use super::*;

    #[test]
    fn texts_that_name_no_setting_get_a_remedy() {
        let key = RestAuthError::Key { key: "k".into() };
        let expired = RestAuthError::Expired { given: 1, now: 2 };
        let of_calls = [key, expired, RestAuthError::BodyMd5, RestAuthError::Missing("auth_key")];
        let of_connections = [Close::APP_DISABLED, Close::TLS_ONLY, Close::OVER_CAPACITY];
        let texts = of_connections.iter().map(|close| close.reason.to_owned());
        for text in texts.chain(of_calls.iter().map(ToString::to_string)) {
            assert!(remedy_of(&text).is_some_and(|remedy| remedy.len() > 10), "{text}");
        }
        for close in [Close::APP_FULL, Close::OVER_QUOTA, Close::PATH_NOT_FOUND, Close::ORIGIN] {
            assert_eq!(remedy_of(close.reason), None);
        }
    }
}
