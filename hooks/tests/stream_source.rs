//! Consumers of a stream against a real redis-server: one is active, others wait, and nothing is lost between them.

#[path = "stream/redis_server.rs"]
mod redis_server;
#[path = "stream/settling.rs"]
mod settling;
#[path = "stream/shelf.rs"]
mod shelf;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use hooks::counters::StreamCounters;
use hooks::row::Position;
use hooks::settings::StreamSettings;
use hooks::source::{Source, Wake};
use hooks::stream::mover::Mover;
use hooks::stream::source::StreamSource;
use protocol::app::{App, Apps};

use redis_server::RedisServer;
use settling::{complete_and_in_order, until};
use shelf::{Shelf, app, row};

const STREAM: &str = "corecast:hooks";

/// A consumer with one endpoint that takes everything.
struct Consumer {
    source: StreamSource,
    woken: Receiver<()>,
    counters: Arc<StreamCounters>,
    after: Position,
    ids: Vec<u64>,
}

impl Consumer {
    fn open(url: &str) -> Self {
        Self::open_with(url, |_| {})
    }

    fn open_with(url: &str, adapt: impl FnOnce(&mut StreamSettings)) -> Self {
        let mut settings = StreamSettings::new(url);
        settings.claim_interval = Duration::from_millis(100);
        settings.pending_timeout = Duration::from_secs(1);
        adapt(&mut settings);
        let counters = Arc::new(StreamCounters::default());
        let (wake, woken) = Wake::new();
        let apps = Arc::new(Apps::new(vec![App::new("1", "key", "secret")]).unwrap());
        let source = StreamSource::open(settings, apps, wake, Arc::clone(&counters)).unwrap();
        Self { source, woken, counters, after: Position::default(), ids: Vec::new() }
    }

    /// Takes what there is, without releasing it. A server that is away is no matter.
    fn take(&mut self) -> usize {
        let mut rows = Vec::new();
        let _ = self.source.read(self.after, 300, &mut rows);
        for (at, row) in &rows {
            assert!(*at > self.after, "{at} behind {}", self.after);
            self.after = *at;
            self.ids.push(row.id);
        }
        rows.len()
    }

    fn take_up_to(&mut self, last: u64) {
        until(&format!("{last} is taken"), || {
            self.take();
            self.ids.last() == Some(&last)
        });
    }

    fn release(&mut self) -> bool {
        let all = self.after;
        self.source.release(all, &[("all", all)]).is_ok()
    }
}

/// Puts rows into the stream as the mover does.
fn fill(server: &RedisServer, ids: std::ops::RangeInclusive<u64>) {
    let (shelf, (wake, woken)) = (Shelf::default(), Wake::new());
    let app = app();
    // The mover goes on behind what was released.
    let _ = shelf.clone().release(Position(ids.start() - 1, 0), &[("stream", Position(ids.start() - 1, 0))]);
    shelf.put(ids.map(|id| row(&app, id)));
    let settings = StreamSettings::new(server.url());
    let mover = Mover::start(shelf, woken, settings, Arc::new(StreamCounters::default())).unwrap();
    wake.wake();
    mover.stop(Duration::from_secs(10));
}

fn pending(server: &RedisServer) -> u64 {
    let (count, ..): (u64, redis::Value, redis::Value, redis::Value) =
        server.ask(&["XPENDING", STREAM, "corecast"]).unwrap();
    count
}

#[test]
fn rows_come_in_order_and_are_acknowledged_when_they_are_released() {
    let server = RedisServer::start(&[]);
    fill(&server, 1..=3_000);
    let mut consumer = Consumer::open(&server.url());
    consumer.take_up_to(3_000);
    assert_eq!(complete_and_in_order(&consumer.ids, 3_000), 0);
    assert_eq!(pending(&server), 3_000, "nothing was released");
    assert!(consumer.release());
    assert_eq!(pending(&server), 0);
    assert_eq!(
        server.ask::<u64>(&["XLEN", STREAM]).unwrap(),
        1,
        "what is done is cut off, but for the last one"
    );
}

#[test]
fn new_entries_wake_the_reader() {
    let server = RedisServer::start(&[]);
    fill(&server, 1..=10);
    let mut consumer = Consumer::open(&server.url());
    consumer.take_up_to(10);
    while consumer.woken.recv_timeout(Duration::from_millis(600)).is_ok() {}
    fill(&server, 11..=20);
    assert!(consumer.woken.recv_timeout(Duration::from_secs(1)).is_ok());
    consumer.take_up_to(20);
}

