//! What an operator sees of a shard, from outside: a shard with clients, and what the API core is told.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use protocol::app::{App, Apps};
use protocol::close::Close;
use protocol::json::EventData;
use protocol::server_event::encode_event;
use protocol::socket_id::SocketId;
use protocol::ws::Frame;

use crate::cores::CoreId;
use crate::limits::{Limits, SLOW_SHOWN_MAX, SLOW_WALKS_MAX, TAILED_PER_SECOND_MAX, WATCHES_MAX};
use crate::machine::{Door, Effect, Inputs, Machine, Mesh, Now, Socket, Token};
use crate::mesh::{Ask, Event, Found, Leaf, Origin, Publish, Query, Root};
use crate::shard::ending::drain::DrainPlan;
use crate::shard::{Shard, ShardConfig};
use crate::topic::{Topic, TopicHash, TopicKey};
use crate::watching::{MessageKind, Seen, Side, Sight};

#[derive(Default)]
struct Sockets {
    ready: VecDeque<(Token, Vec<u8>)>,
    read: Vec<u8>,
}

impl Inputs for Sockets {
    fn next_leaves(&mut self) -> Option<(CoreId, Vec<Leaf>)> {
        None
    }

    fn next_roots(&mut self) -> Option<(CoreId, Vec<Root>)> {
        None
    }

    fn release_leaves(&mut self, _: CoreId) {}

    fn release_roots(&mut self, _: CoreId) {}

    fn next_socket(&mut self) -> Option<Socket<'_>> {
        let (token, bytes) = self.ready.pop_front()?;
        self.read = bytes;
        Some(if self.read.is_empty() { Socket::Hangup(token) } else { Socket::Bytes(token, &mut self.read) })
    }

    fn pause(&mut self, _: Token) {}
}

/// What the API core is told.
#[derive(Default)]
struct Told {
    leaves: VecDeque<Leaf>,
    is_busy: bool,
}

impl Mesh for Told {
    fn may_send_roots(&self, _: CoreId) -> bool {
        true
    }

    fn may_send_leaves(&self, _: CoreId) -> bool {
        !self.is_busy
    }

    fn send_roots(&mut self, _: CoreId, _: Vec<Root>) {}

    fn send_leaves(&mut self, to: CoreId, batch: Vec<Leaf>) {
        assert_eq!(to, CoreId::Api);
        self.leaves.extend(batch);
    }
}

struct Rig {
    shard: Shard,
    app: Arc<App>,
    topics: TopicHash,
    sockets: Sockets,
    told: Told,
    now: Now,
    clients: u32,
    /// Connections whose kernel takes so many bytes and no more.
    takes: Vec<(Token, usize)>,
    written: Vec<(Token, Vec<u8>)>,
    closed: Vec<(Token, Vec<u8>)>,
}

