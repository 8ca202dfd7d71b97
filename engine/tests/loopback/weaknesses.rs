//! What was published as a weakness of another server or library of this kind, tried against this one.
//!
//! Each test is named for what does not work here; its comment says whom it once worked against.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Instant;

use crate::rig::http::{encode_event, encode_post, encode_request, now_unix_s, signed};
use crate::rig::raw::{CLOSE, Raw, TEXT, encode_frame, encode_header, encode_upgrade};
use crate::rig::server::{run, shared};
use crate::rig::{KEY, PATIENCE, app, other_app};
use protocol::auth::{sign_request, sign_subscription};
use serde_json::{Value, json};

const EVENTS: &str = "/apps/7/events";

const EVENT: &str = r#"{"name":"e","channel":"calls","data":"x"}"#;

/// Every call that is signed: method, path, body.
const CALLS: [(&str, &str, &str); 5] = [
    ("POST", EVENTS, EVENT),
    ("POST", "/apps/7/batch_events", r#"{"batch":[{"name":"e","channel":"calls","data":"x"}]}"#),
    ("GET", "/apps/7/channels", ""),
    ("GET", "/apps/7/channels/calls", ""),
    ("GET", "/apps/7/channels/presence-calls/users", ""),
];

// Laravel Reverb before 1.7.0, CVE-2026-23524: what came over its bus was unserialised.
#[test]
fn a_serialised_object_stays_the_text_that_it_is() {
    let server = shared();
    let object = r#"O:40:"Illuminate\Broadcasting\PendingBroadcast":1:{s:5:"event";N;}"#;
    let [mut first, mut second, _] = server.connect_to_each_shard();
    for client in [&mut first, &mut second] {
        client.subscribe("private-serialised");
    }
    server.publish("private-serialised", "e", object);
    first.expect("private-serialised", "e", object);
    second.expect("private-serialised", "e", object);
    first.trigger("private-serialised", "client-e", &json!(object));
    second.expect("private-serialised", "client-e", object);
}

// Laravel Reverb before 1.4.0, CVE-2024-50347: signatures of REST calls were not looked at.
#[test]
fn no_call_is_done_without_a_signature() {
    let server = shared();
    let mut client = server.connect();
    client.subscribe("calls");
    for (method, path, body) in CALLS {
        let good = signed(method, path, &[], body);
        let (unsigned, _) = good.split_once("&auth_signature=").unwrap();
        for target in [path, unsigned, &format!("{unsigned}&auth_signature=")] {
            let answer = server.http().ask(&encode_request(method, target, body));
            assert_eq!(answer.status, 401, "{method} {target}: {}", answer.body);
        }
    }
    client.expect_pong();
}

// Laravel Reverb before 1.8.0: any connection could whisper into any private channel.
#[test]
fn who_is_no_subscriber_cannot_whisper_into_a_private_channel() {
    let server = shared();
    let (mut member, mut stranger) = (server.connect(), server.connect());
    member.subscribe("private-whisper");
    member.join("presence-whisper", r#"{"user_id":"1"}"#);
    for channel in ["private-whisper", "presence-whisper"] {
        stranger.trigger(channel, "client-whisper", &json!({"typing": true}));
        stranger.hear_error();
        // Not even for a moment between asking to subscribe and being refused.
        stranger.say(
            &json!({"event": "pusher:subscribe", "data": {"channel": channel, "auth": format!("{KEY}:0")}}),
        );
        stranger.trigger(channel, "client-whisper", &json!({}));
        stranger.hear_refusal(channel);
        stranger.hear_error();
        member.expect_pong();
    }
}

// Laravel Reverb before 1.10.2, soketi and webman-push-server compare signatures byte by byte and stop at the first that
// differs. Here ring compares them in constant time; what can be seen from outside must not tell either.
#[test]
fn an_answer_does_not_tell_where_a_signature_is_wrong() {
    let server = shared();
    let mut http = server.http();
    let good = signed("GET", "/apps/7/channels", &[], "");
    let (before, signature) = good.rsplit_once('=').unwrap();
    let answers: Vec<String> = (0..signature.len())
        .map(|at| {
            let mut wrong = signature.to_owned();
            let digit = if &signature[at..=at] == "0" { "1" } else { "0" };
            wrong.replace_range(at..=at, digit);
            let answer = http.ask(&encode_request("GET", &format!("{before}={wrong}"), ""));
            assert_eq!(answer.status, 401);
            assert!(!answer.body.contains(signature), "{}", answer.body);
            answer.body.replace(&wrong, "")
        })
        .collect();
    assert_eq!(answers.len(), 64);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

// Laravel Reverb and soketi never look at the age of a signed call: anybody who has seen one can repeat it for ever.
#[test]
fn a_recorded_call_cannot_be_repeated_after_ten_minutes() {
    let server = shared();
    for (method, path, body) in CALLS {
        for age in [660, 86_400, 365 * 86_400] {
            let query = sign_request(&app(), method, path, &[], body.as_bytes(), now_unix_s() - age);
            let answer = server.http().ask(&encode_request(method, &format!("{path}?{query}"), body));
            assert_eq!(answer.status, 401, "{path}");
            assert!(answer.body.contains("Timestamp expired"), "{}", answer.body);
        }
    }
}

// webman-push-server: without a callback the expected auth was the empty string, which is what clients send by default.
#[test]
fn an_empty_auth_opens_nothing() {
    let server = shared();
    let mut client = server.connect();
    let channels = ["private-empty", "private-encrypted-empty", "private-cache-empty", "presence-empty"];
    for channel in channels {
        for data in [
            json!({"channel": channel, "auth": ""}),
            json!({"channel": channel, "auth": null}),
            json!({"channel": channel}),
            json!({"channel": channel, "auth": ":"}),
            json!({"channel": channel, "auth": format!("{KEY}:")}),
            json!({"channel": channel, "auth": "", "channel_data": "{\"user_id\":\"1\"}"}),
        ] {
            client.say(&json!({"event": "pusher:subscribe", "data": data}));
            client.hear_refusal(channel);
        }
    }
    server.publish("private-empty", "secret", "x");
    client.expect_pong();
}

// soketi: an app with public credentials is there unless it is configured away.
#[test]
fn well_known_credentials_open_nothing() {
    let server = shared();
    for key in ["app-key", "demo-key", "workbunny", "laravel-herd", "key", "test"] {
        let mut raw = Raw::open(&server);
        assert_eq!(raw.upgrade(&format!("/app/{key}")).status, 101);
        assert_eq!(raw.hear_error_and_close(), 4001, "{key}");
    }
    for id in ["app-id", "demo-app", "1"] {
        let path = format!("/apps/{id}/channels");
        assert_eq!(server.http().ask(&encode_request("GET", &path, "")).status, 404, "{id}");
    }
    assert_eq!(run(&["serve"]).0, Some(78), "a server without an app of its own does not start");
}

// soketi takes payloads of 100 MB.
#[test]
fn a_frame_of_100_mb_is_refused_by_its_header() {
    let server = shared();
    let mut raw = Raw::connect(&server);
    raw.write(&[&encode_header(TEXT, 0x80, 100 << 20)[..], &[0; 4]].concat());
    assert_eq!(raw.hear_close(), 1009);
    let mut http = server.http();
    http.send(b"POST /apps/7/events HTTP/1.1\r\nHost: h\r\nContent-Length: 104857600\r\n\r\n");
    assert_eq!(http.read_answer().status, 413);
}

// soketi answers with every origin allowed and credentials too; Reverb allows all origins by default. A page of somebody
// else must get nothing that its visitor could get: there are no cookies here, and every right is a signature.
#[test]
fn a_foreign_page_gets_no_right_from_its_visitor() {
    let server = shared();
    let origin = "Origin: https://evil.example\r\nCookie: session=1\r\nAuthorization: Basic YTpi\r\n";
    let answer = server.http().ask(
        format!("GET /apps/7/channels HTTP/1.1\r\nHost: h\r\n{origin}Content-Length: 0\r\n\r\n").as_bytes(),
    );
    assert_eq!(answer.status, 401);
    let good = String::from_utf8(encode_post(EVENTS, &encode_event("foreign", "e", "x"))).unwrap();
    let allowed = server.http().ask(good.replacen("\r\n", &format!("\r\n{origin}"), 1).as_bytes());
    assert_eq!(allowed.status, 200);
    for answer in [answer, allowed] {
        let head = answer.head.to_lowercase();
        assert!(!head.contains("access-control-allow") && !head.contains("set-cookie"), "{head}");
    }
    let mut raw = Raw::open(&server);
    raw.write(
        encode_upgrade(&format!("/app/{KEY}")).replacen("\r\n", &format!("\r\n{origin}"), 1).as_bytes(),
    );
    assert_eq!(raw.read_head().status, 101);
    raw.hear_event("pusher:connection_established");
    raw.say(r#"{"event":"pusher:subscribe","data":{"channel":"private-foreign"}}"#);
    raw.hear_event("pusher:error");
}

// Centrifugo before 6.7.0, CVE-2026-32301: an address was taken out of claims that nobody had verified, and fetched.
#[test]
fn nothing_is_believed_or_fetched_before_its_signature_is_verified() {
    let server = shared();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys.json", listener.local_addr().unwrap());
    let mut client = server.connect();
    let claims = json!({"user_id": "1", "iss": url, "jku": url, "user_info": {"image_url": url}}).to_string();
    for channel_data in [&*claims, "not even JSON", &"[".repeat(5000)] {
        let data = json!({
            "channel": "presence-claims", "auth": format!("{KEY}:{}", "0".repeat(64)), "channel_data": channel_data
        });
        client.say(&json!({"event": "pusher:subscribe", "data": data}));
        let told = client.hear_refusal("presence-claims");
        assert!(told.starts_with("Invalid signature"), "{told}");
    }
    client.expect_pong();
    let nobody = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(nobody, Err(ErrorKind::WouldBlock), "somebody fetched {url}");
}

// Centrifugo before 6.8.1, CVE-2026-49998: what was right for one tenant was right for another.
#[test]
fn what_one_app_signs_is_nothing_to_another() {
    let server = shared();
    let mut client = server.connect();
    let foreign = sign_subscription(&other_app(), client.socket_id, "private-tenant", None);
    let (_, hex) = foreign.split_once(':').unwrap();
    for auth in [format!("other-key:{hex}"), format!("{KEY}:{hex}")] {
        client
            .say(&json!({"event": "pusher:subscribe", "data": {"channel": "private-tenant", "auth": auth}}));
        client.hear_refusal("private-tenant");
    }
    for (method, path, body) in CALLS {
        let query = sign_request(&other_app(), method, path, &[], body.as_bytes(), now_unix_s());
        // The right app's key with the other app's signature as well.
        for query in [query.clone(), query.replace("auth_key=other-key", "auth_key=loopback-key")] {
            let answer = server.http().ask(&encode_request(method, &format!("{path}?{query}"), body));
            assert_eq!(answer.status, 401, "{path}: {}", answer.body);
        }
    }
}

// tungstenite before 0.20.1, RUSTSEC-2023-0065: a head that never ends was parsed anew with every read, for minutes.
#[test]
fn a_head_that_never_ends_is_refused_at_8_kib() {
    let server = shared();
    let mut bystander = server.connect();
    let mut raw = Raw::open(&server);
    let began = Instant::now();
    raw.write(b"GET /app/loopback-key HTTP/1.1\r\nHost: h\r\nX: ");
    // One byte per write up to the limit, and then as much as 20 MB if it were taken.
    for _ in 0..8_000 {
        raw.write(b"x");
    }
    bystander.expect_pong();
    for _ in 0..320 {
        raw.write_in_vain(&[b'x'; 64 << 10]);
    }
    bystander.expect_pong();
    let answer = String::from_utf8(raw.read_to_end()).unwrap();
    // What was sent in vain may have turned the end into a reset that overtakes the answer.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}

// The ws library before 8.17.1, CVE-2024-37890: more headers than its limit, on an upgrade, ended the process.
#[test]
fn an_upgrade_with_thousands_of_headers_is_refused() {
    let server = shared();
    for count in [65, 1000, 2000, 10_000] {
        let headers = "A: b\r\n".repeat(count);
        let mut raw = Raw::open(&server);
        raw.write_in_vain(
            encode_upgrade(&format!("/app/{KEY}")).replacen("\r\n", &format!("\r\n{headers}"), 1).as_bytes(),
        );
        let answer = String::from_utf8(raw.read_to_end()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 "), "{count}: {answer}");
    }
}

// Bandit, GHSA-frh3-6pv6-rc8j: a frame of a few megabytes was inflated until memory was gone.
#[test]
fn compression_is_neither_agreed_on_nor_undone() {
    let server = shared();
    let mut raw = Raw::open(&server);
    let offer = "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    raw.write(encode_upgrade(&format!("/app/{KEY}")).replacen("\r\n", offer, 1).as_bytes());
    let answer = raw.read_head();
    assert_eq!((answer.status, answer.header("Sec-WebSocket-Extensions")), (101, None));
    raw.hear_event("pusher:connection_established");
    // First bit reserved for compression: RSV1.
    raw.write(&encode_frame(TEXT | 0x40, &[0xaa, 0x56, 0x2a, 0x4a, 0xcd, 0x4b]));
    assert_eq!(raw.hear_close(), 1002);
}

// sockjs before 0.3.20, CVE-2020-7693: an Upgrade header where none was expected ended the process.
#[test]
fn an_upgrade_header_on_any_path_does_no_harm() {
    let server = shared();
    for (method, path) in [("GET", "/htm"), ("GET", "/live"), ("POST", EVENTS), ("GET", "/app/loopback-key")]
    {
        for upgrade in ["websocket", "Websocket, h2c", "h2c", ""] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: h\r\nUpgrade: {upgrade}\r\nContent-Length: 0\r\n\r\n"
            );
            let answer = server.http().ask(request.as_bytes());
            assert!([200, 401, 404, 426].contains(&answer.status), "{path} {upgrade}: {answer:?}");
        }
    }
}

// rustls before 0.23.18, RUSTSEC-2024-0399 and RUSTSEC-2024-0336: a fragmented or cut hello panicked or looped. Without
// TLS a hello is no request.
#[test]
fn a_hello_of_tls_is_no_request() {
    let server = shared();
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\x16\x03\x01\x00\x01\x00";
    for end in [1, 5, hello.len()] {
        let mut raw = Raw::open(&server);
        raw.write(&hello[..end]);
        let answer = String::from_utf8(raw.read_to_end()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{end}: {answer}");
    }
}

// webman-push-server 2.x: a frame without an event, or with an event that is no string, ended the worker with all its
// connections; Reverb was ended by an empty string as data and by a subscribe without auth.
#[test]
fn no_message_ends_more_than_its_own_connection() {
    let server = shared();
    let mut bystanders = server.connect_to_each_shard();
    bystanders[0].subscribe("private-killers");
    for message in [
        r#"{"x":1}"#,
        r#"{"event":1}"#,
        r#"{"event":null,"data":{}}"#,
        r#"{"event":["pusher:ping"]}"#,
        r#"{"event":"pusher:subscribe"}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"private-killers"}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"presence-killers","auth":"a:b","channel_data":"{}"}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"presence-killers","auth":"a:b","channel_data":{"user_id":1}}}"#,
        r#"{"event":"client-x","channel":"private-killers","data":""}"#,
        r#"{"event":"client-x","channel":"private-killers"}"#,
    ] {
        let mut raw = Raw::connect(&server);
        raw.say(message);
        let told: Value = raw.hear_event("pusher:error");
        assert!(told["data"]["message"].is_string(), "{message}: {told}");
        raw.frame(CLOSE, b"");
    }
    for client in &mut bystanders {
        client.expect_pong();
    }
    server.publish("private-killers", "e", &encode_event("a", "b", "c"));
    bystanders[0].hear_event("e");
}
