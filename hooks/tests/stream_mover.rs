//! The mover against a real redis-server that is killed, emptied, paused, full, locked, in other hands, or not there.

#[path = "stream/reader.rs"]
mod reader;
#[path = "stream/redis_server.rs"]
mod redis_server;
#[path = "stream/settling.rs"]
mod settling;
#[path = "stream/shelf.rs"]
mod shelf;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use hooks::counters::StreamCounters;
use hooks::row::Row;
use hooks::settings::StreamSettings;
use hooks::source::Wake;
use hooks::stream::mover::Mover;

use reader::Reader;
use redis_server::RedisServer;
use settling::{complete_and_in_order, until};
use shelf::{Shelf, app, row};

const STREAM: &str = "corecast:hooks";

struct Moving {
    shelf: Shelf,
    counters: Arc<StreamCounters>,
    wake: Wake,
    mover: Mover,
}

impl Moving {
    fn start(url: &str, adapt: impl FnOnce(&mut StreamSettings)) -> Self {
        Self::go_on(url, Shelf::default(), adapt)
    }

    fn go_on(url: &str, shelf: Shelf, adapt: impl FnOnce(&mut StreamSettings)) -> Self {
        let mut settings = StreamSettings::new(url);
        settings.requeue_interval = Duration::from_millis(400);
        adapt(&mut settings);
        let counters = Arc::new(StreamCounters::default());
        let (wake, woken): (Wake, Receiver<()>) = Wake::new();
        let mover = Mover::start(shelf.clone(), woken, settings, Arc::clone(&counters)).unwrap();
        Self { shelf, counters, wake, mover }
    }

    fn put(&self, ids: impl IntoIterator<Item = u64>) {
        let app = app();
        self.shelf.put(ids.into_iter().map(|id| row(&app, id)));
        self.wake.wake();
    }

    /// Puts rows until the time is over, a few at once, and says up to which.
    fn put_for(&self, time: Duration, from: u64) -> u64 {
        let (end, mut next) = (Instant::now() + time, from);
        while Instant::now() < end {
            self.put(next..next + 20);
            next += 20;
            std::thread::sleep(Duration::from_millis(5));
        }
        next - 1
    }

    fn stop(self) -> Shelf {
        self.mover.stop(Duration::from_secs(2));
        self.shelf
    }
}

fn ids_in(server: &RedisServer) -> Vec<u64> {
    let reply: redis::streams::StreamRangeReply = server.ask(&["XRANGE", STREAM, "-", "+"]).unwrap();
    let id = |entry: &redis::streams::StreamId| -> u64 {
        redis::from_redis_value::<String>(entry.map["id"].clone()).unwrap().parse().unwrap()
    };
    reply.ids.iter().map(id).collect()
}

fn length(server: &RedisServer) -> u64 {
    server.ask(&["XLEN", STREAM]).unwrap()
}

#[test]
fn rows_arrive_in_order_and_leave_the_journal_when_they_are_acknowledged() {
    let server = RedisServer::start(&[]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=5_000);
    until("all are in the stream", || length(&server) == 5_000);
    assert_eq!(ids_in(&server), (1..=5_000).collect::<Vec<_>>());
    std::thread::sleep(Duration::from_millis(1_300));
    assert_eq!(moving.shelf.released(), 0, "nobody has acknowledged anything");
    let reader = Reader::start(server.url());
    until("all have left the journal", || moving.shelf.released() == 5_000);
    assert_eq!(complete_and_in_order(&reader.ids(), 5_000), 0);
}

