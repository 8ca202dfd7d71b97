//! HTTP connections: requests in pieces and in heaps, time limits, upgrades, and the end.

use super::*;
use crate::limits::ANSWERS_BYTES_MAX;

const LIVE: &str = "GET /live HTTP/1.1\r\nHost: h\r\n\r\n";
const UPGRADE: &str = "GET /app/key HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut rig = Rig::new();
    let peer = rig.open();
    let requests = rig.event(&["c"], "x", "")
        + LIVE
        + "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n"
        + "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    rig.send(peer, requests);
    rig.run();
    let responses = rig.responses(peer);
    assert_eq!(responses.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 200, 404, 200]);
    assert_eq!((&*responses[0].1, &*responses[1].1, &*responses[3].1), ("{}", r#"{"live":true}"#, "OK"));
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let mut rig = Rig::new();
    let peer = rig.open();
    let requests = rig.event(&["c"], "x", "") + LIVE;
    for byte in requests.bytes() {
        rig.send(peer, [byte]);
        rig.run();
    }
    assert_eq!(rig.statuses(peer), [200, 200]);
    let kept = &rig.core.connections.view(peer).unwrap().kept;
    assert_eq!(kept.capacity(), 0, "an idle connection keeps no bytes");
}

#[test]
fn a_chunked_body_is_taken() {
    let mut rig = Rig::new();
    let peer = rig.open();
    let body = r#"{"name":"e","channel":"c","data":"x"}"#;
    let query = sign_request(&rig.app, "POST", "/apps/1/events", &[], body.as_bytes(), UNIX_S);
    let (left, right) = body.split_at(20);
    let head =
        format!("POST /apps/1/events?{query} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    rig.send(peer, format!("{head}14\r\n{left}\r\n"));
    rig.run();
    rig.send(peer, format!("{:x}\r\n{right}\r\n0\r\n\r\n", right.len()));
    rig.run();
    assert_eq!(rig.statuses(peer), [200]);
}

#[test]
fn who_waits_for_leave_to_send_a_body_gets_it_once() {
    let mut rig = Rig::new();
    let peer = rig.open();
    let request = rig.event(&["c"], "x", "").replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let (head, body) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
    rig.send(peer, head);
    rig.run();
    assert_eq!(rig.got.remove(&peer).unwrap(), b"HTTP/1.1 100 Continue\r\n\r\n");
    for byte in body.bytes() {
        rig.send(peer, [byte]);
        rig.run();
    }
    assert_eq!(rig.statuses(peer), [200]);
}

#[test]
fn one_connection_does_not_keep_others_waiting() {
    let mut rig = Rig::new();
    let (greedy, modest) = (rig.open(), rig.open());
    rig.core.limits.rounds_max = 1;
    rig.send(greedy, LIVE.repeat(200));
    rig.send(modest, LIVE);
    rig.turn();
    assert_eq!(rig.statuses(modest), [200]);
    let first = rig.statuses(greedy).len();
    assert_eq!(first, rig.core.limits.commands_per_turn_max);
    rig.run();
    assert_eq!(first + rig.statuses(greedy).len(), 200);
    assert!(rig.inputs.paused.is_empty());
}

#[test]
fn what_is_no_request_is_answered_and_closed() {
    for (bytes, status) in [
        ("\x16\x03\x01 tls\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n", "x".repeat(9_000)), 0),
    ] {
        let mut rig = Rig::new();
        let peer = rig.open();
        rig.send(peer, bytes);
        rig.send(peer, LIVE);
        rig.run();
        let statuses = rig.statuses(peer);
        assert_eq!(statuses.len(), 1, "{statuses:?}");
        assert!(statuses[0] >= 400 && (status == 0 || statuses[0] == status), "{statuses:?}");
        assert!(rig.closed.contains(&peer));
        assert_eq!(rig.core.connections(), 0);
    }
}

#[test]
fn a_refusal_of_the_api_keeps_the_connection() {
    let mut rig = Rig::new();
    let peer = rig.open();
    rig.send(peer, "GET /apps/1/channels HTTP/1.1\r\nHost: h\r\n\r\n");
    rig.run();
    assert_eq!(rig.statuses(peer), [401]);
    rig.send(peer, LIVE);
    rig.run();
    assert_eq!(rig.statuses(peer), [200]);
}

#[test]
fn who_asks_to_close_is_closed_with_the_answer() {
    for request in
        ["GET /live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET /live HTTP/1.0\r\n\r\n"]
    {
        let mut rig = Rig::new();
        let peer = rig.open();
        rig.send(peer, format!("{request}{LIVE}"));
        rig.run();
        assert_eq!(rig.statuses(peer), [200]);
        assert!(rig.closed.contains(&peer));
    }
}

#[test]
fn head_requests_get_no_body() {
    let mut rig = Rig::new();
    let peer = rig.open();
    rig.send(peer, "HEAD /live HTTP/1.1\r\nHost: h\r\n\r\n");
    rig.run();
    let got = String::from_utf8(rig.got.remove(&peer).unwrap()).unwrap();
    assert!(got.contains("Content-Length: 13\r\n") && got.ends_with("\r\n\r\n"), "{got}");
}

#[test]
fn a_half_closed_peer_gets_its_answers() {
    let mut rig = Rig::new();
    let peer = rig.open();
    rig.send(peer, LIVE.repeat(100));
    rig.hang_up(peer);
    rig.run();
    assert_eq!(rig.statuses(peer), [200; 100]);
    assert!(rig.closed.contains(&peer));
}

#[test]
fn an_upgrade_goes_to_the_shards_in_turn_with_its_bytes() {
    let mut rig = Rig::new();
    for expected in [0, 1, 2, 0] {
        let peer = rig.open();
        rig.send(peer, format!("{UPGRADE}frames"));
        rig.run();
        let (token, to, bytes) = rig.handed_over.pop().unwrap();
        assert_eq!((token, to), (peer, CoreId::Shard(expected)));
        assert_eq!(bytes, format!("{UPGRADE}frames").as_bytes());
    }
    assert_eq!(rig.core.connections(), 0);
}

#[test]
fn an_upgrade_waits_until_earlier_answers_are_written() {
    let mut rig = Rig::new();
    let peer = rig.open();
    rig.deaf.insert(peer);
    rig.send(peer, format!("{LIVE}{UPGRADE}"));
    rig.run();
    assert!(rig.handed_over.is_empty());
    rig.listen(peer);
    rig.run();
    assert_eq!(rig.statuses(peer), [200]);
    assert_eq!(rig.handed_over, [(peer, CoreId::Shard(0), UPGRADE.as_bytes().to_vec())]);
    assert!(!rig.closed.contains(&peer));
}

#[test]
fn a_peer_that_does_not_read_is_not_read_from() {
    let mut rig = Rig::new();
    let peer = rig.open();
    rig.deaf.insert(peer);
    for _ in 0..20 {
        rig.send(peer, LIVE.repeat(500));
    }
    rig.run();
    let unread = rig.core.connections.view(peer).unwrap().unwritten().len();
    assert!(unread > ANSWERS_BYTES_MAX && unread < ANSWERS_BYTES_MAX + 1_000, "{unread}");
    assert!(rig.inputs.paused.contains(&peer));
    rig.listen(peer);
    rig.run();
    assert_eq!(rig.statuses(peer), [200; 10_000]);
    rig.assert_nothing_is_left();
}

#[test]
fn a_peer_that_never_reads_is_closed() {
    let mut rig = Rig::new();
    let peer = rig.open();
    rig.deaf.insert(peer);
    rig.send(peer, LIVE);
    rig.run_after(29_999);
    rig.run_after(29_999);
    assert!(!rig.closed.contains(&peer));
    rig.run_after(1_001);
    assert!(rig.reset.contains(&peer), "what it has not read goes with it");
    assert_eq!(rig.core.stats.slow_readers, 1);
}

/// The time after which a peer is given up that takes so many bytes of its answers every second.
fn patience_with(bytes_per_s: usize) -> u64 {
    let mut rig = Rig::new();
    let peer = rig.open();
    rig.deaf.insert(peer);
    rig.send(peer, LIVE.repeat(2_000));
    rig.run();
    for second in 1..300 {
        rig.now.mono_ms += 1_000;
        if rig.core.connections.view(peer).is_some_and(|connection| !connection.unwritten().is_empty()) {
            rig.core.handle_written(peer, bytes_per_s, rig.now);
        }
        rig.run();
        if rig.closed.contains(&peer) {
            return second;
        }
    }
    u64::MAX
}

#[test]
fn whoever_reads_a_byte_a_second_is_given_up_and_whoever_goes_on_reading_is_not() {
    assert!((30..=32).contains(&patience_with(1)), "{}", patience_with(1));
    assert!((30..=60).contains(&patience_with(100)), "{}", patience_with(100));
    assert_eq!(patience_with(1_100), u64::MAX);
}

#[test]
fn connections_have_their_time() {
    let head = "POST /apps/1/events HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n";
    let body = Rig::new().event(&["c"], "x", "");
    let body = &body[..body.len() - 1];
    for (sent, allowed_ms, status) in
        [("", 75_000, None), (head, 10_000, Some(408)), (body, 30_000, Some(408)), (LIVE, 620_000, Some(200))]
    {
        let mut rig = Rig::new();
        let peer = rig.open();
        if !sent.is_empty() {
            rig.send(peer, sent);
        }
        rig.run();
        rig.run_after(allowed_ms - 1);
        assert!(!rig.closed.contains(&peer), "{sent}");
        rig.run_after(1_001);
        assert!(rig.closed.contains(&peer), "{sent}");
        assert_eq!(rig.statuses(peer), Vec::from_iter(status));
        assert_eq!(rig.core.connections(), 0);
    }
}

#[test]
fn slow_bytes_do_not_prolong_a_request() {
    let mut rig = Rig::new();
    let peer = rig.open();
    for _ in 0..12 {
        rig.send(peer, "G");
        rig.run_after(1_000);
    }
    assert_eq!(rig.statuses(peer), [408]);
}

#[test]
fn the_longest_idle_connection_gives_way_when_descriptors_run_out() {
    let mut rig = Rig::new();
    let (old, young, asking) = (rig.open(), rig.open(), rig.open());
    rig.send(asking, "GET");
    rig.run_after(10);
    rig.send(old, LIVE);
    rig.run();
    rig.run_after(1_000);
    for given_up in [young, old, asking] {
        assert!(!rig.closed.contains(&given_up));
        rig.core.handle_no_descriptors(rig.now);
        rig.run();
        assert!(rig.closed.contains(&given_up));
    }
}

#[test]
fn a_connection_that_was_just_used_keeps_its_descriptor() {
    let mut rig = Rig::new();
    let peer = rig.open();
    rig.run_after(5_000);
    rig.send(peer, LIVE);
    rig.run();
    rig.run_after(999);
    rig.core.handle_no_descriptors(rig.now);
    rig.run();
    assert!(!rig.closed.contains(&peer));
}

#[test]
fn a_drain_answers_what_was_asked_and_closes() {
    let mut rig = Rig::new();
    let (idle, asking) = (rig.open(), rig.open());
    let request = rig.signed("GET", "/apps/1/channels", &[], "");
    rig.send(asking, request + LIVE);
    rig.run();
    rig.core.handle_drain(rig.now);
    rig.run();
    assert!(rig.closed.contains(&idle) && !rig.closed.contains(&asking));
    assert_eq!(rig.core.connections(), 1);
    let newcomer = rig.open();
    rig.run();
    assert_eq!(rig.statuses(newcomer), [503]);
    for home in 0..SHARDS {
        rig.answer(home, |_| Found::Channels(vec![]));
    }
    rig.run();
    let got = String::from_utf8(rig.got[&asking].clone()).unwrap();
    assert!(got.contains("\r\nConnection: close\r\n"), "{got}");
    assert_eq!(rig.statuses(asking), [200]);
    assert_eq!(rig.core.connections(), 0);
    rig.assert_nothing_is_left();
}

#[test]
fn ready_and_live_say_how_the_server_is() {
    let mut rig = Rig::new();
    rig.core.health = Box::new(|| Health { live: false, ready: true, draining: false, degraded: None });
    let peer = rig.open();
    rig.send(peer, "GET /ready HTTP/1.1\r\nHost: h\r\n\r\nGET /live HTTP/1.1\r\nHost: h\r\n\r\n");
    rig.run();
    let expected = [(200, r#"{"ready":true}"#.into()), (503, r#"{"live":false}"#.into())];
    assert_eq!(rig.responses(peer), expected);
}
