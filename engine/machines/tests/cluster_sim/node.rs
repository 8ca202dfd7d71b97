//! A node: real shards and a real session, with queues between them, and a connection to the modelled server.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::IoSlice;
use std::sync::Arc;

use corecast_machines::cluster::bus::{FromBus, Server, ToBus};
use corecast_machines::cluster::servers::Servers;
use corecast_machines::cluster::session::{Session, SessionConfig};
use corecast_machines::cores::{CoreId, Cores};
use corecast_machines::limits::{ClusterLimits, Limits};
use corecast_machines::machine::{Effect, Inputs, Machine, Mesh, Now, Socket, Token};
use corecast_machines::mesh::{Answer, Leaf, Root};
use corecast_machines::shard::ending::drain::DrainPlan;
use corecast_machines::shard::{Shard, ShardConfig};
use corecast_machines::topic::TopicHash;
use corecast_machines::turn::{Core, turn};
use protocol::app::Apps;

use crate::client::Client;
use crate::mesh::{Lane, Port};
use crate::rng::Rng;

/// Batches in flight each way between a home and the bus.
const IN_FLIGHT_MAX: usize = 2;

/// A process.
pub struct Node {
    pub up: bool,
    pub paused: bool,
    pub parted: bool,
    /// Which process this is.
    pub process: u64,
    pub shards: Vec<Shard>,
    pub roots: Lane<Root>,
    pub leaves: Lane<Leaf>,
    pub bus: BusLane,
    pub session: Session,
    pub topics: TopicHash,
    /// The connection of now, by its number in the session and its place in the world.
    pub connection: Option<(u64, usize)>,
}

/// The queues between homes and the bus, by shard.
#[derive(Default)]
pub struct BusLane {
    pub to_bus: Vec<VecDeque<Vec<ToBus>>>,
    pub from_bus: Vec<VecDeque<Vec<FromBus>>>,
    /// Batches that a shard has begun to use up.
    pub in_use: Vec<usize>,
}

impl BusLane {
    pub fn may_send(&self, shard: usize) -> bool {
        self.from_bus[shard].len() + self.in_use[shard] < IN_FLIGHT_MAX
    }

    pub fn is_empty(&self) -> bool {
        self.to_bus.iter().all(VecDeque::is_empty)
            && self.from_bus.iter().all(VecDeque::is_empty)
            && self.in_use.iter().all(|count| *count == 0)
    }
}

/// How nodes are made.
#[derive(Clone)]
pub struct Plan {
    pub apps: Arc<Apps>,
    pub shards: usize,
    pub limits: Limits,
    pub cluster: ClusterLimits,
}

impl Node {
    pub fn new(plan: &Plan, number: u16, process: u64, rng: &mut Rng, now: Now) -> Self {
        let topics = TopicHash::new(rng.next(), plan.shards);
        let cores = Cores::new(plan.shards);
        let shard = |shard| {
            let mut random = Rng(process * 1000 + u64::from(shard));
            let config = ShardConfig {
                number: shard,
                node: number,
                apps: Arc::clone(&plan.apps),
                path_prefix: Default::default(),
                address_caps: Default::default(),
                trusted_proxies: Default::default(),
                topics: topics.clone(),
                limits: plan.limits.clone(),
                hook_grace_ms: 0,
                witness: None,
                drain: DrainPlan::default(),
                random: Box::new(move || random.next()),
            };
            Shard::new(config).in_cluster(Servers::new(&["redis://one"]))
        };
        let mut random = Rng(rng.next());
        let session = Session::new(
            SessionConfig {
                server: Server(0),
                topics: topics.clone(),
                lease_ms: 10_000,
                limits: plan.cluster.clone(),
                batches: plan.limits.clone(),
                digest: "d".into(),
                random: Box::new(move || random.next()),
            },
            now,
        );
        let shards = plan.shards;
        Self {
            up: true,
            paused: false,
            parted: false,
            process,
            shards: (0..shards as u16).map(shard).collect(),
            roots: Lane::new(cores),
            leaves: Lane::new(cores),
            bus: BusLane {
                to_bus: (0..shards).map(|_| VecDeque::new()).collect(),
                from_bus: (0..shards).map(|_| VecDeque::new()).collect(),
                in_use: vec![0; shards],
            },
            session,
            topics,
            connection: None,
        }
    }

