//! The signature of a REST request, in its query string.
//!
//! Signed are the method, the path as sent, and every parameter but the signature itself, decoded and sorted by its
//! lower-cased key; `body_md5` among them covers the body. Called by the api for everything below `/apps/`.

use std::borrow::Cow;
use std::fmt;

use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{excerpt, is_signature, sign_hex};
use crate::app::{App, AppKey};
use crate::hex::{encode_hex, parse_hex};
use crate::limits::{REST_EXCERPT_BYTES_MAX, TIMESTAMP_SKEW_SECONDS_MAX};
use crate::query::Query;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Whether a request must say the version of its signature. There is one version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthVersion {
    /// As Pusher documents it.
    Required,
    /// `auth_version` may be missing: webman/push's client does not send it.
    Optional,
}

/// Checks a request against the app's keys and secrets and against the clock. `raw_path` is the path as sent, still
/// percent-encoded.
pub fn verify_request(
    app: &App,
    version: AuthVersion,
    method: &str,
    raw_path: &str,
    query: &Query<'_>,
    body: &[u8],
    now_unix_s: u64,
) -> Result<(), RestAuthError> {
    let claims = verify_claims(app, version, query, now_unix_s)?;
    verify_body(query.first("body_md5"), body)?;
    verify_signature(&claims, method, raw_path, query)
}

/// The same without a look at the body, which may not have come: the signature covers what it must be, not what it is.
pub fn verify_request_head(
    app: &App,
    version: AuthVersion,
    method: &str,
    raw_path: &str,
    query: &Query<'_>,
    now_unix_s: u64,
) -> Result<(), RestAuthError> {
    let claims = verify_claims(app, version, query, now_unix_s)?;
    verify_signature(&claims, method, raw_path, query)
}

// A request says that it was signed like this, with this key.
struct Claims<'a> {
    key: &'a AppKey,
    signature: &'a str,
}

// What costs nothing to check; the signature is still to be looked at.
fn verify_claims<'a>(
    app: &'a App,
    version: AuthVersion,
    query: &'a Query<'_>,
    now_unix_s: u64,
) -> Result<Claims<'a>, RestAuthError> {
    let param = |name| query.first(name).ok_or(RestAuthError::Missing(name));
    let name = param("auth_key")?;
    let unknown = || RestAuthError::Key { key: excerpt(name, REST_EXCERPT_BYTES_MAX) };
    let key = app.enabled_key(name).ok_or_else(unknown)?;
    match param("auth_version") {
        Ok("1.0") => {}
        Ok(_) => return Err(RestAuthError::Version),
        Err(_) if version == AuthVersion::Optional => {}
        Err(missing) => return Err(missing),
    }
    let signature = param("auth_signature")?;
    verify_timestamp(param("auth_timestamp")?, now_unix_s)?;
    Ok(Claims { key, signature })
}

fn verify_signature(
    claims: &Claims<'_>,
    method: &str,
    raw_path: &str,
    query: &Query<'_>,
) -> Result<(), RestAuthError> {
    let text = text_to_sign(method, raw_path, query.iter());
    if is_signature(claims.key.signing(), &text, claims.signature) {
        return Ok(());
    }
    Err(RestAuthError::Signature {
        expected: text.into(),
        got: excerpt(claims.signature, REST_EXCERPT_BYTES_MAX),
    })
}

fn verify_timestamp(text: &str, now_unix_s: u64) -> Result<(), RestAuthError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let given = text.parse::<u64>().ok().filter(|_| is_number).ok_or(RestAuthError::Timestamp)?;
    if given.abs_diff(now_unix_s) > TIMESTAMP_SKEW_SECONDS_MAX {
        return Err(RestAuthError::Expired { given, now: now_unix_s });
    }
    Ok(())
}

// A body must be covered; without one the parameter may be left out, empty, or the digest of nothing.
fn verify_body(body_md5: Option<&str>, body: &[u8]) -> Result<(), RestAuthError> {
    match body_md5 {
        None if body.is_empty() => Ok(()),
        None => Err(RestAuthError::Missing("body_md5")),
        Some("") if body.is_empty() => Ok(()),
        Some(given) if parse_hex(given) == Some(Md5::digest(body).into()) => Ok(()),
        Some(_) => Err(RestAuthError::BodyMd5),
    }
}

/// The whole query string of a signed request, percent-encoded. `params` are further parameters, `path` is the path as
/// it will be sent.
pub fn sign_request(
    app: &App,
    method: &str,
    path: &str,
    params: &[(&str, &str)],
    body: &[u8],
    now_unix_s: u64,
) -> String {
    let timestamp = now_unix_s.to_string();
    let (body_md5, key) = (md5_hex(body), app.oldest_key());
    let mut all = vec![("auth_key", &*key.name), ("auth_timestamp", &*timestamp), ("auth_version", "1.0")];
    if !body.is_empty() {
        all.push(("body_md5", &body_md5));
    }
    all.extend_from_slice(params);
    let signature = sign_hex(key.signing(), &text_to_sign(method, path, all.iter().copied()));
    all.push(("auth_signature", &signature));
    let encode = |text| utf8_percent_encode(text, UNRESERVED);
    let pairs: Vec<_> = all.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    pairs.join("&")
}