fn text(text: &str) -> Vec<u8> {
    assert!(text.len() < 126, "short messages only");
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

impl Rig {
    fn new() -> Self {
        // Nobody is told how many are subscribed.
        let mut app = App::new("1", "a", "s");
        app.subscription_count_events = false;
        let apps = Arc::new(Apps::new(vec![app]).unwrap());
        let app = Arc::clone(apps.by_id("1").unwrap());
        let topics = TopicHash::new(7, 1);
        let limits = Limits { walk_looks_max: 4, ..Limits::default() };
        let shard = Shard::new(ShardConfig {
            number: 0,
            node: 0,
            apps,
            path_prefix: Default::default(),
            trusted_proxies: Default::default(),
            address_caps: Default::default(),
            topics: topics.clone(),
            limits,
            hook_grace_ms: 0,
            witness: None,
            drain: DrainPlan::default(),
            random: Box::new(|| 5),
        });
        let now = Now::at(10_000, 1_000_000);
        Self {
            shard,
            app,
            topics,
            sockets: Sockets::default(),
            told: Told::default(),
            now,
            clients: 0,
            takes: Vec::new(),
            written: Vec::new(),
            closed: Vec::new(),
        }
    }

    fn turn(&mut self) {
        self.shard.decide(&mut self.sockets, self.now);
        self.shard.seal();
        self.shard.send_batches(&mut self.told);
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Close { token, last } => self.closed.push((token, last.to_vec())),
                Effect::Introduce(introduction) => self.shard.handle_introduced(*introduction),
                _ => {}
            }
        }
        while let Some(token) = self.shard.poll_dirty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let filled = self.shard.outbox(token, &mut slices);
            let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            let takes =
                self.takes.iter().find(|(of, _)| *of == token).map_or(bytes.len(), |(_, takes)| *takes);
            let takes = takes.min(bytes.len());
            if takes > 0 {
                self.written.push((token, bytes[..takes].to_vec()));
            }
            if self.shard.handle_written(token, takes, self.now) {
                self.shard.handle_blocked(token, self.now);
            }
        }
    }

    fn connect(&mut self) -> (Token, SocketId) {
        let token = Token { slot: self.clients, generation: 1 };
        self.clients += 1;
        self.open(token);
        let socket_id = self.shard.fanout.socket_id(token).unwrap();
        (token, socket_id)
    }

    fn open(&mut self, token: Token) {
        self.shard.handle_open(token, Door::Public, false, self.now);
        let head = "GET /app/a?protocol=7 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        self.say(token, head.as_bytes().to_vec());
    }

    fn say(&mut self, token: Token, bytes: Vec<u8>) {
        self.sockets.ready.push_back((token, bytes));
        self.turn();
    }

    fn subscribe(&mut self, token: Token, channel: &str) {
        self.say(token, text(&format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"}}}}"#)));
    }

    fn topic(&self, name: &str) -> Arc<Topic> {
        self.topics.topic(&self.app, TopicKey::of(name))
    }

    fn publish(&mut self, channel: &str, data: &str) {
        let mut bytes = Vec::new();
        encode_event(&mut bytes, "e", channel, &EventData::of_text(data), None);
        let (topic, frame) = (self.topic(channel), Frame::from(bytes));
        let event = Event { topic, frame, except: None, origin: Origin::BackEnd, received: None };
        self.shard.handle_root(CoreId::Api, Root::Publish(Box::new(Publish { event, hook: None })));
    }

    fn ask(&mut self, ask: Ask) {
        self.shard.handle_root(CoreId::Api, Root::Query(Box::new(Query { id: 1, ask })));
    }

    /// The answer to a question, some turns later. What was seen meanwhile is lost.
    fn found(&mut self, ask: Ask) -> Found {
        self.ask(ask);
        for _ in 0..100 {
            self.turn();
            let is_answer = |leaf: &Leaf| matches!(leaf, Leaf::Answer(_));
            if let Some(at) = self.told.leaves.iter().position(is_answer) {
                let Some(Leaf::Answer(answer)) = self.told.leaves.remove(at) else { unreachable!() };
                return answer.found;
            }
        }
        panic!("no answer");
    }

    fn tail(&mut self, channel: &str, watch: u64, for_ms: u64) -> Found {
        let topic = self.topic(channel);
        self.found(Ask::Tail { topic, watch, for_ms })
    }

    fn trace(&mut self, socket_id: SocketId, watch: u64, for_ms: u64) -> Found {
        self.found(Ask::Trace { socket_id, watch, for_ms })
    }

    fn seen(&mut self) -> Vec<Seen> {
        self.turn();
        let leaves = std::mem::take(&mut self.told.leaves);
        let seen = |leaf| match leaf {
            Leaf::Seen(seen) => *seen,
            other => panic!("{other:?}"),
        };
        leaves.into_iter().map(seen).collect()
    }

    /// What was seen of a channel: what was left out before, and the data.
    fn seen_data(&mut self) -> Vec<(u64, String)> {
        let data = |seen: Seen| {
            let Some(Sight::Event(excerpt)) = seen.sight else { return (seen.left_out, String::new()) };
            let event = String::from_utf8_lossy(&excerpt.start).into_owned();
            let data = event.split("\"data\":\"").nth(1).unwrap().trim_end_matches("\"}").to_owned();
            (seen.left_out, data)
        };
        self.seen().into_iter().map(data).collect()
    }

    fn seen_messages(&mut self) -> Vec<(Side, MessageKind, String)> {
        let message = |seen: Seen| match seen.sight {
            Some(Sight::Message { from, kind, excerpt }) => {
                Some((from, kind, String::from_utf8_lossy(&excerpt.start).into_owned()))
            }
            _ => None,
        };
        self.seen().into_iter().filter_map(message).collect()
    }
}

#[test]
fn a_tail_tells_what_is_sent_to_its_topic_in_order_and_of_no_other() {
    let mut rig = Rig::new();
    assert!(matches!(rig.tail("a", 9, 60_000), Found::Done(true)));
    for number in 0..3 {
        rig.publish("a", &number.to_string());
        rig.publish("b", "another channel's");
    }
    let seen: Vec<_> = rig.seen_data();
    assert_eq!(seen, [(0, "0".into()), (0, "1".into()), (0, "2".into())]);
    assert!(matches!(rig.tail("a", 9, 0), Found::Done(true)), "it is ended");
    rig.publish("a", "3");
    assert!(rig.seen().is_empty() && rig.shard.open_watches() == 0);
    assert!(matches!(rig.tail("a", 9, 0), Found::Done(false)), "there is none");
}

#[test]
fn a_tail_ends_by_itself_unless_it_is_renewed() {
    let mut rig = Rig::new();
    rig.tail("a", 9, 1_000);
    rig.now.mono_ms += 900;
    rig.turn();
    rig.tail("a", 9, 1_000);
    rig.now.mono_ms += 900;
    rig.turn();
    rig.publish("a", "1");
    assert_eq!(rig.seen_data(), [(0, "1".into())]);
    assert_eq!(rig.shard.poll_deadline().map(|at| at <= rig.now.mono_ms + 100), Some(true));
    rig.now.mono_ms += 100;
    rig.turn();
    rig.publish("a", "2");
    assert!(rig.seen().is_empty() && rig.shard.open_watches() == 0);
}

#[test]
fn a_tail_tells_so_much_a_second_and_never_makes_its_channel_wait() {
    let mut rig = Rig::new();
    let (token, _) = rig.connect();
    rig.subscribe(token, "a");
    rig.tail("a", 9, 60_000);
    rig.written.clear();
    let (told, all) = (TAILED_PER_SECOND_MAX as usize, 1_000);
    for number in 0..all {
        rig.publish("a", &format!("{number}"));
    }
    rig.turn();
    let delivered: usize =
        rig.written.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).matches("\"data\"").count()).sum();
    assert_eq!((delivered, rig.shard.stats().watched_left_out), (all, (all - told) as u64));
    let seen = rig.seen_data();
    assert!(seen.len() == told && seen.iter().all(|(left_out, _)| *left_out == 0));
    rig.now.mono_ms += 1_000;
    assert_eq!(rig.seen_data(), [((all - told) as u64, String::new())], "silence is told, too");
    rig.told.is_busy = true;
    rig.now.mono_ms += 1_000;
    for _ in 0..100 {
        rig.now.mono_ms += 1_000;
        rig.turn();
        (0..30).for_each(|_| rig.publish("a", &"x".repeat(10_000)));
    }
    assert!(!rig.shard.home.is_backed_up() && rig.told.leaves.is_empty(), "its watcher keeps nobody waiting");
    rig.told.is_busy = false;
    let told = rig.seen().len();
    assert!(told < 100 * TAILED_PER_SECOND_MAX as usize, "{told} found room");
}

