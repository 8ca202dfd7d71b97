//! All nodes, the server and the clients of a schedule: what can happen, and what each client must never hear.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use corecast_machines::cluster::answer::Value;
use corecast_machines::cluster::bus::Server as ServerId;
use corecast_machines::cluster::call::Call;
use corecast_machines::cluster::epoch::Epoch;
use corecast_machines::cluster::item::Entry;
use corecast_machines::cluster::session::effect::Effect;
use corecast_machines::cores::CoreId;
use corecast_machines::limits::{ClusterLimits, Limits};
use corecast_machines::machine::{Door, Machine, Now, Token};
use corecast_machines::mesh::{Event, Origin, Publish, Root, Terminate};
use corecast_machines::topic::TopicKey;
use protocol::app::{App, Apps};
use protocol::json::EventData;
use protocol::server_event::encode_event;
use protocol::ws::Frame;

use crate::client::{Acked, Certain, Client, Heard, Place, Watched, user_channel};
use crate::node::{Node, Plan};
use crate::questions::Questions;
use crate::rng::Rng;
use crate::server::{Data, Server};

/// Users of a presence channel that there may be.
pub const MEMBERS_MAX: usize = 3;

/// The two connections of a session.
pub struct Connection {
    pub node: usize,
    /// Its number in the session of its process.
    number: u64,
    process: u64,
    to_server: VecDeque<Call>,
    to_node: VecDeque<Value>,
    reading: Option<(Epoch, u64, u64)>,
    read: VecDeque<Vec<Entry>>,
    /// The node has not closed it, and it is not broken.
    pub open: bool,
}

/// An event that was published.
pub struct Published {
    pub channel: String,
    pub node: usize,
    pub process: u64,
    /// The client that must not get it.
    pub except: Option<usize>,
    /// Clients of its own node that were subscribed.
    pub must: Vec<usize>,
    /// Clients of all nodes that were subscribed on a live link, with how many sessions their node had lost.
    pub hearing: Vec<(usize, u64)>,
    /// Its home was in a session, after its node had lost so many.
    pub in_session: bool,
    pub lost: u64,
}

/// A user whose connections must go.
pub struct Termination {
    pub user: String,
    pub node: usize,
    pub process: u64,
    /// Its first shard was in a session, after its node had lost so many.
    pub in_session: bool,
    pub lost: u64,
    /// Clients that were signed in as the user.
    pub clients: Vec<usize>,
}

/// Users that there may be.
pub const USERS: usize = 5;

/// What has happened in schedules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coverage {
    pub begun: u64,
    pub lost: [u64; 6],
    pub resumed: u64,
    pub killed: u64,
    pub cuts: u64,
    pub deliveries: u64,
    pub echoes_delivered: u64,
    pub published_alone: u64,
    pub reconciled: u64,
    pub retold: u64,
    pub let_in_late: u64,
    pub edges: u64,
    pub complete: u64,
    pub watch_news: u64,
    pub counts: u64,
    pub forgotten: u64,
    pub terminated: u64,
}

impl Coverage {
    /// Whether all of it has happened. No command and no entry is ever missing on a server that keeps its rules.
    pub fn is_whole(&self) -> bool {
        let Self { begun, lost, resumed, killed, cuts, deliveries, .. } = *self;
        let [held, fenced, gone, cut, _, full] = lost;
        let of_homes = [self.echoes_delivered, self.published_alone, self.reconciled, self.retold];
        let others = [
            self.forgotten,
            self.let_in_late,
            self.edges,
            self.complete,
            self.watch_news,
            self.terminated,
            self.counts,
        ];
        [begun, held, fenced, gone, cut, full, resumed, killed, cuts, deliveries]
            .iter()
            .chain(&of_homes)
            .chain(&others)
            .all(|count| *count > 0)
    }

    pub fn add(&mut self, other: &Self) {
        for (mine, others) in self.lost.iter_mut().zip(other.lost) {
            *mine += others;
        }
        self.begun += other.begun;
        self.resumed += other.resumed;
        self.killed += other.killed;
        self.cuts += other.cuts;
        self.deliveries += other.deliveries;
        self.echoes_delivered += other.echoes_delivered;
        self.published_alone += other.published_alone;
        self.reconciled += other.reconciled;
        self.retold += other.retold;
        self.let_in_late += other.let_in_late;
        self.edges += other.edges;
        self.complete += other.complete;
        self.watch_news += other.watch_news;
        self.counts += other.counts;
        self.forgotten += other.forgotten;
        self.terminated += other.terminated;
    }
}

