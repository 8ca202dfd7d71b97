//! The opening handshake: what comes in, how it is answered, and on which connections it may come.

use crate::rig::client::{Client, data_of};
use crate::rig::http::Http;
use crate::rig::raw::{Raw, encode_upgrade};
use crate::rig::server::shared;
use crate::rig::{KEY, OTHER_KEY};

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn an_upgrade_needs_no_query() {
    let server = shared();
    for target in [
        format!("/app/{KEY}"),
        format!("/app/{KEY}/"),
        format!("/app/{KEY}?"),
        format!("/app/{KEY}?protocol="),
        format!("/app/{KEY}?protocol=%37"),
        format!("/app/{KEY}?protocol=7&client=js&version=8.4.0&flash=false"),
        format!("/app/{KEY}?protocol=5&client=java-client&version=abc"),
        format!("/app/{KEY}?X-Push-WS-Client=push-server%202.0.0"),
        format!("/app/{OTHER_KEY}"),
    ] {
        Client::connect(server.tcp(), &target).expect_pong();
    }
}

#[test]
fn the_first_frame_has_all_that_clients_need() {
    let server = shared();
    let client = server.connect();
    let established = &client.established;
    assert!(established.get("channel").is_none(), "{established}");
    let data = data_of(established);
    assert!(data["activity_timeout"].as_u64().unwrap() > 0, "{data}");
    let (first, second) = data["socket_id"].as_str().unwrap().split_once('.').unwrap();
    assert!(is_number(first) && is_number(second), "{data}");
    assert!(first.parse::<u64>().unwrap() < 1 << 53 && second.parse::<u64>().unwrap() < 1 << 53, "{data}");
}

#[test]
fn socket_ids_differ_and_name_every_shard() {
    let server = shared();
    let clients = server.connect_to_each_shard();
    assert_eq!(clients.each_ref().map(Client::shard), [0, 1, 2]);
    let again = server.connect();
    assert!(clients.iter().all(|client| client.socket_id != again.socket_id));
}

#[test]
fn what_is_wrong_with_an_upgrade_is_told_by_error_frame_and_close_code() {
    let server = shared();
    let table = [
        ("/app/no-such-key?protocol=7", 4001),
        ("/app/", 4005),
        ("/app/loopback-key/more", 4005),
        ("/elsewhere", 4005),
        ("/", 4005),
        ("/app/loopback-key?protocol=3", 4007),
        ("/app/loopback-key?protocol=8", 4007),
        ("/app/loopback-key?protocol=0", 4007),
        ("/app/loopback-key?protocol=-1", 4007),
        ("/app/loopback-key?protocol=7.0", 4006),
        ("/app/LOOPBACK-KEY?protocol=7", 4001),
        ("/app/loopback-key?protocol=x", 4006),
    ];
    for (target, code) in table {
        let mut raw = Raw::open(&server);
        assert_eq!(raw.upgrade(target).status, 101, "{target}");
        assert_eq!(raw.hear_error_and_close(), code, "{target}");
    }
}

#[test]
fn the_accept_key_is_derived_from_the_clients() {
    let server = shared();
    let answer = Raw::open(&server).upgrade(&format!("/app/{KEY}"));
    assert_eq!(answer.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.header("Upgrade"), Some("websocket"));
    assert_eq!(answer.header("Sec-WebSocket-Extensions"), None);
}

#[test]
fn what_is_no_right_upgrade_is_refused_as_http() {
    let server = shared();
    let good = encode_upgrade(&format!("/app/{KEY}"));
    let table = [
        ("Version: 13", "Version: 12", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("GET", "POST", 405),
        ("HTTP/1.1", "HTTP/1.0", 426),
    ];
    for (from, to, status) in table {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let mut http = server.http();
        assert_eq!(http.ask(bad.as_bytes()).status, status, "{to}");
        assert!(http.is_at_end(), "{to}");
    }
    let answer = server.http().ask(good.replace("Version: 13", "Version: 12").as_bytes());
    assert_eq!(answer.header("Sec-WebSocket-Version"), Some("13"));
}

#[test]
fn a_connection_token_without_an_upgrade_header_is_plain_http() {
    let server = shared();
    let mut http = server.http();
    for _ in 0..2 {
        let answer = http.ask(b"GET /ready HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\r\n");
        assert_eq!((answer.status, &*answer.body), (200, r#"{"ready":true}"#));
        assert_ne!(answer.header("Connection"), Some("close"));
    }
    let answer = http.ask(b"GET /app/loopback-key HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\r\n");
    let (status, text) = answer.refusal();
    assert_eq!((status, text.contains("header Upgrade: websocket is missing")), (426, true), "{text}");
    assert_eq!(answer.header("Connection"), Some("Upgrade, keep-alive"));
    assert_eq!(http.get("/apps/7/channels", &[]).status, 200);
}

#[test]
fn a_connection_that_has_served_rest_calls_may_become_a_websocket() {
    let server = shared();
    let mut http = server.http();
    http.publish("handed-back", "before", "nobody hears it");
    assert_eq!(http.get("/apps/7/channels/handed-back", &[]).body, r#"{"occupied":false}"#);
    let mut client = Client::connect(http.into_stream(), &format!("/app/{KEY}?protocol=7"));
    client.subscribe("handed-back");
    server.publish("handed-back", "after", "heard");
    client.expect("handed-back", "after", "heard");
}

#[test]
fn an_upgrade_pipelined_behind_a_rest_call_comes_after_its_answer() {
    let server = shared();
    let call = "GET /ready HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut raw = Raw::open(&server);
    raw.write(format!("{call}{call}{}", encode_upgrade(&format!("/app/{KEY}"))).as_bytes());
    let mut http = Http::on(raw.tcp().try_clone().unwrap());
    for _ in 0..2 {
        assert_eq!(http.read_answer().body, r#"{"ready":true}"#);
    }
    assert_eq!(http.read_head().status, 101);
}

#[test]
fn an_upgrade_refused_after_a_rest_call_has_its_close_code() {
    let server = shared();
    let mut raw = Raw::open(&server);
    raw.write(b"GET /ready HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(Http::on(raw.tcp().try_clone().unwrap()).read_answer().status, 200);
    assert_eq!(raw.upgrade("/app/no-such-key").status, 101);
    assert_eq!(raw.hear_error_and_close(), 4001);
}

#[test]
fn frames_may_come_in_one_piece_with_the_upgrade() {
    let server = shared();
    let mut raw = Raw::open(&server);
    let ping = crate::rig::raw::encode_frame(crate::rig::raw::TEXT, br#"{"event":"pusher:ping","data":{}}"#);
    raw.write(&[encode_upgrade(&format!("/app/{KEY}")).as_bytes(), &ping].concat());
    assert_eq!(raw.read_head().status, 101);
    raw.hear_event("pusher:connection_established");
    raw.hear_event("pusher:pong");
}