#[test]
fn there_are_so_many_tails_and_traces_and_another_one_is_refused() {
    let mut rig = Rig::new();
    let (_, socket_id) = rig.connect();
    for name in 0..WATCHES_MAX as u64 {
        assert!(matches!(rig.tail("a", name, 60_000), Found::Done(true)));
        assert!(matches!(rig.trace(socket_id, name, 60_000), Found::Done(true)));
    }
    assert!(matches!(rig.tail("a", 99, 60_000), Found::Busy));
    assert!(matches!(rig.trace(socket_id, 99, 60_000), Found::Busy));
    assert_eq!(rig.shard.stats().watches_refused, 2);
}

#[test]
fn a_trace_has_the_messages_of_both_sides_of_its_connection_and_of_no_other() {
    let mut rig = Rig::new();
    let (token, socket_id) = rig.connect();
    let (other, _) = rig.connect();
    rig.turn();
    assert!(matches!(rig.trace(socket_id, 3, 60_000), Found::Done(true)));
    rig.subscribe(other, "a");
    rig.subscribe(token, "a");
    rig.publish("a", "hello");
    rig.turn();
    rig.say(token, vec![0x89, 0x81, 0, 0, 0, 0, b'p']);
    let seen = rig.seen_messages();
    let sides: Vec<_> = seen.iter().map(|(from, kind, _)| (*from, *kind)).collect();
    let expected = [
        (Side::Client, MessageKind::Text),
        (Side::Server, MessageKind::Text),
        (Side::Server, MessageKind::Text),
        (Side::Client, MessageKind::Ping),
        (Side::Server, MessageKind::Pong),
    ];
    assert_eq!(sides, expected, "{seen:?}");
    assert!(seen[0].2.contains("pusher:subscribe") && seen[1].2.contains("subscription_succeeded"));
    assert!(seen[2].2.contains("hello"));
}

