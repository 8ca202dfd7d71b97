//! A road through a Redis that lies, and through a real one whose stream is set back, emptied and deleted under it. Nothing
//! that it says ends a thread, and when it is honest again everything arrives.

#[path = "stream/liar.rs"]
mod liar;
#[path = "stream/redis_server.rs"]
mod redis_server;
mod scratch;
#[path = "stream/settling.rs"]
mod settling;
#[path = "stream/shelf.rs"]
mod shelf;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use hooks::counters::{DeliveryCounters, StreamCounters};
use hooks::dead_letters::DeadLetters;
use hooks::delivery::{Dispatcher, Means};
use hooks::settings::{DeliverySettings, Endpoint, SinkSettings, StreamSettings};
use hooks::sink::{Batch, Outcome, Outlet, Sink};
use hooks::source::Wake;
use hooks::stream::mover::Mover;
use hooks::stream::source::StreamSource;
use protocol::app::{App, Apps};

use liar::{Answer, Liar, Lie, Told};
use redis_server::{RedisServer, free_port};
use scratch::Scratch;
use settling::{complete_and_in_order, until};
use shelf::{Shelf, app, row};

const STREAM: &str = "corecast:hooks";

/// Panics of any thread, since one that has ended would not be missed otherwise.
static PANICS: AtomicU64 = AtomicU64::new(0);

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            usual(info);
        }));
    });
}

/// Mover, consumer, and an endpoint that writes down the ids that it is given.
struct Road {
    shelf: Shelf,
    wake: Wake,
    mover: Mover,
    dispatcher: Dispatcher,
    counters: Arc<StreamCounters>,
    ids: Arc<Mutex<Vec<u64>>>,
    last: u64,
    _scratch: Scratch,
}

struct Book(Arc<Mutex<Vec<u64>>>);

impl Sink for Book {
    fn deliver(&mut self, batch: &Batch) -> Outcome {
        self.0.lock().unwrap().extend(batch.rows.iter().map(|row| row.id));
        Outcome::Done
    }
}

impl Road {
    fn open(url: &str) -> Self {
        count_panics();
        let scratch = Scratch::new();
        let mut settings = StreamSettings::new(url);
        settings.requeue_interval = Duration::from_millis(200);
        settings.claim_interval = Duration::from_millis(100);
        settings.pending_timeout = Duration::from_secs(1);
        let (counters, ids) = (Arc::new(StreamCounters::default()), Arc::<Mutex<Vec<u64>>>::default());
        let (shelf, (wake, rows_here)) = (Shelf::default(), Wake::new());
        let mover = Mover::start(shelf.clone(), rows_here, settings.clone(), Arc::clone(&counters)).unwrap();
        let apps = Arc::new(Apps::new(vec![App::new("1", "key", "secret")]).unwrap());
        let (entries_here, woken) = Wake::new();
        let source =
            StreamSource::open(settings, Arc::clone(&apps), entries_here, Arc::clone(&counters)).unwrap();
        let mut endpoint = Endpoint::new("book", app(), SinkSettings::None);
        endpoint.batch_window = Duration::ZERO;
        let book = Arc::clone(&ids);
        let outlet = Outlet::threads(1, move || Box::new(Book(Arc::clone(&book))) as Box<dyn Sink>);
        let means = Means {
            counters: Arc::new(DeliveryCounters::new([&endpoint])),
            outlets: vec![(endpoint, outlet)],
            delivery: DeliverySettings::default(),
            dead_letters: DeadLetters::open(scratch.path()).unwrap(),
            apps,
        };
        let dispatcher = Dispatcher::start(source, woken, means).unwrap();
        Self { shelf, wake, mover, dispatcher, counters, ids, last: 0, _scratch: scratch }
    }

