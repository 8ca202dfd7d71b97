//! Shards, sockets, the mesh and the API core's side of it, moved one step at a time by a schedule.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::IoSlice;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;

use corecast_machines::limits::{Limits, PARTING_PART};
use corecast_machines::machine::{self, Door, Effect, Inputs, Machine, Mesh, Now, Token};
use corecast_machines::mesh::{Answer, Ask, Counts, Found, Leaf, Publish, Query, Root, Terminate};
use corecast_machines::outbox::parting::Parting;
use corecast_machines::outgoing::Outgoing;
use corecast_machines::readings::stats::Stats;
use corecast_machines::shard::ending::drain::DrainPlan;
use corecast_machines::shard::home::witness::{Deed, Witness};
use corecast_machines::shard::{Shard, ShardConfig};
use corecast_machines::topic::{TopicHash, TopicKey};
use corecast_machines::turn::{Core, turn};
use protocol::app::{App, Apps};
use protocol::close::Close;
use protocol::hook_event::HookEvent;
use protocol::hook_kind::HookKind;
use protocol::json::EventData;
use protocol::server_event::encode_event;
use protocol::socket_id::SocketId;
use protocol::ws::Frame;

use crate::client::{Channel, Client};
use crate::hooks::HooksCore;
use crate::mesh::{Lane, Port};
use crate::model::{Done, Expected, Model};
use crate::schedule::awaits_answer;
use crate::socket::{Reader, Socket};

/// Random numbers of a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

pub const CHANNELS: [&str; 6] =
    ["public-a", "b", "private-a", "presence-big", "presence-small", "presence-big-2"];

/// Turns of its shard that unread bytes of a socket may wait.
const UNREAD_TURNS_MAX: u32 = 120;

/// Turns of each shard in a second. A client's answer to a ping is read within 120 turns, so it is never late.
const TURNS_PER_SECOND: usize = 8;

/// What clocks that tick at different moments, and a few turns, may differ by.
const SECONDS_OFF_MAX: u32 = 4;

/// More than outboxes may gain in a decide phase here, with what growing memory leaves unused.
const PHASE_BYTES_MAX: usize = 2 * (2000 + 2 * ITEM_BYTES_MAX as usize);

/// More than any one message or roster here.
const ITEM_BYTES_MAX: u64 = 4000;

/// More than any one event or any one small private item here.
const EVENT_BYTES_MAX: usize = 1200;

/// More than an error frame and a close frame.
const LAST_WORDS_BYTES_MAX: usize = 500;

/// Ids of questions for lists begin here.
const LIST_ID: u64 = 1 << 40;

pub struct World {
    pub rng: Rng,
    pub app: Arc<App>,
    /// An app without connections.
    other_app: Arc<App>,
    pub clients: Vec<Client>,
    pub sockets: Vec<Vec<Socket>>,
    pub step: u64,
    pub next_id: u64,
    pub limits: Limits,
    shards: Vec<Shard>,
    /// By shard, the driver's slots: generation, and whether in use.
    slots: Vec<Vec<(u32, bool)>>,
    awake: Vec<bool>,
    roots: Lane<Root>,
    leaves: Lane<Leaf>,
    hash: TopicHash,
    api: Outgoing<Root>,
    api_waits: Vec<VecDeque<Waiting>>,
    pub answers: Vec<Answer>,
    model: Model,
    pub hooks: HooksCore,
    /// What homes have done since the model was last told.
    deeds: Rc<RefCell<Vec<Deeds>>>,
    flush_slice: usize,
    now_ms: u64,
    seconds: u64,
    /// Clients have one channel after another, and never two.
    pub hopping: bool,
    /// Any subscription may be refused: the connection, the shard or the app may have few, or changes too fast.
    pub tight: bool,
    draining: bool,
    drain_rate: NonZeroU32,
    /// Users of the app who must go.
    terminated: BTreeSet<String>,
    /// Clients whose shards were told of it while they were on this channel, after so many subscriptions.
    must_go: Vec<(usize, String, usize)>,
    /// What an answer showed.
    fault: Option<String>,
    /// What a shard without connections keeps.
    held_bytes_min: usize,
    /// Times that a flush slice ended with connections still dirty.
    pub slices_cut: u64,
    turns: u64,
}

struct Waiting {
    id: u64,
    channel: String,
    root: Root,
}

