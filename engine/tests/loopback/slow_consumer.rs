//! A subscriber that stops reading is closed with 4100 once its outbox is past its bound, and costs nobody else an event.

use std::io::Write;
use std::time::Duration;

use crate::rig::client::Client;
use crate::rig::raw::{Raw, TEXT, encode_frame};
use crate::rig::server::{Server, shared};
use serde_json::{Value, json};
use socket2::SockRef;

/// More than the outbox (1 MiB) and both kernels' buffers hold, in events of `DATA_BYTES`.
const EVENTS_MAX: usize = 400;
const DATA_BYTES: usize = 90_000;

fn data(number: usize) -> String {
    format!("{number}:{}", "x".repeat(DATA_BYTES))
}

fn subscribers(server: &Server, channel: &str) -> Value {
    let path = format!("/apps/7/channels/{channel}");
    server.get(&path, &[("info", "subscription_count")]).json()["subscription_count"].clone()
}

/// A subscriber that will not read, with little room in its kernel.
fn silent(server: &Server, channel: &str) -> Raw {
    let mut raw = Raw::connect(server);
    SockRef::from(raw.tcp()).set_recv_buffer_size(16 << 10).unwrap();
    raw.say(&json!({"event": "pusher:subscribe", "data": {"channel": channel}}).to_string());
    raw.hear_event("pusher_internal:subscription_succeeded");
    raw
}

/// Publishes until no more than so many are subscribed; every healthy client hears every event. Returns how many.
fn publish_until(server: &Server, channel: &str, healthy: &mut [Client]) -> usize {
    let mut http = server.http();
    for number in 0..EVENTS_MAX {
        http.publish(channel, "e", &data(number));
        for client in healthy.iter_mut() {
            client.expect(channel, "e", &data(number));
        }
        if subscribers(server, channel) == healthy.len() {
            return number + 1;
        }
    }
    panic!("{EVENTS_MAX} events and nobody is too slow");
}

#[test]
fn who_does_not_read_is_closed_with_4100_and_others_lose_nothing() {
    let server = shared();
    let channel = "firehose";
    let mut healthy = server.connect_to_each_shard();
    for client in &mut healthy {
        client.subscribe(channel);
    }
    let mut slow = silent(&server, channel);
    let published = publish_until(&server, channel, &mut healthy);
    assert!(published * DATA_BYTES > 1 << 20, "closed after {published} events, before its outbox was full");
    // What was on its way arrives in whole frames and in order; then it is told why.
    let mut heard = 0;
    let error = loop {
        let event = slow.hear();
        if event["event"] == "pusher:error" {
            break event;
        }
        assert_eq!(event["data"], data(heard));
        heard += 1;
    };
    assert_eq!(error["data"]["code"], 4100, "{error}");
    assert_eq!(slow.hear_close(), 4100);
    assert!(heard < published, "it heard all {published} events");
    for client in &mut healthy {
        client.expect_pong();
    }
}

#[test]
fn who_reads_slowly_but_reads_loses_nothing() {
    let server = shared();
    let channel = "slow-reader";
    let mut slow = silent(&server, channel);
    // Less than the bound of its outbox waits at any time, though far more than the kernel takes at once.
    for round in 0..5 {
        for number in 0..8 {
            server.publish(channel, "e", &data(round * 8 + number));
        }
        for number in 0..8 {
            assert_eq!(slow.hear_event("e")["data"], data(round * 8 + number));
        }
    }
}

#[test]
fn pings_of_one_that_does_not_read_cost_nobody_else() {
    let server = shared();
    let raw = Raw::connect(&server);
    SockRef::from(raw.tcp()).set_recv_buffer_size(16 << 10).unwrap();
    raw.tcp().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let ping = encode_frame(TEXT, br#"{"event":"pusher:ping","data":{}}"#).repeat(1000);
    // 40 MB of pings: either they are not read any more, or the connection is closed.
    let refused = (0..1000).any(|_| raw.tcp().write_all(&ping).is_err());
    assert!(refused, "the server takes pings without end though nobody reads its answers");
    let mut client = server.connect();
    client.subscribe("beside-pings");
    server.publish("beside-pings", "e", "x");
    client.expect("beside-pings", "e", "x");
}