    /// Rows come, a few at once, for so long.
    fn go_on_for(&mut self, time: Duration) {
        let (end, app) = (Instant::now() + time, app());
        while Instant::now() < end {
            self.shelf.put((self.last + 1..=self.last + 10).map(|id| row(&app, id)));
            self.last += 10;
            self.wake.wake();
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything has arrived, and has left the journal.
    fn settle(&self, what: &str) {
        let seen = || self.ids.lock().unwrap().clone();
        until(&format!("{what}: {} of {} have arrived", seen().len(), self.last), || {
            self.wake.wake();
            seen().contains(&self.last)
        });
        complete_and_in_order(&seen(), self.last);
        until(&format!("{what}: the journal is not empty"), || self.shelf.released() == self.last);
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "{what}: a thread has panicked");
    }

    fn stop(self) {
        self.mover.stop(Duration::from_secs(1));
        self.dispatcher.stop(Duration::from_secs(1));
    }
}

fn instead(text: impl AsRef<[u8]>) -> Told {
    Told::Instead(text.as_ref().to_vec())
}

fn is_reading(command: &str) -> bool {
    ["EXEC", "XREADGROUP", "XREAD", "XRANGE", "XREVRANGE"].contains(&command)
}

/// Entries as they are in all answers that have some.
fn entries(command: &str, answer: &Answer, change: &dyn Fn(Vec<Answer>) -> Vec<Answer>) -> Told {
    let changed = answer.with_entries(change).bytes();
    if is_reading(command) && changed != answer.bytes() { Told::Instead(changed) } else { Told::Truth }
}

const LIES: [(&str, Lie); 27] = [
    ("entries are doubled", |command, answer| {
        entries(command, answer, &|entries| {
            entries.into_iter().flat_map(|entry| [entry.clone(), entry]).collect()
        })
    }),
    ("entries are turned around", |command, answer| {
        entries(command, answer, &|mut entries| {
            entries.reverse();
            entries
        })
    }),
    ("entries go back", |command, answer| match is_reading(command) {
        true => instead(answer.with_ids("1-1").bytes()),
        false => Told::Truth,
    }),
    ("entries are the last that can be", |command, answer| match is_reading(command) {
        true => instead(answer.with_ids("18446744073709551615-18446744073709551615").bytes()),
        false => Told::Truth,
    }),
    ("ids are no ids", |command, answer| match is_reading(command) {
        true => instead(answer.with_ids("-").bytes()),
        false => Told::Truth,
    }),
    ("everything is a number", |_, _| instead(":7\r\n")),
    ("everything is a negative number", |_, _| instead(":-9223372036854775808\r\n")),
    ("everything is a status", |_, _| instead("+QUEUED\r\n")),
    ("everything is nil", |_, _| instead("$-1\r\n")),
    ("everything is a nil array", |_, _| instead("*-1\r\n")),
    ("everything is empty", |_, _| instead("*0\r\n")),
    ("everything is an array in an array", |_, _| instead("*1\r\n*1\r\n*2\r\n$3\r\n5-1\r\n*0\r\n")),
    ("everything is a text that is none", |_, _| instead(b"$2\r\n\xff\xfe\r\n")),
    ("everything is an error", |_, _| instead("-ERR it is a lie\r\n")),
    ("everything is an error without a word", |_, _| instead("-\r\n")),
    ("the group is gone", |_, _| instead("-NOGROUP there is no such group\r\n")),
    ("the lease is lost", |_, _| instead("-LEASE another consumer is active\r\n")),
    ("a text longer than any", |_, _| Told::BreakOff(b"$9223372036854775807\r\nabc".to_vec())),
    ("a list longer than any", |_, _| Told::BreakOff(b"*9223372036854775807\r\n:1\r\n".to_vec())),
    ("a map longer than any", |_, _| Told::BreakOff(b"%9223372036854775807\r\n:1\r\n".to_vec())),
    ("lengths are negative", |_, _| instead("$-7\r\n*-9\r\n")),
    ("lists without end", |_, _| Told::BreakOff(b"*1\r\n".repeat(5_000))),
    ("it is no Redis", |_, _| instead("HTTP/1.1 400 Bad Request\r\n\r\n")),
    ("answers break off", |_, answer| {
        let bytes = answer.bytes();
        Told::BreakOff(bytes[..bytes.len() / 2].to_vec())
    }),
    ("it hangs up", |_, _| Told::BreakOff(Vec::new())),
    ("the claim never ends", |command, _| match command {
        "EVAL" => instead("*2\r\n$3\r\n5-5\r\n*0\r\n"),
        _ => Told::Truth,
    }),
    ("the stream stands elsewhere", |command, _| match command {
        "XINFO" => instead(concat!(
            "*4\r\n$17\r\nlast-generated-id\r\n$41\r\n18446744073709551615-18446744073709551615\r\n",
            "$6\r\nlength\r\n:9223372036854775807\r\n"
        )),
        "XPENDING" => instead("*4\r\n:-5\r\n$3\r\n9-9\r\n$3\r\n1-1\r\n*-1\r\n"),
        _ => Told::Truth,
    }),
];

#[test]
fn a_redis_that_lies_ends_nothing_and_everything_arrives_when_it_is_honest() {
    let server = RedisServer::start(&[]);
    let liar = Liar::start(free_port(), server.port());
    let mut road = Road::open(&liar.url());
    road.go_on_for(Duration::from_millis(200));
    road.settle("before any lie");
    for (what, lie) in LIES {
        liar.tell(lie);
        road.go_on_for(Duration::from_millis(400));
        until(&format!("{what}: nobody asks"), || liar.told() > 0);
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "{what}: a thread has panicked");
        liar.be_honest();
        road.settle(what);
    }
    road.stop();
}