#[test]
fn an_entry_has_the_fields_of_webman_with_id_and_app_beside_them() {
    let server = RedisServer::start(&[]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put([1]);
    until("it is in the stream", || length_or_none(&server) == 1);
    let reply: redis::streams::StreamRangeReply = server.ask(&["XRANGE", STREAM, "-", "+"]).unwrap();
    let field = |name: &str| redis::from_redis_value::<String>(reply.ids[0].map[name].clone()).unwrap();
    assert_eq!(field("name"), "channel_occupied");
    assert_eq!(field("time"), "1700000000.001");
    assert_eq!(field("id"), "1");
    assert_eq!(field("app_id"), "1");
    let data: serde_json::Value = serde_json::from_str(&field("data")).unwrap();
    assert_eq!(data["channel"], "room-1");
    assert_eq!(data["app_key"], "key");
}

#[test]
fn a_pending_entry_keeps_its_row_and_those_behind_it() {
    let server = RedisServer::start(&[]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=10);
    until("all are in the stream", || length_or_none(&server) == 10);
    let read = ["XREADGROUP", "GROUP", "corecast", "other", "COUNT", "10", "STREAMS", STREAM, ">"];
    let reply: redis::streams::StreamReadReply = server.ask(&read).unwrap();
    for (place, entry) in reply.keys[0].ids.iter().enumerate() {
        if place != 4 {
            let _: u64 = server.ask(&["XACK", STREAM, "corecast", &entry.id]).unwrap();
        }
    }
    // One batch, one checkpoint: the mark inside it is worth none of it.
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(moving.shelf.released() <= 4);
    let _: u64 = server.ask(&["XACK", STREAM, "corecast", &reply.keys[0].ids[4].id]).unwrap();
    until("all have left the journal", || moving.shelf.released() == 10);
}

#[test]
fn without_a_group_a_row_leaves_when_it_is_in_the_stream() {
    let server = RedisServer::start(&[]);
    let moving = Moving::start(&server.url(), |settings| settings.deliver = false);
    moving.put(1..=100);
    until("all have left the journal", || moving.shelf.released() == 100);
    assert_eq!(ids_in(&server), (1..=100).collect::<Vec<_>>());
    let groups: Vec<redis::Value> = server.ask(&["XINFO", "GROUPS", STREAM]).unwrap();
    assert!(groups.is_empty());
}

#[test]
fn a_mover_that_starts_again_adds_nothing_twice() {
    let server = RedisServer::start(&[]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=1_500);
    until("all are in the stream", || length_or_none(&server) == 1_500);
    let shelf = moving.stop();
    let moving = Moving::go_on(&server.url(), shelf, |_| {});
    moving.put(1_501..=2_000);
    until("the rest is in the stream", || length(&server) >= 2_000);
    assert_eq!(ids_in(&server), (1..=2_000).collect::<Vec<_>>());
    let _reader = Reader::start(server.url());
    until("all have left the journal", || moving.shelf.released() == 2_000);
}

#[test]
fn an_edge_that_is_in_two_journals_is_added_once_and_leaves_both() {
    let server = RedisServer::start(&[]);
    let start = || Moving::start(&server.url(), |settings| settings.edges_once = true);
    let (first, second) = (start(), start());
    let again = |ids_after: u64| {
        let rows = (1..=10).map(|id| Row { id: ids_after + id, ..row(&app(), id) });
        second.shelf.put(rows);
        second.wake.wake();
    };
    first.put(1..=10);
    until("all are in the stream", || length_or_none(&server) == 10);
    again(100);
    until("the second has looked at its own", || second.counters.last_added.now() == 110);
    assert_eq!(ids_in(&server), (1..=10).collect::<Vec<_>>());
    second.put([111]);
    until("what is new is there", || length(&server) == 11);
    let reader = Reader::start(server.url());
    until("all have left both journals", || first.shelf.released() == 10 && second.shelf.released() == 111);
    drop(reader);
    let _: u64 = server.ask(&["DEL", STREAM]).unwrap();
    again(200);
    until("another stream has had none of them", || length_or_none(&server) == 10);
    assert_eq!(ids_in(&server), (201..=210).collect::<Vec<_>>());
}

#[test]
fn the_stream_of_another_journal_is_not_taken_for_ones_own() {
    let server = RedisServer::start(&[]);
    let _: String =
        server.ask(&["XADD", STREAM, "*", "name", "channel_occupied", "id", "50", "data", "{}"]).unwrap();
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=100);
    until("all are in the stream", || length(&server) == 101);
    assert_eq!(ids_in(&server)[1..], (1..=100).collect::<Vec<_>>());
}