pub struct World {
    pub rng: Rng,
    pub now: Now,
    pub plan: Plan,
    pub app: Arc<App>,
    pub channels: Vec<String>,
    pub server: Server,
    pub server_up: bool,
    pub frozen: bool,
    pub snapshots: Vec<Data>,
    pub nodes: Vec<Node>,
    pub clients: Vec<Client>,
    pub connections: Vec<Connection>,
    pub published: BTreeMap<u64, Published>,
    pub events: u64,
    pub terminations: Vec<Termination>,
    /// Which process has which epoch, and its number among the sessions of that process.
    pub owners: BTreeMap<Epoch, (usize, u64, u64)>,
    processes: u64,
    /// How likely it is that what was sent on a connection that is given up comes late.
    pub late: usize,
    /// What hooks believe.
    pub passed: BTreeSet<crate::server::Level>,
    pub questions: Questions,
    pub coverage: Coverage,
    pub fault: Option<String>,
    pub trace: Option<Vec<String>>,
}

impl World {
    pub fn new(seed: u64, traced: bool) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 77);
        let mut app = App::new("1", "key", "secret");
        app.limits.presence_members_max = MEMBERS_MAX;
        app.limits.roster_bytes_max = 2000;
        app.limits.event_data_bytes_max = 100;
        app.limits.subscription_changes_per_second = 1_000_000;
        let apps = Arc::new(Apps::new(vec![app]).unwrap());
        let app = Arc::clone(apps.by_id("1").unwrap());
        let pick = |rng: &mut Rng, of: &[usize]| of[rng.below(of.len())];
        let inbox_bytes_max = pick(&mut rng, &[700, 1200, 3000, 20_000, 1 << 24]) as u64;
        let cluster = ClusterLimits {
            commands_max: pick(&mut rng, &[12, 30, 1000]),
            call_commands_max: pick(&mut rng, &[1, 2, 64]),
            calls_in_flight_max: pick(&mut rng, &[1, 3, 16]),
            inbox_bytes_max,
            ack_entries_max: pick(&mut rng, &[1, 5, 64]) as u64,
            sweep_slice: pick(&mut rng, &[1, 2, 256]) as u64,
            due_slice: pick(&mut rng, &[1, 4, 256]) as u64,
            lookup_slice: 1 + seed % 3,
            lookups_in_flight_max: 1 + (seed % 4) as usize,
            ..ClusterLimits::default()
        };
        let limits = Limits {
            idle_check: false,
            batch_messages_max: pick(&mut rng, &[3, 10, 512]),
            walk_looks_max: pick(&mut rng, &[1, 4, 128]),
            quantum: pick(&mut rng, &[2, 64]),
            cluster_members_kept_ms: pick(&mut rng, &[3_000, 3_600_000]) as u64,
            cluster_echo_bytes_max: pick(&mut rng, &[300, 16 << 20]),
            ..Limits::default()
        };
        let plan = Plan { apps, shards: rng.between(1, 3), limits, cluster };
        let mut channels: Vec<String> = ["presence-a", "cache-b", "c"].map(String::from).into();
        channels
            .extend(["presence-cache-d", "private-e"].iter().take(rng.below(3)).map(|it| (*it).to_owned()));
        channels.retain(|name| !name.starts_with("private"));
        let edges_max = pick(&mut rng, &[1, 3, 8, 1000]);
        let count = rng.between(2, 4);
        let mut world = Self {
            rng,
            now: Now::at(1000, 1000),
            plan,
            app,
            channels,
            server: Server::new(inbox_bytes_max, edges_max),
            server_up: true,
            frozen: false,
            snapshots: Vec::new(),
            nodes: Vec::new(),
            clients: Vec::new(),
            connections: Vec::new(),
            published: BTreeMap::new(),
            events: 0,
            terminations: Vec::new(),
            owners: BTreeMap::new(),
            processes: 0,
            late: 0,
            passed: BTreeSet::new(),
            questions: Questions::new(seed),
            coverage: Coverage::default(),
            fault: None,
            trace: traced.then(Vec::new),
        };
        for number in 0..count {
            let node = world.new_node(number);
            world.nodes.push(node);
        }
        world
    }

    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:6} {}", self.now.mono_ms, line()));
        }
    }

    pub fn bad(&mut self, why: String) {
        self.tell(|| format!("!! {why}"));
        self.fault.get_or_insert(why);
    }

    fn new_node(&mut self, number: usize) -> Node {
        self.processes += 1;
        // The number of a node is random and may be that of another.
        let random = self.rng.below(3) as u16 + number as u16;
        Node::new(&self.plan, random, self.processes, &mut self.rng, self.now)
    }

    pub fn advance(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        self.server.now_ms = self.now.mono_ms;
    }

    // Nodes.

    pub fn runs(&self, node: usize) -> bool {
        self.nodes[node].up && !self.nodes[node].paused
    }

    pub fn turn_shard(&mut self, node: usize, shard: usize) -> bool {
        if !self.runs(node) {
            return false;
        }
        let mut clients: Vec<&mut Client> = Vec::new();
        for client in &mut self.clients {
            if client.node == node && client.shard == shard && !client.gone {
                clients.push(client);
            }
        }
        let any = self.nodes[node].turn_shard(shard, &mut clients, self.now);
        let mut closed = Vec::new();
        for client in &mut clients {
            // One that was not served for long is closed before it is a client.
            if std::mem::take(&mut client.closed) && client.socket_id.is_some() {
                closed.push(client.user.clone());
            }
        }
        drop(clients);
        for user in closed {
            self.coverage.terminated += 1;
            if !self.terminations.iter().any(|it| it.user == user) {
                self.bad(format!("a client of {user} is closed"));
            }
        }
        self.hear_answers(node);
        for client in 0..self.clients.len() {
            let it = &mut self.clients[client];
            if it.node == node && it.shard == shard && it.alive && !it.received.is_empty() {
                for heard in it.hear() {
                    self.judge(client, heard);
                }
            }
        }
        any
    }

    /// One turn of the bus thread of a node.
    pub fn turn_bus(&mut self, node: usize) -> bool {
        if !self.runs(node) {
            return false;
        }
        let now = self.now;
        let mut any = false;
        if self.trace.is_some() && !self.nodes[node].session.is_full() {
            let said: Vec<_> = self.nodes[node].bus.to_bus.iter().flatten().flatten().map(short).collect();
            said.into_iter().for_each(|line| self.tell(|| format!("n{node} says {line}")));
        }
        let it = &mut self.nodes[node];
        for shard in 0..it.shards.len() {
            while !it.session.is_full()
                && let Some(batch) = it.bus.to_bus[shard].pop_front()
            {
                any = true;
                let reading = it.session.reading();
                let had_room = !reading.is_up || reading.commands < self.plan.cluster.commands_max;
                if !had_room {
                    self.fault.get_or_insert_with(|| format!("n{node} takes more than it may keep"));
                }
                for said in batch {
                    it.session.handle_home(CoreId::Shard(shard as u16), said, now);
                }
            }
        }
        if it.session.poll_deadline().is_some_and(|due_ms| due_ms <= now.mono_ms) {
            it.session.handle_deadline(now);
            any = true;
        }
        any |= self.poll_effects(node);
        let it = &mut self.nodes[node];
        for shard in 0..it.shards.len() {
            if it.bus.may_send(shard)
                && let Some(batch) = it.session.take_news(CoreId::Shard(shard as u16))
            {
                any = true;
                if let Some(trace) = &mut self.trace {
                    trace.extend(
                        batch.iter().map(|news| format!("       n{node}.{shard} is told {}", short(news))),
                    );
                }
                it.bus.from_bus[shard].push_back(batch);
            }
        }
        it.session.handle_room(now);
        any | self.poll_effects(node)
    }

    fn poll_effects(&mut self, node: usize) -> bool {
        let mut any = false;
        while let Some(effect) = self.nodes[node].session.poll_effect(self.now) {
            any = true;
            self.tell(|| format!("n{node} {effect:?}"));
            match effect {
                Effect::Connect(number) => self.connect(node, number),
                Effect::Close(number) => {
                    if let Some((_, at)) = self.nodes[node].connection.take_if(|(open, _)| *open == number) {
                        self.connections[at].open = false;
                    }
                }
                Effect::Call(call) => {
                    if let Call::Register { epoch, .. } = call {
                        let it = &self.nodes[node];
                        self.owners.insert(epoch, (node, it.process, it.session.reading().stats.begun + 1));
                    }
                    if let Some(connection) = self.connection_of(node) {
                        connection.to_server.push_back(call);
                    }
                }
                Effect::Read { epoch, after, block_ms } => {
                    let until_ms = self.now.mono_ms + block_ms;
                    if let Some(connection) = self.connection_of(node) {
                        connection.reading = Some((epoch, after, until_ms));
                    }
                }
                Effect::Elsewhere(_) => {}
            }
        }
        any
    }

    fn connection_of(&mut self, node: usize) -> Option<&mut Connection> {
        let (_, at) = self.nodes[node].connection?;
        Some(&mut self.connections[at]).filter(|connection| connection.open)
    }

    fn connect(&mut self, node: usize, number: u64) {
        let process = self.nodes[node].process;
        if !self.server_up {
            let now = self.now;
            return self.nodes[node].session.handle_broken(number, now);
        }
        self.connections.push(Connection {
            node,
            number,
            process,
            to_server: VecDeque::new(),
            to_node: VecDeque::new(),
            reading: None,
            read: VecDeque::new(),
            open: true,
        });
        self.nodes[node].connection = Some((number, self.connections.len() - 1));
        // One that cannot be reached hangs.
        if !self.frozen && !self.nodes[node].parted {
            let now = self.now;
            self.nodes[node].session.handle_connected(number, now);
        }
    }

    /// What has come on a connection is taken by its node. Returns whether there was anything.
    pub fn take_answer(&mut self, at: usize) -> bool {
        let now = self.now;
        let connection = &mut self.connections[at];
        let (node, number) = (connection.node, connection.number);
        if !connection.open || !self.nodes[node].up || self.nodes[node].paused {
            return false;
        }
        if connection.process != self.nodes[node].process {
            return false;
        }
        if let Some(value) = connection.to_node.pop_front() {
            self.nodes[node].session.handle_value(number, value, now);
        } else if let Some(entries) = connection.read.pop_front() {
            self.nodes[node].session.handle_entries(number, entries, now);
        } else {
            return false;
        }
        self.poll_effects(node);
        true
    }

    /// The server carries out the next call of a connection. Returns whether there was one.
    pub fn carry_out(&mut self, at: usize) -> bool {
        let connection = &mut self.connections[at];
        let Some(call) = connection.to_server.pop_front() else { return false };
        self.tell(|| format!("server <- {call:?}"));
        let mark = self.server.removals.len();
        let value = self.server.call(&call);
        let connection = &mut self.connections[at];
        if connection.open {
            connection.to_node.push_back(value);
        }
        self.judge_server(mark);
        true
    }

    /// A read of a connection gets what is there, or nothing when its time is over.
    pub fn serve_read(&mut self, at: usize, count: usize) -> bool {
        let now_ms = self.now.mono_ms;
        let connection = &mut self.connections[at];
        let Some((epoch, after, until_ms)) = connection.reading else { return false };
        let inbox = self.server.data.nodes.get(&epoch).map(|node| &node.inbox);
        let entries: Vec<Entry> =
            inbox.into_iter().flatten().filter(|entry| entry.number > after).take(count).cloned().collect();
        if entries.is_empty() && until_ms > now_ms {
            return false;
        }
        connection.reading = None;
        if connection.open {
            connection.read.push_back(entries);
        }
        true
    }

    fn judge_server(&mut self, mark: usize) {
        if let Some(fault) = self.server.fault.take() {
            self.bad(fault);
        }
        for removal in self.server.removals.get(mark..).unwrap_or(&[]).to_vec() {
            let Some((node, process, session)) = self.owners.get(&removal.epoch).copied() else { continue };
            if !removal.retired || self.nodes[node].process != process {
                continue;
            }
            let stays = |client: &&Client| {
                client.alive && client.node == node && client.user == removal.user && {
                    let sub = client.subs.get(&channel_of(&removal.topic));
                    sub.and_then(|sub| sub.acked).is_some_and(|acked| acked.begun <= session)
                }
            };
            if let Some(client) = self.clients.iter().find(stays) {
                let (user, topic) = (client.user.clone(), channel_of(&removal.topic));
                self.bad(format!("{user} is taken out of {topic} by its own node, which it never left"));
            }
        }
    }

    /// The process ends at once.
    pub fn kill(&mut self, node: usize) {
        self.note_stats(node);
        for client in &mut self.clients {
            if client.node == node {
                (client.alive, client.gone) = (false, true);
                client.subs.clear();
                client.watched.clear();
            }
        }
        if let Some((_, at)) = self.nodes[node].connection {
            self.connections[at].open = false;
        }
        self.nodes[node] = self.new_node(node);
        self.nodes[node].up = false;
    }

    pub fn note_stats(&mut self, node: usize) {
        let stats = self.nodes[node].session.reading().stats;
        // Nothing is ever missing on a server that keeps its rules.
        if stats.lost[4] > 0 && self.server.broken.is_none() {
            self.bad(format!("n{node} has missed a command or an entry"));
        }
        self.coverage.begun += stats.begun;
        self.coverage.resumed += stats.resumed;
        for (mine, others) in self.coverage.lost.iter_mut().zip(stats.lost) {
            *mine += others;
        }
        for shard in &self.nodes[node].shards {
            let stats = shard.home().cluster_stats();
            self.coverage.echoes_delivered += stats.bus_echo_local;
            self.coverage.published_alone += stats.bus_gap_out_events;
            self.coverage.reconciled += stats.bus_members_reconciled;
            self.coverage.retold += stats.bus_topics_retold;
            self.coverage.forgotten += stats.bus_members_forgotten;
            self.coverage.let_in_late += stats.bus_let_in_late;
        }
    }

    // Clients.

    pub fn open_client(&mut self, node: usize) {
        let shard = self.rng.below(self.plan.shards);
        let user = format!("u{}", self.rng.below(USERS));
        self.open_client_of(node, shard, user);
    }

    /// A client of this user. Returns its place.
    pub fn open_client_of(&mut self, node: usize, shard: usize, user: String) -> usize {
        let is_beside = |it: &&Client| it.node == node && it.shard == shard;
        let slot = self.clients.iter().filter(is_beside).count() as u32;
        let info = self.rng.below(2) as u64;
        self.clients.push(Client::new(node, shard, slot, user, info));
        let token = Token { slot, generation: 1 };
        let now = self.now;
        self.nodes[node].shards[shard].handle_open(token, Door::Public, false, now);
        self.clients.len() - 1
    }

    pub fn publish(&mut self, node: usize, channel: &str, except: Option<usize>) {
        let topic = self.nodes[node].topics.topic(&self.app, TopicKey::of(channel));
        let home = self.nodes[node].topics.home(topic.hash);
        if !self.nodes[node].may_publish(home) {
            return;
        }
        self.events += 1;
        let number = self.events;
        let mut bytes = Vec::new();
        encode_event(&mut bytes, "e", channel, &EventData::of_text(&format!("#{number}")), None);
        let socket_id = except.and_then(|client| self.clients[client].socket_id);
        let except = except.filter(|_| socket_id.is_some());
        let (frame, received) = (Frame::from(bytes), Some(self.now.moment()));
        let event = Event { topic, frame, except: socket_id, origin: Origin::BackEnd, received };
        let is_subscribed = |client: &Client| {
            client.alive
                && client.node == node
                && client.subs.get(channel).is_some_and(|sub| sub.acked.is_some())
        };
        let must =
            (0..self.clients.len()).filter(|at| is_subscribed(&self.clients[*at]) && except != Some(*at));
        let must = must.collect();
        let hearing = (0..self.clients.len()).filter(|at| self.hears(*at, channel) && except != Some(*at));
        let hearing = hearing.map(|at| (at, self.lost(self.clients[at].node))).collect();
        let reading = self.nodes[node].session.reading();
        let lost = reading.stats.lost.iter().sum();
        let process = self.nodes[node].process;
        let CoreId::Shard(shard) = home else { return };
        let session = self.nodes[node].shards[usize::from(shard)].home().cluster_session(ServerId(0));
        let in_session = reading.has_session && session == Some(reading.stats.begun);
        self.published.insert(
            number,
            Published { channel: channel.into(), node, process, except, must, hearing, in_session, lost },
        );
        self.tell(|| format!("n{node} publishes #{number} on {channel} except {except:?}"));
        assert!(self.nodes[node].send_root(home, Root::Publish(Box::new(Publish { event, hook: None }))));
    }

    /// A client signs in as its user, and watches these.
    pub fn sign_in(&mut self, at: usize, watched: Vec<String>) {
        let node = self.clients[at].node;
        let certain =
            Certain { lost: self.lost(node), late: self.late(node), removals: self.server.removals.len() };
        let is_there = |user: &String| {
            let topic = self.server.data.topics.get(&name_of(&user_channel(user)));
            topic.is_some_and(|topic| !topic.users.is_empty())
        };
        let of = |user: String| {
            // To those who watch already, what was heard last holds until there is news.
            let watches = |client: &Client| client.node == node && client.watched.contains_key(&user);
            let is_first = !self.clients.iter().any(watches);
            let hears = is_first && self.home_session(node, &user_channel(&user));
            let certain = (hears && is_there(&user)).then_some(certain);
            (user, Watched { online: None, certain })
        };
        let watched = watched.into_iter().map(of).collect();
        self.tell(|| format!("c{at} signs in, and watches {watched:?}"));
        let app = Arc::clone(&self.app);
        self.clients[at].sign_in(&app, watched);
    }

    /// Whether the home of a channel is in the session of its node.
    fn home_session(&self, node: usize, channel: &str) -> bool {
        let node = &self.nodes[node];
        let topic = node.topics.topic(&self.app, TopicKey::of(channel));
        let CoreId::Shard(home) = node.topics.home(topic.hash) else { return false };
        let reading = node.session.reading();
        let session = node.shards[usize::from(home)].home().cluster_session(ServerId(0));
        reading.has_session && session == Some(reading.stats.begun)
    }

    /// The connections of a user must go.
    pub fn terminate(&mut self, node: usize, user: String) {
        let shards: Vec<_> = (0..self.plan.shards as u16).map(CoreId::Shard).collect();
        if !shards.iter().all(|shard| self.nodes[node].may_publish(*shard)) {
            return;
        }
        self.tell(|| format!("n{node} terminates {user}"));
        let signed_in = |at: &usize| {
            let client = &self.clients[*at];
            client.alive && client.signed_in && client.user == user
        };
        let clients = (0..self.clients.len()).filter(signed_in).collect();
        let it = &self.nodes[node];
        let reading = it.session.reading();
        let session = it.shards[0].home().cluster_session(ServerId(0));
        let in_session = reading.has_session && session == Some(reading.stats.begun);
        let (process, lost) = (it.process, self.lost(node));
        for shard in shards {
            let terminate = Terminate { app: Arc::clone(&self.app), user_id: user.as_str().into() };
            assert!(self.nodes[node].send_root(shard, Root::Terminate(Box::new(terminate))));
        }
        self.terminations.push(Termination { user, node, process, in_session, lost, clients });
    }

    /// A node stops soon, and goes on meanwhile.
    pub fn leave(&mut self, node: usize) {
        self.tell(|| format!("n{node} stops soon"));
        let now = self.now;
        self.nodes[node].session.handle_leaving(now);
    }

    /// How many sessions a node has lost.
    pub fn lost(&self, node: usize) -> u64 {
        self.nodes[node].session.reading().stats.lost.iter().sum()
    }

    /// How often something was let in late on a node.
    fn late(&self, node: usize) -> u64 {
        self.nodes[node].shards.iter().map(|shard| shard.home().cluster_stats().bus_let_in_late).sum()
    }

    /// Whether a client is subscribed, and its home has a live link.
    fn hears(&self, at: usize, channel: &str) -> bool {
        let client = &self.clients[at];
        let node = &self.nodes[client.node];
        let topic = node.topics.topic(&self.app, TopicKey::of(channel));
        let CoreId::Shard(home) = node.topics.home(topic.hash) else { return false };
        let (home, reading) = (node.shards[usize::from(home)].home(), node.session.reading());
        client.alive
            && reading.has_session
            && home.cluster_session(ServerId(0)) == Some(reading.stats.begun)
            && client.subs.get(channel).is_some_and(|sub| sub.acked.is_some())
            && home.has_live_link(&topic)
    }

    fn judge(&mut self, at: usize, heard: Heard) {
        self.tell(|| format!("c{at} hears {} {} {}", heard.event, heard.channel, heard.data));
        let Heard { event, channel, data } = heard;
        match event.as_str() {
            "pusher:signin_success" => self.clients[at].signed_in = true,
            "pusher:signin_error" => self.bad(format!("c{at} is not signed in: {data}")),
            "pusher_internal:watchlist_events" => self.judge_watched(at, &data),
            _ => {}
        }
        let client = &mut self.clients[at];
        let node = client.node;
        let user = client.user.clone();
        let stats = self.nodes[node].session.reading().stats;
        let events = self.events;
        let Some(sub) = client.subs.get_mut(&channel) else { return };
        let presence = channel.starts_with("presence-");
        match event.as_str() {
            "pusher_internal:subscription_succeeded" => {
                sub.acked = Some(Acked { begun: stats.begun, event: events });
                if presence {
                    let hash = data["presence"]["hash"].as_object().cloned().unwrap_or_default();
                    sub.members = hash.into_iter().collect();
                    if !sub.members.contains_key(&user) {
                        self.bad(format!("c{at} is not in the roster of {channel} that it gets"));
                    }
                }
            }
            "pusher:subscription_error" | "pusher:error" => {
                let full = data.to_string().contains("is full");
                client.subs.remove(&channel);
                if !full {
                    self.bad(format!("c{at} is refused on {channel}: {data}"));
                }
            }
            _ if sub.acked.is_none() => {}
            "pusher_internal:member_added" => {
                let id = data["user_id"].as_str().unwrap_or("").to_owned();
                let twice = sub.members.insert(id.clone(), data["user_info"].clone()).is_some();
                if twice && id != user {
                    self.bad(format!("c{at} is told twice that {id} is on {channel}"));
                }
            }
            "pusher_internal:member_removed" => {
                let id = data["user_id"].as_str().unwrap_or("").to_owned();
                let was_there = sub.members.remove(&id).is_some();
                if id == user {
                    self.bad(format!("c{at} is told that it has left {channel} itself"));
                } else if !was_there {
                    self.bad(format!("c{at} is told that {id}, whom it does not know, has left {channel}"));
                }
            }
            "pusher_internal:subscription_count" => {
                self.coverage.counts += 1;
                sub.count = data["subscription_count"].as_u64();
            }
            "e" => self.judge_event(at, &channel, &data),
            _ => {}
        }
    }

    fn judge_watched(&mut self, at: usize, data: &serde_json::Value) {
        self.coverage.watch_news += 1;
        let node = self.clients[at].node;
        let (lost, late) = (self.lost(node), self.late(node));
        for event in data["events"].as_array().into_iter().flatten() {
            let online = event["name"] == "online";
            for user in event["user_ids"].as_array().into_iter().flatten().filter_map(|id| id.as_str()) {
                let Some(watched) = self.clients[at].watched.get_mut(user) else {
                    self.bad(format!("c{at} is told of {user}, whom it does not watch"));
                    continue;
                };
                let (before, certain) = (watched.online.replace(online), watched.certain);
                if before == Some(online) {
                    self.bad(format!("c{at} is told twice that it is {online} that {user} is online"));
                }
                let certain = certain.filter(|it| (it.lost, it.late) == (lost, late));
                let Some(certain) = certain.filter(|_| !online) else { continue };
                let name = name_of(&user_channel(user));
                let removed = &self.server.removals[certain.removals..];
                if !removed.iter().any(|removal| removal.topic == name) {
                    self.bad(format!("c{at} is told that {user} is offline, who is signed in"));
                }
            }
        }
        let untold = self.clients[at].watched.iter().find(|(_, watched)| watched.online.is_none());
        if let Some((user, _)) = untold {
            self.bad(format!("c{at} is told of its watchlist, and not of {user}"));
        }
    }

    fn judge_event(&mut self, at: usize, channel: &str, data: &serde_json::Value) {
        self.coverage.deliveries += 1;
        let number: u64 = match data {
            // "#12" is no JSON, so it comes as it is sent.
            serde_json::Value::String(text) => text[1..].parse().expect("a number"),
            _ => panic!("{data}"),
        };
        if self.published.get(&number).is_none_or(|it| it.channel != channel) {
            return self.bad(format!("c{at} gets event {number} on {channel}"));
        }
        if self.published[&number].except == Some(at) {
            // A cached event is for whoever subscribes.
            if !channel.contains("cache-") {
                self.bad(format!("c{at} gets its own event {number} on {channel}"));
            }
        }
        let place = {
            let name = name_of(channel);
            self.server.log.get(&name).and_then(|log| log.iter().rposition(|it| *it == number))
        };
        let node = self.clients[at].node;
        let lost: u64 = self.nodes[node].session.reading().stats.lost.iter().sum();
        let hears = self.hears(at, channel);
        let Some(sub) = self.clients[at].subs.get_mut(channel) else { return };
        if !sub.got.insert(number) {
            return self.bad(format!("c{at} gets event {number} of {channel} twice"));
        }
        let published = &self.published[&number];
        let is_own = published.node == node && published.process == self.nodes[node].process;
        if is_own && std::mem::replace(&mut sub.last_own, number) > number {
            return self
                .bad(format!("c{at} gets event {number} of {channel} behind a later one of its node"));
        }
        let last = std::mem::replace(&mut sub.last, place.map(|place| Place { place, lost, hears }));
        let (Some(last), Some(place)) = (last, place) else { return };
        if last.lost != lost {
            return;
        }
        if place < last.place {
            return self.bad(format!("c{at} gets event {number} of {channel} behind a later one"));
        }
        // On a live link nothing is left out but what the client must not get, or what the server has forgotten.
        let between = &self.server.log[&name_of(channel)][last.place + 1..place];
        let missed = between.iter().find(|it| self.published.get(it).is_none_or(|it| it.except != Some(at)));
        if last.hears && hears && !between.contains(&0) && missed.is_some() {
            self.bad(format!("c{at} gets event {number} of {channel}, and not {missed:?} before it"));
        }
    }

    // Hooks: one consumer of levels, as they are told.

    pub fn take_edge(&mut self) -> bool {
        let Some((level, up)) = self.server.data.edges.pop_front() else { return false };
        self.coverage.edges += 1;
        let is_first_server = self.server.identity == 1;
        if is_first_server && self.passed.contains(&level) == up {
            self.bad(format!("hooks are told {level:?} {up} twice"));
        }
        let changed = if up { self.passed.insert(level.clone()) } else { self.passed.remove(&level) };
        let (name, user) = &level;
        let others = self.passed.iter().any(|(of, member)| of == name && member.is_some());
        if is_first_server && changed && others && !self.passed.contains(&(name.clone(), None)) {
            self.bad(format!("hooks are told of a member while {user:?} {name:?} is not occupied"));
        }
        true
    }

    // Faults.

    pub fn restart_server(&mut self, data: Data) {
        self.server.restart(data);
        for connection in &mut self.connections {
            connection.to_server.clear();
        }
        for node in 0..self.nodes.len() {
            self.break_connection(node);
        }
    }

    /// The connection of a node breaks. What was sent on it may still come, or a part of it.
    pub fn break_connection(&mut self, node: usize) {
        let Some((number, at)) = self.nodes[node].connection.take() else { return };
        let keep = self.rng.below(self.connections[at].to_server.len() + 1);
        let connection = &mut self.connections[at];
        connection.open = false;
        connection.to_server.truncate(keep);
        let now = self.now;
        self.nodes[node].session.handle_broken(number, now);
    }

    pub fn snapshot(&mut self) {
        let data = self.server.data.clone();
        self.snapshots.push(data);
        if self.snapshots.len() > 3 {
            self.snapshots.remove(0);
        }
    }

    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Whom the next call of a connection calls dead, and at which beat.
    pub fn kill_of(&self, at: usize) -> Option<(Epoch, u64)> {
        match self.connections[at].to_server.front() {
            Some(Call::Kill { epoch, beat }) => Some((*epoch, *beat)),
            _ => None,
        }
    }

    /// The connection whose next call calls this session dead.
    pub fn next_kill(&self, of: Epoch) -> Option<usize> {
        (0..self.connections.len()).find(|at| self.kill_of(*at).is_some_and(|(epoch, _)| epoch == of))
    }

    pub fn killed_beat(&self, at: usize) -> u64 {
        self.kill_of(at).map_or(u64::MAX, |(_, beat)| beat)
    }

    pub fn beats(&self, epoch: Epoch) -> u64 {
        self.server.data.nodes.get(&epoch).map_or(0, |node| node.beat)
    }

    /// Nobody waits for a session that is lost.
    pub fn check_waits(&mut self) {
        for at in 0..self.clients.len() {
            let client = &self.clients[at];
            let waits = client.subs.iter().find(|(_, sub)| sub.acked.is_none());
            if let Some(channel) = waits.filter(|_| client.alive).map(|(channel, _)| channel.clone()) {
                self.bad(format!("c{at} waits on {channel} for a session that is lost"));
            }
        }
    }

    /// What is so on nodes that have been alone for long. These clients have gone meanwhile.
    pub fn check_alone(&mut self, gone: &[usize]) {
        if let Some(fault) = crate::verdict::faults_alone(self, gone).into_iter().next() {
            self.bad(fault);
        }
    }

    /// What is so in the end.
    pub fn check_end(&mut self) {
        let faults = crate::verdict::faults(self);
        if let Some(fault) = faults.into_iter().next() {
            self.bad(fault);
        }
    }
}

/// What a message says, without its app.
fn short(message: &impl std::fmt::Debug) -> String {
    let text = format!("{message:?}");
    let mut short = String::new();
    let mut rest = text.as_str();
    while let Some(from) = rest.find("Topic { app: ") {
        short.push_str(&rest[..from]);
        let key = rest[from..].find("key: ").map_or(rest.len(), |at| from + at);
        rest = &rest[key..];
    }
    short + rest
}

pub fn name_of(channel: &str) -> Vec<u8> {
    let name = match channel.strip_prefix("#server-to-user-") {
        Some(user) => format!("1/u{user}"),
        None => format!("1/c{channel}"),
    };
    name.into_bytes()
}

pub fn channel_of(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    name.strip_prefix("1/u").map_or_else(|| name.trim_start_matches("1/c").to_owned(), user_channel)
}