#[test]
fn a_stream_that_somebody_else_reads_is_not_cut() {
    let server = RedisServer::start(&[]);
    let () = server.ask(&["XGROUP", "CREATE", STREAM, "event-hook-group", "0", "MKSTREAM"]).unwrap();
    fill(&server, 1..=100);
    let mut consumer = Consumer::open(&server.url());
    consumer.take_up_to(100);
    assert!(consumer.release());
    assert_eq!(server.ask::<u64>(&["XLEN", STREAM]).unwrap(), 100);
}

#[test]
fn an_endpoint_that_is_behind_reads_again_from_its_place() {
    let server = RedisServer::start(&[]);
    fill(&server, 1..=40_000);
    let mut consumer = Consumer::open_with(&server.url(), |settings| settings.prefetch = 2_000);
    consumer.take_up_to(40_000);
    let mut behind = Consumer { after: Position::default(), ids: Vec::new(), ..consumer };
    behind.take_up_to(40_000);
    assert_eq!(complete_and_in_order(&behind.ids, 40_000), 0);
}

#[test]
fn places_of_endpoints_are_kept() {
    let server = RedisServer::start(&[]);
    fill(&server, 1..=100);
    let mut consumer = Consumer::open(&server.url());
    consumer.take_up_to(100);
    let place = consumer.after;
    consumer.source.release(Position::default(), &[("ahead", place), ("behind", Position(1, 0))]).unwrap();
    drop(consumer);
    let mut consumer = Consumer::open(&server.url());
    assert_eq!(consumer.source.place_of("ahead").unwrap(), place);
    assert_eq!(consumer.source.place_of("behind").unwrap(), Position(1, 0));
    let fresh = consumer.source.place_of("fresh").unwrap();
    consumer.after = fresh;
    consumer.take_up_to(100);
    assert_eq!(consumer.ids.first(), Some(&1), "a new one begins with what is not acknowledged");
    assert_eq!((consumer.counters.redelivered.now(), consumer.counters.deliveries_max.now()), (100, 2));
}

#[test]
fn a_second_consumer_waits_and_takes_over_when_the_first_leaves() {
    let server = RedisServer::start(&[]);
    fill(&server, 1..=10);
    let mut first = Consumer::open(&server.url());
    first.take_up_to(10);
    let mut second = Consumer::open(&server.url());
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        assert_eq!(first.take() + second.take(), 0);
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(first);
    second.take_up_to(10);
    assert_eq!(complete_and_in_order(&second.ids, 10), 0);
    assert_eq!((second.counters.redelivered.now(), second.counters.deliveries_max.now()), (10, 2));
    assert!(second.release());
    assert_eq!(pending(&server), 0);
}

#[test]
fn a_second_consumer_takes_over_from_one_that_was_killed() {
    let server = RedisServer::start(&[]);
    fill(&server, 1..=2_500);
    let mut child = consumer_process(&server.url());
    let mut second = Consumer::open(&server.url());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(second.take(), 0, "the first one is alive");
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    second.take_up_to(2_500);
    assert!(killed.elapsed() < Duration::from_secs(3), "{:?}", killed.elapsed());
    assert_eq!(complete_and_in_order(&second.ids, 2_500), 0);
    assert!(second.release());
    assert_eq!(pending(&server), 0);
    let consumers: Vec<redis::Value> = server.ask(&["XINFO", "CONSUMERS", STREAM, "corecast"]).unwrap();
    assert_eq!(consumers.len(), 1, "who is gone is forgotten");
}

/// Not a test of its own: the process that `a_second_consumer_takes_over_from_one_that_was_killed` starts and kills. It takes
/// everything and releases nothing.
#[test]
fn consumer_in_a_process_of_its_own() {
    let Ok(url) = std::env::var("CONSUMER_URL") else { return };
    let mut consumer = Consumer::open(&url);
    consumer.take_up_to(2_500);
    println!("taken");
    std::thread::sleep(Duration::from_secs(60));
}

fn consumer_process(url: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "consumer_in_a_process_of_its_own", "--nocapture"])
        .env("CONSUMER_URL", url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("taken")));
    child
}

