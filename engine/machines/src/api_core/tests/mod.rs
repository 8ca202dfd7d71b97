//! The API core between a fake driver and fake shards. The rig performs effects, writes outboxes and remembers what
//! went where; the tests say which links are open, which peers read, and what shards answer.

mod cluster;
mod connections;
mod console;
mod gates;
mod http;
mod judgement;
mod proxies;
mod questions;
mod rates;
mod schedules;
mod terminate;
mod unknown_apps;

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::io::IoSlice;
use std::sync::Arc;

use protocol::app::{App, AppQuestion, Apps};
use protocol::auth::sign_request;
use protocol::hook_kind::{HookKind, HookKinds};
use protocol::http::TrustedProxies;

use super::{ApiConfig, ApiCore, Health, MetricsConfig};
use crate::cluster::servers::Servers;
use crate::cores::CoreId;
use crate::limits::Limits;
use crate::machine::{Door, Effect, Inputs, Machine, Mesh, Now, Socket, Token};
use crate::mesh::{Answer, Ask, Found, Leaf, Query, Root};
use crate::topic::{TopicHash, TopicKey};
use crate::turn::{self, turn};

const SHARDS: usize = 3;
const NONE: [u16; 0] = [];
const UNIX_S: u64 = 1_700_000_000;
/// A batch is full with so many messages.
const BATCH_MAX: usize = 4;

enum Read {
    Bytes(Token, Vec<u8>),
    Hangup(Token),
}

#[derive(Default)]
struct FakeInputs {
    sockets: VecDeque<Read>,
    leaves: VecDeque<(CoreId, Vec<Leaf>)>,
    released: Vec<CoreId>,
    paused: HashSet<Token>,
    scratch: Vec<u8>,
}

impl Inputs for FakeInputs {
    fn next_leaves(&mut self) -> Option<(CoreId, Vec<Leaf>)> {
        self.leaves.pop_front()
    }

    fn next_roots(&mut self) -> Option<(CoreId, Vec<Root>)> {
        None
    }

    fn release_leaves(&mut self, from: CoreId) {
        self.released.push(from);
    }

    fn release_roots(&mut self, _from: CoreId) {}

    fn next_socket(&mut self) -> Option<Socket<'_>> {
        let is_read = |read: &Read| match read {
            Read::Bytes(token, _) | Read::Hangup(token) => !self.paused.contains(token),
        };
        let at = self.sockets.iter().position(is_read)?;
        match self.sockets.remove(at)? {
            Read::Bytes(token, bytes) => {
                self.scratch = bytes;
                Some(Socket::Bytes(token, &mut self.scratch))
            }
            Read::Hangup(token) => Some(Socket::Hangup(token)),
        }
    }

    fn pause(&mut self, token: Token) {
        self.paused.insert(token);
    }
}

struct FakeMesh {
    open: [bool; SHARDS],
    sent: [Vec<Root>; SHARDS],
}

impl Mesh for FakeMesh {
    fn may_send_roots(&self, to: CoreId) -> bool {
        self.open[shard(to)]
    }

    fn may_send_leaves(&self, _to: CoreId) -> bool {
        true
    }

    fn send_roots(&mut self, to: CoreId, batch: Vec<Root>) {
        assert!(self.open[shard(to)] && !batch.is_empty());
        self.sent[shard(to)].extend(batch);
    }

    fn send_leaves(&mut self, _to: CoreId, _batch: Vec<Leaf>) {
        panic!("the API core has no leaves");
    }
}

/// The number of a shard.
fn shard(core: CoreId) -> usize {
    let CoreId::Shard(number) = core else { panic!("{core:?} is no shard") };
    usize::from(number)
}

