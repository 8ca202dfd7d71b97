//! A schedule's whole world: cores, clients, the API core's side, hooks and model, moved one step at a time.
//!
//! It conducts. What one part does alone is in the part's own file.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use corecast_machines::address_caps::AddressCaps;
use corecast_machines::cores::CoreId;
use corecast_machines::limits::Limits;
use corecast_machines::machine::{Machine, Now};
use corecast_machines::mesh::{Answer, Ask, Counts, Event, Found, Origin, Publish, Query, Root, Terminate};
use corecast_machines::readings::stats::Stats;
use corecast_machines::shard::ending::drain::DrainPlan;
use corecast_machines::shard::{Shard, ShardConfig};
use corecast_machines::topic::{TopicHash, TopicKey};
use corecast_machines::turn::turn;
use protocol::address::Address;
use protocol::app::{App, AppVerdict, Apps};
use protocol::close::Close;
use protocol::hook_event::HookEvent;
use protocol::hook_kind::HookKind;
use protocol::http::TrustedProxies;
use protocol::json::EventData;
use protocol::server_event::encode_event;
use protocol::socket_id::{Place, SocketId};
use protocol::ws::Frame;

use crate::api_side::ApiSide;
use crate::bounds::Bounds;
use crate::channels::{CHANNELS, USERS, is_own};
use crate::client::{Client, is_json};
use crate::clients::Clients;
use crate::cores::Cores;
use crate::counts::CountsModel;
use crate::deeds::{Deeds, event_id};
use crate::hooks::HooksCore;
use crate::lookups::{self, Lookups};
use crate::model::{Expected, Model};
use crate::remembered::Remembered;
use crate::rest;
use crate::rng::Rng;
use crate::socket::Reader;
use crate::terminations::Terminations;
use crate::turning::Turning;
use crate::users::Users;

/// The number of the simulated server.
const NODE: u16 = 3;

/// Turns of each shard in a second. A client's answer to a ping is read within 120 turns, so it is never late.
const TURNS_PER_SECOND: usize = 8;

/// Ids of questions for lists begin here.
const LIST_ID: u64 = 1 << 40;

