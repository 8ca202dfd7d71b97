//! From the queue through a real journal to real receivers: what arrives, in which order, and what a receiver that fails
//! costs itself and nobody else.

mod receiver;
mod scratch;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hooks::dead_letters::{DeadLetters, Selection};
use hooks::pipeline::Hooks;
use hooks::queue::Queue;
use hooks::settings::{Endpoint, Format, Settings, SinkSettings};
use protocol::app::{App, Apps};
use protocol::hook_event::{Happened, HookEvent};
use protocol::hook_kind::{HookKind, HookKinds};
use receiver::{Answer, Receiver, Request, closed_port};
use scratch::Scratch;

const PATIENCE: Duration = Duration::from_secs(60);

/// Hooks with a journal of their own.
struct Pipeline {
    hooks: Hooks,
    queue: Queue,
    app: Arc<App>,
}

fn apps() -> Arc<Apps> {
    let mut app = App::new("1", "k", "s");
    app.hooks = HookKinds::USUAL;
    Arc::new(Apps::new(vec![app]).unwrap())
}

fn webhook(name: &str, apps: &Apps, url: String) -> Endpoint {
    let sink = SinkSettings::Webhook { url, format: Format::Pusher, headers: Vec::new() };
    let mut endpoint = Endpoint::new(name, Arc::clone(apps.by_id("1").unwrap()), sink);
    endpoint.batch_window = Duration::from_millis(5);
    endpoint
}

impl Pipeline {
    fn start(
        scratch: &Scratch,
        apps: Arc<Apps>,
        endpoints: Vec<Endpoint>,
        adjust: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = Settings::new(scratch.path().join("data"), endpoints);
        settings.delivery.pause_max = Duration::from_millis(100);
        adjust(&mut settings);
        let app = Arc::clone(apps.by_id("1").unwrap());
        let (hooks, queue, _) = Hooks::start(&settings, apps).unwrap();
        Self { hooks, queue, app }
    }

    fn offer(&self, channel: &str, number: u64) {
        let (app, channel) = (Arc::clone(&self.app), channel.into());
        let data_literal = format!("\"{number}\"").into();
        let socket_id = protocol::socket_id::SocketId { first: 1, second: 2 };
        let event = HookEvent::ClientEvent {
            app,
            channel,
            event: "client-n".into(),
            data_literal,
            socket_id,
            user_id: None,
        };
        self.happen(event);
    }

    fn happen(&self, event: HookEvent) {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        assert!(self.queue.offer(Happened { event, time_ms: since.as_millis() as u64 }).is_ok());
    }

    fn stop(self, patience: Duration) {
        drop(self.queue);
        self.hooks.stop(patience);
    }
}

/// The numbers of accepted events by channel, as they came, each with its id.
fn numbers(requests: &[Request]) -> HashMap<String, Vec<(u64, u64)>> {
    let mut numbers: HashMap<String, Vec<(u64, u64)>> = HashMap::new();
    for request in requests {
        for event in request.json()["events"].as_array().unwrap() {
            let number = |field: &str| event[field].as_str().unwrap().parse().unwrap();
            let channel = event["channel"].as_str().unwrap().to_owned();
            numbers.entry(channel).or_default().push((number("data"), number("id")));
        }
    }
    numbers
}

