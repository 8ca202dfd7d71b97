//! A sink that POSTs batches to an operator's server, in the format that its receiver knows.
//!
//! One try per call, with one time limit for all of it; the status decides. It owns the connections that are kept alive,
//! shared by the endpoint's threads. Header names are sent as they are spelled here and in the configuration, since PHP's SDK
//! looks for `X-Pusher-Signature` in just this spelling. What must never happen here: a redirect followed, or a body read
//! without end.

use std::io::Read;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use logging::blanked;
use percent_encoding::percent_decode_str;
use ring::hmac;
use ureq::Agent;
use ureq::http::uri::Authority;
use ureq::http::{HeaderName, HeaderValue, Response, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;

use super::address::{GuardedResolver, literal, refusal};
use super::bodies::{encode_pusher, encode_webman, encode_webman_push};
use super::signature::{sign_pusher, sign_standard, sign_webman};
use crate::limits::{ANSWER_BYTES_MAX, EXCERPT_BYTES_MAX};
use crate::settings::{DeliverySettings, Endpoint, Format};
use crate::sink::{Batch, Outcome, Sink};

/// How the server names itself.
pub(crate) const USER_AGENT: &str = concat!("corecast/", env!("CARGO_PKG_VERSION"));
/// Headers that are ours alone.
const OWN_HEADERS: [&str; 11] = [
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "host",
    "x-pusher-key",
    "x-pusher-signature",
    "sign",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];
/// What a reason begins with where there was an answer.
const ANSWERED: &str = "answered ";
/// What an answer says in this header to have no further try of its batch.
const ABORT: (&str, &str) = ("webhook-delivery", "abort-message");

#[derive(Clone)]
pub(crate) struct Webhook {
    agent: Agent,
    uri: Uri,
    headers: Vec<(String, String)>,
    signing: Signing,
    body: Vec<u8>,
}

#[derive(Clone)]
enum Signing {
    Pusher,
    WebmanPush,
    Standard(Vec<hmac::Key>),
    Webman(Option<hmac::Key>),
}

impl Webhook {
    pub(crate) fn open(
        endpoint: &Endpoint,
        url: &str,
        format: &Format,
        headers: &[(String, String)],
        delivery: &DeliverySettings,
    ) -> Result<Self, String> {
        let signing = match format {
            Format::Pusher => Signing::Pusher,
            Format::WebmanPush => Signing::WebmanPush,
            Format::Standard { secrets } => Signing::Standard(
                secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.bytes())).collect(),
            ),
            Format::Webman { secret } => Signing::Webman(
                secret.as_ref().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.0.as_bytes())),
            ),
        };
        let mut headers = check_headers(headers)?;
        let (uri, credentials) = split_credentials(parse_url(url, delivery.strict_endpoints)?);
        let ours = [("User-Agent", Some(USER_AGENT.to_owned())), ("Authorization", credentials)];
        for (name, value) in ours {
            let is_configured = headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            headers.extend(value.filter(|_| !is_configured).map(|value| (name.to_owned(), value)));
        }
        let agent = agent(Some(endpoint.timeout), delivery.in_flight_max, delivery.strict_endpoints);
        Ok(Self { agent, uri, headers, signing, body: Vec::new() })
    }

    fn send(&self, batch: &Batch) -> Result<Response<ureq::Body>, ureq::Error> {
        let uri = self.uri_for(batch);
        let signed = match &self.signing {
            Signing::Pusher | Signing::WebmanPush => {
                let key = batch.app.signer();
                let signature = sign_pusher(key.signing(), &self.body);
                vec![("X-Pusher-Key", (*key.name).to_owned()), ("X-Pusher-Signature", signature)]
            }
            Signing::Standard(keys) => {
                let (id, now) = (message_id(batch), SystemTime::now());
                let unix_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let signature = sign_standard(keys, &id, unix_s, &self.body);
                vec![
                    ("webhook-id", id),
                    ("webhook-timestamp", unix_s.to_string()),
                    ("webhook-signature", signature),
                ]
            }
            Signing::Webman(key) => {
                let signer = batch.app.signer();
                let key = key.as_ref().unwrap_or_else(|| signer.signing());
                let sign = sign_webman(key, uri.path(), uri.query().unwrap_or(""), &self.body);
                vec![("sign", sign)]
            }
        };
        let mut request = self.agent.post(&uri).header_raw("Content-Type", b"application/json");
        for (name, value) in &signed {
            request = request.header_raw(name, value.as_bytes());
        }
        for (name, value) in &self.headers {
            request = request.header_raw(name, value.as_bytes());
        }
        request.send(&self.body[..])
    }

    /// webman's webhooks name themselves in the query: here by the first event's id, which stays the same.
    fn uri_for(&self, batch: &Batch) -> Uri {
        let first = batch.rows.first().map_or(0, |row| row.id);
        let Signing::Webman(_) = self.signing else { return self.uri.clone() };
        let query = self.uri.query().map(|query| format!("{query}&")).unwrap_or_default();
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = format!("{}?{query}id={first}", self.uri.path()).parse().ok();
        Uri::from_parts(parts).unwrap_or_else(|_| self.uri.clone())
    }
}