/// Whether more has come between two readings than pings, pongs and silence.
fn heard_more_than_signs_of_life(before: &Stats, after: &Stats) -> bool {
    let talk =
        |it: &Stats| [it.attached, it.batches_taken, it.published, it.subscribed, it.subscribe_refused];
    talk(before) != talk(after)
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng(seed ^ 0x5eed);
        let hooks = HooksCore::new(seed);
        let shards = rng.between(1, 4);
        let unflushed_bytes_max = rng.between(400, 2000);
        // Numbers of its own, so that all other schedules stay what they were.
        let mut own = Rng(seed ^ 0x7164);
        let tight = own.chance(15);
        let limits = Limits {
            subscriptions_per_connection_max: if tight { own.between(2, 4) } else { 1000 },
            subscriptions_per_shard_max: (tight && own.chance(50)).then(|| own.between(3, 8)),
            outbox_bytes_max: unflushed_bytes_max * rng.between(4, 6),
            outbox_frames_max: rng.between(30, 200),
            outboxes_bytes_max: rng.chance(40).then(|| rng.between(2500, 6000)),
            unflushed_bytes_max,
            unflushed_shard_bytes_max: unflushed_bytes_max * rng.between(1, 4),
            held_ranges_max: 2 + seed as usize % 6,
            batch_messages_max: rng.between(2, 8),
            batch_bytes_max: rng.between(500, 4000),
            commands_per_turn_max: rng.between(1, 6),
            quantum: rng.between(1, 4),
            rounds_max: rng.between(1, 4),
            // Heads wait for their shard's next turn here, not for their senders.
            head_ms_max: u64::MAX / 2,
            activity_timeout_s: rng.between(5, 20) as u16,
            ping_grace_s: rng.between(1, 5) as u16,
            pong_s_max: rng.between(17, 25) as u16,
            idle_checks_per_turn_max: rng.between(1, 3),
            given_up_per_turn_max: rng.between(1, 5),
            walk_looks_max: if rng.chance(60) { 1 } else { rng.between(2, 4) },
            lists_max: rng.between(1, 3),
            terminations_max: rng.between(1, 2),
            nap_connections_min: 2,
            ..Limits::default()
        };
        let mut app = App::new("1", "key", "secret");
        app.hooks = hooks.kinds;
        app.limits.presence_members_max = 3;
        app.limits.client_events_per_second = 2;
        app.limits.subscriptions_max = (tight && own.chance(50)).then(|| own.between(4, 10) as u32);
        app.limits.subscription_changes_per_second = if tight { 1 } else { 1000 };
        app.terminate_by_presence = rng.chance(80);
        // Clocks must not come apart by more than they may.
        app.flush_interval_ms = if rng.chance(50) { 0 } else { rng.between(1, 30) as u32 };
        let mut other_app = App::new("2", "other", "secret");
        other_app.terminate_by_presence = true;
        let apps = Arc::new(Apps::new(vec![app, other_app]).unwrap());
        let [app, other_app] = ["1", "2"].map(|id| Arc::clone(apps.by_id(id).unwrap()));
        let hash = TopicHash::new(seed, shards);
        let drain_rate = NonZeroU32::new(rng.between(3, 200) as u32).unwrap();
        let deeds = Rc::<RefCell<Vec<Deeds>>>::default();
        let config = |index| ShardConfig {
            index,
            apps: Arc::clone(&apps),
            topics: hash.clone(),
            limits: limits.clone(),
            hook_grace_ms: hooks.grace_ms,
            witness: Some(witness(&deeds)),
            drain: DrainPlan { connections_per_second_max: drain_rate, close: Close::DRAINING },
            random: {
                let mut rng = Rng(seed.wrapping_mul(31).wrapping_add(index as u64));
                Box::new(move || rng.next())
            },
        };
        let shards: Vec<Shard> = (0..shards).map(|index| Shard::new(config(index))).collect();
        let held_bytes_min = shards[0].fanout().held_bytes();
        let (cores, shards_len) = (shards.len() + 1, shards.len());
        Self {
            shards,
            held_bytes_min,
            sockets: (0..shards_len).map(|_| Vec::new()).collect(),
            slots: vec![Vec::new(); shards_len],
            awake: vec![false; shards_len],
            roots: Lane::new(cores),
            leaves: Lane::new(cores),
            api: Outgoing::new(shards_len, &limits),
            api_waits: (0..shards_len).map(|_| VecDeque::new()).collect(),
            answers: Vec::new(),
            model: Model::default(),
            flush_slice: rng.between(1, 8),
            slices_cut: 0,
            turns: 0,
            clients: Vec::new(),
            step: 1,
            next_id: 1,
            now_ms: 1_000_000,
            seconds: 0,
            hopping: false,
            tight,
            draining: false,
            drain_rate,
            terminated: BTreeSet::new(),
            must_go: Vec::new(),
            fault: None,
            limits,
            hash,
            app,
            other_app,
            hooks,
            deeds,
            rng,
        }
    }

    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    pub fn stats(&self) -> Stats {
        let mut total = Stats::default();
        for shard in &self.shards {
            total.add(&shard.stats());
        }
        total
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, unix_ms: self.now_ms }
    }

    pub fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        for (shard, awake) in self.shards.iter().zip(&mut self.awake) {
            *awake |= shard.poll_deadline().is_some_and(|due| due <= self.now_ms);
        }
    }

    /// All processes are suspended for so long, and go on. It must count as a second at most.
    pub fn jump(&mut self, ms: u64) {
        self.grow_silent();
        self.advance(ms);
    }

    /// A second passes, in which shards turn and clients answer pings. Without the mesh, what waits for it goes on
    /// waiting.
    pub fn second(&mut self, mesh_moves: bool) -> Result<(), String> {
        self.grow_silent();
        self.advance(1000);
        for _ in 0..TURNS_PER_SECOND {
            self.step += 1;
            for shard in 0..self.shards.len() {
                if mesh_moves {
                    self.arrive(shard, true);
                    self.arrive(shard, false);
                    self.api_turn();
                }
                self.drain_sockets(shard);
                self.tell_writable(shard);
                if self.awake[shard] {
                    self.turn(shard)?;
                }
            }
            self.answer_pings();
        }
        self.check_silence()
    }

    /// All shards drain, and newcomers come meanwhile: everybody is told so, in time and at the rate.
    pub fn drain(&mut self) -> Result<(), String> {
        self.draining = true;
        self.hooks.end();
        let now = self.now();
        self.shards.iter_mut().for_each(|shard| shard.handle_drain(now));
        self.awake.fill(true);
        let mut listening: Vec<usize> =
            (0..self.clients.len()).filter(|client| self.listens(*client)).collect();
        let (rate, shards) = (u64::from(self.drain_rate.get()), self.shards.len() as u64);
        // All of them may be on one shard.
        for second in 0..self.stats().attached * shards * 11 / 10 / rate + 20 {
            let before = self.stats().drained;
            if second < 5 {
                listening.push(self.clients.len());
                let shard = self.rng.below(self.shards.len());
                self.connect(shard, Reader::Healthy);
            }
            self.second(true)?;
            let closed = self.stats().drained - before;
            if closed > rate + shards {
                return Err(format!("{closed} connections were closed in a second, {rate} may be"));
            }
        }
        let untold = listening.into_iter().find(|client| self.clients[*client].close_code != Some(4100));
        let stays = self.shards.iter().map(Machine::connections).sum::<usize>();
        match untold {
            Some(client) => Err(format!("client {client} was not told of the drain")),
            None if stays > 0 => Err(format!("{stays} connections are still there after the drain")),
            None => Ok(()),
        }
    }

    /// True when this client reads whatever it is sent.
    fn listens(&self, client: usize) -> bool {
        let client = &self.clients[client];
        let socket = &self.sockets[client.shard][client.socket];
        !client.leaving && !client.silent && !socket.closed && socket.reader == Reader::Healthy
    }

    /// A client whose kernel takes nothing more, if there is one that has not left.
    pub fn blocked_client(&self) -> Option<usize> {
        (0..self.clients.len()).find(|client| {
            let client = &self.clients[*client];
            let socket = &self.sockets[client.shard][client.socket];
            socket.waits_writable && !socket.closed && !client.leaving && !client.silent
        })
    }

    fn grow_silent(&mut self) {
        self.seconds += 1;
        for socket in self.sockets.iter_mut().flatten() {
            socket.grow_old();
            if socket.paused {
                socket.hear();
            } else {
                socket.silent_s += 1;
            }
        }
    }

    fn answer_pings(&mut self) {
        for client in 0..self.clients.len() {
            let it = &mut self.clients[client];
            let fresh = it.server_pings > it.server_pings_seen;
            it.server_pings_seen = it.server_pings;
            let (answers, shard, socket) = (!it.silent && !it.leaving, it.shard, it.socket);
            let socket = &mut self.sockets[shard][socket];
            if !fresh || socket.closed {
                continue;
            }
            socket.pinged = true;
            if answers && socket.reader != Reader::Dead {
                self.send(client, &Client::pong());
            }
        }
    }

    fn ping_after_s(&self) -> u32 {
        u32::from(self.limits.activity_timeout_s + self.limits.ping_grace_s)
    }

    /// Whoever was silent for long has been pinged; whoever was silent for longer is gone.
    fn check_silence(&self) -> Result<(), String> {
        let ping_s = self.ping_after_s() + SECONDS_OFF_MAX;
        let close_s = ping_s + u32::from(self.limits.pong_s_max);
        for (number, client) in self.clients.iter().enumerate().filter(|(_, it)| it.socket_id.is_some()) {
            let socket = &self.sockets[client.shard][client.socket];
            let silent_s = socket.silent_s;
            if !socket.closed && silent_s > close_s {
                return Err(format!("client {number} is still there after {silent_s} s of silence"));
            }
            if !socket.closed && silent_s > ping_s && socket.reader == Reader::Healthy && !socket.pinged {
                return Err(format!("client {number} was not pinged in {silent_s} s of silence"));
            }
        }
        Ok(())
    }

    // ---- what clients do

    pub fn connect(&mut self, shard: usize, reader: Reader) {
        let slots = &mut self.slots[shard];
        let slot = slots.iter().position(|(_, used)| !used).unwrap_or_else(|| {
            slots.push((0, false));
            slots.len() - 1
        });
        slots[slot].0 += 1;
        slots[slot].1 = true;
        let token = Token { slot: slot as u32, generation: slots[slot].0 };
        let mut socket = Socket::new(token, reader);
        socket.inbound.extend(Client::head("key"));
        let number = self.clients.len();
        self.clients.push(Client::new(shard, self.sockets[shard].len(), format!("u{}", number % 3)));
        self.sockets[shard].push(socket);
        let now = self.now();
        self.shards[shard].handle_open(token, Door::Public, false, now);
        self.awake[shard] = true;
    }

    pub fn send(&mut self, client: usize, bytes: &[u8]) {
        let (shard, socket) = (self.clients[client].shard, self.clients[client].socket);
        self.sockets[shard][socket].inbound.extend(bytes);
        self.awake[shard] = true;
    }

    pub fn hang_up(&mut self, client: usize) {
        let (shard, socket) = (self.clients[client].shard, self.clients[client].socket);
        self.clients[client].leaving = true;
        self.sockets[shard][socket].hung_up = true;
        self.awake[shard] = true;
    }

    /// A client's user on this channel: few on the big ones, each its own on the small one.
    pub fn user_on(client: usize, channel: &str) -> String {
        if channel == "presence-small" { format!("c{client}") } else { format!("u{}", client % 3) }
    }

    // ---- the API core

    pub fn publish(&mut self, channel: &str, padding: usize, except: Option<SocketId>) {
        let id = self.next_id;
        self.next_id += 1;
        let topic = self.hash.topic(&self.app, TopicKey::of(channel));
        let home = self.hash.home(topic.hash);
        let data = format!("{id}:{}", "y".repeat(padding));
        let mut bytes = Vec::new();
        encode_event(&mut bytes, "e", channel, &EventData::of_text(&data), None);
        let hook = self.app.hooks.has(HookKind::ServerEvent).then(|| HookEvent::ServerEvent {
            app: Arc::clone(&self.app),
            channel: topic.shared_name(),
            event: id.to_string().into(),
            recipients: 0,
        });
        let root = Root::Publish(Box::new(Publish { topic, frame: Frame::from(bytes), except, hook }));
        // Until it is in a batch it is not accepted.
        self.model.publish(id, channel, 0, except);
        self.api_waits[home].push_back(Waiting { id, channel: channel.to_owned(), root });
        self.api_accept();
    }

    /// Asks all homes for their occupied channels.
    pub fn list(&mut self, prefix: &str, bytes_max: usize) {
        for home in 0..self.shards.len() {
            let id = LIST_ID + self.next_id;
            self.next_id += 1;
            let (app, prefix) = (Arc::clone(&self.app), prefix.into());
            let query = Query { id, ask: Ask::Channels { app, prefix, bytes_max } };
            let root = Root::Query(Box::new(query));
            self.api_waits[home].push_back(Waiting { id: 0, channel: String::new(), root });
        }
        self.api_accept();
    }

    /// The connections of a user must go, or those of one with the same name in another app.
    pub fn terminate(&mut self, user: &str, elsewhere: bool) {
        let app = if elsewhere { &self.other_app } else { &self.app };
        if !elsewhere && app.terminate_by_presence {
            self.terminated.insert(user.to_owned());
            self.mark_who_may_go(user);
        }
        for shard in 0..self.shards.len() {
            let app = Arc::clone(if elsewhere { &self.other_app } else { &self.app });
            let root = Root::Terminate(Box::new(Terminate { app, user_id: user.into() }));
            self.api_waits[shard].push_back(Waiting { id: 0, channel: String::new(), root });
        }
        self.api_accept();
    }

    /// True when this user of the app was named as one who must go.
    pub fn is_terminated(&self, user: &str) -> bool {
        self.terminated.contains(user)
    }

    fn mark_who_may_go(&mut self, user: &str) {
        for client in 0..self.clients.len() {
            let settled = self.has_taken_all(client);
            let channels = &self.clients[client].channels;
            let may = channels.iter().any(|(name, channel)| {
                name.starts_with("presence-")
                    && Self::user_on(client, name) == user
                    && (channel.wanted || !settled)
            });
            self.clients[client].may_be_terminated |= may;
        }
    }

    /// The shard gets to know that the user must go: whoever it knows to be on a channel as that user must be closed.
    fn mark_who_must_go(&mut self, shard: usize, user: &str) {
        for client in 0..self.clients.len() {
            if self.clients[client].shard != shard || !self.has_taken_all(client) {
                continue;
            }
            for name in CHANNELS.iter().filter(|name| name.starts_with("presence-")) {
                let unsure = self.may_refuse(name) && awaits_answer(self, client, name);
                let channel = self.channel(client, name);
                if channel.wanted && !unsure && Self::user_on(client, name) == user {
                    let accepted = channel.accepted;
                    self.must_go.push((client, (*name).to_owned(), accepted));
                }
            }
        }
    }

    /// Its shard has taken all that this client has sent.
    fn has_taken_all(&self, client: usize) -> bool {
        let client = &self.clients[client];
        let socket = &self.sockets[client.shard][client.socket];
        socket.inbound.is_empty() && !socket.paused && !socket.closed
    }

    fn check_gone(&mut self) -> Result<(), String> {
        for (client, name, accepted) in std::mem::take(&mut self.must_go) {
            let (shard, socket) = (self.clients[client].shard, self.clients[client].socket);
            let gone = self.sockets[shard][socket].closed;
            let channel = self.channel(client, &name);
            if !gone && channel.wanted && channel.accepted == accepted {
                return Err(format!("client {client} is still on {name}, and its user must go"));
            }
        }
        Ok(())
    }

    fn api_accept(&mut self) {
        for home in 0..self.shards.len() {
            while !self.api.is_full(home) {
                let Some(Waiting { id, channel, root }) = self.api_waits[home].pop_front() else { break };
                match &root {
                    Root::Publish(publish) => {
                        self.model.publish(id, &channel, self.step, publish.except);
                    }
                    Root::Query(query) => self.note_list(home, query),
                    Root::Terminate(terminate)
                        if terminate.app.id == self.app.id && self.app.terminate_by_presence =>
                    {
                        self.mark_who_must_go(home, &terminate.user_id);
                    }
                    _ => {}
                }
                self.api.push(home, root);
            }
        }
    }

    fn note_list(&mut self, home: usize, query: &Query) {
        let Ask::Channels { prefix, bytes_max, .. } = &query.ask else { return };
        let lives_here = |name: &&str| self.hash.home(self.hash.of(&self.app, TopicKey::of(name))) == home;
        let asked = CHANNELS.into_iter().filter(|name| name.starts_with(&**prefix)).filter(lives_here);
        self.model.list(query.id, asked.map(str::to_owned).collect(), *bytes_max);
    }

    pub fn api_turn(&mut self) -> bool {
        let me = self.shards.len();
        self.api_accept();
        let mut any = false;
        for to in 0..me {
            let mut port = Port { me, roots: &mut self.roots, leaves: &mut self.leaves };
            if !self.api.is_empty(to) && port.may_send_roots(to) {
                port.send_roots(to, self.api.take(to));
                any = true;
            }
        }
        while let Some((from, batch)) = self.leaves.inbox[me].pop_front() {
            self.leaves.in_flight[from][me] -= 1;
            self.awake[from] = true;
            for leaf in batch {
                let Leaf::Answer(answer) = leaf else { panic!("the API core got {leaf:?}") };
                if answer.id < LIST_ID {
                    self.answers.push(*answer);
                } else if let Err(why) = self.model.listed(answer.id, &answer.found) {
                    self.fault.get_or_insert(why);
                }
            }
            any = true;
        }
        any
    }

    /// A core naps only while many are silent.
    fn check_nap(&self, me: usize, now: Now, before: &Stats) -> Result<(), String> {
        let shard = &self.shards[me];
        match shard.nap_ms_max(now) {
            0 => Ok(()),
            _ if heard_more_than_signs_of_life(before, &shard.stats()) => {
                Err(format!("shard {me} naps though somebody has just spoken"))
            }
            _ if shard.connections() < self.limits.nap_connections_min => {
                Err(format!("shard {me} naps for {} connections", shard.connections()))
            }
            nap_ms if nap_ms > self.limits.nap_ms_max => Err(format!("shard {me} naps for {nap_ms} ms")),
            _ => Ok(()),
        }
    }

    // ---- the mesh and the sockets

    /// One batch comes to a core. Returns whether there was one on its way.
    pub fn arrive(&mut self, to: usize, roots: bool) -> bool {
        let any = if roots { self.roots.arrive(to) } else { self.leaves.arrive(to) };
        if any && to < self.shards.len() {
            self.awake[to] = true;
        }
        any
    }

    pub fn drain_sockets(&mut self, shard: usize) {
        self.sockets[shard].iter_mut().for_each(Socket::drain);
    }

    /// The kernel says which sockets can be written again.
    pub fn tell_writable(&mut self, shard: usize) -> bool {
        let mut any = false;
        for socket in self.sockets[shard].iter_mut().filter(|socket| socket.waits_writable && !socket.closed)
        {
            if socket.room() > 0 {
                socket.waits_writable = false;
                self.shards[shard].handle_writable(socket.token);
                socket.refused = waiting_bytes(&self.shards[shard], socket.token);
                self.awake[shard] = true;
                any = true;
            }
        }
        any
    }

    // ---- a turn

    pub fn is_awake(&self, shard: usize) -> bool {
        self.awake[shard]
    }

    pub fn turn(&mut self, me: usize) -> Result<(), String> {
        if self.rng.chance(25) {
            self.tell_writable(me);
        }
        let now = self.now();
        let before = self.shards[me].stats();
        let more = turn(&mut Turning { world: self, me }, now)?;
        self.check_budget(me)?;
        for socket in &mut self.sockets[me] {
            socket.turns_unread = if socket.is_ready() { socket.turns_unread + 1 } else { 0 };
            if socket.turns_unread > UNREAD_TURNS_MAX {
                return Err(format!("a socket of shard {me} was not read in {UNREAD_TURNS_MAX} turns"));
            }
        }
        // The driver asks for it when nobody is left; at any other time it must do no harm.
        if self.turns.is_multiple_of(32) {
            self.shards[me].give_back_room();
        }
        self.turns += 1;
        self.check_nap(me, now, &before)?;
        self.awake[me] |= more;
        self.fault.take().map_or(Ok(()), Err)?;
        self.read_clients()
    }

    fn meet_deadline(&mut self, me: usize, now: Now) -> bool {
        let due = self.shards[me].poll_deadline().is_some_and(|due| due <= now.mono_ms);
        if due {
            for socket in &mut self.sockets[me] {
                socket.judged_s = if socket.paused { 0 } else { socket.silent_s };
            }
            self.shards[me].handle_deadline(now);
        }
        due
    }

    fn take_deeds(&mut self) -> Result<(), String> {
        for (channel, done, hooked) in self.deeds.take() {
            self.model.done(&channel, &done)?;
            self.hooks.done(&channel, &done, hooked, self.now_ms);
        }
        Ok(())
    }

    /// The hooks core opens, if the schedule says so.
    pub fn open_hooks(&mut self, surely: bool) {
        if self.hooks.opens(if surely { u64::MAX } else { self.step }) {
            let (now, open) = (self.now(), self.hooks.open(self.now_ms));
            self.shards.iter_mut().for_each(|shard| shard.handle_open_edges(&open, now));
            self.awake.fill(true);
        }
    }

    /// The queue of the hooks core has room, the grace passes, and everything rests: all that is known there is true.
    pub fn check_hooks(&mut self, all_left: bool) -> Result<(), String> {
        self.open_hooks(true);
        self.hooks.unjam();
        for _ in 0..self.hooks.grace_ms / 1000 + 2 {
            self.second(true)?;
        }
        self.settle()?;
        for (index, shard) in self.shards.iter().enumerate() {
            if all_left && !self.hooks.is_over() && !shard.edges().is_empty() {
                return Err(format!("shard {index} keeps {:?}", shard.edges()));
            }
        }
        let stats = self.stats();
        self.hooks.check(self.now_ms, stats.hook_client_events_dropped + stats.hook_server_events_dropped)
    }

    fn check_bounds(&self, me: usize) -> Result<(), String> {
        let (shard, limits) = (&self.shards[me], &self.limits);
        let subscriptions = shard.fanout().subscriptions();
        if limits.subscriptions_per_shard_max.is_some_and(|max| subscriptions > max) {
            return Err(format!("shard {me} has {subscriptions} subscriptions"));
        }
        // Here no two shards take one at the same time.
        let (of_app, app_max) = (self.app.subscriptions(), self.app.limits.subscriptions_max);
        if app_max.is_some_and(|max| of_app > max.into()) {
            return Err(format!("the app has {of_app} subscriptions"));
        }
        let unflushed = shard.fanout().flush().unflushed_bytes();
        let unflushed_max = limits.unflushed_bytes_max as u64 + ITEM_BYTES_MAX;
        if unflushed > unflushed_max {
            return Err(format!("{unflushed} bytes are unflushed, at most {unflushed_max} may be"));
        }
        let untried = shard.fanout().flush().untried_bytes() as usize;
        let untried_max = limits.unflushed_shard_bytes_max + EVENT_BYTES_MAX;
        if untried > untried_max {
            return Err(format!("{untried} bytes of Runs are untried, at most {untried_max} may be"));
        }
        if let Some(budget) = limits.outboxes_bytes_max {
            let (held, most) = (shard.fanout().held_bytes(), budget + PHASE_BYTES_MAX);
            if held > most {
                return Err(format!("outboxes keep {held} bytes in a phase, at most {most} may be"));
            }
        }
        for (slot, backlog) in shard.fanout().flush().backlogs().iter() {
            let most = limits.outbox_bytes_max as u64 + unflushed_max + ITEM_BYTES_MAX;
            if backlog.bytes as u64 > most {
                return Err(format!(
                    "slot {slot} has {} bytes waiting, at most {most} may be",
                    backlog.bytes
                ));
            }
        }
        let (roots, leaves) = shard.open_batches();
        // A command adds up to two roots, a root up to two leaves, to a batch that was not full.
        if roots > limits.batch_messages_max + 2 || leaves > limits.batch_messages_max + 1 {
            return Err(format!("open batches of {roots} roots and {leaves} leaves"));
        }
        let (lists, terminations) = shard.open_walks();
        if lists > limits.lists_max || terminations > 2 * limits.terminations_max {
            return Err(format!("{lists} lists and {terminations} terminations"));
        }
        Ok(())
    }

    /// Nobody waits beyond the next multiple of the interval, nor with more ranges than may wait.
    fn check_holds(&self, me: usize) -> Result<(), String> {
        self.check_held_ranges(me)?;
        let due_ms = self.shards[me].fanout().flush().next_tick_ms();
        let next_ms = self.now_ms + u64::from(self.app.flush_interval_ms);
        match due_ms.filter(|due_ms| !(self.now_ms + 1..=next_ms).contains(due_ms)) {
            Some(due_ms) => Err(format!("a hold ends at {due_ms} ms, and it is {} ms", self.now_ms)),
            None => Ok(()),
        }
    }

    fn check_held_ranges(&self, me: usize) -> Result<(), String> {
        let connections = &self.shards[me].fanout().connections;
        let waits = |id| connections.view(id).filter(|it| it.held && !it.dirty && !it.blocked);
        let waiting = (0..connections.slots()).filter_map(|slot| waits(connections.id_at(slot)?));
        let most = waiting.map(|connection| connection.outbox.backlog().ranges).max();
        match most.filter(|most| *most >= self.limits.held_ranges_max) {
            Some(most) => {
                Err(format!("{most} ranges wait for a tick, {} may not", self.limits.held_ranges_max))
            }
            None => Ok(()),
        }
    }

    /// What waits for a connection that the kernel has not refused is what it has gained since it was last tried.
    fn check_gains(&self, me: usize) -> Result<(), String> {
        let connections = &self.shards[me].fanout().connections;
        let most = self.limits.unflushed_bytes_max + EVENT_BYTES_MAX;
        for id in (0..connections.slots()).filter_map(|slot| connections.id_at(slot)) {
            let Some(connection) = connections.view(id).filter(|it| !it.blocked) else { continue };
            let socket = self.sockets[me].iter().find(|socket| socket.token == connection.token);
            let old = socket.map_or(0, |socket| socket.refused);
            let gained = connection.outbox.backlog().bytes.saturating_sub(old);
            if gained > most {
                return Err(format!("slot {} has gained {gained} bytes untried, {most} may be", id.slot));
            }
        }
        Ok(())
    }

    /// No Run grows: past the budget only those may be for whom no write was tried.
    fn check_budget(&self, me: usize) -> Result<(), String> {
        let local = self.shards[me].fanout();
        let Some(budget) = self.limits.outboxes_bytes_max else { return Ok(()) };
        let (kept, most) = (self.shards[me].parting_bytes(), budget / PARTING_PART);
        if kept > most {
            return Err(format!("{kept} bytes are kept for those who are closed, {most} may be"));
        }
        let partings = || self.sockets[me].iter().filter_map(|socket| socket.parting.as_ref());
        let lingers: usize = partings().map(|parting| parting.to_vec().len()).sum();
        let words = partings().count() * LAST_WORDS_BYTES_MAX;
        if lingers > kept + words {
            return Err(format!("{lingers} bytes linger for those who are closed, {kept} are counted"));
        }
        if local.held_bytes() > budget && !local.flush().backlogs().is_empty() {
            return Err(format!("outboxes keep {} bytes, {budget} may be", local.held_bytes()));
        }
        Ok(())
    }

    /// Writes a chunk of outboxes together: all are tried before the shard is told of any, and it hears of what was
    /// taken before it judges those that took nothing.
    fn flush(&mut self, me: usize) -> Result<bool, String> {
        let now = self.now();
        let mut attempts: Vec<(Token, usize)> = Vec::new();
        while attempts.len() < self.flush_slice
            && let Some(token) = self.shards[me].poll_dirty()
        {
            if attempts.iter().any(|(other, _)| *other == token) {
                return Err("dirty twice".into());
            }
            attempts.push((token, 0));
        }
        for (token, taken) in &mut attempts {
            *taken = self.write(me, *token)?.ok_or("dirty, but nothing to write")?;
        }
        let wrote = !attempts.is_empty();
        attempts.sort_by_key(|(_, taken)| *taken == 0);
        let mut rest = Vec::new();
        for (token, taken) in attempts {
            if taken == 0 {
                self.refuse(me, token);
            } else if self.shards[me].handle_written(token, taken, now) {
                rest.push(token);
            }
        }
        for token in rest {
            self.write_on(me, token)?;
        }
        self.slices_cut += u64::from(!self.shards[me].fanout().flush().is_clean());
        Ok(wrote)
    }

    /// Offers what waits to a socket, or less. None: nothing waits.
    fn write(&mut self, me: usize, token: Token) -> Result<Option<usize>, String> {
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = self.shards[me].outbox(token, &mut slices);
        let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
        if bytes.is_empty() {
            return Ok(None);
        }
        let offered = if self.rng.chance(30) { self.rng.between(1, bytes.len()) } else { bytes.len() };
        let socket = self.sockets[me].iter_mut().find(|socket| socket.token == token);
        let socket = socket.ok_or("dirty, but unknown")?;
        socket.refused = 0;
        Ok(Some(socket.write(&bytes[..offered])))
    }

    fn write_on(&mut self, me: usize, token: Token) -> Result<(), String> {
        let now = self.now();
        while let Some(taken) = self.write(me, token)? {
            if taken == 0 {
                self.refuse(me, token);
                break;
            }
            if !self.shards[me].handle_written(token, taken, now) {
                break;
            }
        }
        Ok(())
    }

    fn refuse(&mut self, me: usize, token: Token) {
        if let Some(socket) = self.sockets[me].iter_mut().find(|socket| socket.token == token) {
            socket.waits_writable = true;
        }
        let now = self.now();
        self.shards[me].handle_blocked(token, now);
    }

    fn perform(&mut self, me: usize) -> Result<bool, String> {
        let mut any = false;
        while let Some(effect) = self.shards[me].poll_effect() {
            any = true;
            match effect {
                Effect::Drop { .. } => return Err("all heads are complete".into()),
                Effect::Reset(token) => self.reset(me, token)?,
                Effect::HandOver { .. } => return Err("nothing here is plain HTTP".into()),
                Effect::Resume(token) => {
                    if let Some(socket) = self.socket_mut(me, token) {
                        socket.paused = false;
                        socket.hear();
                        self.awake[me] = true;
                    }
                }
                Effect::Close { token, last } => self.close(me, token, last)?,
            }
        }
        Ok(any)
    }

    fn socket_mut(&mut self, shard: usize, token: Token) -> Option<&mut Socket> {
        self.sockets[shard].iter_mut().find(|socket| socket.token == token && !socket.closed)
    }

    fn reset(&mut self, me: usize, token: Token) -> Result<(), String> {
        let socket = self.socket_mut(me, token).ok_or("closed twice")?;
        if !socket.waits_writable {
            return Err("reset, and the kernel had not refused it".into());
        }
        socket.closed = true;
        self.forget(me, token)?.leaving = true;
        Ok(())
    }

    /// The driver's slot is free again. Returns whose it was.
    fn forget(&mut self, me: usize, token: Token) -> Result<&mut Client, String> {
        let at = self.sockets[me].iter().position(|socket| socket.token == token).unwrap();
        self.slots[me][token.slot as usize].1 = false;
        let client = self.clients.iter_mut().find(|client| client.shard == me && client.socket == at);
        client.ok_or_else(|| "a socket of nobody".into())
    }

    fn close(&mut self, me: usize, token: Token, parting: Parting) -> Result<(), String> {
        let last = parting.to_vec();
        let slow = last.windows(8).any(|eight| eight == b"Too slow");
        let unanswered = last.windows(10).any(|ten| ten == b"Pong reply");
        let silence_s_min =
            (self.ping_after_s() + u32::from(self.limits.pong_s_max)).saturating_sub(SECONDS_OFF_MAX);
        let socket = self.socket_mut(me, token).ok_or("closed twice")?;
        if unanswered && socket.judged_s < silence_s_min {
            return Err(format!("closed after {} s of silence", socket.judged_s));
        }
        let may_be_silent = socket.reader == Reader::Dead;
        let shed = last.windows(18).any(|text| text == b"outboxes_bytes_max");
        if shed && !socket.waits_writable {
            return Err("closed for the budget of all, and the kernel had not refused it".into());
        }
        if slow && !shed && socket.room() > 0 {
            return Err(format!("closed as too slow, while the kernel would take {} bytes", socket.room()));
        }
        socket.closed = true;
        socket.parting = Some(parting);
        socket.write_parting();
        let draining = self.draining;
        let client = self.forget(me, token)?;
        let silent = unanswered && (client.silent || may_be_silent);
        let drained = draining && last.windows(10).any(|ten| ten == b"restarting");
        let terminated = last.windows(12).any(|twelve| twelve == b"disconnected");
        if terminated && !client.may_be_terminated {
            return Err("closed as one whose user must go, which it need not".into());
        }
        if !client.leaving && !slow && !silent && !drained && !terminated {
            return Err(format!("closed for no reason: {:?}", String::from_utf8_lossy(&last)));
        }
        client.leaving = true;
        Ok(())
    }

    fn read_clients(&mut self) -> Result<(), String> {
        for (number, client) in self.clients.iter_mut().enumerate() {
            let socket = &self.sockets[client.shard][client.socket];
            client.read(&socket.received, self.step).map_err(|why| format!("client {number}: {why}"))?;
        }
        Ok(())
    }

    // ---- rest

    /// Everything that can go on goes on, until nothing is left but what waits for dead readers.
    pub fn settle(&mut self) -> Result<(), String> {
        for _ in 0..20_000 {
            let mut any = self.api_turn();
            for core in 0..=self.shards.len() {
                any |= self.arrive(core, true);
                any |= self.arrive(core, false);
            }
            for shard in 0..self.shards.len() {
                self.drain_sockets(shard);
                any |= self.tell_writable(shard);
                if self.awake[shard] {
                    any = true;
                    self.turn(shard)?;
                }
            }
            self.step += 1;
            // What is held waits for nothing but time.
            if !any && self.shards.iter().any(|shard| shard.fanout().flush().next_tick_ms().is_some()) {
                self.advance(1);
                continue;
            }
            if !any {
                return self.check_rest();
            }
        }
        Err("it never comes to rest".into())
    }

    fn check_rest(&self) -> Result<(), String> {
        if !self.roots.is_empty() || !self.leaves.is_empty() {
            return Err("all sleep, and batches are left".into());
        }
        if self.api_waits.iter().any(|waits| !waits.is_empty()) {
            return Err("all sleep, and events wait at the API core".into());
        }
        for (number, client) in self.clients.iter().enumerate() {
            let socket = &self.sockets[client.shard][client.socket];
            if socket.closed {
                continue;
            }
            if !socket.inbound.is_empty() || socket.paused {
                return Err(format!("all sleep, and client {number} has bytes that nobody reads"));
            }
            if socket.reader != Reader::Dead && !client.is_whole(&socket.received) {
                return Err(format!("client {number} has got half a frame"));
            }
        }
        for (index, shard) in self.shards.iter().enumerate() {
            if shard.open_walks() != (0, 0) {
                return Err(format!("shard {index} sleeps with open walks {:?}", shard.open_walks()));
            }
            if shard.open_batches() != (0, 0) {
                return Err(format!("shard {index} sleeps with open batches {:?}", shard.open_batches()));
            }
        }
        Ok(())
    }

    /// What each client saw, and what an outsider is told.
    pub fn check(&mut self) -> Result<(), String> {
        let mut expected = BTreeMap::new();
        for name in CHANNELS {
            let on: Vec<usize> = (0..self.clients.len())
                .filter(|client| {
                    let client = &self.clients[*client];
                    let attached = !self.sockets[client.shard][client.socket].closed;
                    attached && client.channels.get(name).is_some_and(|channel| channel.wanted)
                })
                .collect();
            let users: BTreeSet<String> = on.iter().map(|client| Self::user_on(*client, name)).collect();
            let users = if name.starts_with("presence-") { users.len() as u32 } else { 0 };
            expected.insert(name.to_owned(), Expected { subscriptions: on.len() as u64, users });
        }
        self.check_gone()?;
        self.check_counts(&expected)?;
        for client in &mut self.clients {
            if client.server_pings > 1 + self.seconds / u64::from(self.limits.activity_timeout_s) {
                return Err(format!("{} pings in {} s", client.server_pings, self.seconds));
            }
            let socket = &self.sockets[client.shard][client.socket];
            client.leaving |= socket.reader == Reader::Dead;
            if !client.leaving {
                Self::check_replies(client)?;
            }
        }
        self.model.check(&self.clients, &expected)
    }

    fn check_replies(client: &Client) -> Result<(), String> {
        if client.pings != client.pongs {
            return Err(format!("{} pongs to {} pings", client.pongs, client.pings));
        }
        let commands = client.errors.iter().filter(|text| {
            text.starts_with("Existing subscription") || text.starts_with("No current subscription")
        });
        if commands.count() != client.errors_expected {
            return Err(format!("{} errors expected, got {:?}", client.errors_expected, client.errors));
        }
        let known = ["Existing", "No current", "Client event rejected", "The presence channel", "This "];
        match client.errors.iter().find(|text| !known.iter().any(|start| text.starts_with(start))) {
            Some(text) => Err(format!("unexpected error {text}")),
            None => Ok(()),
        }
    }

    fn check_counts(&mut self, expected: &BTreeMap<String, Expected>) -> Result<(), String> {
        self.answers.clear();
        for (id, name) in expected.keys().enumerate() {
            let topic = self.hash.topic(&self.app, TopicKey::of(name));
            let home = self.hash.home(topic.hash);
            let query = Query { id: id as u64, ask: Ask::Channel { topic } };
            let root = Root::Query(Box::new(query));
            self.api_waits[home].push_back(Waiting { id: 0, channel: String::new(), root });
        }
        self.list("", 10_000);
        self.settle()?;
        if self.model.lists_open() > 0 {
            return Err(format!("{} lists are not answered", self.model.lists_open()));
        }
        for (id, (name, expected)) in expected.iter().enumerate() {
            let answer = self.answers.iter().find(|answer| answer.id == id as u64).ok_or("no answer")?;
            let Found::Channel(counts) = &answer.found else { return Err("a strange answer".into()) };
            if *counts != (Counts { subscriptions: expected.subscriptions, users: expected.users }) {
                return Err(format!(
                    "{name}: {counts:?}, and {} subscriptions of {} users",
                    expected.subscriptions, expected.users
                ));
            }
        }
        Ok(())
    }

    /// Everybody has left and everything rests: nothing may be left.
    pub fn check_empty(&self) -> Result<(), String> {
        for (index, shard) in self.shards.iter().enumerate() {
            let left = (shard.connections(), shard.fanout().topics(), shard.home().len());
            if left != (0, 0, 0) || shard.fanout().subscriptions() != 0 {
                return Err(format!("shard {index} keeps connections, local topics, home topics: {left:?}"));
            }
            let held = shard.fanout().held_bytes();
            if held != self.held_bytes_min {
                return Err(format!("shard {index} counts {held} bytes of outboxes that are gone"));
            }
        }
        let counted = (self.app.connections(), self.app.subscriptions());
        if counted != (0, 0) {
            return Err(format!("the app still counts connections and subscriptions {counted:?}"));
        }
        self.model.check_empty()
    }

    /// True when a client knows only from the answer whether it is subscribed.
    pub fn may_refuse(&self, channel: &str) -> bool {
        self.tight || channel == "presence-small"
    }

    /// True when this client reads nothing: it never knows what became of its commands.
    pub fn is_dead(&self, client: usize) -> bool {
        let client = &self.clients[client];
        self.sockets[client.shard][client.socket].reader == Reader::Dead
    }

    pub fn channel(&mut self, client: usize, name: &str) -> &mut Channel {
        self.clients[client].channels.entry(name.to_owned()).or_default()
    }
}