#[test]
fn a_trace_ends_with_its_connection_whoever_has_its_slot_next() {
    let mut rig = Rig::new();
    let (token, socket_id) = rig.connect();
    rig.turn();
    rig.trace(socket_id, 3, 60_000);
    rig.sockets.ready.push_back((token, Vec::new()));
    let last = rig.seen().pop().unwrap();
    assert_eq!((last.watch, last.sight), (3, Some(Sight::Gone(1006))));
    assert_eq!(rig.shard.open_watches(), 0);
    let next = Token { generation: 2, ..token };
    rig.open(next);
    rig.subscribe(next, "a");
    assert!(rig.seen().is_empty());
    assert!(matches!(rig.trace(SocketId { second: 1 << 40, ..socket_id }, 4, 60_000), Found::Done(false)));
}

#[test]
fn a_trace_that_begins_within_a_frame_passes_over_its_rest() {
    let mut rig = Rig::new();
    let (token, socket_id) = rig.connect();
    rig.turn();
    rig.subscribe(token, "a");
    rig.takes.push((token, 30));
    rig.publish("a", &"x".repeat(1_000));
    rig.turn();
    rig.trace(socket_id, 3, 60_000);
    rig.takes.clear();
    rig.publish("a", "second");
    rig.turn();
    rig.shard.handle_writable(token);
    rig.turn();
    let seen = rig.seen_messages();
    assert!(seen.len() == 1 && seen[0].2.contains("second"), "{seen:?}");
}

#[test]
fn the_slowest_are_named_the_worst_first_with_how_long_they_have_waited() {
    let mut rig = Rig::new();
    let count = SLOW_SHOWN_MAX + 10;
    let clients: Vec<_> = (0..count).map(|_| rig.connect()).collect();
    rig.turn();
    for (number, (token, _)) in clients.iter().enumerate() {
        rig.subscribe(*token, &format!("c{number}"));
        if number % 2 == 0 {
            rig.takes.push((*token, 0));
        }
    }
    let Found::Slowest(nobody) = rig.found(Ask::Slowest) else { panic!() };
    assert!(nobody.is_empty());
    for number in 0..count {
        rig.publish(&format!("c{number}"), &"x".repeat(100 * (number + 1)));
    }
    rig.turn();
    rig.now.mono_ms += 5_000;
    // One that is tried again, and takes a little, still waits.
    let last = clients[count - 2].0;
    rig.takes.retain(|(token, _)| *token != last);
    rig.takes.push((last, 1));
    rig.shard.handle_writable(last);
    rig.turn();
    let Found::Slowest(slowest) = rig.found(Ask::Slowest) else { panic!() };
    let ids: Vec<_> = slowest.iter().map(|view| view.socket_id).collect();
    let expected: Vec<_> = clients.iter().step_by(2).rev().map(|(_, socket_id)| *socket_id).collect();
    assert_eq!(ids, expected);
    assert!(slowest.iter().all(|view| view.waiting_ms == 5_000 && view.waiting_bytes > 100));
    // Who has got all waits no more.
    rig.takes.clear();
    clients.iter().for_each(|(token, _)| rig.shard.handle_writable(*token));
    rig.turn();
    let Found::Connection(Some(view)) = rig.found(Ask::Connection { socket_id: clients[0].1 }) else {
        panic!()
    };
    assert_eq!((view.waiting_bytes, view.waiting_ms), (0, 0));
}

#[test]
fn questions_for_the_slowest_stand_in_line_up_to_a_bound() {
    let mut rig = Rig::new();
    (0..=SLOW_WALKS_MAX).for_each(|_| rig.ask(Ask::Slowest));
    rig.turn();
    rig.turn();
    let answers = std::mem::take(&mut rig.told.leaves);
    let busy = answers.iter().filter(|it| matches!(it, Leaf::Answer(it) if matches!(it.found, Found::Busy)));
    assert_eq!((busy.count(), answers.len()), (1, SLOW_WALKS_MAX + 1));
}

#[test]
fn one_connection_is_shown_with_its_channels_and_goes_at_the_operators_word() {
    let mut rig = Rig::new();
    let (token, socket_id) = rig.connect();
    rig.subscribe(token, "a");
    rig.subscribe(token, "b");
    let Found::Connection(Some(view)) = rig.found(Ask::Connection { socket_id }) else { panic!() };
    assert_eq!((view.socket_id, view.subscriptions, &*view.app.id), (socket_id, 2, "1"));
    assert_eq!(view.channels, ["a".into(), "b".into()]);
    let close = Close::OPERATOR;
    assert!(matches!(rig.found(Ask::Disconnect { socket_id, close }), Found::Done(true)));
    let (gone, last) = rig.closed.pop().unwrap();
    assert!(gone == token && String::from_utf8_lossy(&last).contains(close.reason));
    assert!(matches!(rig.found(Ask::Disconnect { socket_id, close }), Found::Done(false)));
    assert!(matches!(rig.found(Ask::Connection { socket_id }), Found::Connection(None)));
}