struct Rig {
    core: ApiCore,
    inputs: FakeInputs,
    mesh: FakeMesh,
    now: Now,
    app: Arc<App>,
    topics: TopicHash,
    /// What each peer has got.
    got: HashMap<Token, Vec<u8>>,
    closed: HashSet<Token>,
    /// Those of them that were reset.
    reset: HashSet<Token>,
    /// Peers that read nothing.
    deaf: HashSet<Token>,
    handed_over: Vec<(Token, CoreId, Vec<u8>)>,
    /// What it has told of clients behind proxies.
    clients: Vec<(Token, String)>,
    /// The apps that it has asked for.
    asked: Vec<AppQuestion>,
    /// The driver's slots: generation, and whether it is in use.
    slots: Vec<(u32, bool)>,
    /// Connections that have gone, and whose slots are not free yet.
    gone: HashSet<Token>,
}

impl Rig {
    fn new() -> Self {
        Self::of(App::new("1", "key", "secret"))
    }

    fn of(mut app: App) -> Self {
        app.hooks = HookKinds::NONE.with(HookKind::ServerEvent);
        let apps = Arc::new(Apps::new(vec![app]).unwrap());
        let app = Arc::clone(apps.by_id("1").unwrap());
        let topics = TopicHash::new(7, SHARDS);
        let core = ApiCore::new(ApiConfig {
            topics: topics.clone(),
            apps,
            path_prefix: Default::default(),
            trusted_proxies: TrustedProxies::parse_network("10.0.0.0/8").into_iter().collect(),
            limits: Limits { batch_messages_max: BATCH_MAX, ..Limits::default() },
            health: Box::new(|| Health { live: true, ready: true, draining: false, degraded: None }),
            usage: Box::new(|| (250, 1_000)),
            page: None,
            assets: true,
            sample_endpoints: true,
            admin_hosts: Box::new(["metrics.internal".into()]),
            console: None,
            metrics: MetricsConfig {
                prefix: "corecast_".into(),
                port: 6001,
                relay_violations: Box::new(|| 0),
                others: Box::new(|_, _| ()),
            },
        });
        Self {
            core,
            inputs: FakeInputs::default(),
            mesh: FakeMesh { open: [true; SHARDS], sent: Default::default() },
            now: Now::at(1_000, UNIX_S * 1_000),
            app,
            topics,
            got: HashMap::new(),
            closed: HashSet::new(),
            reset: HashSet::new(),
            deaf: HashSet::new(),
            handed_over: Vec::new(),
            clients: Vec::new(),
            asked: Vec::new(),
            slots: Vec::new(),
            gone: HashSet::new(),
        }
    }

    /// The core of a node of a cluster with two servers.
    fn in_cluster() -> Self {
        let rig = Self::new();
        Self { core: rig.core.in_cluster(Servers::new(&["a", "b"])), ..rig }
    }

    fn open(&mut self) -> Token {
        self.open_at(Door::Public)
    }

    fn open_at(&mut self, door: Door) -> Token {
        self.open_by(door, false)
    }

    fn open_by(&mut self, door: Door, secure: bool) -> Token {
        let slot = self.slots.iter().position(|(_, used)| !used).unwrap_or_else(|| {
            self.slots.push((0, false));
            self.slots.len() - 1
        });
        self.slots[slot] = (self.slots[slot].0 + 1, true);
        let token = Token { slot: slot as u32, generation: self.slots[slot].0 };
        self.core.handle_open(token, door, secure, self.now);
        token
    }

    fn send(&mut self, token: Token, bytes: impl Into<Vec<u8>>) {
        self.inputs.sockets.push_back(Read::Bytes(token, bytes.into()));
    }

    fn hang_up(&mut self, token: Token) {
        self.inputs.sockets.push_back(Read::Hangup(token));
    }

    /// One turn. Returns whether the core may not sleep after it.
    fn turn(&mut self) -> bool {
        let now = self.now;
        turn(self, now).unwrap_or_else(|never| match never {})
    }

    /// Turns until there is nothing to do.
    fn run(&mut self) {
        for _ in 0..10_000 {
            if !self.turn() {
                return;
            }
        }
        panic!("the core never rests");
    }

