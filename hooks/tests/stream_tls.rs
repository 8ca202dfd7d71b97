//! The road through a real redis-server that speaks TLS, with a certificate of a private authority, and wants a user who
//! may do no more than is needed.

#[path = "stream/redis_server.rs"]
mod redis_server;
mod scratch;
#[path = "stream/settling.rs"]
mod settling;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hooks::journal::JournalView;
use hooks::pipeline::Hooks;
use hooks::queue::Queue;
use hooks::redis::fault::RedisFaultKind;
use hooks::settings::{Endpoint, Settings, SinkSettings, StreamSettings};
use hooks::stream::view::StreamView;
use protocol::app::{App, Apps};
use protocol::hook_event::{Happened, HookEvent};
use protocol::hook_kind::HookKinds;

use redis_server::{RedisServer, free_port};
use scratch::Scratch;
use settling::{complete_and_in_order, until};

const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/ca.pem");
const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/server.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/server.key");

/// What the page about hooks says that a user of Redis must be allowed.
fn allowed<'a>() -> impl Iterator<Item = &'a str> {
    let page = include_str!("../../docs/hooks.md");
    let rights = page.lines().find(|line| line.starts_with("    ~")).expect("docs/hooks.md names the rights");
    rights.split_whitespace()
}

/// A server, and the settings of somebody who may use it.
fn guarded() -> (RedisServer, StreamSettings) {
    let port = free_port().to_string();
    let mut options = vec!["--tls-port", &port, "--tls-cert-file", CERTIFICATE, "--tls-key-file", KEY];
    options.extend([
        "--tls-ca-cert-file",
        CA,
        "--tls-auth-clients",
        "no",
        "--user",
        "hooks",
        "on",
        ">secret",
    ]);
    options.extend(allowed());
    let redis = RedisServer::start(&options);
    let mut settings = StreamSettings::new(format!("rediss://hooks:secret@localhost:{port}/0"));
    settings.redis.ca_file = Some(CA.into());
    (redis, settings)
}

fn start(directory: &Path, stream: StreamSettings) -> (Hooks, Queue, Arc<App>) {
    let mut app = App::new("1", "k", "s");
    app.hooks = HookKinds::USUAL;
    let apps = Arc::new(Apps::new(vec![app]).unwrap());
    let app = Arc::clone(apps.by_id("1").unwrap());
    let sink = SinkSettings::File { path: directory.join("lines") };
    let mut settings =
        Settings::new(directory.join("data"), vec![Endpoint::new("lines", Arc::clone(&app), sink)]);
    settings.stream = Some(stream);
    let (hooks, queue, _) = Hooks::start(&settings, apps).unwrap();
    (hooks, queue, app)
}

fn fault_of(settings: &StreamSettings) -> (RedisFaultKind, String) {
    let fault = StreamView::open(settings).err().expect("it must not be let in");
    (fault.kind(), fault.to_string())
}

#[test]
fn events_pass_through_a_redis_with_tls_and_a_user_who_may_do_no_more_than_is_needed() {
    let (_redis, stream) = guarded();
    let scratch = Scratch::new();
    let (hooks, queue, app) = start(scratch.path(), stream);
    for n in 0..2_000 {
        let event = HookEvent::ChannelOccupied { app: Arc::clone(&app), channel: format!("c{n}").into() };
        assert!(queue.offer(Happened { event, time_ms: n }).is_ok());
    }
    let view = JournalView::open(&scratch.path().join("data")).unwrap().unwrap();
    until("all have left the journal", || {
        let status = view.status().unwrap();
        (status.last_id, status.rows) == (2_000, 0)
    });
    drop(queue);
    let figures = Arc::clone(&hooks.counters().stream);
    hooks.stop(Duration::from_secs(5));
    assert_eq!((figures.failures.now(), figures.added.now()), (0, 2_000));
    let lines = fs::read_to_string(scratch.path().join("lines")).unwrap();
    let id = |line: &str| -> u64 {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["id"].as_str().unwrap().parse().unwrap()
    };
    let ids: Vec<u64> = lines.lines().map(id).collect();
    assert_eq!(complete_and_in_order(&ids, 2_000), 0);
}

#[test]
fn a_redis_whose_signer_is_not_known_is_not_trusted() {
    let (_redis, mut stream) = guarded();
    assert!(StreamView::open(&stream).is_ok());
    stream.redis.ca_file = None;
    let (kind, text) = fault_of(&stream);
    assert_eq!(kind, RedisFaultKind::Unreachable);
    assert!(text.contains("ertificate"), "{text}");
}

#[test]
fn a_wrong_password_and_a_missing_file_of_signers_are_told_without_a_secret() {
    let (_redis, mut stream) = guarded();
    stream.redis.url.0 = stream.redis.url.0.replace("secret", "hunter2");
    let (kind, text) = fault_of(&stream);
    assert_eq!(kind, RedisFaultKind::Login);
    assert!(!text.contains("hunter2"), "{text}");
    stream.redis.ca_file = Some("/nowhere/ca.pem".into());
    let (_, text) = fault_of(&stream);
    assert!(text.contains("redis_ca_file /nowhere/ca.pem"), "{text}");
}