/// What was done to a channel, and whether the hooks want to know of it.
type Deeds = (String, Done, bool);

/// Notes what homes do.
fn witness(deeds: &Rc<RefCell<Vec<Deeds>>>) -> Witness {
    let deeds = Rc::clone(deeds);
    Box::new(move |deed| {
        let (topic, done, hooked) = match deed {
            Deed::Occupied(topic) => (topic, Done::Occupied, false),
            Deed::Vacated(topic) => (topic, Done::Vacated, false),
            Deed::Added { topic, user_id } => (topic, Done::Added(user_id.to_owned()), false),
            Deed::Removed { topic, user_id } => (topic, Done::Removed(user_id.to_owned()), false),
            Deed::Published { topic, frame, except, hooked } => {
                (topic, Done::Event { id: event_id(frame.as_bytes()), except }, hooked)
            }
        };
        deeds.borrow_mut().push((topic.name().into_owned(), done, hooked));
    })
}

/// The number at the beginning of an event's data.
fn event_id(frame: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(frame);
    let data = text.split("\"data\":\"").nth(1).and_then(|data| data.split(':').next());
    data.and_then(|id| id.parse().ok()).expect("each event's data begins with its number")
}

/// What waits for the connection behind this token, in bytes, without the largest private item.
fn waiting_bytes(shard: &Shard, token: Token) -> usize {
    let connections = &shard.fanout().connections;
    let mut all = (0..connections.slots()).filter_map(|slot| connections.view(connections.id_at(slot)?));
    all.find(|connection| connection.token == token).map_or(0, |it| it.outbox.backlog().bytes)
}

