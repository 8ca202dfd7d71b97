//! The whole road with a stream in it: queue, journal, mover, a real redis-server, consumer, endpoint.

#[path = "stream/redis_server.rs"]
mod redis_server;
mod scratch;
#[path = "stream/settling.rs"]
mod settling;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hooks::journal::JournalView;
use hooks::pipeline::Hooks;
use hooks::queue::Queue;
use hooks::settings::{Endpoint, Settings, SinkSettings, StreamSettings};
use protocol::app::{App, Apps};
use protocol::hook_event::{Happened, HookEvent};
use protocol::hook_kind::HookKinds;
use protocol::socket_id::SocketId;

use redis_server::RedisServer;
use scratch::Scratch;
use settling::{complete_and_in_order, until};

struct Road {
    hooks: Hooks,
    queue: Queue,
    app: Arc<App>,
}

fn settings(scratch: &Scratch, redis: &RedisServer, apps: &Apps) -> Settings {
    let sink = SinkSettings::File { path: lines_path(scratch) };
    let mut endpoint = Endpoint::new("lines", Arc::clone(apps.by_id("1").unwrap()), sink);
    endpoint.batch_window = Duration::from_millis(5);
    let mut settings = Settings::new(scratch.path().join("data"), vec![endpoint]);
    let mut stream = StreamSettings::new(redis.url());
    stream.requeue_interval = Duration::from_millis(400);
    stream.claim_interval = Duration::from_millis(100);
    stream.pending_timeout = Duration::from_secs(1);
    settings.stream = Some(stream);
    settings
}

fn lines_path(scratch: &Scratch) -> PathBuf {
    scratch.path().join("lines")
}

impl Road {
    fn start(scratch: &Scratch, redis: &RedisServer) -> Self {
        let mut app = App::new("1", "k", "s");
        app.hooks = HookKinds::USUAL;
        let apps = Arc::new(Apps::new(vec![app]).unwrap());
        let app = Arc::clone(apps.by_id("1").unwrap());
        let (hooks, queue, _) = Hooks::start(&settings(scratch, redis, &apps), apps).unwrap();
        Self { hooks, queue, app }
    }

    /// Offers numbered events for so long, and says up to which number.
    fn offer_for(&self, time: Duration, from: u64) -> u64 {
        let (end, mut next) = (Instant::now() + time, from);
        while Instant::now() < end {
            for _ in 0..20 {
                let event = HookEvent::ClientEvent {
                    app: Arc::clone(&self.app),
                    channel: "private-a".into(),
                    event: "client-n".into(),
                    data_literal: format!("\"{next}\"").into(),
                    socket_id: SocketId { first: 1, second: 2 },
                    user_id: None,
                };
                assert!(self.queue.offer(Happened { event, time_ms: next }).is_ok());
                next += 1;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        next - 1
    }

    fn stop(self) {
        drop(self.queue);
        self.hooks.stop(Duration::from_secs(5));
    }
}

fn numbers(scratch: &Scratch) -> Vec<u64> {
    let text = fs::read_to_string(lines_path(scratch)).unwrap_or_default();
    let number = |line: &str| -> u64 {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["data"].as_str().unwrap().parse().unwrap()
    };
    text.lines().map(number).collect()
}

fn rows_kept(scratch: &Scratch) -> u64 {
    JournalView::open(&scratch.path().join("data")).unwrap().unwrap().status().unwrap().rows
}

#[test]
fn events_reach_an_endpoint_through_a_stream_and_leave_the_journal() {
    let (redis, scratch) = (RedisServer::start(&[]), Scratch::new());
    let road = Road::start(&scratch, &redis);
    let last = road.offer_for(Duration::from_millis(300), 1);
    until("all have left the journal", || rows_kept(&scratch) == 0);
    assert_eq!(complete_and_in_order(&numbers(&scratch), last), 0);
    road.stop();
}

#[test]
fn a_server_that_starts_again_delivers_nothing_twice() {
    let (redis, scratch) = (RedisServer::start(&[]), Scratch::new());
    let mut last = 0;
    for _ in 0..3 {
        let road = Road::start(&scratch, &redis);
        last = road.offer_for(Duration::from_millis(200), last + 1);
        road.stop();
    }
    let road = Road::start(&scratch, &redis);
    until("all have left the journal", || rows_kept(&scratch) == 0);
    assert_eq!(complete_and_in_order(&numbers(&scratch), last), 0);
    road.stop();
}

#[test]
fn redis_killed_emptied_and_paused_leaves_no_gap() {
    let (mut redis, scratch) = (RedisServer::start(&[]), Scratch::new());
    let road = Road::start(&scratch, &redis);
    let mut last = road.offer_for(Duration::from_millis(400), 1);
    redis.kill();
    last = road.offer_for(Duration::from_millis(300), last + 1);
    redis.launch();
    last = road.offer_for(Duration::from_millis(400), last + 1);
    redis.pause();
    last = road.offer_for(Duration::from_millis(4_000), last + 1);
    redis.resume();
    last = road.offer_for(Duration::from_millis(400), last + 1);
    until("all have left the journal", || rows_kept(&scratch) == 0);
    let again = complete_and_in_order(&numbers(&scratch), last);
    println!("{last} events, {again} came again");
    road.stop();
}

#[test]
fn a_stop_beside_a_paused_redis_ends_in_time_and_the_rest_comes_after_the_next_start() {
    let (redis, scratch) = (RedisServer::start(&[]), Scratch::new());
    let road = Road::start(&scratch, &redis);
    let mut last = road.offer_for(Duration::from_millis(200), 1);
    redis.pause();
    last = road.offer_for(Duration::from_millis(200), last + 1);
    let start = Instant::now();
    road.stop();
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    redis.resume();
    let road = Road::start(&scratch, &redis);
    until("all have left the journal", || rows_kept(&scratch) == 0);
    let again = complete_and_in_order(&numbers(&scratch), last);
    println!("{last} events, {again} came again");
    road.stop();
}
