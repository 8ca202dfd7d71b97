//! From a request to the call that it is: route, app, signature, and then what its endpoint wants.
//!
//! The order is that of what a caller may learn: 404 and 405 for paths that are nobody's, 401 before anything is said
//! about an app's state (but that it takes nothing without TLS), and only then what is wrong with the request itself. Names and data are borrowed from it.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use protocol::app::{App, AppQuestion, Apps};
use protocol::auth::{AuthVersion, RestAuthError, verify_request, verify_request_head};
use protocol::dialect::API_CLIENT_HEADER;
use protocol::http::{Head, Request};
use protocol::path_prefix::PathPrefix;
use protocol::query::{Query, parse_query};
use protocol::ws::parse_upgrade;

use crate::answer::Answer;
use crate::endpoints::channel_events::parse_channel_event;
use crate::endpoints::channels::{Channel, Channels, parse_channel, parse_channels};
use crate::endpoints::connections::Connections;
use crate::endpoints::events::{Publish, parse_batch, parse_event};
use crate::endpoints::health::{PROBE_METHODS, Probe, parse_probe, probed_app};
use crate::endpoints::stats::parse_stats;
use crate::endpoints::terminate::{Terminate, parse_terminate};
use crate::endpoints::users::{Users, parse_users};
use crate::limits::KEY_CHARACTERS_MAX;
use crate::refused::Refused;

/// What a request asks for.
#[derive(Clone, Debug)]
pub enum Call<'a> {
    /// Publish events.
    Publish(Publish<'a>),
    /// List occupied channels.
    Channels(Channels<'a>),
    /// Tell of one channel.
    Channel(Channel<'a>),
    /// List the members of a presence channel.
    Users(Users<'a>),
    /// Count the open connections of an app.
    Connections(Connections<'a>),
    /// Close the connections of a user.
    Terminate(Terminate<'a>),
    /// Tell how the server is.
    Health(Probe),
    /// Tell how an app is. None: there is no such app.
    AppHealth(Option<&'a Arc<App>>),
    /// Tell which methods there are.
    Options(Options),
}

/// Asks which methods a path has, or the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// They, as `Allow` lists them.
    pub allow: &'static str,
    /// A probe of health answers with its state as well: load balancers ask in this way.
    pub probe: Option<Probe>,
}

impl<'a> Call<'a> {
    /// The app whose back end calls.
    pub fn app(&self) -> Option<&'a Arc<App>> {
        match self {
            Self::Publish(publish) => Some(publish.app),
            Self::Channels(channels) => Some(channels.app),
            Self::Channel(channel) => Some(channel.app),
            Self::Users(users) => Some(users.app),
            Self::Connections(connections) => Some(connections.app),
            Self::Terminate(terminate) => Some(terminate.app),
            Self::Health(_) | Self::AppHealth(_) | Self::Options(_) => None,
        }
    }
}

impl Options {
    /// The methods; `well` is whether what the path tells of is well.
    pub fn answer(self, well: bool) -> Answer<'static> {
        let headers = vec![("Allow", self.allow)].into();
        let answer = Answer { headers, ..Answer::text("", b"") };
        answer.well(well)
    }
}

/// How and when a request came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// By TLS, here or at a trusted proxy.
    pub secure: bool,
    /// By the wall clock, in seconds since 1970.
    pub unix_s: u64,
}

/// The call that a request is.
pub fn parse_call<'a>(
    apps: &'a Apps,
    prefix: &PathPrefix,
    request: &'a Request<'a>,
    arrival: Arrival,
) -> Result<Call<'a>, Refused> {
    let route = check_route(prefix, &request.head)?;
    let query = parse_query(request.head.query);
    let ((app, version), endpoint) = match route {
        Route::Health(probe) => return Ok(Call::Health(probe)),
        Route::AppHealth(id) => return Ok(Call::AppHealth(apps.by_id(&id))),
        Route::Options(options) => return Ok(Call::Options(options)),
        Route::App(id, endpoint) => (app_of_path(apps, &id, &query)?, endpoint),
        Route::AppOfKey(endpoint) => (app_of_key(apps, &query)?, endpoint),
    };
    check_transport(app, arrival)?;
    if !request.body.is_empty() {
        check_coding(&request.head)?;
    }
    let (method, path) = (request.head.method, request.head.path);
    let verify =
        |path: &str| verify_request(app, version, method, path, &query, &request.body, arrival.unix_s);
    authorise(app, prefix, path, verify)?;
    let of_webman = request.head.header(API_CLIENT_HEADER).is_some();
    match endpoint {
        Endpoint::Events => parse_event(app, &request.body, &query).map(Call::Publish),
        Endpoint::ChannelEvents(name) => {
            parse_channel_event(app, name, &request.body, &query).map(Call::Publish)
        }
        Endpoint::BatchEvents => parse_batch(app, &request.body).map(Call::Publish),
        Endpoint::Channels => parse_channels(app, &query, of_webman).map(Call::Channels),
        Endpoint::Channel(name) => parse_channel(app, name, &query, of_webman).map(Call::Channel),
        Endpoint::Stats(name) => parse_stats(app, name).map(Call::Channel),
        Endpoint::Users(name) => parse_users(app, name, of_webman).map(Call::Users),
        Endpoint::Connections => Ok(Call::Connections(Connections { app })),
        Endpoint::Terminate(user) => parse_terminate(app, user).map(Call::Terminate),
    }
}

