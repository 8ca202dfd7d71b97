//! REST connections as HTTP: persistence, pipelining, order, methods, and the limits of heads and bodies.

use crate::rig::client::Client;
use crate::rig::http::{encode_event, encode_post, encode_request, signed};
use crate::rig::server::shared;
use serde_json::json;

const BODY_BYTES_MAX: usize = 2 << 20;
const HEAD_BYTES_MAX: usize = 8 << 10;

const EVENTS: &str = "/apps/7/events";

#[test]
fn one_connection_serves_many_calls() {
    let server = shared();
    let mut http = server.http();
    for number in 0..50 {
        http.publish("kept-alive", "e", &number.to_string());
        assert_eq!(http.get("/apps/7/channels/kept-alive", &[]).json(), json!({"occupied": false}));
    }
    // A refusal of a call does not end the connection.
    assert_eq!(http.post(EVENTS, "{}").status, 400);
    assert_eq!(http.ask(&encode_request("GET", "/apps/7/channels", "")).status, 401);
    assert_eq!(http.get("/apps/7/channels", &[]).status, 200);
}

#[test]
fn a_connection_ends_when_the_client_wants_it() {
    let server = shared();
    let target = signed("GET", "/apps/7/channels", &[], "");
    for request in [
        format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        format!("GET {target} HTTP/1.0\r\n\r\n"),
    ] {
        let mut http = server.http();
        let answer = http.ask(request.as_bytes());
        assert_eq!((answer.status, answer.header("Connection")), (200, Some("close")), "{request}");
        assert!(http.is_at_end(), "{request}");
    }
    let kept = format!("GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let mut http = server.http();
    assert_eq!(http.ask(kept.as_bytes()).status, 200);
    assert_eq!(http.ask(kept.as_bytes()).status, 200);
}

#[test]
fn pipelined_calls_are_answered_in_their_order() {
    let server = shared();
    let mut clients = server.connect_to_each_shard();
    for (number, client) in clients.iter_mut().enumerate() {
        (0..=number).for_each(|channel| drop(client.subscribe(&format!("pipelined-{channel}"))));
    }
    // Answers that need other cores stand between answers that need none.
    let count = |channel: usize| {
        let path = format!("/apps/7/channels/pipelined-{channel}");
        encode_request("GET", &signed("GET", &path, &[("info", "subscription_count")], ""), "")
    };
    let mut requests = Vec::new();
    for round in 0..40 {
        requests.extend(count(round % 3));
        requests.extend(encode_request("GET", "/live", ""));
        requests.extend(encode_request("GET", "/nowhere", ""));
    }
    let mut http = server.http();
    http.send(&requests);
    for round in 0..40 {
        let subscribers = 3 - round % 3;
        assert_eq!(http.read_answer().json(), json!({"occupied": true, "subscription_count": subscribers}));
        assert_eq!(http.read_answer().json(), json!({"live": true}));
        assert_eq!(http.read_answer().status, 404);
    }
}

#[test]
fn events_of_a_pipelining_publisher_arrive_in_order_and_once() {
    let server = shared();
    let channel = "in-order";
    let mut clients = server.connect_to_each_shard();
    for client in &mut clients {
        client.subscribe(channel);
    }
    let count = 2000;
    let encode = |number: usize| encode_post(EVENTS, &encode_event(channel, "e", &number.to_string()));
    let requests: Vec<u8> = (0..count).flat_map(encode).collect();
    let mut http = server.http();
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(move || expect_all(client, channel, count));
        }
        let mut writer = another_handle(&http);
        scope.spawn(move || std::io::Write::write_all(&mut writer, &requests).unwrap());
        (0..count).for_each(|_| assert_eq!(http.read_answer().status, 200));
    });
}

fn expect_all(client: &mut Client, channel: &str, count: usize) {
    (0..count).for_each(|number| client.expect(channel, "e", &number.to_string()));
}

/// Another handle of the connection, to write while its answers are read.
fn another_handle(http: &crate::rig::http::Http) -> std::net::TcpStream {
    http.tcp().try_clone().unwrap()
}

#[test]
fn a_request_may_come_in_pieces() {
    let server = shared();
    let mut client = server.connect();
    client.subscribe("pieces");
    let request = encode_post(EVENTS, &encode_event("pieces", "e", "x"));
    let mut http = server.http();
    for byte in &request {
        http.send(&[*byte]);
    }
    assert_eq!(http.read_answer().status, 200);
    client.expect("pieces", "e", "x");
    // The second request is read by another core than the first.
    for chunk in request.chunks(7) {
        http.send(chunk);
    }
    assert_eq!(http.read_answer().status, 200);
    client.expect("pieces", "e", "x");
}