    fn run_after(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.run();
        self.run();
    }

    /// The peer reads again.
    fn listen(&mut self, token: Token) {
        self.deaf.remove(&token);
        self.core.handle_writable(token);
    }

    /// What a peer has got, as responses: status and body.
    fn responses(&mut self, token: Token) -> Vec<(u16, String)> {
        let bytes = self.got.remove(&token).unwrap_or_default();
        let mut text = std::str::from_utf8(&bytes).unwrap();
        let mut responses = Vec::new();
        while !text.is_empty() {
            let (head, rest) = text.split_once("\r\n\r\n").unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let (body, after) = rest.split_at(length.map_or(0, |length| length.parse().unwrap()));
            responses.push((status, body.to_owned()));
            text = after;
        }
        responses
    }

    fn statuses(&mut self, token: Token) -> Vec<u16> {
        self.responses(token).into_iter().map(|(status, _)| status).collect()
    }

    fn signed(&self, method: &str, path: &str, params: &[(&str, &str)], body: &str) -> String {
        let query = sign_request(&self.app, method, path, params, body.as_bytes(), UNIX_S);
        let length = body.len();
        format!("{method} {path}?{query} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    fn event(&self, channels: &[&str], data: &str, info: &str) -> String {
        let body = serde_json::json!({"name": "e", "channels": channels, "data": data, "info": info});
        self.signed("POST", "/apps/1/events", &[], &body.to_string())
    }

    /// A channel that lives at this shard.
    fn channel(&self, home: usize, prefix: &str) -> String {
        let names = (0..).map(|i| format!("{prefix}{i}"));
        names.into_iter().find(|name| self.home(name) == home).unwrap()
    }

    fn home(&self, channel: &str) -> usize {
        shard(self.topics.home(self.topics.of(&self.app, TopicKey::of(channel))))
    }

    /// Data of the events that a home was sent, in order.
    fn events_at(&self, home: usize) -> Vec<String> {
        let publishes = self.mesh.sent[home].iter().filter_map(|root| match root {
            Root::Publish(publish) => Some(publish),
            _ => None,
        });
        let data = publishes.map(|publish| {
            let event: serde_json::Value = serde_json::from_slice(publish.event.frame.payload()).unwrap();
            assert_eq!(event["channel"].as_str().unwrap(), &*publish.event.topic.name());
            event["data"].as_str().unwrap().to_owned()
        });
        data.collect()
    }

    /// The questions that a home was sent, which are then no longer with it.
    fn take_questions(&mut self, home: usize) -> Vec<Query> {
        let questions = self.mesh.sent[home].extract_if(.., |root| matches!(root, Root::Query(_)));
        let questions = questions.map(|root| match root {
            Root::Query(query) => *query,
            _ => unreachable!(),
        });
        questions.collect()
    }

    /// Home shards answer what they were asked.
    fn answer(&mut self, home: usize, found: impl Fn(&Ask) -> Found) {
        let questions = self.take_questions(home);
        let leaf = |query: &Query| Leaf::Answer(Box::new(Answer { id: query.id, found: found(&query.ask) }));
        let leaves: Vec<_> = questions.iter().map(leaf).collect();
        if !leaves.is_empty() {
            self.inputs.leaves.push_back((CoreId::Shard(home as u16), leaves));
        }
    }

    /// Publishes to this home until its open batch is full; its link is closed before that.
    fn fill(&mut self, home: usize) {
        self.mesh.open[home] = false;
        let (publisher, channel) = (self.open(), self.channel(home, "fill"));
        for _ in 0..BATCH_MAX {
            let request = self.event(&[&channel], "fill", "");
            self.send(publisher, request);
        }
        self.run();
        assert_eq!(self.statuses(publisher), [200; BATCH_MAX]);
    }

    fn reopen(&mut self, home: usize) {
        self.mesh.open[home] = true;
        self.run();
    }

    fn assert_nothing_is_left(&self) {
        assert!(self.core.calls.is_empty(), "calls are left");
        assert!(self.core.gates.is_empty(), "parts or their bytes are left");
        assert!(self.core.ready.is_empty() && self.core.effects.is_empty());
    }
}

impl turn::Core for Rig {
    type Machine = ApiCore;
    type Inputs<'a> = &'a mut FakeInputs;
    type Mesh<'a> = &'a mut FakeMesh;
    type Error = Infallible;

