//! Webhooks against real receivers: what is sent, what counts as accepted, and what a receiver that misbehaves can do.

mod receiver;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hooks::row::Row;
use hooks::settings::{DeliverySettings, Durability, Endpoint, Format, Secret, SinkSettings, StandardSecret};
use hooks::sink::{Batch, Outcome, Sink};
use hooks::sinks;
use protocol::app::{App, AppKey, Apps};
use protocol::hook_event::HookEvent;
use protocol::socket_id::SocketId;
use receiver::{Answer, Receiver, closed_port, listener, read_request, write_answer};
use ring::hmac;

const SECRET: &str = "7ad3773142a6692b25b8";
const PATIENCE: Duration = Duration::from_secs(5);

fn app() -> Arc<App> {
    Arc::new(App::new("3", "278d425bdf160c739803", SECRET))
}

fn endpoint(url: String, format: Format, headers: &[(&str, &str)], timeout: Duration) -> Endpoint {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut endpoint = Endpoint::new("e", app(), SinkSettings::Webhook { url, format, headers });
    endpoint.timeout = timeout;
    endpoint
}

fn open(endpoint: &Endpoint) -> Result<Box<dyn Sink>, String> {
    let outlet = sinks::open(endpoint, &DeliverySettings::default(), Durability::Process);
    outlet.map(|outlet| outlet.sink().unwrap()).map_err(|fault| fault.to_string())
}

fn webhook(url: String, timeout_ms: u64) -> Box<dyn Sink> {
    open(&endpoint(url, Format::Pusher, &[], Duration::from_millis(timeout_ms))).unwrap()
}

fn batch() -> Batch {
    let app = app();
    let occupied = HookEvent::ChannelOccupied { app: Arc::clone(&app), channel: "private-ä".into() };
    let client = HookEvent::ClientEvent {
        app: Arc::clone(&app),
        channel: "private-ä".into(),
        event: "client-x".into(),
        data_literal: r#""{\"a\":1}""#.into(),
        socket_id: SocketId { first: 1, second: 2 },
        user_id: None,
    };
    let rows = [occupied, client].into_iter().enumerate();
    let row = |(index, event)| Arc::new(Row { id: 17 + index as u64, time_ms: 1_700_000_000_250, event });
    Batch { app, rows: rows.map(row).collect(), time_ms: 1_700_000_000_500, tries: 0 }
}

fn hex(tag: &hmac::Tag) -> String {
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

#[test]
fn a_webhook_is_as_pushers_libraries_expect_it() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let mut sink = webhook(receiver.url("/hook?a=b"), 5_000);
    assert_eq!(sink.deliver(&batch()), Outcome::Done);
    let requests = receiver.requests();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(request.path, "/hook?a=b");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("x-pusher-key"), "278d425bdf160c739803");
    assert_eq!(request.header("x-pusher-signature"), hex(&hmac::sign(&key(SECRET), &request.body)));
    let expected = r#"{"time_ms":1700000000500,"events":[{"name":"channel_occupied","channel":"private-ä","id":"17"},{"name":"client_event","channel":"private-ä","event":"client-x","data":"{\"a\":1}","socket_id":"1.2","id":"18"}]}"#;
    assert_eq!(std::str::from_utf8(&request.body).unwrap(), expected);
}