#[test]
fn killed_in_mid_traffic_and_back_with_all_it_had() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let moving = Moving::start(&server.url(), |_| {});
    let reader = Reader::start(server.url());
    let mut last = 0;
    for _ in 0..3 {
        last = moving.put_for(Duration::from_millis(400), last + 1);
        server.kill();
        last = moving.put_for(Duration::from_millis(300), last + 1);
        server.launch();
    }
    last = moving.put_for(Duration::from_millis(300), last + 1);
    until("all have left the journal", || moving.shelf.released() == last);
    let again = complete_and_in_order(&reader.ids(), last);
    println!("{last} rows, {again} came again, {} losses", moving.counters.losses.now());
    assert_eq!(moving.counters.losses.now(), 0);
}

#[test]
fn killed_in_mid_traffic_and_back_with_nothing() {
    let mut server = RedisServer::start(&[]);
    let moving = Moving::start(&server.url(), |_| {});
    let reader = Reader::start(server.url());
    let mut last = 0;
    for _ in 0..3 {
        last = moving.put_for(Duration::from_millis(400), last + 1);
        server.kill();
        server.forget();
        server.launch();
    }
    last = moving.put_for(Duration::from_millis(300), last + 1);
    until("all have left the journal", || moving.shelf.released() == last);
    let again = complete_and_in_order(&reader.ids(), last);
    println!("{last} rows, {again} came again, {} losses", moving.counters.losses.now());
    assert!(moving.counters.losses.now() >= 1);
}

#[test]
fn back_with_an_older_state_the_rest_is_added_again() {
    let mut server = RedisServer::start(&["--dbfilename", "dump.rdb"]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=300);
    until("they are in the stream", || length_or_none(&server) == 300);
    let () = server.ask(&["SAVE"]).unwrap();
    moving.put(301..=700);
    until("they are in the stream", || length(&server) == 700);
    server.kill();
    server.launch();
    until("what was lost is there again", || length(&server) == 700);
    assert_eq!(ids_in(&server), (1..=700).collect::<Vec<_>>());
    assert_eq!(moving.counters.losses.now(), 1);
}

#[test]
fn a_stream_that_somebody_deletes_is_filled_again() {
    let server = RedisServer::start(&[]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=300);
    until("they are in the stream", || length_or_none(&server) == 300);
    std::thread::sleep(Duration::from_millis(1_100));
    let _: u64 = server.ask(&["DEL", STREAM]).unwrap();
    moving.put(301..=310);
    let reader = Reader::start(server.url());
    until("all have left the journal", || moving.shelf.released() == 310);
    let ids: HashSet<u64> = reader.ids().into_iter().collect();
    assert_eq!(ids.len(), 310, "nothing is missing, though what came first may not be the oldest");
}

#[test]
fn paused_in_mid_traffic() {
    let server = RedisServer::start(&[]);
    let moving = Moving::start(&server.url(), |_| {});
    let reader = Reader::start(server.url());
    let mut last = moving.put_for(Duration::from_millis(300), 1);
    server.pause();
    last = moving.put_for(Duration::from_secs(6), last + 1);
    assert_eq!(moving.counters.in_trouble.now(), 1, "no answer is noticed");
    server.resume();
    last = moving.put_for(Duration::from_millis(300), last + 1);
    until("all have left the journal", || moving.shelf.released() == last);
    let again = complete_and_in_order(&reader.ids(), last);
    println!("{last} rows, {again} came again");
}