    fn inputs(&mut self) -> (&mut ApiCore, &mut FakeInputs) {
        (&mut self.core, &mut self.inputs)
    }

    fn mesh(&mut self) -> (&mut ApiCore, &mut FakeMesh) {
        (&mut self.core, &mut self.mesh)
    }

    fn clear_doorbell(&mut self) {}

    fn gather(&mut self, now: Now) -> Result<bool, Infallible> {
        let due = self.core.poll_deadline().is_some_and(|due| due <= now.mono_ms);
        if due {
            self.core.handle_deadline(now);
        }
        Ok(due)
    }

    fn tell_hooks(&mut self, _now: Now) -> Result<(), Infallible> {
        Ok(())
    }

    fn perform(&mut self, _now: Now) -> Result<bool, Infallible> {
        let mut any = false;
        while let Some(effect) = self.core.poll_effect() {
            any = true;
            if let Effect::Close { token, .. }
            | Effect::Drop { token, .. }
            | Effect::Reset(token)
            | Effect::HandOver { token, .. } = effect
            {
                self.gone.insert(token);
            }
            match effect {
                Effect::Close { token, last } => {
                    self.got.entry(token).or_default().extend(last.to_vec());
                    assert!(self.closed.insert(token), "closed once");
                    self.inputs.sockets.retain(
                        |read| !matches!(read, Read::Bytes(of, _) | Read::Hangup(of) if *of == token),
                    );
                }
                Effect::Resume(token) => {
                    assert!(self.inputs.paused.remove(&token), "only a paused socket resumes");
                }
                Effect::HandOver { token, to, bytes, refusal } => {
                    let refusal = std::str::from_utf8(refusal).unwrap();
                    let (head, body) = refusal.split_once("\r\n\r\n").unwrap();
                    assert!(head.starts_with("HTTP/1.1 503 "));
                    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{refusal}");
                    self.handed_over.push((token, to, bytes));
                }
                Effect::Drop { token, last } => {
                    assert!(last.is_empty(), "nobody has asked");
                    assert!(self.closed.insert(token), "closed once");
                }
                Effect::Client { token, address } => self.clients.push((token, address.unwrap().to_string())),
                Effect::AskForApp(question) => self.asked.push(question),
                Effect::Notice(_) | Effect::Introduce(_) => panic!("nobody reads notices"),
                Effect::Reset(token) => {
                    self.reset.insert(token);
                    assert!(self.closed.insert(token), "closed once");
                }
                Effect::Free(token) => {
                    assert!(self.gone.remove(&token), "only the slot of one that has gone is free");
                    self.slots[token.slot as usize].1 = false;
                }
            }
        }
        assert!(self.gone.is_empty(), "nothing is kept of {:?}", self.gone);
        Ok(any)
    }

    fn flush(&mut self, now: Now) -> Result<bool, Infallible> {
        let mut any = false;
        while let Some(token) = self.core.poll_dirty() {
            any = true;
            let mut slices = [IoSlice::new(&[])];
            if self.core.outbox(token, &mut slices) == 0 {
                continue;
            }
            if self.deaf.contains(&token) {
                self.core.handle_blocked(token, now);
                continue;
            }
            let bytes = slices[0].to_vec();
            let more = self.core.handle_written(token, bytes.len(), now);
            assert!(!more, "the whole outbox is one slice");
            self.got.entry(token).or_default().extend(bytes);
        }
        Ok(any)
    }

    fn finish(&mut self, _now: Now) -> Result<bool, Infallible> {
        Ok(false)
    }
}