fn text_to_sign<'a>(method: &str, path: &str, params: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = params.map(|(key, value)| (lower_case(key), value)).collect();
    pairs.retain(|(key, _)| key != "auth_signature");
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    let pairs_bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    let mut text = String::with_capacity(method.len() + path.len() + 2 + pairs_bytes);
    text.push_str(method);
    text.make_ascii_uppercase();
    text.push('\n');
    text.push_str(path);
    text.push('\n');
    for (index, (key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        text.push_str(key);
        text.push('=');
        text.push_str(value);
    }
    text
}

fn lower_case(key: &str) -> Cow<'_, str> {
    if key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(key);
    }
    Cow::Owned(key.to_lowercase())
}

fn md5_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(32);
    encode_hex(&mut hex, &Md5::digest(bytes));
    hex
}

/// Why a request is not authorised: 401 with this text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestAuthError {
    /// The named parameter is missing.
    Missing(&'static str),
    /// The key is none of the enabled keys of the app in the path.
    Key {
        /// The beginning of what came.
        key: Box<str>,
    },
    /// `auth_version` is not 1.0.
    Version,
    /// `auth_timestamp` is no number.
    Timestamp,
    /// The clocks are too far apart, or the request is old.
    Expired {
        /// What the request says, in seconds since 1970.
        given: u64,
        /// What the server says.
        now: u64,
    },
    /// `body_md5` is not the digest of the body.
    BodyMd5,
    /// The signature is not that of this request.
    Signature {
        /// What was to be signed.
        expected: Box<str>,
        /// The beginning of what came.
        got: Box<str>,
    },
}

impl fmt::Display for RestAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "Missing parameter: {name}"),
            Self::Key { key } => write!(f, "Unknown auth_key: {key}"),
            Self::Version => write!(f, "Invalid auth_version: it must be 1.0"),
            Self::Timestamp => write!(f, "Invalid auth_timestamp: it must be seconds since 1970"),
            Self::Expired { given, now } => write!(
                f,
                "Timestamp expired: Given timestamp ({given}) not within {TIMESTAMP_SKEW_SECONDS_MAX}s of server time ({now})"
            ),
            Self::BodyMd5 => write!(f, "Invalid body_md5: it is not the MD5 of the body that came"),
            Self::Signature { expected, got } => write!(
                f,
                "Invalid signature: you should have sent HmacSHA256Hex(\"{}\", your_secret_key), but you sent {got:?}",
                expected.replace('\n', "\\n")
            ),
        }
    }
}