/// Judges a request whose body is still to come by all that its head says: nobody's body is kept whom the app's secret
/// has not signed it for.
pub fn check_head(
    apps: &Apps,
    prefix: &PathPrefix,
    head: &Head<'_>,
    arrival: Arrival,
) -> Result<(), Refused> {
    let route = check_route(prefix, head)?;
    let query = parse_query(head.query);
    let (app, version) = match route {
        Route::Health(_) | Route::AppHealth(_) | Route::Options(_) => return Ok(()),
        Route::App(id, _) => app_of_path(apps, &id, &query)?,
        Route::AppOfKey(_) => app_of_key(apps, &query)?,
    };
    check_transport(app, arrival)?;
    check_coding(head)?;
    let verify = |path: &str| verify_request_head(app, version, head.method, path, &query, arrival.unix_s);
    authorise(app, prefix, head.path, verify)
}

/// The app that a request names, if its path belongs to one, as a question for it.
pub fn named_app(prefix: &PathPrefix, head: &Head<'_>) -> Option<AppQuestion> {
    match check_route(prefix, head).ok()? {
        Route::Health(_) | Route::Options(_) => None,
        Route::App(id, _) | Route::AppHealth(id) => AppQuestion::of_id(&id),
        Route::AppOfKey(_) => AppQuestion::of_key(parse_query(head.query).first("auth_key")?),
    }
}

enum Route<'a> {
    Options(Options),
    Health(Probe),
    AppHealth(Cow<'a, str>),
    App(Cow<'a, str>, Endpoint<'a>),
    /// The path names no app, so the key of the signature must.
    AppOfKey(Endpoint<'a>),
}

enum Endpoint<'a> {
    Events,
    BatchEvents,
    Channels,
    Channel(Cow<'a, str>),
    ChannelEvents(Cow<'a, str>),
    Stats(Cow<'a, str>),
    Users(Cow<'a, str>),
    Connections,
    /// As it stands in the path.
    Terminate(&'a str),
}

// The route of a request, if its method goes there.
fn check_route<'a>(prefix: &PathPrefix, head: &Head<'a>) -> Result<Route<'a>, Refused> {
    let path = prefix.strip(head.path);
    if path == "*" {
        return Ok(Route::Options(Options { allow: "GET, HEAD, POST, OPTIONS", probe: None }));
    }
    if path.starts_with("/app/") {
        return check_upgrade(head);
    }
    let route = parse_route(path).ok_or_else(no_such_path)?;
    check_method(route, head.method)
}

// What comes here is no upgrade, and nothing else is below this path.
fn check_upgrade<'a>(head: &Head<'a>) -> Result<Route<'a>, Refused> {
    if head.method == "OPTIONS" {
        return Ok(Route::Options(Options { allow: "GET, OPTIONS", probe: None }));
    }
    match parse_upgrade(head) {
        Err(refusal) if refusal.status == 405 => Err(Refused::method("GET, OPTIONS")),
        Err(refusal) => Err(Refused::new(refusal.status, refusal.body)),
        Ok(_) => Err(no_such_path()),
    }
}

// Not even a signature is judged that everybody on the way could read.
fn check_transport(app: &App, arrival: Arrival) -> Result<(), Refused> {
    if app.tls_only && !arrival.secure {
        return Err(Refused::new(403, "The app takes calls over TLS only (tls_only): use https://"));
    }
    Ok(())
}

// A body is taken as it is written, and not packed.
fn check_coding(head: &Head<'_>) -> Result<(), Refused> {
    let codings = head.header_values("Content-Encoding").flat_map(|value| value.split(','));
    let mut codings = codings.map(str::trim).filter(|coding| !coding.is_empty());
    match codings.find(|coding| !coding.eq_ignore_ascii_case("identity")) {
        Some(coding) => Err(Refused::coding(coding)),
        None => Ok(()),
    }
}

// A path is split before it is decoded: an encoded slash belongs to its segment.
fn parse_route(path: &str) -> Option<Route<'_>> {
    if let Some(probe) = parse_probe(path) {
        return Some(Route::Health(probe));
    }
    if let Some(id) = probed_app(path) {
        return Some(Route::AppHealth(id));
    }
    // So asks Pusher's SDK for Python, which leaves the app out of this one path.
    if let Some(user) = path.strip_prefix("/users/") {
        return parse_user_route(user).map(Route::AppOfKey);
    }
    let (id, endpoint) = path.strip_prefix("/apps/")?.split_once('/')?;
    Some(Route::App(decode(id), parse_endpoint(endpoint)?))
}

