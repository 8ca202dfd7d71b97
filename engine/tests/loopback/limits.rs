//! What peers are told whom a limit of the server turns away: each text names the setting, and its value where it helps.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::rig::client::{Client, data_of};
use crate::rig::raw::{Raw, encode_upgrade};
use crate::rig::server::{Server, binary, free_port};
use serde_json::json;

const TARGET: &str = "/app/loopback-key?protocol=7";

/// One shard with these limits, and with so many descriptors. The name must be the test's own.
fn start(name: &str, limits: &str, descriptors: usize) -> Server {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("limits-{name}.toml"));
    fs::write(&path, format!("[limits]\n{limits}\n")).unwrap();
    let port = free_port();
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={descriptors}")).arg(binary());
    command.args(["serve", "--shards", "1", "--config"]).arg(&path).stdin(Stdio::null());
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--app", "7:loopback-key:loopback-secret"]);
    let server = Server::start_command(command, port);
    fs::remove_file(path).unwrap();
    server
}

/// A connection that has sent a part of a head.
fn half_open(server: &Server) -> Raw {
    let mut raw = Raw::open(server);
    raw.write(b"GET /app/");
    raw
}

fn told(mut raw: Raw) -> String {
    String::from_utf8(raw.read_to_end()).unwrap()
}

fn assert_told(told: &str, status: u16, words: &[&str]) {
    assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{told:?}");
    assert!(words.iter().all(|word| told.contains(word)), "{told:?}");
}

#[test]
fn a_head_that_comes_too_late_is_told_so_and_silence_gets_silence() {
    let server = start("late", "head_ms_max = 300\nhttp_head_bytes_max = 1024\nhttp_headers_max = 8", 1024);
    assert_eq!(told(Raw::open(&server)), "");
    assert_told(&told(half_open(&server)), 408, &["300 ms", "head_ms_max"]);
    for (head, setting) in [
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1024)), "http_head_bytes_max"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(9)), "http_headers_max"),
    ] {
        let mut raw = Raw::open(&server);
        raw.write(head.as_bytes());
        assert_told(&told(raw), 431, &[setting]);
    }
}

#[test]
fn one_half_open_connection_too_many_costs_the_oldest_its_place() {
    let server = start("crowd", "half_open_max = 16", 1024);
    let mut crowd: Vec<Raw> = (0..16).map(|_| half_open(&server)).collect();
    thread::sleep(Duration::from_millis(400));
    crowd.push(half_open(&server));
    assert_told(&told(crowd.remove(0)), 503, &["half_open_max", "16"]);
    // The others still have theirs.
    let rest = encode_upgrade(TARGET);
    for raw in &mut crowd {
        raw.write(&rest.as_bytes()["GET /app/".len()..]);
        assert_eq!(raw.read_head().status, 101);
    }
}

#[test]
fn when_everybody_comes_at_once_nobody_is_given_up_whose_head_is_on_its_way() {
    let server = start("storm", "half_open_max = 16", 1024);
    let all_come_in = || {
        let mut crowd: Vec<Raw> = (0..64).map(|_| Raw::open(&server)).collect();
        crowd.iter_mut().for_each(|raw| raw.write_in_vain(encode_upgrade(TARGET).as_bytes()));
        crowd.into_iter().all(|raw| {
            let mut first = [0; 12];
            raw.tcp().peek(&mut first).is_ok_and(|_| &first == b"HTTP/1.1 101")
        })
    };
    // Each has a fifth of a second, which a busy machine may take from this process.
    assert!((0..10).any(|_| all_come_in()), "some were given up each time");
}

#[test]
fn when_descriptors_run_out_half_open_connections_go_and_calls_are_answered() {
    let server = start("descriptors", "", 100);
    // With the caller's own they are as many as may be of 100 descriptors.
    let mut crowd: Vec<Raw> = (0..15).map(|_| half_open(&server)).collect();
    let mut calls = Vec::new();
    crowd[0].tcp().set_nonblocking(true).unwrap();
    while crowd[0].tcp().peek(&mut [0]).is_err() {
        let mut http = server.http();
        assert_eq!(http.get("/apps/7/channels", &[]).status, 200);
        calls.push(http);
        assert!(calls.len() < 100, "descriptors never run out");
    }
    let oldest = crowd.remove(0);
    oldest.tcp().set_nonblocking(false).unwrap();
    assert_told(&told(oldest), 503, &["no descriptors left"]);
    server.connect().expect_pong();
}