/// One shard in its turn, and the world around it.
struct Turning<'a> {
    world: &'a mut World,
    me: usize,
}

impl Core for Turning<'_> {
    type Machine = Shard;
    type Inputs<'a>
        = TurnInputs<'a>
    where
        Self: 'a;
    type Mesh<'a>
        = Port<'a>
    where
        Self: 'a;
    type Error = String;

    fn inputs(&mut self) -> (&mut Shard, TurnInputs<'_>) {
        let World { shards, roots, leaves, sockets, awake, rng, .. } = &mut *self.world;
        let port = Port { me: self.me, roots, leaves };
        let sockets = &mut sockets[self.me];
        (&mut shards[self.me], TurnInputs { port, sockets, awake, rng, scratch: Vec::new(), next: 0 })
    }

    fn mesh(&mut self) -> (&mut Shard, Port<'_>) {
        let World { shards, roots, leaves, .. } = &mut *self.world;
        (&mut shards[self.me], Port { me: self.me, roots, leaves })
    }

    fn clear_doorbell(&mut self) {
        self.world.awake[self.me] = false;
    }

    fn gather(&mut self, now: Now) -> Result<bool, String> {
        Ok(self.world.meet_deadline(self.me, now))
    }

    fn decided(&mut self) -> Result<(), String> {
        self.world.check_bounds(self.me)
    }

    fn sealed(&mut self) -> Result<(), String> {
        self.world.check_gains(self.me)?;
        self.world.check_holds(self.me)?;
        self.world.check_budget(self.me)
    }

    fn tell_hooks(&mut self, now: Now) -> Result<(), String> {
        self.world.take_deeds()?;
        let World { shards, hooks, .. } = &mut *self.world;
        hooks.listen(now.mono_ms);
        shards[self.me].tell_hooks(hooks, now);
        hooks.heard()
    }

    fn perform(&mut self, _now: Now) -> Result<bool, String> {
        self.world.perform(self.me)
    }

    fn flush(&mut self, _now: Now) -> Result<bool, String> {
        self.world.flush(self.me)
    }

    fn finish(&mut self, _now: Now) -> Result<bool, String> {
        Ok(false)
    }
}