fn parse_endpoint(endpoint: &str) -> Option<Endpoint<'_>> {
    if let Some(channel) = endpoint.strip_prefix("channels/") {
        return parse_channel_route(channel);
    }
    if let Some(user) = endpoint.strip_prefix("users/") {
        return parse_user_route(user);
    }
    match endpoint {
        "events" => Some(Endpoint::Events),
        "batch_events" => Some(Endpoint::BatchEvents),
        "channels" => Some(Endpoint::Channels),
        "connections" => Some(Endpoint::Connections),
        _ => None,
    }
}

// Not every SDK encodes the id, and nothing else is below it: a slash before the last belongs to the id.
fn parse_user_route(user: &str) -> Option<Endpoint<'_>> {
    user.strip_suffix("/terminate_connections").map(Endpoint::Terminate)
}

fn parse_channel_route(channel: &str) -> Option<Endpoint<'_>> {
    match channel.split_once('/') {
        None if channel.is_empty() => None,
        None => Some(Endpoint::Channel(decode(channel))),
        Some((name, "users")) => Some(Endpoint::Users(decode(name))),
        Some((name, "events")) => Some(Endpoint::ChannelEvents(decode(name))),
        Some((name, "stats")) => Some(Endpoint::Stats(decode(name))),
        Some(_) => None,
    }
}

fn decode(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

fn check_method<'a>(route: Route<'a>, method: &str) -> Result<Route<'a>, Refused> {
    let (acts, probe) = match &route {
        Route::App(_, endpoint) | Route::AppOfKey(endpoint) => (endpoint.acts(), None),
        Route::Health(probe) => (false, Some(*probe)),
        Route::AppHealth(_) => (false, None),
        Route::Options(_) => return Ok(route),
    };
    let allow = if acts { "POST, OPTIONS" } else { PROBE_METHODS };
    match method {
        "POST" if acts => Ok(route),
        "GET" | "HEAD" if !acts => Ok(route),
        "OPTIONS" => Ok(Route::Options(Options { allow, probe })),
        _ => Err(Refused::method(allow)),
    }
}

impl Endpoint<'_> {
    /// True of what is done, false of what is only asked.
    fn acts(&self) -> bool {
        matches!(self, Self::Events | Self::ChannelEvents(_) | Self::BatchEvents | Self::Terminate(_))
    }
}

/// The app that is called, and whether the caller must say how it has signed.
type Called<'a> = (&'a Arc<App>, AuthVersion);

// Where no app has this id, its dialect may say that the key alone counts. The signature covers the path in any case.
fn app_of_path<'a>(apps: &'a Apps, id: &str, query: &Query<'_>) -> Result<Called<'a>, Refused> {
    let of_key = || query.first("auth_key").and_then(|key| apps.by_key(key));
    let found = apps.by_id(id).or_else(|| of_key().filter(|app| app.dialect.finds_app_by_key(id)));
    let app = found.ok_or_else(unknown_app)?;
    let may_be_webman_push = app.dialect.finds_app_by_key(id);
    Ok((app, if may_be_webman_push { AuthVersion::Optional } else { AuthVersion::Required }))
}

fn app_of_key<'a>(apps: &'a Apps, query: &Query<'_>) -> Result<Called<'a>, Refused> {
    let key = query.first("auth_key");
    let app = key.and_then(|key| apps.by_key(key));
    let unknown = || Refused {
        unknown_key: key.map(|key| key.chars().take(KEY_CHARACTERS_MAX).collect()),
        ..Refused::new(401, "Unknown auth_key: this path names no app, so the key must")
    };
    Ok((app.ok_or_else(unknown)?, AuthVersion::Required))
}

// A proxy may have taken the prefix of the path off, or put it on, so the caller has signed the one form or the other.
fn authorise(
    app: &App,
    prefix: &PathPrefix,
    path: &str,
    verify: impl Fn(&str) -> Result<(), RestAuthError>,
) -> Result<(), Refused> {
    let verified = verify(path).or_else(|error| match prefix.other_form(path) {
        Some(other) if matches!(error, RestAuthError::Signature { .. }) => verify(&other).map_err(|_| error),
        _ => Err(error),
    });
    verified.map_err(|error| {
        let text = error.to_string();
        let unknown_key = match error {
            RestAuthError::Key { key } => Some(key),
            _ => None,
        };
        Refused { unknown_key, ..Refused::new(401, text) }
    })?;
    if !app.enabled {
        return Err(Refused::new(403, "The app is disabled"));
    }
    Ok(())
}