impl Sink for Webhook {
    fn deliver(&mut self, batch: &Batch) -> Outcome {
        self.body.clear();
        match self.signing {
            Signing::Pusher | Signing::Standard(_) => encode_pusher(&mut self.body, batch),
            Signing::WebmanPush => encode_webman_push(&mut self.body, batch),
            Signing::Webman(_) => encode_webman(&mut self.body, batch),
        }
        match self.send(batch) {
            Ok(answer) => outcome_of(answer),
            Err(error) => Outcome::Unreachable(reason_of(&error)),
        }
    }
}

fn outcome_of(answer: Response<ureq::Body>) -> Outcome {
    let status = answer.status();
    let wants_no_more = status == StatusCode::GONE
        || answer.headers().get(ABORT.0).is_some_and(|value| value.as_bytes() == ABORT.1.as_bytes());
    let later = answer.headers().get("retry-after").and_then(|value| pause_of(value.to_str().ok()?));
    let excerpt = drain(answer);
    if status.is_success() {
        return Outcome::Done;
    }
    let said = if excerpt.is_empty() { excerpt } else { format!(": {excerpt}") };
    let aborts = wants_no_more && status != StatusCode::GONE;
    let abort = if aborts { format!(" ({}: {})", ABORT.0, ABORT.1) } else { String::new() };
    let reason = format!("{ANSWERED}{}{abort}{said}", name_of(status));
    match later {
        _ if wants_no_more => Outcome::Ended(reason),
        Some(pause) => Outcome::Later(reason, pause),
        None => Outcome::Refused(reason),
    }
}

/// A reason without the beginning of the answer's body, for the log: a receiver may repeat what it was sent, with signatures,
/// headers and the data of events.
pub(crate) fn without_answer(reason: &str) -> &str {
    let Some(start) = reason.find(ANSWERED) else { return reason };
    let Some(colon) = reason.get(start..).and_then(|rest| rest.find(':')) else { return reason };
    let end = start + colon;
    let (before, after) = reason.split_at(end);
    let is_abort = before.ends_with(ABORT.0) && after.starts_with(&format!(": {})", ABORT.1));
    let end = if is_abort { end + ": )".len() + ABORT.1.len() } else { end };
    reason.get(..end).unwrap_or(reason)
}

/// What `Retry-After` asks for: seconds, or a date.
fn pause_of(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok()
}

/// The same on each try of these events, and another for a part of them.
fn message_id(batch: &Batch) -> String {
    let (first, last) =
        (batch.rows.first().map_or(0, |row| row.id), batch.rows.last().map_or(0, |row| row.id));
    format!("msg_{first}_{last}_{}", batch.rows.len())
}

fn name_of(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("{} {reason}", status.as_u16()).trim_end().to_owned()
}

/// Reads the answer so that the connection can be used again, and returns its beginning. An answer that is too long,
/// breaks off or does not end in time costs the connection: the status has said all that counts.
fn drain(mut answer: Response<ureq::Body>) -> String {
    let mut reader = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).reader();
    let mut excerpt = Vec::new();
    let mut piece = [0; 4_096];
    while let Ok(length @ 1..) = reader.read(&mut piece) {
        let room = EXCERPT_BYTES_MAX.saturating_sub(excerpt.len()).min(length);
        excerpt.extend_from_slice(piece.get(..room).unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&excerpt);
    blanked(&text).trim().to_owned()
}

