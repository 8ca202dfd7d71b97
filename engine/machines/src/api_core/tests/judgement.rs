//! Bodies: for whom they are kept, and how much of them.

use super::*;

const LIVE: &str = "GET /live HTTP/1.1\r\nHost: h\r\n\r\n";

/// Sends the head of a request whose body does not come.
fn send_head(rig: &mut Rig, request: &str) -> Token {
    let peer = rig.open();
    let head_bytes = request.find("\r\n\r\n").unwrap() + 4;
    rig.send(peer, &request.as_bytes()[..head_bytes]);
    rig.run();
    peer
}

#[test]
fn a_body_that_nobody_may_send_is_not_waited_for() {
    let mut rig = Rig::new();
    let good = rig.event(&["c"], "x", "");
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let table = [
        (with("/events", "/nothing"), 404),
        (with("POST", "GET"), 405),
        (with("/apps/1/", "/apps/2/"), 404),
        (with("auth_key=key", "auth_key=other"), 401),
        (with("auth_timestamp=1700000000", "auth_timestamp=1600000000"), 401),
        (with("auth_signature=", "auth_signature=0"), 401),
        (with("Host: h\r\n", "Host: h\r\nContent-Encoding: gzip\r\n"), 415),
        (with("Host: h\r\n", "Host: h\r\nTransfer-Encoding: chunked\r\n"), 400),
        (
            with("auth_signature=", "auth_signature=0")
                .replace("Host: h\r\n", "Host: h\r\nExpect: 100-continue\r\n"),
            401,
        ),
    ];
    for (request, status) in table {
        let peer = send_head(&mut rig, &request);
        assert_eq!(rig.statuses(peer), [status], "{request}");
        assert!(rig.closed.contains(&peer), "{request}");
    }
    let peer = send_head(&mut rig, &good);
    assert!(rig.statuses(peer).is_empty() && !rig.closed.contains(&peer));
    assert_eq!(rig.core.connections(), 1);
}

#[test]
fn a_refused_request_that_has_come_whole_keeps_its_connection() {
    let mut rig = Rig::new();
    let peer = rig.open();
    let forged = rig.event(&["c"], "x", "").replace("auth_signature=", "auth_signature=0");
    rig.send(peer, forged + LIVE);
    rig.run();
    assert_eq!(rig.statuses(peer), [401, 200]);
}

#[test]
fn all_bodies_together_are_bounded_and_the_one_too_many_is_told_to_come_back() {
    let mut rig = Rig::new();
    rig.core.limits.http_bodies_bytes_max = 100_000;
    let request = rig.event(&["c"], &"x".repeat(60_000), "");
    let (first, second) = (rig.open(), rig.open());
    let half = &request.as_bytes()[..50_000];
    rig.send(first, half);
    rig.run();
    rig.send(second, half);
    rig.run();
    assert!(rig.got.is_empty());
    rig.send(second, &request.as_bytes()[50_000..50_100]);
    rig.run();
    let got = String::from_utf8(rig.got[&second].clone()).unwrap();
    assert!(got.contains("\r\nRetry-After: 1\r\n") && got.contains("http_bodies_bytes_max"), "{got}");
    assert_eq!(rig.statuses(second), [503]);
    assert!(rig.closed.contains(&second));
    assert_eq!((rig.core.stats.bodies_refused, rig.core.stats.overloaded), (1, 1));
    // Who was there goes on, and so does everybody whose request comes whole.
    let small = rig.open();
    let whole = rig.event(&["c"], "x", "");
    rig.send(small, whole);
    rig.send(first, &request.as_bytes()[50_000..]);
    rig.run();
    assert_eq!((rig.statuses(small), rig.statuses(first)), (vec![200], vec![200]));
    assert_eq!(rig.core.connections.kept_bytes(), 0);
}

#[test]
fn what_is_kept_is_counted_however_a_connection_ends() {
    let mut rig = Rig::new();
    let request = rig.event(&["c"], &"x".repeat(10_000), "");
    let peers: Vec<_> = (0..4).map(|_| rig.open()).collect();
    for peer in &peers {
        rig.send(*peer, &request.as_bytes()[..5_000]);
    }
    rig.run();
    assert!(rig.core.connections.kept_bytes() >= 20_000);
    rig.hang_up(peers[0]);
    rig.send(peers[1], [&request.as_bytes()[5_000..], b"\x16\x03"].concat());
    rig.send(peers[2], [&request.as_bytes()[5_000..], &request.as_bytes()[..100]].concat());
    rig.run();
    assert!(rig.core.connections.kept_bytes() < 20_000);
    rig.run_after(31_001);
    rig.run_after(31_001);
    assert_eq!(rig.core.connections.kept_bytes(), 0);
}

#[test]
fn an_upgrade_with_a_body_goes_to_a_shard_that_refuses_it() {
    let mut rig = Rig::new();
    let peer = rig.open();
    let bytes = "GET /app/key HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 9\r\n\r\n";
    rig.send(peer, bytes);
    rig.run();
    assert_eq!(rig.handed_over, [(peer, CoreId::Shard(0), bytes.as_bytes().to_vec())]);
}

#[test]
fn options_of_a_probe_tell_its_state() {
    let mut rig = Rig::new();
    rig.core.health = Box::new(|| Health { live: true, ready: false, draining: false, degraded: None });
    let peer = rig.open();
    for (target, status) in [("/", 200), ("/live", 200), ("/ready", 503), ("*", 200), ("/apps/1/events", 200)]
    {
        rig.send(peer, format!("OPTIONS {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        rig.run();
        let got = String::from_utf8(rig.got[&peer].clone()).unwrap();
        assert!(got.contains("\r\nAllow: ") && got.contains("OPTIONS\r\n"), "{got}");
        assert_eq!(rig.responses(peer), [(status, String::new())], "{target}");
    }
}

#[test]
fn the_operators_door_answers_to_its_own_names_alone() {
    let mut rig = Rig::new();
    for (host, status) in
        [("127.0.0.1:9601", 200), ("localhost", 200), ("metrics.internal:9601", 200), ("evil.example", 421)]
    {
        let peer = rig.open_at(Door::Admin);
        rig.send(peer, format!("GET /live HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        rig.run();
        assert_eq!(rig.statuses(peer), [status], "{host}");
    }
    let peer = rig.open();
    rig.send(peer, "GET /live HTTP/1.1\r\nHost: any.example\r\n\r\n");
    rig.run();
    assert_eq!(rig.statuses(peer), [200]);
}

#[test]
fn every_answer_is_dated() {
    let mut rig = Rig::new();
    let peer = rig.open();
    for request in [LIVE, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        rig.send(peer, request);
        rig.run();
        let got = String::from_utf8(rig.got.remove(&peer).unwrap()).unwrap();
        assert!(got.contains("\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"), "{got}");
    }
}