/// What the receiver in webman/push's route.php checks, and the words that it looks for.
#[test]
fn a_webhook_is_as_webman_push_sends_it() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let mut sink = open(&endpoint(receiver.url("/hook"), Format::WebmanPush, &[], PATIENCE)).unwrap();
    let app = app();
    let place = || (Arc::clone(&app), Arc::<str>::from("presence-\"ä"));
    let (app_of, channel) = place();
    let occupied = HookEvent::ChannelOccupied { app: app_of, channel };
    let (app_of, channel) = place();
    let added = HookEvent::MemberAdded {
        app: app_of,
        channel,
        user_id: "7".into(),
        user_info: Some(r#"{"name":"Ann"}"#.into()),
    };
    let (app_of, channel) = place();
    let removed = HookEvent::MemberRemoved { app: app_of, channel, user_id: "7".into() };
    let (app_of, channel) = place();
    let vacated = HookEvent::ChannelVacated { app: app_of, channel };
    let rows = [occupied, added, removed, vacated].into_iter().enumerate();
    let rows =
        rows.map(|(index, event)| Arc::new(Row { id: 17 + index as u64, time_ms: 1_700_000_000_250, event }));
    let batch = Batch { app: Arc::clone(&app), rows: rows.collect(), time_ms: 1_700_000_000_500, tries: 0 };
    assert_eq!(sink.deliver(&batch), Outcome::Done);
    let requests = receiver.requests();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((&*request.path, request.header("content-type")), ("/hook", "application/json"));
    assert_eq!(request.header("x-pusher-signature"), hex(&hmac::sign(&key(SECRET), &request.body)));
    assert_eq!(request.header("x-pusher-key"), "278d425bdf160c739803");
    let expected = r#"{"time_ms":1700000000.500,"events":[{"name":"channel_added","channel":"presence-\"ä","id":"17"},{"name":"member_added","channel":"presence-\"ä","user_id":"7","id":"18"},{"name":"member_removed","channel":"presence-\"ä","user_id":"7","id":"19"},{"name":"channel_removed","channel":"presence-\"ä","id":"20"}]}"#;
    assert_eq!(std::str::from_utf8(&request.body).unwrap(), expected);
}

#[test]
fn a_webhook_is_signed_with_the_oldest_enabled_key_that_its_app_has_now() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let apps = Apps::new(vec![App::new("3", "old", "old secret")]).unwrap();
    let app = Arc::clone(apps.by_id("3").unwrap());
    let mut endpoint = endpoint(receiver.url("/"), Format::Pusher, &[], Duration::from_secs(5));
    endpoint.app = Arc::clone(&app);
    let mut sink = open(&endpoint).unwrap();
    let mut deliver = || sink.deliver(&Batch { app: Arc::clone(&app), ..batch() });
    assert_eq!(deliver(), Outcome::Done);
    let mut changed = App::new("3", "old", "old secret");
    changed.keys_mut().for_each(|key| key.enabled = false);
    changed.add_key(AppKey::parse("new", "new-secret").unwrap());
    apps.followed_by(vec![apps.adopt(changed)]).unwrap();
    assert_eq!(deliver(), Outcome::Done);
    let requests = receiver.requests();
    let signers = requests.iter().zip([("old", "old secret"), ("new", "new-secret")]);
    for (request, (name, secret)) in signers {
        assert_eq!(request.header("x-pusher-key"), name);
        assert_eq!(request.header("x-pusher-signature"), hex(&hmac::sign(&key(secret), &request.body)));
    }
    assert_eq!(requests.len(), 2);
}

/// PHP's SDK looks them up as they are spelled in Pusher's documentation.
#[test]
fn header_names_are_spelled_as_documented_and_as_configured() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let headers = [("X-API-token", "a"), ("x-low", "b"), ("X-Twice", "c"), ("x-TWICE", "d")];
    let mut sink =
        open(&endpoint(receiver.url("/"), Format::Pusher, &headers, Duration::from_secs(5))).unwrap();
    assert_eq!(sink.deliver(&batch()), Outcome::Done);
    let requests = receiver.requests();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["Content-Type", "User-Agent", "X-Pusher-Key", "X-Pusher-Signature"] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    for (name, value) in headers {
        assert!(request.headers.contains(&(name.to_owned(), value.to_owned())), "no {name} in {names:?}");
    }
    assert!(request.header("user-agent").starts_with("corecast/"));
}