#[test]
fn full_and_with_room_again() {
    let server = RedisServer::start(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=30_000);
    until("Redis is full", || moving.counters.in_trouble.now() == 1);
    let failures = moving.counters.failures.now();
    std::thread::sleep(Duration::from_secs(1));
    let tries = moving.counters.failures.now() - failures;
    assert!((1..=6).contains(&tries), "{tries} tries in a second");
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    let reader = Reader::start(server.url());
    until("all have left the journal", || moving.shelf.released() == 30_000);
    assert_eq!(complete_and_in_order(&reader.ids(), 30_000), 0);
    assert_eq!(moving.counters.in_trouble.now(), 0);
}

#[test]
fn a_key_of_another_type_until_it_is_gone() {
    let server = RedisServer::start(&[]);
    let () = server.ask(&["SET", STREAM, "text"]).unwrap();
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=10);
    until("it is noticed", || moving.counters.in_trouble.now() == 1);
    let _: u64 = server.ask(&["DEL", STREAM]).unwrap();
    until("all are in the stream", || length_or_none(&server) == 10);
}

#[test]
fn a_wrong_password_until_it_is_right() {
    let mut server = RedisServer::start(&[]);
    let url = format!("redis://:right@127.0.0.1:{}", server.port());
    server.password_is("other");
    let moving = Moving::start(&url, |_| {});
    moving.put(1..=10);
    until("it is noticed", || moving.counters.in_trouble.now() == 1);
    server.password_is("right");
    until("all are in the stream", || length_or_none(&server) == 10);
}

#[test]
fn a_replica_until_it_is_the_primary() {
    let server = RedisServer::start(&["--replicaof", "127.0.0.1 1"]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=10);
    until("it is noticed", || moving.counters.in_trouble.now() == 1);
    let () = server.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    until("all are in the stream", || length_or_none(&server) == 10);
}

#[test]
fn a_primary_that_becomes_a_replica_for_a_while() {
    let server = RedisServer::start(&[]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=10);
    until("they are in the stream", || length_or_none(&server) == 10);
    let () = server.ask(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    moving.put(11..=20);
    until("it is noticed", || moving.counters.in_trouble.now() == 1);
    let () = server.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    until("all are in the stream", || length_or_none(&server) == 20);
    assert_eq!(ids_in(&server), (1..=20).collect::<Vec<_>>());
}

#[test]
fn down_at_the_start() {
    let mut server = RedisServer::planned(&[]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=10);
    until("it is noticed", || moving.counters.in_trouble.now() == 1);
    server.launch();
    until("all are in the stream", || length_or_none(&server) == 10);
}

#[test]
fn the_mover_waits_while_the_stream_is_as_long_as_it_may_be() {
    let server = RedisServer::start(&[]);
    let moving = Moving::start(&server.url(), |settings| settings.queue_limit = 100);
    moving.put(1..=250);
    until("the stream is at its limit", || moving.counters.at_limit.now() == 1);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(length(&server), 100);
    let _: u64 = server.ask(&["XTRIM", STREAM, "MAXLEN", "0"]).unwrap();
    until("the next are in the stream", || length(&server) == 100);
    let _: u64 = server.ask(&["XTRIM", STREAM, "MAXLEN", "0"]).unwrap();
    until("the rest is in the stream", || length(&server) == 50);
    assert_eq!(ids_in(&server), (201..=250).collect::<Vec<_>>());
}

#[test]
fn a_mover_that_is_stopped_empties_the_journal_first() {
    let server = RedisServer::start(&[]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=20_000);
    moving.stop();
    assert_eq!(length(&server), 20_000);
}

#[test]
fn a_mover_that_is_stopped_beside_a_server_that_is_away_ends_in_time() {
    let server = RedisServer::planned(&[]);
    let moving = Moving::start(&server.url(), |_| {});
    moving.put(1..=10);
    until("it is noticed", || moving.counters.in_trouble.now() == 1);
    let start = Instant::now();
    moving.mover.stop(Duration::from_secs(1));
    assert!(start.elapsed() < Duration::from_secs(3));
}

/// 0 while there is nothing that can be counted.
fn length_or_none(server: &RedisServer) -> u64 {
    server.ask(&["XLEN", STREAM]).unwrap_or(0)
}