fn unknown_app() -> Refused {
    Refused::new(404, "Unknown app: no app has the id in this path")
}

fn no_such_path() -> Refused {
    Refused::new(404, "Not found: no endpoint has this path")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::events::Form;
    use proptest::prelude::*;
    use protocol::app::AppKey;
    use protocol::auth::sign_request;
    use protocol::http::{RequestParse, parse_request};

    const KEY: &str = "278d425bdf160c739803";
    const SECRET: &str = "7ad3773142a6692b25b8";
    const NOW: u64 = 1_353_088_179;
    const ARRIVAL: Arrival = Arrival { secure: false, unix_s: NOW };

    fn apps() -> Apps {
        let mut disabled = App::new("4", "k4", "s4");
        disabled.enabled = false;
        Apps::new(vec![App::new("3", KEY, SECRET), disabled]).unwrap()
    }

    fn http(method: &str, target: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        format!("{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    }

    fn with_call<T>(bytes: &[u8], now: u64, then: impl FnOnce(Result<Call<'_>, Refused>) -> T) -> T {
        let RequestParse::Complete { request, bytes: used } = parse_request(bytes) else {
            panic!("not a request: {}", String::from_utf8_lossy(bytes))
        };
        assert_eq!(used, bytes.len());
        let apps = apps();
        then(parse_call(&apps, &PathPrefix::default(), &request, Arrival { secure: false, unix_s: now }))
    }

    fn status_at(bytes: &[u8], now: u64) -> u16 {
        with_call(bytes, now, |call| call.map_or_else(|refused| refused.status, |_| 200))
    }

    fn signed(method: &str, path: &str, params: &[(&str, &str)], body: &str) -> Vec<u8> {
        let app = App::new("3", KEY, SECRET);
        let query = sign_request(&app, method, path, params, body.as_bytes(), NOW);
        http(method, &format!("{path}?{query}"), body)
    }

    const EVENT: &str = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;

    #[test]
    fn published_vectors_of_the_signature_are_accepted() {
        let post = http(
            "POST",
            &format!(
                "/apps/3/events?auth_key={KEY}&auth_timestamp=1353088179&auth_version=1.0\
                 &body_md5=ec365a775a4cd0599faeb73354201b6f\
                 &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
            ),
            EVENT,
        );
        with_call(&post, NOW, |call| {
            let Ok(Call::Publish(publish)) = call else { panic!("{call:?}") };
            assert_eq!(&*publish.app.id, "3");
            assert_eq!(publish.events[0].channels[0].name, "project-3");
        });
        let get = http(
            "GET",
            &format!(
                "/apps/3/channels?auth_key={KEY}&auth_timestamp=1353088179&auth_version=1.0\
                 &filter_by_prefix=presence-&info=user_count\
                 &auth_signature=16819168891cb5dfd72b5c7a5d3d602605b26c6ba1930033b5e2eeeb65010291"
            ),
            "",
        );
        with_call(&get, NOW, |call| {
            let Ok(Call::Channels(channels)) = call else { panic!("{call:?}") };
            assert_eq!(&*channels.prefix, "presence-");
            assert!(channels.info.user_count);
        });
    }

    #[test]
    fn a_signature_holds_ten_minutes_around_its_time() {
        let request = signed("POST", "/apps/3/events", &[], EVENT);
        for (now, status) in
            [(NOW, 200), (NOW + 599, 200), (NOW - 599, 200), (NOW + 601, 401), (NOW - 601, 401)]
        {
            assert_eq!(status_at(&request, now), status, "{now}");
        }
    }

    #[test]
    fn what_is_not_signed_is_refused_with_401() {
        let good = String::from_utf8(signed("POST", "/apps/3/events", &[], EVENT)).unwrap();
        let table = [
            ("auth_signature=", "auth_signature=0"),
            ("auth_key=27", "auth_key=28"),
            ("auth_version=1.0", "auth_version=2.0"),
            ("body_md5=e", "body_md5=f"),
            ("body_md5=", "x="),
            ("{\"name\":\"foo\"", "{\"name\":\"fop\""),
            ("POST /apps/3/events?", "POST /apps/3/batch_events?"),
            ("events?", "events?name=x&"),
        ];
        assert_eq!(status_at(good.as_bytes(), NOW), 200);
        for (from, to) in table {
            let bad = good.replace(from, to);
            assert_ne!(bad, good, "{from}");
            // The length stays true: only the body's own replacement keeps it.
            assert_eq!(status_at(bad.as_bytes(), NOW), 401, "{from}");
        }
        assert_eq!(status_at(&http("GET", "/apps/3/channels", ""), NOW), 401);
    }

    #[test]
    fn a_wrong_signature_is_answered_with_the_text_to_sign_and_never_the_secret() {
        let mut request = String::from_utf8(signed("GET", "/apps/3/channels", &[], "")).unwrap();
        request = request.replace("auth_signature=", "auth_signature=0");
        with_call(request.as_bytes(), NOW, |call| {
            let refused = call.unwrap_err();
            assert!(refused.text.contains("GET\\n/apps/3/channels\\nauth_key="), "{}", refused.text);
            assert!(!refused.text.contains(SECRET));
        });
    }

    #[test]
    fn paths_methods_and_apps_have_their_statuses() {
        let signed_event = |path| signed("POST", path, &[], EVENT);
        let table = [
            (http("GET", "/nothing", ""), 404),
            (http("GET", "/apps", ""), 404),
            (http("GET", "/apps/3", ""), 404),
            (http("GET", "/apps/3/", ""), 404),
            (http("GET", "/apps/3/channels/", ""), 404),
            (http("GET", "/apps/3/channels/a/b", ""), 404),
            (http("GET", "/apps/3/channels/a/users/x", ""), 404),
            (http("POST", "/apps/3/users/7/events", "{}"), 404),
            (http("GET", "/apps/3/events", ""), 405),
            (http("POST", "/apps/3/channels", ""), 405),
            (http("POST", "/apps/3/connections", ""), 405),
            (http("GET", "/apps/3/connections/", ""), 404),
            (http("GET", "/apps/3/connections", ""), 401),
            (http("DELETE", "/apps/3/channels/a", ""), 405),
            (http("POST", "/live", ""), 405),
            (http("GET", "/apps/9/channels", ""), 404),
            (signed_event("/apps/9/events"), 404),
            (signed_event("/apps/4/events"), 401),
            (signed("GET", "/apps/3/channels", &[], ""), 200),
            (signed("HEAD", "/apps/3/channels", &[], ""), 200),
            (signed("GET", "/apps/3/connections", &[], ""), 200),
            (http("OPTIONS", "/apps/3/channels", ""), 200),
            (http("GET", "/live", ""), 200),
            (http("GET", "/up/9", ""), 200),
            (http("POST", "/up/3", ""), 405),
            (http("GET", "/ready?x=1", ""), 200),
            (http("HEAD", "/", ""), 200),
        ];
        for (request, status) in table {
            assert_eq!(status_at(&request, NOW), status, "{}", String::from_utf8_lossy(&request));
        }
        let query = sign_request(&App::new("4", "k4", "s4"), "GET", "/apps/4/channels", &[], b"", NOW);
        assert_eq!(status_at(&http("GET", &format!("/apps/4/channels?{query}"), ""), NOW), 403);
    }

    #[test]
    fn a_refused_method_says_which_are_allowed() {
        with_call(&http("GET", "/apps/3/events", ""), NOW, |call| {
            assert_eq!(call.unwrap_err().header, Some(("Allow", "POST, OPTIONS".into())));
        });
    }

    fn with_headers(method: &str, target: &str, lines: &str, body: &str) -> Vec<u8> {
        let plain = String::from_utf8(http(method, target, body)).unwrap();
        plain.replacen("Host: h\r\n", &format!("Host: h\r\n{lines}"), 1).into_bytes()
    }

    #[test]
    fn options_tell_the_methods_without_a_signature() {
        let table = [
            ("*", "GET, HEAD, POST, OPTIONS", None),
            ("/", "GET, HEAD, OPTIONS", Some(Probe::Index)),
            ("/live", "GET, HEAD, OPTIONS", Some(Probe::Live)),
            ("/ready?x=1", "GET, HEAD, OPTIONS", Some(Probe::Ready)),
            ("/apps/3/events", "POST, OPTIONS", None),
            ("/apps/3/channels", "GET, HEAD, OPTIONS", None),
            ("/app/key", "GET, OPTIONS", None),
        ];
        for (target, allow, probe) in table {
            with_call(&http("OPTIONS", target, ""), NOW, |call| {
                let Ok(Call::Options(options)) = call else { panic!("{target}: {call:?}") };
                assert_eq!(options, Options { allow, probe }, "{target}");
            });
        }
        assert_eq!(status_at(&http("OPTIONS", "/nothing", ""), NOW), 404);
    }

    #[test]
    fn a_path_of_websockets_without_an_upgrade_says_what_is_missing() {
        let table = [
            ("", 426, "Upgrade: websocket and Connection: Upgrade are missing"),
            ("Connection: Upgrade\r\n", 426, "Upgrade: websocket is missing"),
            ("Upgrade: websocket\r\n", 426, "Connection: Upgrade is missing"),
        ];
        for (lines, status, text) in table {
            with_call(&with_headers("GET", "/app/key?protocol=7", lines, ""), NOW, |call| {
                let refused = call.unwrap_err();
                assert_eq!(refused.status, status);
                assert!(refused.text.contains(text) && refused.text.contains("proxy"), "{}", refused.text);
            });
        }
        assert_eq!(status_at(b"GET /app/key HTTP/1.0\r\n\r\n", NOW), 426);
        assert_eq!(status_at(&http("POST", "/app/key", ""), NOW), 405);
        assert_eq!(status_at(&http("GET", "/app", ""), NOW), 404);
    }

    #[test]
    fn a_packed_body_is_refused_by_its_coding() {
        let query =
            sign_request(&App::new("3", KEY, SECRET), "POST", "/apps/3/events", &[], EVENT.as_bytes(), NOW);
        let target = format!("/apps/3/events?{query}");
        for (lines, status) in [
            ("Content-Encoding: gzip\r\n", 415),
            ("Content-Encoding: identity, br\r\n", 415),
            ("Content-Encoding: identity\r\nContent-Encoding: Deflate\r\n", 415),
            ("Content-Encoding: identity\r\n", 200),
            ("Content-Encoding:\r\n", 200),
        ] {
            assert_eq!(status_at(&with_headers("POST", &target, lines, EVENT), NOW), status, "{lines}");
        }
        with_call(&with_headers("POST", &target, "Content-Encoding: gzip\r\n", EVENT), NOW, |call| {
            let refused = call.unwrap_err();
            assert!(refused.text.contains("\"gzip\""), "{}", refused.text);
            assert_eq!(refused.header, Some(("Accept-Encoding", "identity".into())));
        });
        let lines = "Content-Encoding: gzip\r\n";
        assert_eq!(status_at(&with_headers("GET", "/live", lines, ""), NOW), 200);
    }

    #[test]
    fn a_head_is_judged_as_its_whole_request_would_be() {
        let table = [
            (http("POST", "/nothing", "x"), 404),
            (http("GET", "/apps/3/events", "x"), 405),
            (http("POST", "/apps/9/events", "x"), 404),
            (http("POST", "/apps/3/events", "x"), 401),
            (http("POST", "/app/key", "x"), 405),
            (signed("POST", "/apps/3/events", &[], EVENT), 200),
            (signed("POST", "/apps/4/events", &[], EVENT), 401),
        ];
        for (bytes, status) in table {
            let RequestParse::Complete { request, .. } = parse_request(&bytes) else { panic!() };
            let judged = check_head(&apps(), &PathPrefix::default(), &request.head, ARRIVAL);
            let judged = judged.map_or_else(|refused| refused.status, |()| 200);
            assert_eq!(judged, status, "{}", String::from_utf8_lossy(&bytes));
        }
        let forged = String::from_utf8(signed("POST", "/apps/3/events", &[], EVENT)).unwrap();
        let forged = forged.replace("auth_signature=", "auth_signature=0");
        let RequestParse::Complete { request, .. } = parse_request(forged.as_bytes()) else { panic!() };
        assert_eq!(
            check_head(&apps(), &PathPrefix::default(), &request.head, ARRIVAL).unwrap_err().status,
            401
        );
    }

    #[test]
    fn channel_names_may_be_raw_or_encoded() {
        for path in ["/apps/3/channels/presence-a,b@c;d=e", "/apps/3/channels/presence-a%2Cb%40c%3Bd%3De"] {
            with_call(&signed("GET", path, &[("info", "user_count")], ""), NOW, |call| {
                let Ok(Call::Channel(channel)) = call else { panic!("{call:?}") };
                assert_eq!(channel.name, "presence-a,b@c;d=e");
            });
            with_call(&signed("GET", &format!("{path}/users"), &[], ""), NOW, |call| {
                let Ok(Call::Users(users)) = call else { panic!("{call:?}") };
                assert_eq!(users.name, "presence-a,b@c;d=e");
            });
        }
        for path in [
            "/apps/3/channels/a/users",
            "/apps/3/channels/a%2Fb",
            "/apps/3/channels/%ff",
            "/apps/3/channels/a+b",
        ] {
            assert_eq!(status_at(&signed("GET", path, &[], ""), NOW), 400, "{path}");
        }
    }

    #[test]
    fn md5_of_nothing_is_accepted_and_a_body_must_be_covered() {
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        assert_eq!(status_at(&signed("GET", "/apps/3/channels", &[("body_md5", md5)], ""), NOW), 200);
        let params = [("name", "e"), ("data", "x"), ("channels[]", "a"), ("channels[]", "b")];
        with_call(&signed("POST", "/apps/3/events", &params, ""), NOW, |call| {
            let Ok(Call::Publish(publish)) = call else { panic!("{call:?}") };
            assert_eq!(publish.events[0].channels.len(), 2);
        });
    }

    #[test]
    fn a_user_is_terminated_with_and_without_a_body_and_by_the_path_of_every_sdk() {
        let paths = ["/apps/3/users/a%2Fb/terminate_connections", "/users/a/b/terminate_connections"];
        for (path, body) in paths.into_iter().flat_map(|path| ["", "{}", "[]"].map(|body| (path, body))) {
            with_call(&signed("POST", path, &[], body), NOW, |call| {
                let Ok(Call::Terminate(terminate)) = call else { panic!("{call:?}") };
                assert_eq!((&*terminate.app.id, &*terminate.user_id), ("3", "a/b"));
            });
            assert_eq!(status_at(&signed("GET", path, &[], ""), NOW), 405);
            assert_eq!(status_at(&http("POST", path, body), NOW), 401);
        }
        let foreign = sign_request(&App::new("3", "k4", "x"), "POST", paths[1], &[], b"", NOW);
        assert_eq!(status_at(&http("POST", &format!("{}?{foreign}", paths[1]), ""), NOW), 401);
        let disabled = sign_request(&App::new("4", "k4", "s4"), "POST", paths[1], &[], b"", NOW);
        assert_eq!(status_at(&http("POST", &format!("{}?{disabled}", paths[1]), ""), NOW), 403);
        for path in ["/apps/3/users//terminate_connections", "/apps/3/users/%ff/terminate_connections"] {
            assert_eq!(status_at(&signed("POST", path, &[], ""), NOW), 400, "{path}");
        }
        for path in ["/apps/3/users/terminate_connections", "/apps/3/users/7", "/users/7"] {
            assert_eq!(status_at(&signed("POST", path, &[], ""), NOW), 404, "{path}");
        }
    }

    #[test]
    fn connections_are_those_of_the_app_in_the_path() {
        let request = signed("GET", "/apps/3/connections", &[], "");
        with_call(&request, NOW, |call| {
            let Ok(Call::Connections(asked)) = call else { panic!("{call:?}") };
            assert_eq!(&*asked.app.id, "3");
            let body = || String::from_utf8(asked.answer().body.into_owned()).unwrap();
            assert_eq!(body(), r#"{"connections":0}"#);
            let admissions = [asked.app.admit().unwrap(), asked.app.admit().unwrap()];
            assert_eq!(body(), r#"{"connections":2}"#);
            drop(admissions);
            assert_eq!(body(), r#"{"connections":0}"#);
        });
    }

    #[test]
    fn a_batch_is_routed() {
        let body = r#"{"batch":[{"name":"e","channel":"c","data":"x"}]}"#;
        with_call(&signed("POST", "/apps/3/batch_events", &[], body), NOW, |call| {
            assert!(matches!(call, Ok(Call::Publish(publish)) if publish.form == Form::Batch));
        });
    }

    #[test]
    fn deprecated_paths_of_a_channel_are_routed() {
        let event = signed("POST", "/apps/3/channels/presence-a/events", &[("name", "e")], EVENT);
        with_call(&event, NOW, |call| {
            let Ok(Call::Publish(publish)) = call else { panic!("{call:?}") };
            assert_eq!((publish.form, &*publish.events[0].channels[0].name), (Form::Channel, "presence-a"));
        });
        with_call(&signed("GET", "/apps/3/channels/presence-a/stats", &[], ""), NOW, |call| {
            let Ok(Call::Channel(channel)) = call else { panic!("{call:?}") };
            assert!(channel.info.user_count);
        });
        assert_eq!(status_at(&signed("GET", "/apps/3/channels/a/events", &[], ""), NOW), 405);
        assert_eq!(status_at(&signed("POST", "/apps/3/channels/a/stats", &[], ""), NOW), 405);
        assert_eq!(status_at(&http("POST", "/apps/3/channels/a/events?name=e", "x"), NOW), 401);
    }

    #[test]
    fn a_path_may_have_the_prefix_of_a_proxy_and_be_signed_with_it_or_without() {
        // What is signed, what comes.
        let table = [
            ("/apps/3/events", "/apps/3/events", 200),
            ("/ws/apps/3/events", "/ws/apps/3/events", 200),
            ("/ws/apps/3/events", "/apps/3/events", 200),
            ("/apps/3/events", "/ws/apps/3/events", 200),
            ("/x/apps/3/events", "/apps/3/events", 401),
            ("/ws/apps/3/events", "/ws/ws/apps/3/events", 404),
            ("/wsx/apps/3/events", "/wsx/apps/3/events", 404),
        ];
        let (apps, prefix) = (apps(), PathPrefix::parse("/ws").unwrap());
        for (signed_path, path, status) in table {
            let request = String::from_utf8(signed("POST", signed_path, &[], EVENT)).unwrap();
            let request = request.replacen(signed_path, path, 1).into_bytes();
            let RequestParse::Complete { request, .. } = parse_request(&request) else { panic!() };
            let call = parse_call(&apps, &prefix, &request, ARRIVAL);
            let found = call.map_or_else(|refused| refused.status, |_| 200);
            assert_eq!(found, status, "{signed_path} {path}");
            let head = check_head(&apps, &prefix, &request.head, ARRIVAL);
            assert_eq!(head.map_or_else(|refused| refused.status, |()| 200), status, "{signed_path} {path}");
        }
        let forged = http("GET", "/ws/apps/3/channels?auth_key=x", "");
        let RequestParse::Complete { request, .. } = parse_request(&forged) else { panic!() };
        assert_eq!(parse_call(&apps, &prefix, &request, ARRIVAL).unwrap_err().status, 401);
        let live = http("GET", "/ws/live", "");
        let RequestParse::Complete { request, .. } = parse_request(&live) else { panic!() };
        assert!(matches!(parse_call(&apps, &prefix, &request, ARRIVAL), Ok(Call::Health(Probe::Live))));
    }

    #[test]
    fn a_request_names_its_app_by_its_path_or_by_the_key_that_has_signed_it() {
        let table = [
            ("POST", "/apps/3/events", Some(("id", "3"))),
            ("GET", "/ws/apps/7/channels?auth_key=a", Some(("id", "7"))),
            ("POST", "/users/u/terminate_connections?auth_key=a", Some(("key", "a"))),
            ("POST", "/users/u/terminate_connections", None),
            ("GET", "/ws/up/7", Some(("id", "7"))),
            ("GET", "/apps/a%20b/channels", None),
            ("GET", "/apps/3/nothing", None),
            ("GET", "/apps/3/events", None),
            ("GET", "/ready", None),
            ("OPTIONS", "/apps/3/events", None),
        ];
        let prefix = PathPrefix::parse("/ws").unwrap();
        for (method, target, named) in table {
            let request = http(method, target, "");
            let RequestParse::Complete { request, .. } = parse_request(&request) else { panic!() };
            let found = named_app(&prefix, &request.head);
            assert_eq!(found.as_ref().map(AppQuestion::parts), named, "{method} {target}");
        }
    }

    #[test]
    fn every_enabled_key_of_an_app_calls() {
        let mut app = App::new("3", KEY, SECRET);
        app.add_key(AppKey::parse("newer", "other").unwrap());
        let apps = Apps::new(vec![app]).unwrap();
        for (key, secret) in [(KEY, SECRET), ("newer", "other")] {
            let signer = App::new("3", key, secret);
            for path in ["/apps/3/channels", "/users/7/terminate_connections"] {
                let method = if path.starts_with("/apps") { "GET" } else { "POST" };
                let query = sign_request(&signer, method, path, &[], b"", NOW);
                let bytes = http(method, &format!("{path}?{query}"), "");
                let RequestParse::Complete { request, .. } = parse_request(&bytes) else { panic!() };
                assert!(parse_call(&apps, &PathPrefix::default(), &request, ARRIVAL).is_ok(), "{key} {path}");
            }
        }
    }

    #[test]
    fn an_app_that_is_there_by_tls_only_refuses_other_calls_before_it_looks_at_them() {
        let mut app = App::new("3", KEY, SECRET);
        app.tls_only = true;
        let apps = Apps::new(vec![app, App::new("4", "k4", "s4")]).unwrap();
        let status = |bytes: &[u8], secure| {
            let RequestParse::Complete { request, .. } = parse_request(bytes) else { panic!() };
            let (prefix, arrival) = (PathPrefix::default(), Arrival { secure, ..ARRIVAL });
            let call =
                parse_call(&apps, &prefix, &request, arrival).map_or_else(|refused| refused.status, |_| 200);
            let head = check_head(&apps, &prefix, &request.head, arrival);
            assert_eq!(head.map_or_else(|refused| refused.status, |()| 200), call);
            call
        };
        let path = "/apps/3/channels";
        let query = sign_request(&App::new("3", KEY, SECRET), "GET", path, &[], b"", NOW);
        let signed = http("GET", &format!("{path}?{query}"), "");
        assert_eq!((status(&signed, true), status(&signed, false)), (200, 403));
        let unsigned = http("GET", path, "");
        assert_eq!((status(&unsigned, true), status(&unsigned, false)), (401, 403));
        let of_others = http("GET", "/apps/4/channels", "");
        assert_eq!((status(&of_others, true), status(&of_others, false)), (401, 401));
        assert_eq!(status(&http("GET", "/live", ""), false), 200);
    }

    proptest! {
        #[test]
        fn any_path_is_a_route_or_none(path in "/[a-z0-9/%.,=-]{0,60}") {
            drop(parse_route(&path));
        }

        #[test]
        fn an_unsigned_request_for_an_app_never_becomes_a_call(rest in "[a-z_/]{0,30}", query in "[a-z0-9=&_%.]{0,60}") {
            let request = http("GET", &format!("/apps/3/{rest}?{query}"), "");
            prop_assert!(matches!(status_at(&request, NOW), 401 | 404 | 405));
        }
    }
}