pub struct World {
    rng: Rng,
    /// For what users do, so that all other schedules stay what they were.
    users_rng: Rng,
    /// For which clients take objects.
    dialects_rng: Rng,
    objects_percent: usize,
    app: Arc<App>,
    /// What shards were last told of all apps.
    apps: Arc<Apps>,
    /// The app as it was at first.
    make_app: Box<dyn Fn() -> App>,
    /// How often its settings have changed.
    renewals: u32,
    /// What shards count of addresses.
    address_caps: AddressCaps,
    /// An app without connections.
    other_app: Arc<App>,
    cores: Cores,
    clients: Clients,
    api: ApiSide,
    terminations: Terminations,
    model: Model,
    counts: CountsModel,
    hooks: HooksCore,
    lookups: Lookups,
    bounds: Bounds,
    /// What homes have done since the model was last told.
    deeds: Deeds,
    users: Users,
    hash: TopicHash,
    answers: Vec<Answer>,
    step: u64,
    next_id: u64,
    now_ms: u64,
    seconds: u64,
    flush_slice: usize,
    /// Clients have one channel after another, and never two.
    hops: bool,
    tight: bool,
    draining: bool,
    drain_rate: NonZeroU32,
    tls_handshake_ms_max: u64,
    app_waits_max: usize,
    activity_timeout_s: u16,
    /// What an answer showed.
    fault: Option<String>,
    /// What a shard without connections keeps.
    held_bytes_min: usize,
    slices_cut: u64,
    turns: u64,
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
        let mut counting = Rng(seed ^ 0xc07);
        let mut cache = Rng(seed ^ 0xcac4e);
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
            drain_head_ms_max: u64::MAX / 2,
            tls_handshake_ms_max: Rng(seed ^ 0x4a4d).between(2_000, 9_000) as u64,
            activity_timeout_s: rng.between(5, 20) as u16,
            ping_grace_s: rng.between(1, 5) as u16,
            pong_s_max: rng.between(17, 25) as u16,
            idle_checks_per_turn_max: rng.between(1, 3),
            given_up_per_turn_max: rng.between(1, 5),
            walk_looks_max: if rng.chance(60) { 1 } else { rng.between(2, 4) },
            lists_max: rng.between(1, 3),
            terminations_max: rng.between(1, 2),
            nap_connections_min: 2,
            counts_exact_max: if counting.chance(30) { 1000 } else { counting.between(1, 4) as u64 },
            counts_due_max: counting.between(1, 3),
            counts_paced_max: if counting.chance(30) { 1 } else { CHANNELS.len() },
            cache_bytes_max: if cache.chance(50) { cache.between(400, 1400) } else { 1 << 20 },
            cache_expiries_per_turn_max: 1,
            app_waits_max: Rng(seed ^ 0x100c).between(1, 3),
            ..Limits::default()
        };
        let subscriptions_max = (tight && own.chance(50)).then(|| own.between(4, 10) as u32);
        let terminate_by_presence = rng.chance(80);
        let cache_ttl_s = cache.between(1, 60) as u32;
        // Clocks must not come apart by more than they may.
        let flush_interval_ms = if rng.chance(50) { 0 } else { rng.between(1, 30) as u32 };
        let mut dialects = Rng(seed ^ 0xd1a1);
        let mut of_users = Rng(seed ^ 0xa117);
        let authorization_timeout_s = if of_users.chance(12) { of_users.between(3, 40) as u32 } else { 0 };
        let kinds = hooks.kinds;
        let make_app = move || {
            let mut app = App::new("1", "key", "secret");
            app.hooks = kinds;
            app.cache_ttl_s = cache_ttl_s;
            app.limits.presence_members_max = 3;
            app.limits.client_events_per_second = 2;
            app.limits.subscriptions_max = subscriptions_max;
            app.limits.subscription_changes_per_second = if tight { 1 } else { 1000 };
            app.terminate_by_presence = terminate_by_presence;
            app.flush_interval_ms = flush_interval_ms;
            app.limits.watchlist_users_max = 4;
            app.authorization_timeout_s = authorization_timeout_s;
            app
        };
        let apps = Arc::new(Apps::new(vec![make_app(), make_other_app()]).unwrap());
        let [app, other_app] = ["1", "2"].map(|id| Arc::clone(apps.by_id(id).unwrap()));
        let hash = TopicHash::new(seed, shards);
        let drain_rate = NonZeroU32::new(rng.between(3, 200) as u32).unwrap();
        let deeds = Deeds::default();
        let address_caps = AddressCaps::default();
        let config = |number| ShardConfig {
            number,
            node: NODE,
            apps: Arc::clone(&apps),
            path_prefix: Default::default(),
            trusted_proxies: TrustedProxies::parse_network("10.0.0.0/8").into_iter().collect(),
            address_caps: address_caps.clone(),
            topics: hash.clone(),
            limits: limits.clone(),
            hook_grace_ms: hooks.grace_ms,
            witness: Some(deeds.witness()),
            drain: DrainPlan { connections_per_second_max: drain_rate, close: Close::DRAINING },
            random: {
                let mut rng = Rng(seed.wrapping_mul(31).wrapping_add(u64::from(number)));
                Box::new(move || rng.next())
            },
        };
        let shards: Vec<Shard> = (0..shards as u16).map(|number| Shard::new(config(number))).collect();
        let held_bytes_min = shards[0].fanout().held_bytes();
        Self {
            address_caps,
            cores: Cores::new(shards),
            clients: Clients::new(tight),
            api: ApiSide::new(hash.cores(), &limits),
            terminations: Terminations::default(),
            model: Model::new(Remembered::new(limits.cache_bytes_max)),
            counts: CountsModel::new(&limits),
            bounds: Bounds::new(limits.clone(), Arc::clone(&app)),
            flush_slice: rng.between(1, 8),
            slices_cut: 0,
            turns: 0,
            step: 1,
            next_id: 1,
            now_ms: 1_000_000,
            seconds: 0,
            hops: false,
            tight,
            draining: false,
            drain_rate,
            fault: None,
            answers: Vec::new(),
            held_bytes_min,
            activity_timeout_s: limits.activity_timeout_s,
            hash,
            app,
            apps,
            make_app: Box::new(make_app),
            renewals: 0,
            other_app,
            hooks,
            lookups: Lookups::default(),
            app_waits_max: limits.app_waits_max,
            tls_handshake_ms_max: limits.tls_handshake_ms_max,
            deeds,
            users: Users::default(),
            rng,
            users_rng: Rng(seed ^ 0x05e7),
            objects_percent: if dialects.chance(50) { 0 } else { dialects.between(10, 100) },
            dialects_rng: dialects,
        }
    }

    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// The numbers for what users do.
    pub fn users_rng(&mut self) -> &mut Rng {
        &mut self.users_rng
    }

    /// A number below this one.
    pub fn below(&mut self, end: usize) -> usize {
        self.rng.below(end)
    }

    pub fn any_shard(&mut self) -> usize {
        self.rng.below(self.cores.shards().len())
    }

    /// A shard or the API core.
    pub fn any_core(&mut self) -> CoreId {
        let cores = self.hash.cores();
        cores.at(self.rng.below(cores.turning()))
    }

    pub fn any_client(&mut self) -> usize {
        self.rng.below(self.clients.len())
    }

    pub fn any_channel(&mut self) -> &'static str {
        CHANNELS[self.rng.below(CHANNELS.len())]
    }

    pub fn app(&self) -> Arc<App> {
        Arc::clone(&self.app)
    }

    pub fn clients(&mut self) -> &mut Clients {
        &mut self.clients
    }

    pub fn client(&mut self, client: usize) -> &mut Client {
        self.clients.get_mut(client)
    }

    pub fn step(&self) -> u64 {
        self.step
    }

    pub fn next_step(&mut self) {
        self.step += 1;
    }

    /// The number of the next event.
    pub fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// From now on clients have one channel after another, and never two.
    pub fn start_hopping(&mut self) {
        self.hops = true;
    }

    pub fn hops(&self) -> bool {
        self.hops
    }

    /// True when any subscription may be refused.
    pub fn is_tight(&self) -> bool {
        self.tight
    }

    /// Times that a flush slice ended with connections still dirty.
    pub fn slices_cut(&self) -> u64 {
        self.slices_cut
    }

    pub fn shard_count(&self) -> usize {
        self.cores.shards().len()
    }

    pub fn stats(&self) -> Stats {
        self.cores.stats()
    }

    fn now(&self) -> Now {
        Now::at(self.now_ms, self.now_ms)
    }

    // ---- time

    pub fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        self.cores.wake_due(self.now_ms);
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
            for shard in 0..self.shard_count() {
                if mesh_moves {
                    self.arrive(CoreId::Shard(shard as u16), true);
                    self.arrive(CoreId::Shard(shard as u16), false);
                    self.api_turn();
                }
                self.drain_sockets(shard);
                self.cores.tell_writable(shard);
                if self.is_awake(shard) {
                    self.turn(shard)?;
                }
            }
            self.clients.answer_pings(&mut self.cores);
        }
        self.bounds.check_silence(&self.clients, &self.cores)
    }

    fn grow_silent(&mut self) {
        self.seconds += 1;
        self.cores.grow_silent();
    }

    /// All shards drain, and newcomers come meanwhile: everybody is told so, in time and at the rate. Those who wait for their
    /// app are told at once.
    pub fn drain(&mut self, waiting: &[usize]) -> Result<(), String> {
        self.draining = true;
        self.hooks.end();
        let now = self.now();
        self.cores.tell_all(|shard| shard.handle_drain(now));
        let listens = |client: &usize| self.clients.listens(*client, &self.cores);
        let mut listening: Vec<usize> = (0..self.clients.len()).filter(listens).collect();
        let (rate, shards) = (u64::from(self.drain_rate.get()), self.shard_count() as u64);
        // All of them may be on one shard.
        for second in 0..self.stats().attached * shards * 11 / 10 / rate + 20 {
            let before = self.stats().drained;
            if second < 5 {
                listening.push(self.clients.len());
                let shard = self.any_shard();
                self.connect(shard, Reader::Healthy);
            }
            self.second(true)?;
            if second == 0 {
                lookups::expect(self, waiting, Some(4100))?;
            }
            let closed = self.stats().drained - before;
            if closed > rate + shards {
                return Err(format!("{closed} connections were closed in a second, {rate} may be"));
            }
        }
        let has_timeout = self.bounds.authorization_timeout_ms() > 0;
        let untold = listening.into_iter().find(|client| {
            let client = self.clients.get(*client);
            // Its time was over before its turn came.
            let unauthorized = has_timeout && client.close_code == Some(4009);
            client.close_code != Some(4100) && !unauthorized
        });
        let stays = self.cores.shards().iter().map(Machine::connections).sum::<usize>();
        match untold {
            Some(client) => Err(format!("client {client} was not told of the drain")),
            None if stays > 0 => Err(format!("{stays} connections are still there after the drain")),
            None => Ok(()),
        }
    }

    /// The app gets other settings, and the other app comes or goes. Nobody must be closed for it.
    pub fn renew_apps(&mut self) {
        self.renewals += 1;
        let mut app = (self.make_app)();
        app.cache_ttl_s += self.renewals;
        let mut apps = vec![self.apps.adopt(app)];
        if self.renewals.is_multiple_of(2) {
            apps.push(self.apps.adopt(make_other_app()));
        }
        self.change_apps(apps);
        self.app = Arc::clone(self.apps.by_id("1").unwrap());
    }

    /// The app is disabled or removed: all its clients are told so, and so are newcomers.
    pub fn lose_app(&mut self, disabled: bool) -> Result<(), String> {
        let listens = |client: &usize| self.clients.listens(*client, &self.cores);
        let listening: Vec<usize> = (0..self.clients.len()).filter(listens).collect();
        for client in 0..self.clients.len() {
            self.client(client).may_lose_app = true;
        }
        let mut app = (self.make_app)();
        app.enabled = false;
        let mut apps = vec![self.apps.adopt(make_other_app())];
        if disabled {
            apps.push(self.apps.adopt(app));
        }
        self.change_apps(apps);
        let newcomer = self.clients.len();
        let shard = self.any_shard();
        self.connect(shard, Reader::Healthy);
        self.client(newcomer).leaving = true;
        self.settle()?;
        self.check_apps()?;
        let told = |client: usize| self.clients.get(client).close_code;
        if let Some(client) = listening.into_iter().find(|client| told(*client) != Some(4003)) {
            return Err(format!("client {client} was not told that its app is gone, but {:?}", told(client)));
        }
        let refused = if disabled { 4003 } else { 4001 };
        if told(newcomer) != Some(refused) {
            return Err(format!("a client of an app that is gone was told {:?}", told(newcomer)));
        }
        Ok(())
    }

    /// There is this app from now on.
    pub fn put_app(&mut self, app: App) {
        let mut apps: Vec<_> = self.apps.iter().cloned().collect();
        apps.push(self.apps.adopt(app));
        self.change_apps(apps);
    }

    /// This app is gone.
    pub fn remove_app(&mut self, id: &str) {
        let apps = self.apps.iter().filter(|app| *app.id != *id).cloned().collect();
        self.change_apps(apps);
    }

    /// The source of apps answers all that it is asked.
    pub fn tell_verdicts(&mut self, verdict: AppVerdict) -> bool {
        let (open, now) = (self.lookups.take(), self.now());
        for (shard, question) in &open {
            self.cores.shard_mut(*shard).handle_app_verdict(question, verdict, now);
            self.cores.wake(*shard);
        }
        !open.is_empty()
    }

    /// From now on an address may have so many clients, and as many connections without a head; 0: any number.
    pub fn cap_addresses(&self, max: u32) {
        let max = Some(max).filter(|max| *max > 0);
        self.address_caps.change(&Limits {
            connections_per_address_max: max,
            half_open_per_address_max: max,
            ..Limits::default()
        });
    }

    /// From now on so many clients of the app may come in a second.
    pub fn limit_newcomers(&mut self, per_second: Option<u32>) {
        let mut app = (self.make_app)();
        app.cache_ttl_s += self.renewals;
        app.limits.new_connections_per_second_max = per_second;
        let apps = vec![self.apps.adopt(app), self.apps.adopt(make_other_app())];
        self.change_apps(apps);
        self.app = Arc::clone(self.apps.by_id("1").unwrap());
    }

    /// All shards hear that memory is short, or no longer is.
    pub fn note_memory_shortage(&mut self, is_short: bool) {
        for shard in 0..self.shard_count() {
            self.cores.shard_mut(shard).handle_memory_shortage(is_short);
        }
    }

    /// How many clients of a shard may wait for the source.
    pub fn tls_handshake_ms_max(&self) -> u64 {
        self.tls_handshake_ms_max
    }

    pub fn app_waits_max(&self) -> usize {
        self.app_waits_max
    }

    fn change_apps(&mut self, apps: Vec<Arc<App>>) {
        self.apps = Arc::new(self.apps.followed_by(apps).unwrap());
        let now = self.now();
        let Self { apps, cores, .. } = self;
        cores.tell_all(|shard| shard.handle_apps(Arc::clone(apps), now));
    }

    /// At rest each connection has its app as it is now, and is counted once.
    fn check_apps(&self) -> Result<(), String> {
        for (index, shard) in self.cores.shards().iter().enumerate() {
            let outdated = shard.outdated_connections();
            if outdated > 0 {
                return Err(format!(
                    "{outdated} connections of shard {index} do not know their app as it is"
                ));
            }
        }
        let all = (0..self.shard_count()).flat_map(|shard| self.cores.sockets(shard));
        let open = all.filter(|socket| !socket.closed).count();
        let counted = self.app.connections();
        if counted as usize != open {
            return Err(format!("the app counts {counted} connections, and {open} are there"));
        }
        Ok(())
    }

    // ---- what clients do

    pub fn connect(&mut self, shard: usize, reader: Reader) {
        self.connect_with(shard, reader, "key", false);
    }

    /// `secure`: nobody on the way can read what the client says.
    pub fn connect_with(&mut self, shard: usize, reader: Reader, key: &str, secure: bool) {
        let takes_objects = self.dialects_rng.chance(self.objects_percent);
        let head = Client::head(key, takes_objects);
        let socket = self.cores.open(shard, reader, &head, secure, self.now());
        self.clients.join(shard, socket, takes_objects, self.now_ms);
    }

    /// A client comes by TLS, and says nothing.
    pub fn connect_silently(&mut self, shard: usize) {
        let takes_objects = self.dialects_rng.chance(self.objects_percent);
        let socket = self.cores.open(shard, Reader::Healthy, &[], true, self.now());
        self.clients.join(shard, socket, takes_objects, self.now_ms);
    }

    /// Its handshake is over.
    pub fn end_handshake(&mut self, client: usize) {
        let (shard, socket) = (self.clients.get(client).shard, self.clients.get(client).socket);
        self.cores.sockets_mut(shard)[socket].secured = true;
        self.cores.wake(shard);
    }

    /// A client that comes from there.
    pub fn connect_from(&mut self, shard: usize, address: Address) -> usize {
        let client = self.clients.len();
        self.connect_with(shard, Reader::Healthy, "key", false);
        let socket = self.clients.get(client).socket;
        self.cores.tell_peer(shard, socket, address);
        client
    }

    /// One whose connection comes from `peer`, which says this of where its client is.
    pub fn connect_through(&mut self, shard: usize, peer: Address, forwarded: &str) -> usize {
        let client = self.clients.len();
        let head = Client::forwarded_head("key", forwarded);
        let socket = self.cores.open(shard, Reader::Healthy, &head, false, self.now());
        self.cores.tell_peer(shard, socket, peer);
        self.clients.join(shard, socket, false, self.now_ms);
        client
    }

    /// Where its client is, as the driver knows it.
    pub fn whereabouts(&self, client: usize) -> Option<Address> {
        self.clients.socket(client, &self.cores).whereabouts
    }

    /// A client that has sent a part of its head.
    pub fn begin(&mut self, shard: usize, address: Address) -> usize {
        let client = self.clients.len();
        let socket = self.cores.open(shard, Reader::Healthy, b"GET /app/key HTTP/1.1\r\n", false, self.now());
        self.cores.tell_peer(shard, socket, address);
        self.clients.join(shard, socket, false, self.now_ms);
        client
    }

    /// Whether the server has closed its connection.
    pub fn is_closed(&self, client: usize) -> bool {
        self.clients.socket(client, &self.cores).closed
    }

    pub fn send(&mut self, client: usize, bytes: &[u8]) {
        let client = self.clients.get(client);
        self.cores.send(client.shard, client.socket, bytes);
    }

    pub fn hang_up(&mut self, client: usize) {
        let client = self.clients.get_mut(client);
        client.leaving = true;
        self.cores.hang_up(client.shard, client.socket);
    }

    /// A client whose kernel takes nothing more, if there is one that has not left.
    pub fn blocked_client(&self) -> Option<usize> {
        self.clients.blocked(&self.cores)
    }

    /// True when this client reads nothing: it never knows what became of its commands.
    pub fn is_dead(&self, client: usize) -> bool {
        self.clients.socket(client, &self.cores).reader == Reader::Dead
    }

    // ---- what the API core does

    pub fn publish(&mut self, channel: &str, padding: usize, except: Option<SocketId>) {
        let id = self.take_id();
        // On another node a connection may have the same shard and second number, and is not meant here.
        let except = if id.is_multiple_of(4) { except.and_then(of_other_node) } else { except };
        let topic = self.hash.topic(&self.app, TopicKey::of(channel));
        let home = self.hash.home(topic.hash);
        let padding = "y".repeat(padding);
        let data = if is_json(id) {
            let text = format!(r#"{{"id":{id},"padding":"{padding}"}}"#);
            EventData { is_json: true, ..EventData::of_text(&text) }
        } else {
            EventData::of_text(&format!("{id}:{padding}"))
        };
        let mut bytes = Vec::new();
        encode_event(&mut bytes, "e", channel, &data, None);
        let frame = Frame::from(bytes).holding_json(data.is_json);
        let hooked = self.app.hooks.has(HookKind::ServerEvent) && !is_own(channel);
        let hook = hooked.then(|| HookEvent::ServerEvent {
            app: Arc::clone(&self.app),
            channel: topic.shared_name(),
            event: id.to_string().into(),
            recipients: 0,
        });
        let received = Some(self.now().moment());
        let event = Event { topic, frame, except, origin: Origin::BackEnd, received };
        let root = Root::Publish(Box::new(Publish { event, hook }));
        // Until it is in a batch it is not accepted.
        self.model.publish(id, channel, 0, except);
        self.api.add(home, root);
        self.api_accept();
    }

    /// Asks all homes for their occupied channels.
    pub fn list(&mut self, prefix: &str, bytes_max: usize) {
        for home in self.hash.cores().each_shard() {
            let id = LIST_ID + self.take_id();
            let (app, prefix) = (Arc::clone(&self.app), prefix.into());
            let query = Query { id, ask: Ask::Channels { app, prefix, bytes_max } };
            self.api.add(home, Root::Query(Box::new(query)));
        }
        self.api_accept();
    }

    /// The connections of a user must go, or those of one with the same name in another app.
    pub fn terminate(&mut self, user: &str, elsewhere: bool) {
        let app = if elsewhere { &self.other_app } else { &self.app };
        if !elsewhere {
            self.terminations.name(user, app.terminate_by_presence, &mut self.clients, &self.cores);
        }
        for shard in self.hash.cores().each_shard() {
            let terminate = Terminate { app: Arc::clone(app), user_id: user.into() };
            self.api.add(shard, Root::Terminate(Box::new(terminate)));
        }
        self.api_accept();
    }

    /// True when this user of the app was named as one who must go.
    pub fn is_terminated(&self, user: &str) -> bool {
        self.terminations.has(user)
    }

    fn api_accept(&mut self) {
        let Self { api, app, hash, model, terminations, clients, cores, step, .. } = self;
        api.accept(|home, root| match root {
            Root::Publish(publish) => {
                let Event { topic, frame, except, .. } = &publish.event;
                model.publish(event_id(frame.as_bytes()), &topic.name(), *step, *except);
            }
            Root::Query(query) => {
                let Ask::Channels { prefix, bytes_max, .. } = &query.ask else { return };
                let lives_here = |name: &&str| hash.home(hash.of(app, TopicKey::of(name))) == home;
                let asked = CHANNELS.into_iter().filter(|name| name.starts_with(&**prefix));
                model.list(query.id, asked.filter(lives_here).map(str::to_owned).collect(), *bytes_max);
            }
            Root::Terminate(terminate) if terminate.app.id == app.id => {
                let by_presence = app.terminate_by_presence;
                terminations.tell(home, &terminate.user_id, by_presence, clients, cores);
            }
            _ => {}
        });
    }

    pub fn api_turn(&mut self) -> bool {
        self.api_accept();
        let mut any = self.api.send(&mut self.cores);
        while let Some(answers) = self.cores.next_answers() {
            for answer in answers {
                if answer.id < LIST_ID {
                    self.answers.push(answer);
                } else if let Err(why) = self.model.listed(answer.id, &answer.found) {
                    self.fault.get_or_insert(why);
                }
            }
            any = true;
        }
        any
    }

    // ---- what cores do

    /// One batch comes to a core. Returns whether there was one on its way.
    pub fn arrive(&mut self, to: CoreId, roots: bool) -> bool {
        self.cores.arrive(to, roots)
    }

    pub fn drain_sockets(&mut self, shard: usize) {
        self.cores.drain_sockets(shard);
    }

    pub fn is_awake(&self, shard: usize) -> bool {
        self.cores.is_awake(shard)
    }

    pub fn turn(&mut self, me: usize) -> Result<(), String> {
        if self.rng.chance(25) {
            self.cores.tell_writable(me);
        }
        let now = self.now();
        let before = self.cores.shard(me).stats();
        let mut turning = Turning {
            me,
            now_ms: self.now_ms,
            cores: &mut self.cores,
            clients: &mut self.clients,
            bounds: &self.bounds,
            deeds: &self.deeds,
            model: &mut self.model,
            counts: &mut self.counts,
            users: &mut self.users,
            hooks: &mut self.hooks,
            lookups: &mut self.lookups,
            rng: &mut self.rng,
            flush_slice: self.flush_slice,
            slices_cut: &mut self.slices_cut,
            draining: self.draining,
        };
        let more = turn(&mut turning, now)?;
        self.bounds.check_budget(self.cores.shard(me), self.cores.sockets(me))?;
        self.bounds.check_unread(me, self.cores.sockets_mut(me))?;
        // The driver asks for it when nobody is left; at any other time it must do no harm.
        if self.turns.is_multiple_of(32) {
            self.cores.shard_mut(me).give_back_room();
        }
        self.turns += 1;
        self.bounds.check_nap(me, self.cores.shard(me), now, &before)?;
        if more {
            self.cores.wake(me);
        }
        self.fault.take().map_or(Ok(()), Err)?;
        self.clients.read(&self.cores, self.step)?;
        for number in 0..self.clients.len() {
            let client = self.clients.get_mut(number);
            if client.socket_id.is_some() {
                client.established_ms.get_or_insert(self.now_ms);
            }
            self.users.hear(client, self.now_ms).map_err(|why| format!("client {number}: {why}"))?;
        }
        Ok(())
    }

    /// The hooks core opens, if the schedule says so.
    pub fn open_hooks(&mut self, surely: bool) {
        if self.hooks.opens(if surely { u64::MAX } else { self.step }) {
            let (now, open) = (self.now(), self.hooks.open(self.now_ms));
            self.cores.tell_all(|shard| shard.handle_open_edges(&open, now));
        }
    }

    // ---- rest

    /// All shards turn until they sleep.
    pub fn turn_all(&mut self) -> Result<(), String> {
        for _ in 0..20_000 {
            let awake: Vec<usize> = (0..self.shard_count()).filter(|shard| self.is_awake(*shard)).collect();
            if awake.is_empty() {
                return Ok(());
            }
            for shard in awake {
                self.drain_sockets(shard);
                self.turn(shard)?;
            }
            self.step += 1;
        }
        Err("shards never sleep".into())
    }

    /// Everything that can go on goes on, until nothing is left but what waits for dead readers.
    pub fn settle(&mut self) -> Result<(), String> {
        for _ in 0..20_000 {
            let mut any = self.api_turn();
            for core in self.hash.cores().all() {
                any |= self.arrive(core, true);
                any |= self.arrive(core, false);
            }
            for shard in 0..self.shard_count() {
                self.drain_sockets(shard);
                any |= self.cores.tell_writable(shard);
                if self.is_awake(shard) {
                    any = true;
                    self.turn(shard)?;
                }
            }
            self.step += 1;
            // Nobody else is asked now.
            any |= self.tell_verdicts(AppVerdict::Unknown);
            // What is held waits for nothing but time.
            let holds = |shard: &Shard| shard.fanout().next_tick_ms().is_some();
            if !any && self.cores.shards().iter().any(holds) {
                self.advance(1);
                continue;
            }
            if !any {
                return rest::check(&self.cores, &self.clients, &self.api);
            }
        }
        Err("it never comes to rest".into())
    }

    /// What each client saw, and what an outsider is told.
    pub fn check(&mut self) -> Result<(), String> {
        let expected = self.clients.expected(&self.cores);
        self.check_apps()?;
        self.terminations.check(&mut self.clients, &self.cores)?;
        self.check_counts(&expected)?;
        self.clients.check(&self.cores, self.seconds, self.activity_timeout_s)?;
        self.counts.check(
            &expected,
            self.clients.all(),
            self.stats().subscription_counts_hurried,
            self.now_ms,
        )?;
        self.model.check(self.clients.all(), &expected)
    }

    /// So much time passes that everybody must know how many they are.
    pub fn check_last_counts(&mut self) -> Result<(), String> {
        for _ in 0..=self.counts.interval_s() {
            self.second(true)?;
        }
        self.settle()?;
        self.check()
    }

    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// What is put off has time to be told: connections that watch know what is true, and nobody is there who is not authorized.
    pub fn check_users(&mut self) -> Result<(), String> {
        // Whose next message waited when its time was over has had some more.
        let more = if self.bounds.authorization_timeout_ms() > 0 { 2 } else { 0 };
        for second in 0..20 {
            if second >= more && self.cores.shards().iter().all(|shard| shard.news_of_users() == 0) {
                break;
            }
            self.second(true)?;
            self.settle()?;
        }
        for user in USERS {
            let is_user = |client: &usize| {
                self.clients.get(*client).signed_in == Some(user)
                    && !self.clients.socket(*client, &self.cores).closed
            };
            let signed_in = (0..self.clients.len()).any(|client| is_user(&client));
            if self.users.is_online(user) != signed_in {
                return Err(format!("{user} is signed in: {signed_in}, and its home knows the reverse"));
            }
        }
        let timeout_ms = self.bounds.authorization_timeout_ms();
        for number in 0..self.clients.len() {
            let (client, socket) = (self.clients.get(number), self.clients.socket(number, &self.cores));
            if self.tight || socket.closed {
                continue;
            }
            let late = client.established_ms.is_some_and(|since| since + timeout_ms + 2000 < self.now_ms);
            if timeout_ms > 0 && late && !client.authorized {
                return Err(format!("client {number} is still there, and is not authorized"));
            }
            if self.clients.listens(number, &self.cores) {
                self.users.check(client).map_err(|why| format!("client {number}: {why}"))?;
            }
        }
        Ok(())
    }

    fn check_counts(&mut self, expected: &BTreeMap<String, Expected>) -> Result<(), String> {
        self.answers.clear();
        let asked_ms = self.now_ms;
        for (id, name) in expected.keys().enumerate() {
            let topic = self.hash.topic(&self.app, TopicKey::of(name));
            let home = self.hash.home(topic.hash);
            let query = Query { id: id as u64, ask: Ask::Channel { topic } };
            self.api.add(home, Root::Query(Box::new(query)));
        }
        self.list("", 10_000);
        self.settle()?;
        if self.model.lists_open() > 0 {
            return Err(format!("{} lists are not answered", self.model.lists_open()));
        }
        for (id, (name, expected)) in expected.iter().enumerate() {
            let answer = self.answers.iter().find(|answer| answer.id == id as u64).ok_or("no answer")?;
            let Found::Channel(counts, cached) = &answer.found else { return Err("a strange answer".into()) };
            let cached = cached.as_ref().map(|it| (event_id(it.frame.as_bytes()), it.ttl_s));
            self.model.remembered().check(name, cached, asked_ms, self.now_ms)?;
            // How many connections a user has is hidden.
            let shown = if is_own(name) { 0 } else { expected.subscriptions };
            if *counts != (Counts { subscriptions: shown, users: expected.users }) {
                return Err(format!(
                    "{name}: {counts:?}, and {} subscriptions of {} users",
                    expected.subscriptions, expected.users
                ));
            }
        }
        Ok(())
    }

    /// The queue of the hooks core has room, the grace passes, and everything rests: all that is known there is true.
    pub fn check_hooks(&mut self, all_left: bool) -> Result<(), String> {
        self.open_hooks(true);
        self.hooks.unjam();
        for _ in 0..self.hooks.grace_ms / 1000 + 2 {
            self.second(true)?;
        }
        self.settle()?;
        for (index, shard) in self.cores.shards().iter().enumerate() {
            if all_left && !self.hooks.is_over() && !shard.home().edges().is_empty() {
                return Err(format!("shard {index} keeps {:?}", shard.home().edges()));
            }
        }
        let stats = self.stats();
        let dropped = stats.hook_client_events_dropped
            + stats.hook_server_events_dropped
            + stats.hook_subscription_counts_dropped;
        self.hooks.check(self.now_ms, dropped)
    }

    /// Nobody asks, and time passes: what cache channels remember is given back.
    pub fn check_forgotten(&mut self) -> Result<(), String> {
        self.advance(self.model.remembered().ttl_ms_max() + 1000);
        self.settle()?;
        let homes = || self.cores.shards().iter().map(|shard| shard.home().cache());
        match homes().find(|cache| !cache.is_empty() || cache.bytes() > 0) {
            Some(cache) => Err(format!("{cache:?} stays")),
            None => Ok(()),
        }
    }

    /// All have left and everything rests: nothing may be left.
    pub fn check_empty(&self) -> Result<(), String> {
        rest::check_empty(&self.cores, &self.app, self.held_bytes_min)?;
        self.model.check_empty()
    }
}

fn make_other_app() -> App {
    let mut app = App::new("2", "other", "secret");
    app.terminate_by_presence = true;
    app
}

fn of_other_node(socket_id: SocketId) -> Option<SocketId> {
    let place = socket_id.place()?;
    Some(Place { node: NODE + 1, ..place }.socket_id(socket_id.second))
}