    /// A root of the API core, if there is room on its way.
    pub fn send_root(&mut self, home: CoreId, root: Root) -> bool {
        let free = self.roots.may_send(CoreId::Api, home);
        if free {
            self.roots.send(CoreId::Api, home, vec![root]);
        }
        free
    }

    /// Answers to the API core.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        while self.leaves.arrive(CoreId::Api) {}
        let mut answers = Vec::new();
        while let Some((from, batch)) = self.leaves.next(CoreId::Api) {
            self.leaves.release(from, CoreId::Api);
            answers.extend(batch.into_iter().map(|leaf| match leaf {
                Leaf::Answer(answer) => *answer,
                other => panic!("the API core is told {other:?}"),
            }));
        }
        answers
    }

    pub fn may_publish(&self, home: CoreId) -> bool {
        self.roots.may_send(CoreId::Api, home)
    }

    /// One turn of a shard. Returns whether there was anything to do.
    pub fn turn_shard(&mut self, shard: usize, clients: &mut [&mut Client], now: Now) -> bool {
        let cores = Cores::new(self.shards.len());
        for core in cores.all() {
            while self.roots.arrive(core) {}
            while self.leaves.arrive(core) {}
        }
        let me = CoreId::Shard(shard as u16);
        let machine = &mut self.shards[shard];
        let around = Around { me, roots: &mut self.roots, leaves: &mut self.leaves, bus: &mut self.bus };
        let mut turning = Turning { machine, around, clients, next: 0, scratch: Vec::new() };
        match turn(&mut turning, now) {
            Ok(any) => any,
        }
    }

    /// Nothing is on its way within the node.
    pub fn is_idle(&self) -> bool {
        self.bus.is_empty() && self.roots.is_empty() && self.leaves.is_empty()
    }
}

/// What is around a shard.
struct Around<'a> {
    me: CoreId,
    roots: &'a mut Lane<Root>,
    leaves: &'a mut Lane<Leaf>,
    bus: &'a mut BusLane,
}

impl Around<'_> {
    fn port(&mut self) -> Port<'_> {
        Port { me: self.me, roots: self.roots, leaves: self.leaves }
    }

    fn number(&self) -> usize {
        match self.me {
            CoreId::Shard(number) => usize::from(number),
            _ => panic!("only shards turn here"),
        }
    }
}

struct Turning<'a, 'c> {
    machine: &'a mut Shard,
    around: Around<'a>,
    clients: &'a mut [&'c mut Client],
    next: usize,
    scratch: Vec<u8>,
}

struct TurnInputs<'a, 'b, 'c> {
    around: &'a mut Around<'b>,
    clients: &'a mut [&'c mut Client],
    next: &'a mut usize,
    scratch: &'a mut Vec<u8>,
}

struct TurnMesh<'a, 'b>(&'a mut Around<'b>);

impl Inputs for TurnInputs<'_, '_, '_> {
    fn next_leaves(&mut self) -> Option<(CoreId, Vec<Leaf>)> {
        let me = self.around.me;
        self.around.leaves.next(me)
    }

    fn next_roots(&mut self) -> Option<(CoreId, Vec<Root>)> {
        let me = self.around.me;
        self.around.roots.next(me)
    }

    fn release_leaves(&mut self, from: CoreId) {
        let me = self.around.me;
        self.around.leaves.release(from, me);
    }

    fn release_roots(&mut self, from: CoreId) {
        let me = self.around.me;
        self.around.roots.release(from, me);
    }

    fn next_news(&mut self) -> Option<(Server, Vec<FromBus>)> {
        let number = self.around.number();
        let batch = self.around.bus.from_bus[number].pop_front()?;
        self.around.bus.in_use[number] += 1;
        Some((Server(0), batch))
    }

    fn release_news(&mut self, _: Server) {
        let number = self.around.number();
        self.around.bus.in_use[number] -= 1;
    }

    fn next_socket(&mut self) -> Option<Socket<'_>> {
        while let Some(client) = self.clients.get_mut(*self.next) {
            *self.next += 1;
            let token = Token { slot: client.slot, generation: 1 };
            if !client.alive {
                if std::mem::replace(&mut client.gone, true) {
                    continue;
                }
                return Some(Socket::Hangup(token));
            }
            if !client.sent.is_empty() && !client.paused {
                *self.scratch = std::mem::take(&mut client.sent);
                return Some(Socket::Bytes(token, self.scratch));
            }
        }
        None
    }

    fn pause(&mut self, token: Token) {
        let client = self.clients.iter_mut().find(|client| client.slot == token.slot);
        client.into_iter().for_each(|client| client.paused = true);
    }
}