/// What a shard draws from in one turn.
struct TurnInputs<'a> {
    port: Port<'a>,
    sockets: &'a mut Vec<Socket>,
    awake: &'a mut [bool],
    rng: &'a mut Rng,
    scratch: Vec<u8>,
    next: usize,
}

impl TurnInputs<'_> {
    /// The API core, which comes after the shards, is never asleep here.
    fn ring(&mut self, core: usize) {
        if let Some(awake) = self.awake.get_mut(core) {
            *awake = true;
        }
    }
}

impl Inputs for TurnInputs<'_> {
    fn next_leaves(&mut self) -> Option<(usize, Vec<Leaf>)> {
        self.port.leaves.inbox[self.port.me].pop_front()
    }

    fn next_roots(&mut self) -> Option<(usize, Vec<Root>)> {
        self.port.roots.inbox[self.port.me].pop_front()
    }

    fn release_leaves(&mut self, from: usize) {
        self.port.leaves.in_flight[from][self.port.me] -= 1;
        self.ring(from);
    }

    fn release_roots(&mut self, from: usize) {
        self.port.roots.in_flight[from][self.port.me] -= 1;
        self.ring(from);
    }

    fn next_socket(&mut self) -> Option<machine::Socket<'_>> {
        let count = self.sockets.len();
        let at = (0..count).map(|off| (self.next + off) % count).find(|at| self.sockets[*at].is_ready())?;
        self.next = at + 1;
        let socket = &mut self.sockets[at];
        socket.turns_unread = 0;
        socket.hear();
        if socket.inbound.is_empty() {
            socket.hangup_told = true;
            return Some(machine::Socket::Hangup(socket.token));
        }
        let most = if self.rng.chance(20) { self.rng.between(1, 40) } else { 4096 };
        let len = socket.inbound.len().min(most);
        self.scratch = socket.inbound.drain(..len).collect();
        Some(machine::Socket::Bytes(socket.token, &mut self.scratch))
    }

    fn pause(&mut self, token: Token) {
        if let Some(socket) = self.sockets.iter_mut().find(|socket| socket.token == token) {
            socket.paused = true;
        }
    }
}
