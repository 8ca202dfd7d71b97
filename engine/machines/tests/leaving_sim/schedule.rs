//! One schedule: nodes begin, some are killed, and some stop in order, together or one after another.

use std::collections::{BTreeMap, VecDeque};

use corecast_machines::cluster::answer::Value;
use corecast_machines::cluster::bus::Server;
use corecast_machines::cluster::call::Call;
use corecast_machines::cluster::epoch::Epoch;
use corecast_machines::cluster::nodes::{Change, Nodes};
use corecast_machines::cluster::session::effect::Effect;
use corecast_machines::cluster::session::{Session, SessionConfig};
use corecast_machines::limits::{ClusterLimits, Limits};
use corecast_machines::machine::Now;
use corecast_machines::topic::TopicHash;

use crate::rng::Rng;

const LEASE_MS: u64 = 10_000;
/// How long each way of a call takes at most.
const DELAY_MS_MAX: usize = 10;
/// From the word that a node stops to what its clients are told.
const GRACE_MS: u64 = 300;
/// Nodes that stop together hear so within such a time.
const TOGETHER_MS_MAX: usize = 20;
/// How long clients take to go.
const DRAIN_MS: u64 = 3_000;
/// How long nodes need to have seen each other's beats change.
const ACQUAINTED_MS: u64 = 12_000;

#[derive(Clone, Copy, Default)]
struct Registered {
    beat: u64,
    dead: bool,
    leaves: bool,
}

/// What is on its way: a call, or an answer.
enum Underway {
    Call(Call),
    Value(Value),
}

struct Node {
    session: Session,
    nodes: Nodes,
    connection: Option<u64>,
    underway: VecDeque<(u64, Underway)>,
    read_until_ms: Option<u64>,
    /// It stands where it was killed or has stopped.
    is_gone: bool,
    /// When it was told to stop.
    leaves_ms: Option<u64>,
    /// Whether its clients were sent to another node.
    sent_on: Option<bool>,
}

struct World {
    rng: Rng,
    now_ms: u64,
    registered: BTreeMap<Epoch, Registered>,
    nodes: Vec<Node>,
    changes: Vec<(usize, Change)>,
}

/// Runs a schedule. An error is what went wrong.
pub fn run(seed: u64) -> Result<(), String> {
    let mut world = World {
        rng: Rng(seed),
        now_ms: 0,
        registered: BTreeMap::new(),
        nodes: Vec::new(),
        changes: Vec::new(),
    };
    let nodes = world.rng.between(2, 4);
    (0..nodes).for_each(|_| world.begin());
    let ms = ACQUAINTED_MS + world.rng.below(3_000) as u64;
    world.pass(ms);
    match seed % 5 {
        0 => world.all_leave_together(),
        1 => world.one_leaves(),
        2 => world.one_after_another(),
        3 => world.others_were_killed(),
        _ => world.only_the_killed_were_there(),
    }
}

impl World {
    fn now(&self) -> Now {
        Now::at(self.now_ms, self.now_ms)
    }

