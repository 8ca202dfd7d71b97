//! All outboxes of a shard have a budget together: readers that stop cannot make the server keep what each of them alone
//! may keep, and those that read lose nothing.

use std::fs;

use crate::rig::client::Client;
use crate::rig::raw::{CLOSE, Raw};
use crate::rig::server::{Server, binary, free_port, wait_for};
use serde_json::json;
use socket2::SockRef;

const BUDGET_BYTES: usize = 4 << 20;
const STOPPED: usize = 200;
const DATA_BYTES: usize = 90_000;

/// Past the budget, together; each alone far from its own bound of 1 MiB.
const EVENTS: usize = 8;

/// One shard with this budget.
fn start(name: &str, budget_bytes: usize) -> Server {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
    fs::write(&path, format!("[limits]\noutboxes_bytes_max = {budget_bytes}\n")).unwrap();
    let port = free_port();
    let mut command = std::process::Command::new(binary());
    command.args(["serve", "--shards", "1", "--config"]).arg(&path);
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--app", "7:loopback-key:loopback-secret"]);
    let server = Server::start_command(command, port);
    fs::remove_file(path).unwrap();
    server
}

/// A subscriber that will not read, with little room in its kernel.
fn stopped(server: &Server, channel: &str) -> Raw {
    let mut raw = Raw::connect(server);
    SockRef::from(raw.tcp()).set_recv_buffer_size(16 << 10).unwrap();
    raw.say(&json!({"event": "pusher:subscribe", "data": {"channel": channel}}).to_string());
    raw.hear_event("pusher_internal:subscription_succeeded");
    raw
}

fn subscribers(server: &Server, channel: &str) -> u64 {
    let answer = server.get(&format!("/apps/7/channels/{channel}"), &[("info", "subscription_count")]);
    answer.json()["subscription_count"].as_u64().unwrap()
}

fn resident_bytes(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    kib.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() << 10
}

#[test]
fn readers_that_stop_keep_no_more_than_the_budget_and_others_lose_nothing() {
    let server = start("budget", BUDGET_BYTES);
    let channels: Vec<String> = (0..STOPPED).map(|number| format!("own-{number}")).collect();
    // Nothing is shared between two of them, so each keeps all that it has not read.
    let readers: Vec<Raw> = channels.iter().map(|channel| stopped(&server, channel)).collect();
    let mut healthy: Client = server.connect();
    for channel in &channels {
        healthy.subscribe(channel);
    }
    let before = resident_bytes(&server);
    let mut http = server.http();
    let mut most = before;
    for number in 0..EVENTS {
        let data = format!("{number}:{}", "x".repeat(DATA_BYTES));
        for channel in &channels {
            http.publish(channel, "e", &data);
            healthy.expect(channel, "e", &data);
        }
        most = most.max(resident_bytes(&server));
    }
    // Without the budget they would keep what their kernels did not take: 200 times half a megabyte.
    let grown = most - before;
    assert!(grown < 48 << 20, "grown by {grown} bytes");
    // Whether any of so many at once is told why depends on the frames that were begun: their ends come first.
    let closed = channels.iter().filter(|channel| subscribers(&server, channel) == 1).count();
    assert!(closed > STOPPED / 2, "{closed} closed");
    drop(readers);
    healthy.expect_pong();
}

const LEAVERS: usize = 300;

/// With what their ranges take, less than the smallest budget: nobody is closed for it, and all that is unread is shared.
const SHARED_EVENTS: usize = 7;

#[test]
fn readers_that_stop_and_say_goodbye_leave_no_copies_of_what_they_shared() {
    let server = start("parting", 1 << 20);
    let mut leavers: Vec<Raw> = (0..LEAVERS).map(|_| stopped(&server, "busy")).collect();
    let mut healthy: Client = server.connect();
    healthy.subscribe("busy");
    let mut http = server.http();
    for number in 0..SHARED_EVENTS {
        let data = format!("{number}:{}", "x".repeat(DATA_BYTES));
        http.publish("busy", "e", &data);
        healthy.expect("busy", "e", &data);
    }
    let before = resident_bytes(&server);
    assert!(subscribers(&server, "busy") > LEAVERS as u64 / 2, "this is about those who are still there");
    leavers.iter_mut().for_each(|leaver| leaver.frame(CLOSE, &1000_u16.to_be_bytes()));
    wait_for("them to be gone", || (subscribers(&server, "busy") == 1).then_some(()));
    // A quarter of a megabyte for each would be 75 MB.
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < 16 << 20, "grown by {grown} bytes");
    healthy.expect_pong();
    let answer = [CLOSE, 2, 0x03, 0xe8];
    let answered =
        leavers.iter_mut().filter_map(|leaver| leaver.read_to_end().ends_with(&answer).then_some(()));
    assert!(answered.count() > 0, "nobody was answered");
}

#[test]
fn a_healthy_client_gets_all_its_events_before_a_drain_closes_it_whatever_others_keep() {
    let mut server = start("healthy", 1 << 20);
    let mut leavers: Vec<Raw> = (0..LEAVERS).map(|_| stopped(&server, "busy")).collect();
    let mut http = server.http();
    for number in 0..SHARED_EVENTS {
        http.publish("busy", "e", &format!("{number}:{}", "x".repeat(DATA_BYTES)));
    }
    let mut healthy: Client = server.connect();
    healthy.subscribe("mine");
    leavers.iter_mut().for_each(|leaver| leaver.frame(CLOSE, &1000_u16.to_be_bytes()));
    wait_for("them to be gone", || (subscribers(&server, "busy") == 0).then_some(()));
    for number in 0..20 {
        http.publish("mine", "e", &number.to_string());
    }
    server.signal_end();
    for number in 0..20 {
        healthy.expect("mine", "e", &number.to_string());
    }
    assert_eq!(healthy.hear_error().0, Some(4100));
    assert_eq!(healthy.hear_close().0, 4100);
    drop(leavers);
    wait_for("the server's end", || server.ended().map(|_| ()));
}