#[test]
fn a_member_that_would_make_the_roster_too_long_is_refused_but_not_another_connection_of_one() {
    let server = start("roster", "roster_bytes_max = 2048", 1024);
    let channel = "presence-long";
    let data = |id: &str| json!({"user_id": id, "user_info": {"text": "x".repeat(400)}}).to_string();
    let mut members: Vec<Client> = Vec::new();
    let text = loop {
        let mut client = server.connect();
        client.ask_to_join(channel, &data(&members.len().to_string()));
        let event = client.hear();
        if event["event"] == "pusher:error" {
            client.hear_event("pusher:subscription_error");
            break event["data"]["message"].as_str().unwrap().to_owned();
        }
        members.push(client);
        assert!(members.len() < 10, "a roster of ten times 400 bytes");
    };
    assert!(text.contains("2048 bytes (roster_bytes_max)"), "{text}");
    assert_eq!(members.len(), 4);
    server.connect().join(channel, &data("0"));
    // A place that somebody leaves can be taken.
    drop(members.pop());
    crate::rig::server::wait_for("the place", || {
        let mut client = server.connect();
        client.ask_to_join(channel, &data("late"));
        (client.hear()["event"] != "pusher:error").then_some(())
    });
}

/// Subscribes until it is refused; how often it was not, and the answer.
fn fill(client: &mut Client, prefix: &str) -> (usize, String) {
    for number in 0.. {
        client.say(&json!({"event": "pusher:subscribe", "data": {"channel": format!("{prefix}{number}")}}));
        let event = client.hear();
        if event["event"] == "pusher:error" {
            assert_eq!(event["data"]["code"], json!(null), "{event}");
            let refused = data_of(&client.hear_event("pusher:subscription_error"));
            assert_eq!((&refused["type"], &refused["status"]), (&json!("LimitReached"), &json!(4100)));
            return (number, refused["error"].as_str().unwrap().to_owned());
        }
    }
    unreachable!("numbers have no end");
}

#[test]
fn subscriptions_are_bounded_for_the_connection_the_app_and_the_shard() {
    let limits =
        "subscriptions_per_connection_max = 4\nsubscriptions_max = 10\nsubscriptions_per_shard_max = 7";
    let server = start("subscriptions", limits, 1024);
    let (mut one, mut two) = (server.connect(), server.connect());
    let (had, text) = fill(&mut one, "one-");
    assert!(
        had == 4 && text.contains("4 subscriptions") && text.contains("subscriptions_per_connection_max")
    );
    let (had, text) = fill(&mut two, "two-");
    assert!(had == 3 && text.contains("7 subscriptions") && text.contains("subscriptions_per_shard_max"));
    // A place that somebody gives up can be taken, and so can those of a connection that has gone.
    one.unsubscribe("one-0");
    one.expect_pong();
    two.subscribe("two-again");
    drop(one);
    crate::rig::server::wait_for("the places", || {
        (fill(&mut server.connect(), "late-").0 == 3).then_some(())
    });

    let server = start("app-subscriptions", "subscriptions_max = 5", 1024);
    let (had, text) = fill(&mut server.connect(), "a-");
    assert!(had == 5 && text.contains("5 subscriptions") && text.contains("(subscriptions_max)"), "{text}");
}

#[test]
fn a_thousand_channels_are_left_and_taken_again_without_a_wait() {
    let server = start("changes", "", 1024);
    let mut client = server.connect();
    for _ in 0..2 {
        for number in 0..1000 {
            client.say(&json!({"event": "pusher:subscribe", "data": {"channel": format!("c{number}")}}));
        }
        (0..1000).for_each(|_| drop(client.hear_event("pusher_internal:subscription_succeeded")));
        (0..1000).for_each(|number| client.unsubscribe(&format!("c{number}")));
    }
    client.expect_pong();
}