fn count(requests: &[Request]) -> usize {
    numbers(requests).values().map(Vec::len).sum()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Each channel has its numbers from 0 without a gap and in order, with increasing ids.
fn assert_in_order(requests: &[Request], channels: usize, each: u64) {
    let numbers = numbers(requests);
    assert_eq!(numbers.len(), channels);
    for (channel, events) in numbers {
        let came: Vec<u64> = events.iter().map(|(number, _)| *number).collect();
        assert_eq!(came, (0..each).collect::<Vec<_>>(), "{channel}");
        assert!(events.is_sorted_by(|(_, first), (_, second)| first < second), "{channel}: {events:?}");
    }
}

#[test]
fn events_arrive_once_in_order_and_in_batches() {
    let (scratch, apps) = (Scratch::new(), apps());
    let receiver = Receiver::start(|_| Answer::Status(200));
    let endpoint = webhook("a", &apps, receiver.url("/"));
    let pipeline = Pipeline::start(&scratch, apps, vec![endpoint], |_| {});
    for number in 0..500 {
        for channel in ["private-a", "private-b", "private-c"] {
            pipeline.offer(channel, number);
        }
    }
    until("all events", || count(&receiver.requests()) >= 1_500);
    pipeline.stop(PATIENCE);
    let requests = receiver.requests();
    assert_in_order(&requests, 3, 500);
    assert!(requests.len() < 1_000, "{} requests are no batches", requests.len());
    let most = requests.iter().map(|request| request.json()["events"].as_array().unwrap().len()).max();
    assert!(most.unwrap() <= 20, "{most:?} events in a batch");
}

#[test]
fn an_endpoint_gets_only_what_it_asked_for() {
    let (scratch, apps) = (Scratch::new(), apps());
    let receiver = Receiver::start(|_| Answer::Status(200));
    let mut endpoint = webhook("a", &apps, receiver.url("/"));
    endpoint.kinds = HookKinds::NONE.with(HookKind::ClientEvent);
    endpoint.channel_prefix = Some("private-".to_owned());
    endpoint.channel_suffix = Some("-x".to_owned());
    let pipeline = Pipeline::start(&scratch, apps, vec![endpoint], |_| {});
    for (number, channel) in
        ["private-1-x", "presence-1-x", "private-1-y", "private-2-x"].into_iter().enumerate()
    {
        pipeline.offer(channel, number as u64);
        pipeline
            .happen(HookEvent::ChannelOccupied { app: Arc::clone(&pipeline.app), channel: channel.into() });
    }
    pipeline.stop(PATIENCE);
    let numbers = numbers(&receiver.requests());
    let mut channels: Vec<_> = numbers.keys().cloned().collect();
    channels.sort();
    assert_eq!(channels, ["private-1-x", "private-2-x"]);
}

#[test]
fn an_endpoint_that_hangs_delays_no_other() {
    let (scratch, apps) = (Scratch::new(), apps());
    let (hanging, well) = (Receiver::start(|_| Answer::Hang), Receiver::start(|_| Answer::Status(200)));
    let mut stuck = webhook("stuck", &apps, hanging.url("/"));
    stuck.timeout = Duration::from_secs(600);
    let free = webhook("free", &apps, well.url("/"));
    let pipeline = Pipeline::start(&scratch, apps, vec![stuck, free], |_| {});
    for number in 0..3_000 {
        pipeline.offer("private-a", number);
    }
    until("all events", || count(&well.requests()) >= 3_000);
    assert_in_order(&well.requests(), 1, 3_000);
    assert_eq!(hanging.requests().len(), 1, "one batch of a channel is on its way");
    let began = Instant::now();
    pipeline.stop(Duration::from_secs(2));
    assert!(began.elapsed() < Duration::from_secs(20), "a hanging endpoint keeps the end");
}

#[test]
fn what_an_endpoint_did_not_take_goes_out_after_the_next_start_and_nothing_else() {
    let (scratch, apps) = (Scratch::new(), apps());
    let is_well = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&is_well);
    let late = Receiver::start(move |_| Answer::Status(if mood.load(Ordering::SeqCst) { 200 } else { 500 }));
    let prompt = Receiver::start(|_| Answer::Status(200));
    let endpoints = || vec![webhook("late", &apps, late.url("/")), webhook("prompt", &apps, prompt.url("/"))];
    let pipeline = Pipeline::start(&scratch, Arc::clone(&apps), endpoints(), |_| {});
    for number in 0..100 {
        pipeline.offer("private-a", number);
    }
    until("the prompt one's events", || count(&prompt.requests()) >= 100);
    pipeline.stop(PATIENCE);
    is_well.store(true, Ordering::SeqCst);
    let tried = late.requests().len();
    let pipeline = Pipeline::start(&scratch, Arc::clone(&apps), endpoints(), |_| {});
    until("the late one's events", || count(&late.requests()[tried..]) >= 100);
    pipeline.stop(PATIENCE);
    assert_in_order(&late.requests()[tried..], 1, 100);
    assert_in_order(&prompt.requests(), 1, 100);
}