#[test]
fn whoever_has_lost_the_lease_is_given_nothing() {
    let server = RedisServer::start(&[]);
    fill(&server, 1..=10);
    let mut first = Consumer::open(&server.url());
    first.take_up_to(10);
    let () = server.ask(&["SET", "corecast:hooks:active", "somebody else", "PX", "60000"]).unwrap();
    fill(&server, 11..=20);
    for _ in 0..20 {
        assert_eq!(first.take(), 0);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(first.release(), "what is done is done");
    assert_eq!(pending(&server), 0);
    let _: u64 = server.ask(&["DEL", "corecast:hooks:active"]).unwrap();
    first.take_up_to(20);
    assert_eq!(complete_and_in_order(&first.ids, 20), 0);
}

#[test]
fn what_is_no_event_of_an_app_here_is_skipped_and_keeps_nobody() {
    let server = RedisServer::start(&[]);
    let foreign: [&[&str]; 3] = [
        &["XADD", STREAM, "*", "name", "channel_occupied", "data", "{}", "time", "1.5"],
        &["XADD", STREAM, "*", "name", "x", "data", "{", "time", "1.5", "id", "7", "app_id", "1"],
        &[
            "XADD",
            STREAM,
            "*",
            "name",
            "client_event",
            "data",
            "{}",
            "time",
            "1",
            "id",
            "8",
            "app_id",
            "nobody",
        ],
    ];
    for entry in foreign {
        let _: String = server.ask(entry).unwrap();
    }
    fill(&server, 1..=10);
    let mut consumer = Consumer::open(&server.url());
    consumer.take_up_to(10);
    assert_eq!(complete_and_in_order(&consumer.ids, 10), 0);
    assert_eq!(consumer.counters.skipped.now(), 3);
    assert_eq!(pending(&server), 10);
    for entry in foreign {
        let _: String = server.ask(entry).unwrap();
    }
    assert!(consumer.release());
    until("the last ones are skipped", || {
        consumer.take();
        pending(&server) == 0 && consumer.counters.skipped.now() == 6
    });
}

#[test]
fn a_lost_connection_loses_no_entry() {
    let server = RedisServer::start(&[]);
    fill(&server, 1..=2_000);
    let mut consumer = Consumer::open(&server.url());
    until("some are taken", || {
        consumer.take();
        consumer.ids.len() >= 500
    });
    let _: redis::Value = server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).unwrap();
    consumer.take_up_to(2_000);
    assert_eq!(complete_and_in_order(&consumer.ids, 2_000), 0);
    until("it is released", || consumer.release());
    assert_eq!(pending(&server), 0);
}

#[test]
fn a_group_that_somebody_destroys_is_made_again() {
    let server = RedisServer::start(&[]);
    fill(&server, 1..=10);
    let mut consumer = Consumer::open(&server.url());
    consumer.take_up_to(10);
    let _: u64 = server.ask(&["XGROUP", "DESTROY", STREAM, "corecast"]).unwrap();
    fill(&server, 11..=20);
    consumer.take_up_to(20);
    until("it is released", || consumer.release());
    assert_eq!(pending(&server), 0);
}

/// Mover and consumer together, over a server that goes away again and again.
fn through_it_all(server: &mut RedisServer, adversity: impl Fn(&mut RedisServer)) {
    let (shelf, (wake, woken), app) = (Shelf::default(), Wake::new(), app());
    let mut settings = StreamSettings::new(server.url());
    settings.requeue_interval = Duration::from_millis(400);
    let counters = Arc::new(StreamCounters::default());
    let mover = Mover::start(shelf.clone(), woken, settings, Arc::clone(&counters)).unwrap();
    let mut consumer = Consumer::open(&server.url());
    let mut last = 0;
    for round in 0..4 {
        let end = Instant::now() + Duration::from_millis(400);
        while Instant::now() < end {
            shelf.put((last + 1..=last + 20).map(|id| row(&app, id)));
            last += 20;
            wake.wake();
            consumer.take();
            consumer.release();
            std::thread::sleep(Duration::from_millis(5));
        }
        if round < 3 {
            adversity(server);
        }
    }
    until("all have left the journal", || {
        consumer.take();
        consumer.release();
        shelf.released() == last
    });
    let again = complete_and_in_order(&consumer.ids, last);
    println!("{last} rows, {again} came again, {} losses", counters.losses.now());
    mover.stop(Duration::from_secs(1));
}

#[test]
fn killed_and_back_with_all_it_had_there_is_no_gap() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    through_it_all(&mut server, |server| {
        server.kill();
        server.launch();
    });
}

#[test]
fn killed_and_back_with_nothing_there_is_no_gap() {
    let mut server = RedisServer::start(&[]);
    through_it_all(&mut server, |server| {
        server.kill();
        server.launch();
    });
}

#[test]
fn paused_there_is_no_gap() {
    let mut server = RedisServer::start(&[]);
    through_it_all(&mut server, |server| {
        server.pause();
        std::thread::sleep(Duration::from_secs(2));
        server.resume();
    });
}