#[test]
fn a_body_may_come_in_chunks_and_after_leave_was_given() {
    let server = shared();
    let mut client = server.connect();
    client.subscribe("chunked");
    let body = encode_event("chunked", "e", "x");
    let target = signed("POST", EVENTS, &[], &body);
    let (first, second) = body.split_at(10);
    let chunks = format!("{:x}\r\n{first}\r\n{:X};ext=1\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    let mut http = server.http();
    let head = format!("POST {target} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n");
    assert_eq!(http.ask(format!("{head}\r\n{chunks}").as_bytes()).status, 200);
    client.expect("chunked", "e", "x");
    http.send(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes());
    assert_eq!(http.read_head().status, 100);
    http.send(chunks.as_bytes());
    assert_eq!(http.read_answer().status, 200);
    client.expect("chunked", "e", "x");
}

#[test]
fn head_is_answered_like_get_without_a_body() {
    let server = shared();
    let mut http = server.http();
    let params = [("filter_by_prefix", "heads")];
    for path in ["/apps/7/channels", "/apps/7/channels/heads"] {
        let length = http.get(path, &params).body.len().to_string();
        http.send(&encode_request("HEAD", &signed("HEAD", path, &params, ""), ""));
        let head = http.read_head();
        assert_eq!((head.status, head.header("Content-Length")), (200, Some(&*length)), "{path}");
    }
    http.send(&encode_request("HEAD", "/nowhere", ""));
    assert_eq!(http.read_head().status, 404);
    assert_eq!(http.ask(&encode_request("GET", "/", "")).body, "OK");
}

#[test]
fn unknown_paths_are_404_and_wrong_methods_405() {
    let server = shared();
    let mut http = server.http();
    for path in [
        "/nowhere",
        "/apps",
        "/apps/7",
        "/apps/7/",
        "/apps/7/events/",
        "/apps/7/channels/",
        "/apps/7/channels/a/b",
        "/apps/7/users/1/events",
        "//apps/7/channels",
        "/pusher/app/loopback-key/1/x/xhr_streaming",
    ] {
        assert_eq!(http.ask(&encode_request("GET", path, "")).refusal().0, 404, "{path}");
        assert_eq!(http.ask(&encode_request("POST", path, "{}")).refusal().0, 404, "{path}");
    }
    let table = [
        ("GET", EVENTS, "POST, OPTIONS"),
        ("PUT", "/apps/7/batch_events", "POST, OPTIONS"),
        ("POST", "/apps/7/channels", "GET, HEAD, OPTIONS"),
        ("DELETE", "/apps/7/channels/a", "GET, HEAD, OPTIONS"),
        ("POST", "/apps/7/channels/presence-a/users", "GET, HEAD, OPTIONS"),
        ("POST", "/live", "GET, HEAD, OPTIONS"),
    ];
    for (method, path, allowed) in table {
        let answer = http.ask(&encode_request(method, path, ""));
        assert_eq!((answer.status, answer.header("Allow")), (405, Some(allowed)), "{method} {path}");
    }
}

#[test]
fn health_needs_no_signature() {
    let server = shared();
    let mut http = server.http();
    let mut ask = |path| http.ask(&encode_request("GET", path, ""));
    assert_eq!(ask("/live").body, r#"{"live":true}"#);
    assert_eq!(ask("/ready?x=y").body, r#"{"ready":true}"#);
    assert_eq!(ask("/").body, "OK");
}

#[test]
fn answers_are_json() {
    let server = shared();
    let mut http = server.http();
    for answer in [http.get("/apps/7/channels", &[]), http.post(EVENTS, "{}")] {
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
    }
}

#[test]
fn a_body_that_is_too_large_is_413_and_ends_the_connection() {
    let server = shared();
    let head = |framing: &str| format!("POST {EVENTS} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n");
    let table = [
        head(&format!("Content-Length: {}", BODY_BYTES_MAX + 1)),
        head("Content-Length: 99999999999999999999"),
        head("Transfer-Encoding: chunked") + "200001\r\n",
        head("Transfer-Encoding: chunked") + &"1\r\nx\r\n".repeat(8_000),
    ];
    for request in &table {
        for calls_before in 0..2 {
            let mut http = server.http();
            (0..calls_before).for_each(|_| assert_eq!(http.get("/apps/7/channels", &[]).status, 200));
            let answer = http.ask(request.as_bytes());
            assert_eq!(answer.status, 413, "{}", &request[..100.min(request.len())]);
            assert_eq!(answer.header("Connection"), Some("close"));
            assert!(http.is_at_end());
        }
    }
}

#[test]
fn a_body_as_large_as_the_limit_is_read() {
    let server = shared();
    let body = format!("{}{}", " ".repeat(BODY_BYTES_MAX - 2), "{}");
    let (status, error) = server.post(EVENTS, &body).refusal();
    assert_eq!((status, &*error), (400, "Missing required parameter: name"));
}

#[test]
fn a_head_that_is_too_large_is_431_and_ends_the_connection() {
    let server = shared();
    let table = [
        format!("GET /live HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX)),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(HEAD_BYTES_MAX)),
        format!("GET /live HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65)),
        format!("GET /live HTTP/1.1\r\nX: {}", "x".repeat(HEAD_BYTES_MAX)),
    ];
    for request in &table {
        for calls_before in 0..2 {
            let mut http = server.http();
            (0..calls_before).for_each(|_| assert_eq!(http.get("/apps/7/channels", &[]).status, 200));
            assert_eq!(http.ask(request.as_bytes()).status, 431, "{}", &request[..40]);
            assert!(http.is_at_end());
        }
    }
}

#[test]
fn what_two_parsers_could_read_differently_is_refused() {
    let server = shared();
    let table = [
        ("Content-Length: 2\r\nContent-Length: 3", 400),
        ("Content-Length: 2\r\nTransfer-Encoding: chunked", 400),
        ("Content-Length: +2", 400),
        ("Content-Length : 2", 400),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: xchunked", 400),
    ];
    for (framing, status) in table {
        let mut http = server.http();
        let request = format!("POST {EVENTS} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n{{}}");
        assert_eq!(http.ask(request.as_bytes()).status, status, "{framing}");
        assert!(http.is_at_end(), "{framing}");
    }
}

#[test]
fn a_call_whose_peer_has_gone_is_still_done() {
    let server = shared();
    let mut client = server.connect();
    client.subscribe("gone");
    for number in 0..20 {
        let mut http = server.http();
        http.send(&encode_post(EVENTS, &encode_event("gone", "e", &number.to_string())));
        drop(http);
        client.expect("gone", "e", &number.to_string());
    }
}