    fn begin(&mut self) {
        let mut random = Rng(self.rng.next());
        let config = SessionConfig {
            server: Server(0),
            topics: TopicHash::new(1, 1),
            lease_ms: LEASE_MS,
            limits: ClusterLimits::default(),
            batches: Limits::default(),
            digest: "d".into(),
            random: Box::new(move || random.next()),
        };
        self.nodes.push(Node {
            session: Session::new(config, self.now()),
            nodes: Nodes::default(),
            connection: None,
            underway: VecDeque::new(),
            read_until_ms: None,
            is_gone: false,
            leaves_ms: None,
            sent_on: None,
        });
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now_ms += 1;
            (0..self.nodes.len()).for_each(|at| self.turn(at));
        }
    }

    fn turn(&mut self, at: usize) {
        let (now, is_drained) = (self.now(), |since_ms| self.now_ms >= since_ms + GRACE_MS);
        let node = &mut self.nodes[at];
        if node.is_gone {
            return;
        }
        if node.leaves_ms.is_some_and(is_drained) && node.sent_on.is_none() {
            node.sent_on = Some(node.nodes.any_stays());
        }
        if node.leaves_ms.is_some_and(|since_ms| self.now_ms >= since_ms + GRACE_MS + DRAIN_MS) {
            return self.end(at);
        }
        self.hear(at);
        let node = &mut self.nodes[at];
        if node.session.poll_deadline().is_some_and(|due_ms| due_ms <= now.mono_ms) {
            node.session.handle_deadline(now);
        }
        self.act(at);
        let node = &mut self.nodes[at];
        let epoch = node.session.reading().epoch;
        let changes = node.nodes.see(epoch, node.session.shown());
        self.changes.extend(changes.into_iter().map(|change| (at, change)));
    }

    /// Its last words are heard at once.
    fn end(&mut self, at: usize) {
        self.nodes[at].is_gone = true;
        if let Some(epoch) = self.nodes[at].session.reading().epoch {
            self.registered.remove(&epoch);
        }
    }

    /// What has arrived, at the server or here.
    fn hear(&mut self, at: usize) {
        let now = self.now();
        while self.nodes[at].underway.front().is_some_and(|(due_ms, _)| *due_ms <= self.now_ms) {
            let (_, arrived) = self.nodes[at].underway.pop_front().expect("it was looked at");
            match arrived {
                Underway::Call(call) => {
                    let value = self.call(&call);
                    self.send(at, Underway::Value(value));
                }
                Underway::Value(value) => {
                    let node = &mut self.nodes[at];
                    node.session.handle_value(node.connection.expect("it asks on one"), value, now);
                }
            }
        }
        let node = &mut self.nodes[at];
        if let Some(number) = node.connection
            && node.read_until_ms.take_if(|until_ms| *until_ms <= now.mono_ms).is_some()
        {
            node.session.handle_entries(number, Vec::new(), now);
        }
    }

    fn act(&mut self, at: usize) {
        let now = self.now();
        while let Some(effect) = self.nodes[at].session.poll_effect(now) {
            let node = &mut self.nodes[at];
            match effect {
                Effect::Connect(number) => {
                    node.connection = Some(number);
                    node.session.handle_connected(number, now);
                }
                Effect::Close(_) => {
                    (node.connection, node.read_until_ms) = (None, None);
                    node.underway.clear();
                }
                Effect::Call(call) => self.send(at, Underway::Call(call)),
                Effect::Read { block_ms, .. } => node.read_until_ms = Some(now.mono_ms + block_ms),
                Effect::Elsewhere(_) => {}
            }
        }
    }

    /// In order: nothing comes before what was sent before it.
    fn send(&mut self, at: usize, what: Underway) {
        let is_slow = self.rng.chance(50);
        let due_ms = self.now_ms + if is_slow { self.rng.between(1, DELAY_MS_MAX) as u64 } else { 1 };
        self.nodes[at].underway.push_back((due_ms, what));
    }

    /// Carries out a script.
    fn call(&mut self, call: &Call) -> Value {
        let fenced = || Value::Bytes(b"FENCED".to_vec());
        match call {
            Call::Register { epoch, .. } => {
                self.registered.insert(*epoch, Registered::default());
                Value::Array(vec![Value::Bytes(b"one".to_vec()), Value::Number(self.now_ms as i64)])
            }
            Call::Beat { epoch, leaves, .. } => {
                let Some(it) = self.registered.get_mut(epoch).filter(|it| !it.dead) else { return fenced() };
                it.beat += 1;
                it.leaves |= *leaves;
                let all = self.registered.iter().flat_map(|(epoch, it)| {
                    let standing = if it.dead { 1 } else { 2 * i64::from(it.leaves) };
                    [
                        Value::Bytes(epoch.to_string().into()),
                        Value::Number(it.beat as i64),
                        Value::Number(standing),
                    ]
                });
                let heads = [Value::Number(self.now_ms as i64), Value::Number(0)];
                Value::Array([&heads[..], &[Value::Array(all.collect()), Value::Array(Vec::new())]].concat())
            }
            Call::Kill { epoch, beat } => {
                let named = self.registered.get_mut(epoch).filter(|it| it.beat == *beat && !it.dead);
                Value::Number(i64::from(named.map(|it| it.dead = true).is_some()))
            }
            Call::Sweep { epoch, .. } => {
                if self.registered.get(epoch).is_some_and(|it| it.dead) {
                    self.registered.remove(epoch);
                }
                Value::Number(0)
            }
            _ => Value::Number(0),
        }
    }

    fn stop(&mut self, at: usize) {
        let now = self.now();
        self.nodes[at].leaves_ms = Some(self.now_ms);
        self.nodes[at].session.handle_leaving(now);
        self.act(at);
    }

    fn expect(&self, at: usize, sent_on: bool) -> Result<(), String> {
        match self.nodes[at].sent_on {
            Some(was) if was == sent_on => Ok(()),
            was => Err(format!("clients of n{at} are sent on: {was:?}, and should be: {sent_on}")),
        }
    }

    /// Nobody was taken for dead who was not killed.
    fn expect_no_deaths(&self) -> Result<(), String> {
        let dead = self.changes.iter().find(|(_, change)| matches!(change, Change::Dead(_)));
        let lost = self.nodes.iter().position(|it| it.session.reading().stats.begun != 1);
        match (dead, lost) {
            (None, None) => Ok(()),
            wrong => Err(format!("taken for dead: {wrong:?}")),
        }
    }

    // What schedules are made of.

    fn all_leave_together(&mut self) -> Result<(), String> {
        let begin_ms = self.now_ms;
        for at in 0..self.nodes.len() {
            let left_ms = TOGETHER_MS_MAX as u64 - (self.now_ms - begin_ms);
            let ms = self.rng.below(left_ms as usize / 2 + 1) as u64;
            self.pass(ms);
            self.stop(at);
        }
        self.pass(GRACE_MS + DRAIN_MS);
        (0..self.nodes.len()).try_for_each(|at| self.expect(at, false))?;
        self.expect_no_deaths()
    }

    fn one_leaves(&mut self) -> Result<(), String> {
        self.stop(0);
        let epoch = self.nodes[0].session.reading().epoch.ok_or("n0 has no session")?;
        self.pass(GRACE_MS + DRAIN_MS + LEASE_MS);
        self.expect(0, true)?;
        let left = |at| self.changes.contains(&(at, Change::Left(epoch)));
        match (1..self.nodes.len()).find(|at| !left(*at)) {
            Some(at) => Err(format!("n{at} has not seen n0 leave")),
            None => self.expect_no_deaths(),
        }
    }

    fn one_after_another(&mut self) -> Result<(), String> {
        for at in 0..self.nodes.len() {
            self.stop(at);
            let ms = self.rng.between(1_000, 5_000) as u64;
            self.pass(ms);
        }
        let last = self.nodes.len() - 1;
        (0..=last).try_for_each(|at| self.expect(at, at < last))?;
        self.expect_no_deaths()
    }

    /// Before the rest of the nodes have swept them.
    fn others_were_killed(&mut self) -> Result<(), String> {
        (1..self.nodes.len()).for_each(|at| self.nodes[at].is_gone = true);
        let ms = self.rng.between(8_000, 20_000) as u64;
        self.pass(ms);
        self.stop(0);
        self.pass(GRACE_MS + DRAIN_MS);
        self.expect(0, false)
    }

    /// A node that comes when all others were killed does not take what they have left for somebody.
    fn only_the_killed_were_there(&mut self) -> Result<(), String> {
        self.nodes.iter_mut().for_each(|it| it.is_gone = true);
        let at = self.nodes.len();
        self.begin();
        let ms = self.rng.between(200, 4_000) as u64;
        self.pass(ms);
        self.stop(at);
        self.pass(GRACE_MS + DRAIN_MS);
        self.expect(at, false)
    }
}