#[test]
fn a_batch_is_tried_again_byte_for_byte_and_holds_its_channel_back() {
    let (scratch, apps) = (Scratch::new(), apps());
    let vain = AtomicU32::new(0);
    let receiver = Receiver::start(move |_| match vain.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::Status(500),
        1 => Answer::Reset,
        2 => Answer::Status(429),
        _ => Answer::Status(200),
    });
    let endpoint = webhook("a", &apps, receiver.url("/"));
    let pipeline = Pipeline::start(&scratch, apps, vec![endpoint], |_| {});
    for number in 0..60 {
        pipeline.offer("private-a", number);
    }
    until("all events", || receiver.requests().get(3..).is_some_and(|accepted| count(accepted) >= 60));
    pipeline.stop(PATIENCE);
    let requests = receiver.requests();
    assert!(requests[..3].iter().all(|request| request.body == requests[3].body));
    assert_in_order(&requests[3..], 1, 60);
}

#[test]
fn a_port_that_opens_again_gets_everything() {
    let (scratch, apps) = (Scratch::new(), apps());
    let (port, address) = closed_port();
    let endpoint = webhook("a", &apps, format!("http://{address}/"));
    let pipeline = Pipeline::start(&scratch, apps, vec![endpoint], |_| {});
    for number in 0..200 {
        pipeline.offer(["private-a", "private-b"][number as usize % 2], number / 2);
    }
    let counters = Arc::clone(&pipeline.hooks.counters().delivery);
    until("the pause", || counters.endpoints[0].paused.now() == 1);
    let receiver = Receiver::start_on(port.open(), |_| Answer::Status(200));
    until("all events", || count(&receiver.requests()) >= 200);
    pipeline.stop(PATIENCE);
    assert_in_order(&receiver.requests(), 2, 100);
    let endpoint = &counters.endpoints[0];
    let counted = (endpoint.accepted.now(), endpoint.held.now(), endpoint.paused.now());
    assert_eq!(counted, (200, 0, 0));
    assert!(endpoint.unreachable.now() >= 5);
}

#[test]
fn a_channel_that_is_never_taken_dies_alone_and_is_taken_when_tried_again() {
    let (scratch, apps) = (Scratch::new(), apps());
    let is_healed = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&is_healed);
    let receiver = Receiver::start(move |request: &Request| {
        let is_poison = request.body.windows(8).any(|bytes| bytes == b"private-");
        Answer::Status(if is_poison && !mood.load(Ordering::SeqCst) { 500 } else { 200 })
    });
    let mut endpoint = webhook("a", &apps, receiver.url("/"));
    endpoint.batch_window = Duration::ZERO;
    endpoint.batch_events_max = 1;
    let pipeline = Pipeline::start(&scratch, apps, vec![endpoint], |settings| {
        settings.delivery.give_up_after = Duration::from_millis(400);
    });
    for number in 0..20 {
        pipeline.offer("presence-a", number);
        if number < 3 {
            pipeline.offer("private-a", number);
        }
    }
    let of =
        |requests: &[Request], channel: &str| numbers(requests).get(channel).cloned().unwrap_or_default();
    until("the other channel", || of(&receiver.requests(), "presence-a").len() == 20);
    let letters = DeadLetters::open_existing(&scratch.path().join("data")).unwrap().unwrap();
    until("the dead letters", || letters.counts(&Selection::All).unwrap() == (3, 0));
    let kept = letters.list(&Selection::All, 0, 10).unwrap();
    assert!(kept.iter().all(|letter| letter.endpoint == "a" && letter.tries > 0), "{kept:?}");
    assert_eq!(kept[0].reason, "answered 500 Internal Server Error: no  way");
    let before = receiver.requests().len();
    is_healed.store(true, Ordering::SeqCst);
    let mut command = DeadLetters::open_existing(&scratch.path().join("data")).unwrap().unwrap();
    assert_eq!(command.mark(&Selection::Endpoint("a".to_owned())).unwrap(), 3);
    until("the letters' end", || letters.counts(&Selection::All).unwrap() == (0, 0));
    let counters = Arc::clone(&pipeline.hooks.counters().delivery);
    pipeline.stop(PATIENCE);
    let again = of(&receiver.requests()[before..], "private-a");
    let expected: Vec<(u64, u64)> =
        kept.iter().enumerate().map(|(n, letter)| (n as u64, letter.row_id)).collect();
    assert_eq!(again, expected, "in order, with the same ids");
    assert_eq!((counters.endpoints[0].dead_letters.now(), counters.endpoints[0].replayed.now()), (3, 3));
}