impl Mesh for TurnMesh<'_, '_> {
    fn may_send_roots(&self, to: CoreId) -> bool {
        self.0.roots.may_send(self.0.me, to)
    }

    fn may_send_leaves(&self, to: CoreId) -> bool {
        self.0.leaves.may_send(self.0.me, to)
    }

    fn send_roots(&mut self, to: CoreId, batch: Vec<Root>) {
        self.0.port().send_roots(to, batch);
    }

    fn send_leaves(&mut self, to: CoreId, batch: Vec<Leaf>) {
        self.0.port().send_leaves(to, batch);
    }

    fn may_send_to_server(&self, _: Server) -> bool {
        self.0.bus.to_bus[self.0.number()].len() < IN_FLIGHT_MAX
    }

    fn send_to_server(&mut self, _: Server, batch: Vec<ToBus>) {
        let number = self.0.number();
        self.0.bus.to_bus[number].push_back(batch);
    }
}

impl<'a, 'c> Core for Turning<'a, 'c> {
    type Machine = Shard;
    type Inputs<'b>
        = TurnInputs<'b, 'a, 'c>
    where
        Self: 'b;
    type Mesh<'b>
        = TurnMesh<'b, 'a>
    where
        Self: 'b;
    type Error = Infallible;

    fn inputs(&mut self) -> (&mut Shard, TurnInputs<'_, 'a, 'c>) {
        let Self { machine, around, clients, next, scratch } = self;
        (machine, TurnInputs { around, clients, next, scratch })
    }

    fn mesh(&mut self) -> (&mut Shard, TurnMesh<'_, 'a>) {
        (self.machine, TurnMesh(&mut self.around))
    }

    fn clear_doorbell(&mut self) {}

    fn gather(&mut self, now: Now) -> Result<bool, Infallible> {
        let due = self.machine.poll_deadline().is_some_and(|due_ms| due_ms <= now.mono_ms);
        if due {
            self.machine.handle_deadline(now);
        }
        Ok(due)
    }

    fn tell_hooks(&mut self, _: Now) -> Result<(), Infallible> {
        Ok(())
    }

    fn perform(&mut self, _: Now) -> Result<bool, Infallible> {
        let mut any = false;
        while let Some(effect) = self.machine.poll_effect() {
            any = true;
            let (Effect::Resume(token)
            | Effect::Close { token, .. }
            | Effect::Drop { token, .. }
            | Effect::Reset(token)) = effect
            else {
                continue;
            };
            let client = self.clients.iter_mut().find(|client| client.slot == token.slot);
            let Some(client) = client else { continue };
            if matches!(effect, Effect::Resume(_)) {
                client.paused = false;
            } else if client.alive {
                client.end();
            }
        }
        Ok(any)
    }

    fn flush(&mut self, now: Now) -> Result<bool, Infallible> {
        let mut any = false;
        while let Some(token) = self.machine.poll_dirty() {
            any = true;
            loop {
                let mut slices = [IoSlice::new(&[]); 8];
                let filled = self.machine.outbox(token, &mut slices);
                let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                if let Some(client) = self.clients.iter_mut().find(|client| client.slot == token.slot) {
                    client.received.extend_from_slice(&bytes);
                }
                if !self.machine.handle_written(token, bytes.len(), now) {
                    break;
                }
            }
        }
        Ok(any)
    }

    fn finish(&mut self, _: Now) -> Result<bool, Infallible> {
        Ok(false)
    }
}