#[test]
fn user_and_password_of_a_url_are_sent_decoded_unless_headers_say_otherwise() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let url = receiver.url("/").replace("http://", "http://hook:p%40ss@");
    for (headers, expected) in
        [(&[][..], "Basic aG9vazpwQHNz"), (&[("authorization", "Bearer x")][..], "Bearer x")]
    {
        let mut sink = open(&endpoint(url.clone(), Format::Pusher, headers, Duration::from_secs(5))).unwrap();
        assert_eq!(sink.deliver(&batch()), Outcome::Done);
        let requests = receiver.requests();
        let request = requests.last().unwrap();
        assert_eq!(request.header("authorization"), expected);
        assert!(!request.header("host").contains('@'));
    }
}

#[test]
fn webmans_format_is_signed_over_path_query_and_body() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let format = Format::Webman { secret: Some(Secret("hush".to_owned())) };
    let mut sink =
        open(&endpoint(receiver.url("/webhook?z=1"), format, &[], Duration::from_secs(5))).unwrap();
    assert_eq!(sink.deliver(&batch()), Outcome::Done);
    let requests = receiver.requests();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(request.path, "/webhook?z=1&id=17");
    let signed = [b"POST\n/webhook\nid=17&z=1\n", &request.body[..]].concat();
    assert_eq!(request.header("sign"), hex(&hmac::sign(&key("hush"), &signed)));
    let body = request.json();
    assert_eq!(body["time_ms"], serde_json::json!(1_700_000_000.5));
    assert_eq!(body["events"][1]["name"], "client_event");
    assert_eq!(body["events"][1]["time"], "1700000000.250");
    let data: serde_json::Value = serde_json::from_str(body["events"][1]["data"].as_str().unwrap()).unwrap();
    assert_eq!((&data["id"], &data["data"]), (&"18".into(), &r#"{"a":1}"#.into()));
}

#[test]
fn a_batch_that_is_tried_again_has_the_same_bytes() {
    let receiver = Receiver::start(|_| Answer::Status(500));
    let mut sink = webhook(receiver.url("/"), 5_000);
    let batch = batch();
    sink.deliver(&batch);
    sink.deliver(&Batch { tries: 1, ..batch });
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(requests[0].header("x-pusher-signature"), requests[1].header("x-pusher-signature"));
}

#[test]
fn extra_headers_are_sent_and_ours_cannot_be_replaced() {
    let receiver = Receiver::start(|_| Answer::Status(204));
    let open_with = |headers: &[(&str, &str)]| {
        open(&endpoint(receiver.url("/"), Format::Pusher, headers, Duration::from_secs(5)))
    };
    let mut sink = open_with(&[("Authorization", "Bearer x"), ("X-Env", "test")]).unwrap();
    assert_eq!(sink.deliver(&batch()), Outcome::Done);
    let requests = receiver.requests();
    assert_eq!(requests[0].header("authorization"), "Bearer x");
    assert_eq!(requests[0].header("x-env"), "test");
    for name in ["content-type", "X-Pusher-Signature", "Host"] {
        let fault = open_with(&[(name, "x")]).map(drop).unwrap_err();
        assert_eq!(fault, format!("hook endpoint \"e\": the header {name:?} is set by the server"));
    }
    assert!(open_with(&[("bad name", "x")]).is_err());
    assert!(open_with(&[("a", "two\nlines")]).is_err());
}

#[test]
fn a_webhook_of_standard_webhooks_is_signed_with_each_secret() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_bmV3"]
        .map(|secret| StandardSecret::parse(secret).unwrap());
    let format = Format::Standard { secrets: secrets.into() };
    let mut sink = open(&endpoint(receiver.url("/"), format, &[], Duration::from_secs(5))).unwrap();
    assert_eq!([sink.deliver(&batch()), sink.deliver(&batch())], [Outcome::Done, Outcome::Done]);
    let requests = receiver.requests();
    let [first, again] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(first.header("webhook-id"), "msg_17_18_2");
    assert_eq!((first.header("webhook-id"), &first.body), (again.header("webhook-id"), &again.body));
    let time = first.header("webhook-timestamp");
    let signed = [format!("msg_17_18_2.{time}.").as_bytes(), &first.body].concat();
    let keys = ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "bmV3"].map(|key| STANDARD.decode(key).unwrap());
    let signatures = keys.map(|key| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed);
        format!("v1,{}", STANDARD.encode(tag))
    });
    assert_eq!(first.header("webhook-signature"), signatures.join(" "));
}