#[test]
fn a_channel_that_is_refused_holds_no_other_and_none_of_its_later_events_is_tried() {
    let (scratch, apps) = (Scratch::new(), apps());
    let is_healed = Arc::new(AtomicBool::new(false));
    let mood = Arc::clone(&is_healed);
    let receiver = Receiver::start(move |request: &Request| {
        let is_poison = request.body.windows(13).any(|bytes| bytes == b"private-room3");
        Answer::Status(if is_poison && !mood.load(Ordering::SeqCst) { 500 } else { 200 })
    });
    let mut endpoint = webhook("a", &apps, receiver.url("/"));
    endpoint.batch_window = Duration::from_millis(50);
    let pipeline = Pipeline::start(&scratch, apps, vec![endpoint], |settings| {
        settings.delivery.pause_max = Duration::from_secs(60);
    });
    let offer_all =
        |number: u64| (0..10).for_each(|room| pipeline.offer(&format!("private-room{room}"), number));
    let accepted = || {
        let requests = receiver.requests();
        let accepted =
            requests.iter().filter(|request| !request.body.windows(13).any(|it| it == b"private-room3"));
        accepted.map(|request| request.json()["events"].as_array().unwrap().len()).sum::<usize>()
    };
    for number in 0..20 {
        offer_all(number);
        thread::sleep(Duration::from_millis(10));
    }
    until("the events of all other channels", || accepted() == 9 * 20);
    let mut first: Option<Vec<u64>> = None;
    for request in receiver.requests() {
        let of_it = numbers(&[request]).remove("private-room3").unwrap_or_default();
        let of_it: Vec<u64> = of_it.into_iter().map(|(number, _)| number).collect();
        if !of_it.is_empty() {
            assert_eq!(first.get_or_insert_with(|| of_it.clone()), &of_it, "a later event was tried");
        }
    }
    let tries = pipeline.hooks.counters().delivery.endpoints[0].refused.now();
    assert!(tries <= 10, "{tries} tries of a channel that is refused");
    is_healed.store(true, Ordering::SeqCst);
    let before = receiver.requests().len();
    until("the events of the channel", || {
        numbers(&receiver.requests()[before..]).get("private-room3").is_some_and(|it| it.len() == 20)
    });
    pipeline.stop(PATIENCE);
    assert_in_order(&receiver.requests()[before..], 1, 20);
}

#[test]
fn an_endpoint_that_is_gone_for_long_gets_dead_letters_for_all_and_holds_nothing_back() {
    let (scratch, apps) = (Scratch::new(), apps());
    let (_port, address) = closed_port();
    let endpoint = webhook("gone", &apps, format!("http://{address}/"));
    let pipeline = Pipeline::start(&scratch, apps, vec![endpoint], |settings| {
        settings.delivery.give_up_after = Duration::from_millis(500);
    });
    for number in 0..5_000 {
        pipeline.offer(&format!("private-{}", number % 50), number);
    }
    let letters = DeadLetters::open(&scratch.path().join("data")).unwrap();
    until("all letters", || letters.counts(&Selection::All).unwrap() == (5_000, 0));
    until("the journal's end", || pipeline.hooks.counters().journal.rows.now() == 0);
    pipeline.stop(PATIENCE);
}