/// An error in words for the operator.
pub(crate) fn reason_of(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Other(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// What asks and posts: with one limit of time, for so many threads, and to which addresses.
pub(crate) fn agent(timeout: Option<Duration>, threads: usize, strict: bool) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(timeout)
        .max_idle_connections(threads)
        .max_idle_connections_per_host(threads)
        .user_agent("")
        .accept_encoding("identity")
        .tls_config(TlsConfig::builder().root_certs(TRUSTED.clone()).build())
        .build();
    Agent::with_parts(config, DefaultConnector::new(), GuardedResolver::new(strict))
}

/// The authorities that the machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` count), or else those that Mozilla trusts.
static TRUSTED: LazyLock<RootCerts> = LazyLock::new(|| {
    let native = rustls_native_certs::load_native_certs();
    if native.certs.is_empty() {
        return RootCerts::WebPki;
    }
    let certificates = native.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
    RootCerts::Specific(Arc::new(certificates.collect()))
});

/// The URL of an operator's server, if it may be asked.
pub(crate) fn parse_url(url: &str, strict: bool) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("the url is not valid: {error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("the url must begin with http:// or https://".to_owned());
    }
    let host = uri.host().unwrap_or_default();
    if host.is_empty() {
        return Err("the url has no host".to_owned());
    }
    let refused = literal(&uri).and_then(|address| refusal(address.ip(), strict));
    match refused {
        Some(reason) => Err(format!("no webhook is sent to {host}: {reason}")),
        None => Ok(uri),
    }
}

/// The URL without its user and password, and these as the value of `Authorization`: in a URL they are percent-encoded, in
/// the header they are not (RFC 3986 3.2.1, RFC 7617 2).
pub(crate) fn split_credentials(uri: Uri) -> (Uri, Option<String>) {
    let authority = uri.authority().map(Authority::as_str).unwrap_or_default();
    let Some((userinfo, host)) = authority.rsplit_once('@') else { return (uri, None) };
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let credentials = [decoded(user), b":".to_vec(), decoded(password)].concat();
    let value = format!("Basic {}", STANDARD.encode(credentials));
    let mut parts = uri.clone().into_parts();
    parts.authority = host.parse().ok();
    (Uri::from_parts(parts).unwrap_or(uri), Some(value))
}

fn check_headers(headers: &[(String, String)]) -> Result<Vec<(String, String)>, String> {
    for (name, value) in headers {
        if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(format!("the header {name:?} is set by the server"));
        }
        HeaderName::try_from(name.as_str()).map_err(|_| format!("{name:?} is not a valid header name"))?;
        HeaderValue::try_from(value.as_str())
            .map_err(|_| format!("the value of the header {name:?} has characters that cannot be sent"))?;
    }
    Ok(headers.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_for_the_log_has_the_status_and_nothing_of_the_body() {
        let aborted = "answered 500 Internal Server Error (webhook-delivery: abort-message)";
        let table = [
            (
                "answered 500 Internal Server Error: {\"data\": \"x: y\"}",
                "answered 500 Internal Server Error",
            ),
            ("answered 410 Gone", "answered 410 Gone"),
            (aborted, aborted),
            (&format!("{aborted}: sent: x"), aborted),
            (
                "nothing accepted for 5 s: answered 503 Service Unavailable: x",
                "nothing accepted for 5 s: answered 503 Service Unavailable",
            ),
            ("Connection refused (os error 111)", "Connection refused (os error 111)"),
        ];
        for (reason, told) in table {
            assert_eq!(without_answer(reason), told);
        }
    }

    #[test]
    fn user_and_password_of_a_url_are_decoded() {
        for (url, bare, credentials) in [
            ("http://hook:p%40ss@host/a?b=c", "http://host/a?b=c", Some("hook:p@ss")),
            ("https://us%3Aer:%C3%A9%25@[::1]:8443/", "https://[::1]:8443/", Some("us:er:é%")),
            ("http://hook:a:b@host/", "http://host/", Some("hook:a:b")),
            ("http://hook@host/", "http://host/", Some("hook:")),
            ("http://:p@host/", "http://host/", Some(":p")),
            ("http://host/?@", "http://host/?@", None),
        ] {
            let (uri, value) = split_credentials(url.parse().unwrap());
            assert_eq!(uri.to_string(), bare);
            let wanted = credentials.map(|text| format!("Basic {}", STANDARD.encode(text)));
            assert_eq!(value, wanted, "{url}");
        }
        assert_eq!(STANDARD.encode("hook:p@ss"), "aG9vazpwQHNz");
    }
}