impl std::error::Error for RestAuthError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse_query;
    use proptest::prelude::*;

    const KEY: &str = "278d425bdf160c739803";
    const SECRET: &str = "7ad3773142a6692b25b8";
    const NOW: u64 = 1_353_088_179;
    const BODY: &[u8] = br#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
    const POST: &str = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
        &body_md5=ec365a775a4cd0599faeb73354201b6f\
        &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";
    const GET: &str = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
        &filter_by_prefix=presence-&info=user_count\
        &auth_signature=16819168891cb5dfd72b5c7a5d3d602605b26c6ba1930033b5e2eeeb65010291";

    fn app() -> App {
        App::new("3", KEY, SECRET)
    }

    fn verify(method: &str, path: &str, query: &str, body: &[u8], now: u64) -> Result<(), RestAuthError> {
        verify_request(&app(), AuthVersion::Required, method, path, &parse_query(query), body, now)
    }

    // A query with these parameters and the right signature for a GET of /x.
    fn signed(params: &[(&str, &str)]) -> String {
        let signature =
            sign_hex(app().oldest_key().signing(), &text_to_sign("GET", "/x", params.iter().copied()));
        let pairs = params.iter().map(|(key, value)| format!("{key}={value}&")).collect::<String>();
        format!("{pairs}auth_signature={signature}")
    }

    #[test]
    fn published_requests_are_signed_and_accepted() {
        assert_eq!(verify("POST", "/apps/3/events", POST, BODY, NOW), Ok(()));
        assert_eq!(sign_request(&app(), "POST", "/apps/3/events", &[], BODY, NOW), POST);
        assert_eq!(verify("GET", "/apps/3/channels", GET, b"", NOW), Ok(()));
        let params = [("filter_by_prefix", "presence-"), ("info", "user_count")];
        assert_eq!(sign_request(&app(), "GET", "/apps/3/channels", &params, b"", NOW), GET);
    }

    #[test]
    fn order_case_and_escapes_of_parameters_do_not_matter() {
        let mut parts: Vec<_> = GET.split('&').collect();
        parts.reverse();
        assert_eq!(verify("get", "/apps/3/channels", &parts.join("&"), b"", NOW), Ok(()));
        let escaped = GET.replace("presence-", "presence%2D").replace("info=", "INFO=");
        assert_eq!(verify("GET", "/apps/3/channels", &escaped, b"", NOW), Ok(()));
        let common = [("auth_key", KEY), ("auth_timestamp", "1353088179"), ("auth_version", "1.0")];
        let with = |more: &[(&'static str, &'static str)]| [&common[..], more].concat();
        for query in [
            signed(&with(&[("info", "user_count,subscription_count")])),
            signed(&with(&[("info", "a,b")])).replace("a,b", "a%2Cb"),
            signed(&with(&[("channels[]", "b"), ("channels[]", "a")])),
            signed(&with(&[("B", "1"), ("a", "2")])),
        ] {
            assert_eq!(verify("GET", "/x", &query, b"", NOW), Ok(()), "{query}");
        }
    }

    #[test]
    fn keys_of_parameters_have_no_case() {
        for (from, to) in [
            ("auth_key", "Auth_Key"),
            ("auth_timestamp", "AUTH_TIMESTAMP"),
            ("auth_version", "auth_Version"),
            ("body_md5", "Body_MD5"),
            ("auth_signature", "Auth_Signature"),
        ] {
            let query = POST.replace(from, to);
            assert_ne!(query, POST);
            assert_eq!(verify("POST", "/apps/3/events", &query, BODY, NOW), Ok(()), "{to}");
        }
    }

    #[test]
    fn a_head_is_verified_before_its_body_has_come() {
        let verify = |query: &str, now| {
            verify_request_head(
                &app(),
                AuthVersion::Required,
                "POST",
                "/apps/3/events",
                &parse_query(query),
                now,
            )
        };
        assert_eq!(verify(POST, NOW), Ok(()));
        assert_eq!(verify(POST, NOW + 601), Err(RestAuthError::Expired { given: NOW, now: NOW + 601 }));
        assert!(matches!(verify(&POST.replace("=da45", "=da46"), NOW), Err(RestAuthError::Signature { .. })));
        // What the body must be is signed.
        assert!(matches!(verify(&POST.replace("=ec36", "=ec37"), NOW), Err(RestAuthError::Signature { .. })));
    }

    #[test]
    fn each_missing_or_wrong_part_has_its_error() {
        use RestAuthError as E;
        let path = "/apps/3/events";
        for name in ["auth_key", "auth_timestamp", "auth_version", "auth_signature", "body_md5"] {
            let query = POST.replace(name, "other");
            assert_eq!(verify("POST", path, &query, BODY, NOW), Err(E::Missing(name)));
        }
        let change = |from: &str, to: &str| verify("POST", path, &POST.replace(from, to), BODY, NOW);
        assert_eq!(change(KEY, "nobody"), Err(E::Key { key: "nobody".into() }));
        assert_eq!(change("version=1.0", "version=2"), Err(E::Version));
        for bad in ["", "x", "-1", "+1353088179", "99999999999999999999999"] {
            assert_eq!(change("1353088179", bad), Err(E::Timestamp), "{bad}");
        }
        assert_eq!(change("ec365a", "ec365b"), Err(E::BodyMd5));
        assert_eq!(verify("POST", path, POST, b"{}", NOW), Err(E::BodyMd5));
        let is_signature = |result| matches!(result, Err(E::Signature { .. }));
        assert!(is_signature(change("da4548", "da4549")));
        assert!(is_signature(change("signature=da", "signature=zz")));
        assert!(is_signature(verify("PUT", path, POST, BODY, NOW)));
        assert!(is_signature(verify("POST", "/apps/3/batch_events", POST, BODY, NOW)));
        assert!(is_signature(verify("POST", path, &format!("{POST}&more=1"), BODY, NOW)));
        assert!(is_signature(verify_request(
            &App::new("3", KEY, "other"),
            AuthVersion::Required,
            "POST",
            path,
            &parse_query(POST),
            BODY,
            NOW
        )));
    }

    #[test]
    fn a_client_of_webman_push_may_leave_the_version_out_but_not_have_another() {
        let verify = |version, query: &str| {
            let query = parse_query(query);
            assert_eq!(
                verify_request(&app(), version, "GET", "/x", &query, b"", NOW),
                verify_request_head(&app(), version, "GET", "/x", &query, NOW)
            );
            verify_request(&app(), version, "GET", "/x", &query, b"", NOW)
        };
        let common = [("auth_key", KEY), ("auth_timestamp", "1353088179")];
        let without = signed(&common);
        assert_eq!(verify(AuthVersion::Optional, &without), Ok(()));
        assert_eq!(verify(AuthVersion::Required, &without), Err(RestAuthError::Missing("auth_version")));
        let another = signed(&[&common[..], &[("auth_version", "1.1")]].concat());
        assert_eq!(verify(AuthVersion::Optional, &another), Err(RestAuthError::Version));
        // It is signed like every parameter.
        let taken_out = GET.replace("&auth_version=1.0", "");
        assert!(matches!(verify(AuthVersion::Optional, &taken_out), Err(RestAuthError::Signature { .. })));
    }

    #[test]
    fn every_enabled_key_signs_with_its_own_secret() {
        let mut app = app();
        app.add_key(AppKey::parse("newer", "other").unwrap());
        let verify = |app: &App, query: &str| {
            verify_request(
                app,
                AuthVersion::Required,
                "POST",
                "/apps/3/events",
                &parse_query(query),
                BODY,
                NOW,
            )
        };
        let newer = sign_request(&App::new("3", "newer", "other"), "POST", "/apps/3/events", &[], BODY, NOW);
        assert_eq!((verify(&app, POST), verify(&app, &newer)), (Ok(()), Ok(())));
        let crossed = newer.replace("newer", KEY);
        assert!(matches!(verify(&app, &crossed), Err(RestAuthError::Signature { .. })));
        app.keys_mut().for_each(|key| key.enabled = &*key.name != KEY);
        assert_eq!(verify(&app, POST), Err(RestAuthError::Key { key: KEY.into() }));
        assert_eq!(verify(&app, &newer), Ok(()));
        assert_eq!(sign_request(&app, "POST", "/apps/3/events", &[], BODY, NOW), newer);
    }

    #[test]
    fn clocks_may_differ_by_ten_minutes() {
        let at = |now| verify("POST", "/apps/3/events", POST, BODY, now);
        for now in [NOW - 600, NOW - 599, NOW + 599, NOW + 600] {
            assert_eq!(at(now), Ok(()));
        }
        for now in [0, NOW - 601, NOW + 601, u64::MAX] {
            assert_eq!(at(now), Err(RestAuthError::Expired { given: NOW, now }));
        }
    }

    #[test]
    fn without_a_body_its_digest_may_be_missing_empty_or_right() {
        let common = [("auth_key", KEY), ("auth_timestamp", "1353088179"), ("auth_version", "1.0")];
        let with = |digest| signed(&[&common[..], &[("body_md5", digest)]].concat());
        assert_eq!(verify("GET", "/x", &signed(&common), b"", NOW), Ok(()));
        assert_eq!(verify("GET", "/x", &with(""), b"", NOW), Ok(()));
        assert_eq!(verify("GET", "/x", &with("d41d8cd98f00b204e9800998ecf8427e"), b"", NOW), Ok(()));
        let wrong = with("ec365a775a4cd0599faeb73354201b6f");
        assert_eq!(verify("GET", "/x", &wrong, b"", NOW), Err(RestAuthError::BodyMd5));
        assert_eq!(verify("GET", "/x", &with(""), b"x", NOW), Err(RestAuthError::BodyMd5));
    }

    #[test]
    fn a_wrong_signature_is_answered_with_the_text_to_sign_and_no_secret() {
        let error =
            verify("POST", "/apps/3/events", &POST.replace("da4548", "000000"), BODY, NOW).unwrap_err();
        let text = error.to_string();
        let expected = "Invalid signature: you should have sent HmacSHA256Hex(\"POST\\n/apps/3/events\\n\
            auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&\
            body_md5=ec365a775a4cd0599faeb73354201b6f\", your_secret_key), but you sent \
            \"00000024c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c\"";
        assert_eq!(text, expected);
        assert!(!text.contains(SECRET) && !text.contains("da4548"));
    }

    proptest! {
        #[test]
        fn what_is_signed_is_accepted(
            keys in proptest::collection::vec("[a-zA-Z_\\[\\]]{1,8}", 0..6),
            value in ".{0,30}",
            body in proptest::collection::vec(any::<u8>(), 0..60),
            skew in 0..=600_u64,
        ) {
            let keys: Vec<_> = keys.iter().filter(|key| !key.to_lowercase().starts_with("auth")).collect();
            let params: Vec<_> = keys.iter().map(|key| (key.as_str(), value.as_str())).collect();
            let query = sign_request(&app(), "POST", "/apps/3/events", &params, &body, NOW);
            prop_assert_eq!(verify("POST", "/apps/3/events", &query, &body, NOW + skew), Ok(()));
        }

        #[test]
        fn any_query_is_refused_without_a_panic(query in ".{0,200}", body in proptest::collection::vec(any::<u8>(), 0..20)) {
            prop_assert!(verify("POST", "/x", &query, &body, NOW).is_err());
        }
    }
}