#[test]
fn a_stream_that_is_set_back_emptied_or_deleted_ends_nothing_and_everything_arrives() {
    let server = RedisServer::start(&[]);
    let mut road = Road::open(&server.url());
    road.go_on_for(Duration::from_millis(200));
    road.settle("before anything");
    let deeds: [&[&[&str]]; 7] = [
        &[&["XGROUP", "SETID", STREAM, "corecast", "0"]],
        &[&["XGROUP", "SETID", STREAM, "corecast", "$"], &["XGROUP", "SETID", STREAM, "corecast", "1-1"]],
        &[&["XTRIM", STREAM, "MAXLEN", "0"], &["XSETID", STREAM, "1-1"]],
        &[&["DEL", STREAM]],
        &[&["FLUSHALL"]],
        &[&["DEL", STREAM], &["XADD", STREAM, "7-7", "name", "x"]],
        &[&["DEL", "corecast:hooks:active"], &["DEL", "corecast:hooks:places:corecast"]],
    ];
    for deed in deeds {
        road.go_on_for(Duration::from_millis(200));
        for words in deed {
            let _: redis::Value = server.ask(words).unwrap();
        }
        road.go_on_for(Duration::from_millis(300));
        road.settle(&format!("{deed:?}"));
    }
    // The reader has read farther than the stream will ever go, and there is no mover that could set it on.
    let Road { mover, shelf, .. } = road;
    mover.stop(Duration::from_secs(1));
    assert!(shelf.released() > 0);
}

#[test]
fn a_consumer_begins_anew_when_the_stream_ends_before_what_it_has_read() {
    let server = RedisServer::start(&[]);
    let mut road = Road::open(&server.url());
    road.go_on_for(Duration::from_millis(200));
    road.settle("before anything");
    let Road { mover, dispatcher, counters, ids, last, .. } = road;
    mover.stop(Duration::from_secs(1));
    let _: u64 = server.ask(&["DEL", STREAM]).unwrap();
    let entry = |at: &str, id: u64| {
        let (id, data) = (id.to_string(), r#"{"channel":"room"}"#);
        let words = [
            "XADD",
            STREAM,
            at,
            "name",
            "channel_occupied",
            "data",
            data,
            "time",
            "1.5",
            "id",
            &id,
            "app_id",
            "1",
        ];
        let _: String = server.ask(&words).unwrap();
    };
    entry("7-1", last + 1);
    until("the first entry that comes before all others is told", || {
        ids.lock().unwrap().contains(&(last + 1))
    });
    entry("7-2", last + 2);
    until("the second is", || ids.lock().unwrap().contains(&(last + 2)));
    let before = counters.acknowledged.now();
    assert!(before > 0);
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "a thread has panicked");
    dispatcher.stop(Duration::from_secs(1));
}

/// Ids of connections begin again with Redis: what had ours before is somebody else's now.
#[test]
fn no_connection_of_another_is_ended_when_redis_has_begun_again() {
    let mut server = RedisServer::start(&[]);
    let mut road = Road::open(&server.url());
    road.go_on_for(Duration::from_millis(200));
    road.settle("before the restart");
    for _ in 0..3 {
        server.kill();
        server.launch();
        let strangers: Vec<_> = (0..20).filter_map(|_| server.connection().ok()).collect();
        road.go_on_for(Duration::from_millis(600));
        road.settle("after the restart");
        for (number, mut stranger) in strangers.into_iter().enumerate() {
            let answer: redis::RedisResult<String> = redis::cmd("PING").query(&mut stranger);
            assert!(answer.is_ok(), "the connection of stranger {number} was ended: {answer:?}");
        }
        let stats: String = server.ask(&["INFO", "commandstats"]).unwrap();
        assert!(!stats.contains("kill"), "{stats}");
    }
    road.stop();
}
