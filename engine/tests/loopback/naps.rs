//! Naps: where a thousand clients only ping, their pings gather; nothing that is published and no newcomer waits for that.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::client::Client;
use crate::rig::server::Server;
use serde_json::json;

const TARGET: &str = "/app/loopback-key?protocol=7";

/// As many connections as a core must have before it naps.
const CROWD: usize = 1000;

const NAP: Duration = Duration::from_secs(1);

/// The shortest of some naps may be shorter, since a core looks after its timers, but not the longest; and what does not wait
/// takes less, if not always on a busy machine.
const SOON: Duration = Duration::from_millis(100);

/// Longer than a shard must have heard nothing but pings.
const QUIET: Duration = Duration::from_millis(400);

/// One shard that naps for so long.
fn start(name: &str, nap_ms_max: u64) -> Server {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("naps-{name}.toml"));
    fs::write(&path, format!("[limits]\nnap_ms_max = {nap_ms_max}\n")).unwrap();
    let server = Server::start(&["--shards", "1", "--config", &path.display().to_string()]);
    fs::remove_file(path).unwrap();
    server
}

fn crowd(server: &Server, connections: usize) -> Vec<Client> {
    (0..connections).map(|_| Client::connect(server.tcp(), TARGET)).collect()
}

/// After some quiet a ping is answered, and then the core may nap.
fn fall_asleep(crowd: &mut [Client]) {
    thread::sleep(QUIET);
    crowd[0].expect_pong();
    thread::sleep(Duration::from_millis(20));
}

/// Six measurements, from the shortest to the longest.
fn sorted(mut measure: impl FnMut() -> Duration) -> Vec<Duration> {
    let mut measured: Vec<Duration> = (0..6).map(|_| measure()).collect();
    measured.sort();
    measured
}

/// How long a client waits for an answer after the core may have fallen asleep.
fn first_answers(crowd: &mut [Client]) -> Vec<Duration> {
    sorted(|| {
        fall_asleep(crowd);
        time(|| {
            crowd[1].say(&json!({"event": "unknown"}));
            crowd[1].hear_error();
        })
    })
}

fn time(action: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    action();
    begun.elapsed()
}

#[test]
fn a_message_after_quiet_waits_for_the_end_of_a_nap_and_no_longer() {
    let server = start("waits", NAP.as_millis() as u64);
    let mut crowd = crowd(&server, CROWD);
    let waited = first_answers(&mut crowd);
    assert!(waited[5] > SOON && waited[5] < NAP + Duration::from_secs(1), "{waited:?}");
}

#[test]
fn what_is_published_and_a_newcomer_end_a_nap() {
    let server = start("ends", NAP.as_millis() as u64);
    let mut crowd = crowd(&server, CROWD);
    crowd[1].subscribe("news");
    // The connection is with the API core when it is used again: the shard hears of it by its doorbell alone.
    let mut http = server.http();
    http.publish("news", "tick", "0");
    crowd[1].expect("news", "tick", "0");
    let published = sorted(|| {
        fall_asleep(&mut crowd);
        time(|| {
            http.publish("news", "tick", "1");
            crowd[1].expect("news", "tick", "1");
        })
    });
    assert!(published[0] < SOON, "{published:?}");
    let came = sorted(|| {
        fall_asleep(&mut crowd);
        time(|| drop(Client::connect(server.tcp(), TARGET)))
    });
    assert!(came[0] < SOON, "{came:?}");
}

#[test]
fn a_smaller_crowd_never_waits() {
    let server = start("small", NAP.as_millis() as u64);
    let mut crowd = crowd(&server, CROWD - 1);
    let waited = first_answers(&mut crowd);
    assert!(waited[0] < SOON, "{waited:?}");
}

#[test]
fn a_server_that_may_not_nap_answers_at_once() {
    let server = start("never", 0);
    let mut crowd = crowd(&server, CROWD);
    let waited = first_answers(&mut crowd);
    assert!(waited[0] < SOON, "{waited:?}");
}