#[test]
fn a_secret_of_standard_webhooks_is_base64_behind_its_prefix() {
    for (text, is_good) in [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true),
        ("whsec_bmV3ZQ==", true),
        ("whsec_bmV3ZQ", true),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false),
        ("whsec_", false),
        ("whsec_!", false),
    ] {
        assert_eq!(StandardSecret::parse(text).is_some(), is_good, "{text}");
    }
}

#[test]
fn the_status_decides() {
    for (answer, expected) in [
        (Answer::Status(200), Outcome::Done),
        (Answer::Status(201), Outcome::Done),
        (Answer::Status(299), Outcome::Done),
        (Answer::Status(500), Outcome::Refused("answered 500 Internal Server Error: no  way".to_owned())),
        (Answer::Status(404), Outcome::Refused("answered 404 Not Found: no  way".to_owned())),
        (Answer::Status(410), Outcome::Ended("answered 410 Gone: no  way".to_owned())),
        (
            Answer::Abort(500),
            Outcome::Ended("answered 500 Internal Server Error (webhook-delivery: abort-message)".to_owned()),
        ),
        (Answer::Abort(200), Outcome::Done),
        (Answer::Later(503, "7"), later("answered 503 Service Unavailable", 7)),
        (Answer::Later(429, " 120 "), later("answered 429 Too Many Requests", 120)),
        (Answer::Later(500, "soon"), Outcome::Refused("answered 500 Internal Server Error".to_owned())),
        (
            Answer::Later(503, "Sun, 06 Nov 1994 08:49:37 GMT"),
            Outcome::Refused("answered 503 Service Unavailable".to_owned()),
        ),
        (Answer::Later(410, "7"), Outcome::Ended("answered 410 Gone".to_owned())),
        (Answer::Later(200, "7"), Outcome::Done),
        (Answer::Redirect(301), Outcome::Refused("answered 301 Moved Permanently".to_owned())),
        (Answer::Redirect(302), Outcome::Refused("answered 302 Found".to_owned())),
        (Answer::Redirect(307), Outcome::Refused("answered 307 Temporary Redirect".to_owned())),
        (Answer::ResetInBody, Outcome::Done),
        (Answer::Endless, Outcome::Done),
    ] {
        let receiver = Receiver::start(move |_| answer);
        assert_eq!(webhook(receiver.url("/"), 5_000).deliver(&batch()), expected, "{answer:?}");
        assert_eq!(receiver.requests().len(), 1, "{answer:?} was followed or repeated");
    }
}

fn later(reason: &str, seconds: u64) -> Outcome {
    Outcome::Later(reason.to_owned(), Duration::from_secs(seconds))
}

#[test]
fn a_date_to_come_is_a_pause() {
    let receiver = Receiver::start(move |_| Answer::Later(503, "Fri, 01 Jan 2100 00:00:00 GMT"));
    let Outcome::Later(_, pause) = webhook(receiver.url("/"), 5_000).deliver(&batch()) else { panic!() };
    assert!(pause > Duration::from_secs(3_600), "{pause:?}");
}

#[test]
fn silence_is_unreachable_when_the_time_is_over() {
    let receiver = Receiver::start(|_| Answer::Hang);
    let began = Instant::now();
    let outcome = webhook(receiver.url("/"), 200).deliver(&batch());
    assert_eq!(outcome, Outcome::Unreachable("no answer in time".to_owned()));
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_body_that_does_not_come_costs_the_connection_but_not_the_delivery() {
    let receiver = Receiver::start(|_| Answer::SilentBody);
    let mut sink = webhook(receiver.url("/"), 200);
    assert_eq!(sink.deliver(&batch()), Outcome::Done);
    assert_eq!(sink.deliver(&batch()), Outcome::Done);
    let connections: Vec<usize> = receiver.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 1]);
}

