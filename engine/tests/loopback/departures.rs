//! Many connections that go at once, each with many channels: others are served meanwhile, and nothing is left of them.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::rig::http::Http;
use crate::rig::raw::{Raw, TEXT, encode_frame};
use crate::rig::server::{Server, free_port, wait_for};
use serde_json::json;

const LEAVERS: usize = 20;
const CHANNELS: usize = 1000;

/// A connection on channels of its own.
fn leaver(server: &Server, number: usize) -> Raw {
    let mut raw = Raw::connect(server);
    let subscribe = |channel| json!({"event": "pusher:subscribe", "data": {"channel": channel}}).to_string();
    // In parts, so that neither side waits for the other to read.
    for part in 0..CHANNELS / 100 {
        let names = (0..100).map(|at| format!("own-{number}-{part}-{at}"));
        let frames: Vec<u8> = names.flat_map(|name| encode_frame(TEXT, subscribe(name).as_bytes())).collect();
        raw.write(&frames);
        for _ in 0..100 {
            raw.hear_event("pusher_internal:subscription_succeeded");
        }
    }
    raw
}

fn counter(admin: u16, name: &str) -> f64 {
    let mut tools = Http::on(TcpStream::connect(("127.0.0.1", admin)).unwrap());
    let answer = tools.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut lines = answer.body.lines();
    let line = lines.find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name} is not there")).parse().unwrap()
}

#[test]
fn a_crowd_with_many_channels_leaves_in_steps_and_others_are_served_meanwhile() {
    let admin = free_port();
    let server = Server::start(&["--shards", "1", "--admin", &format!("127.0.0.1:{admin}")]);
    let crowd: Vec<Raw> = (0..LEAVERS).map(|number| leaver(&server, number)).collect();
    let mut stranger = server.connect();
    crowd.into_iter().for_each(Raw::abort);
    let mut longest = Duration::ZERO;
    wait_for("their channels to be vacated", || {
        let asked = Instant::now();
        stranger.expect_pong();
        longest = longest.max(asked.elapsed());
        (counter(admin, "corecast_departed_connections") == 0.0
            && server.get("/apps/7/channels", &[]).json()["channels"] == json!({}))
        .then_some(())
    });
    assert!(longest < Duration::from_secs(1), "a pong took {longest:?}");
    assert_eq!(counter(admin, "corecast_departed_in_steps_total"), LEAVERS as f64);
    let steps = counter(admin, "corecast_departure_steps_total");
    // A step gives up 128 subscriptions, and as many went at once when a close began.
    assert!(steps >= (LEAVERS * (CHANNELS - 128) / 128) as f64, "{steps} steps");
    assert_eq!(counter(admin, "corecast_unsubscribed_total"), (LEAVERS * CHANNELS) as f64);
}