#[test]
fn a_reset_and_a_closed_port_are_unreachable() {
    let receiver = Receiver::start(|_| Answer::Reset);
    assert!(matches!(webhook(receiver.url("/"), 5_000).deliver(&batch()), Outcome::Unreachable(_)));
    let (_port, address) = closed_port();
    let url = format!("http://{address}/");
    let Outcome::Unreachable(reason) = webhook(url, 5_000).deliver(&batch()) else { panic!("it is reached") };
    assert!(reason.to_lowercase().contains("refused"), "{reason}");
}

#[test]
fn connections_are_kept_alive() {
    let receiver = Receiver::start(|_| Answer::Status(200));
    let mut sink = webhook(receiver.url("/"), 5_000);
    for _ in 0..5 {
        assert_eq!(sink.deliver(&batch()), Outcome::Done);
    }
    assert!(receiver.requests().iter().all(|request| request.connection == 0));
}

#[test]
fn addresses_of_clouds_are_refused_by_url_and_by_name() {
    let open_at = |url: &str| open(&endpoint(url.to_owned(), Format::Pusher, &[], Duration::from_secs(1)));
    let fault = open_at("http://169.254.169.254/latest/").map(drop).unwrap_err();
    let expected = "hook endpoint \"e\": no webhook is sent to 169.254.169.254: a link-local address, where clouds keep credentials";
    assert_eq!(fault, expected);
    for url in [
        "http://[fe80::1]/",
        "http://[::ffff:169.254.1.1]/",
        "http://0.0.0.0/",
        "ftp://a/",
        "/only",
        "http://",
    ] {
        assert!(open_at(url).is_err(), "{url} is let through");
    }
    let strict = DeliverySettings { strict_endpoints: true, ..DeliverySettings::default() };
    let local = endpoint("http://localhost:1/".to_owned(), Format::Pusher, &[], Duration::from_secs(5));
    let mut sink = sinks::open(&local, &strict, Durability::Process).unwrap().sink().unwrap();
    let Outcome::Unreachable(reason) = sink.deliver(&batch()) else { panic!("it is reached") };
    assert!(reason.contains("a private address, and strict_endpoints is set"), "{reason}");
}

#[test]
fn a_handshake_that_does_not_come_is_unreachable() {
    let listener = listener();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let outcome = webhook(url, 200).deliver(&batch());
    assert_eq!(outcome, Outcome::Unreachable("no answer in time".to_owned()));
}

#[test]
fn a_server_that_nobody_trusts_is_unreachable() {
    let (address, server) = tls_server();
    let mut sink = webhook(format!("https://localhost:{}/", address.port()), 5_000);
    assert!(matches!(sink.deliver(&batch()), Outcome::Unreachable(_)));
    assert_eq!(server.join().unwrap(), None);
}

/// The certificates of the machine are read once in a process: a process of its own is told of the test's CA.
#[test]
fn a_private_ca_of_the_machine_is_trusted() {
    const CHILD: &str = "HOOKS_TEST_TRUSTS_CA";
    if std::env::var_os(CHILD).is_some() {
        let (address, server) = tls_server();
        let mut sink = webhook(format!("https://localhost:{}/", address.port()), 5_000);
        assert_eq!(sink.deliver(&batch()), Outcome::Done);
        assert_eq!(server.join().unwrap().as_deref(), Some("/"));
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_private_ca_of_the_machine_is_trusted", "--nocapture"])
        .env(CHILD, "1")
        .env("SSL_CERT_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/ca.pem"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

/// Serves one connection slowly; returns the path of its request if the handshake was done.
fn tls_server() -> (std::net::SocketAddr, std::thread::JoinHandle<Option<String>>) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");
    let certificate = CertificateDer::from_pem_file(format!("{folder}/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{folder}/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = listener();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, socket);
        let request = read_request(&mut stream, 0)?;
        write_answer(&mut stream, Answer::Status(200));
        stream.flush().unwrap();
        Some(request.path)
    });
    (address, server)
}
