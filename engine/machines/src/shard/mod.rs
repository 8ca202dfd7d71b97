//! A shard: one core's slice of the connections, and the home of its share of the topics. PURE: a value that is
//! given what came in and asked what must go out. No socket, no ring, no clock, no randomness of its own, no await.
//! Everything hard about fan-out, presence and back-pressure is here, and runs in the simulation with a seed.
//!
//! Where to look: `inbound` takes what comes in, in rotation, connections without a head and messages of clients; `home`
//! has the topics that live here; `fanout` the connections and what each of them is sent; `ending` how connections end.
//! Between them: `links`, what this shard says to home shards and hears from them. `watching` is what an operator sees of its connections. `shard_machine` is the border to the
//! driver; `reading` what can be seen of all this from outside.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use protocol::app::Apps;
use protocol::http::TrustedProxies;
use protocol::path_prefix::PathPrefix;
use protocol::socket_id::Place;

use crate::address_caps::AddressCaps;
use crate::limits::Limits;

pub mod ending;
pub mod fanout;
pub mod home;
mod inbound;
mod links;
mod reading;
pub mod shard_machine;
mod users;
mod watching;

use crate::cluster::servers::Servers;
use crate::cores::CoreId;
use crate::machine::Effect;
use crate::notices::Notices;
use crate::readings::stats::BorderStats;
use crate::topic::TopicHash;
use ending::drain::DrainPlan;
use ending::{Ending, ping_run};
use fanout::Fanout;
use home::Home;
use home::witness::Witness;
use inbound::Inbound;
use links::Links;
use users::Users;
use watching::Watching;

/// What a shard is made of.
pub struct ShardConfig {
    /// Its number, from 0.
    pub number: u16,
    /// The number of its server among those that share their channels.
    pub node: u16,
    /// The apps whose connections it takes.
    pub apps: Arc<Apps>,
    /// What may stand before the paths of clients.
    pub path_prefix: PathPrefix,
    /// Whose word it takes for where a client is.
    pub trusted_proxies: TrustedProxies,
    /// How many connections an address may have, and has on all shards.
    pub address_caps: AddressCaps,
    /// The hash that all cores share.
    pub topics: TopicHash,
    /// The bounds of its queues.
    pub limits: Limits,
    /// How long a channel or a member must be gone before the hooks are told so, in milliseconds.
    pub hook_grace_ms: u64,
    /// Who sees what its home does.
    pub witness: Option<Witness>,
    /// How it ends.
    pub drain: DrainPlan,
    /// Random bits: an input, so that a simulation can repeat them.
    pub random: Box<dyn FnMut() -> u64>,
}

/// The state of one shard.
pub struct Shard {
    /// Where its connections live.
    place: Place,
    hash: TopicHash,
    limits: Limits,
    inbound: Inbound,
    fanout: Fanout,
    home: Home,
    effects: VecDeque<Effect>,
    notices: Notices,
    links: Links,
    users: Users,
    ending: Ending,
    watching: Watching,
    border_stats: BorderStats,
}

impl Shard {
    /// A shard without connections.
    pub fn new(config: ShardConfig) -> Self {
        let cores = config.topics.cores();
        let me = cores.shard(config.number);
        assert!(me.is_some(), "shard {} of {}", config.number, cores.shards());
        assert!(
            config.limits.unflushed_bytes_max <= config.limits.outbox_bytes_max / 4,
            "a healthy connection must never come near its limit before a write was tried"
        );
        assert!(
            config.limits.unflushed_bytes_max <= config.limits.unflushed_shard_bytes_max,
            "what one outbox may gain, all of them may"
        );
        assert!(
            config.limits.activity_timeout_s > 0 && config.limits.idle_checks_per_turn_max > 0,
            "clients need a timeout, and checks must go on"
        );
        assert!(config.limits.held_ranges_max > 0, "who waits for a tick has something");
        assert!(
            config.limits.walk_looks_max > 0
                && config.limits.given_up_per_turn_max > 0
                && config.limits.terminations_max > 0,
            "walks must come to their end"
        );
        let place = Place { node: config.node, shard: config.number };
        let fanout = Fanout::new(place, &config.limits);
        let ping = ping_run();
        fanout.count_as_held(&ping);
        let ending = Ending::new(fanout.outboxes_bytes_max(), config.drain, ping);
        let (apps, hash) = (Arc::clone(&config.apps), config.topics.clone());
        let home = Home::new(
            CoreId::Shard(place.shard),
            apps,
            hash,
            &config.limits,
            config.hook_grace_ms,
            config.witness,
        );
        Self {
            place,
            hash: config.topics,
            inbound: Inbound::new(
                cores,
                config.limits.half_open_max,
                config.apps,
                config.path_prefix,
                config.trusted_proxies,
                config.address_caps,
                config.random,
            ),
            fanout,
            home,
            links: Links::new(cores, &config.limits),
            users: Users::new(cores),
            ending,
            watching: Watching::default(),
            effects: VecDeque::new(),
            notices: Notices::default(),
            border_stats: BorderStats::default(),
            limits: config.limits,
        }
    }

    /// Its server is a node of a cluster.
    #[must_use]
    pub fn in_cluster(mut self, servers: Servers) -> Self {
        self.home.join_cluster(servers, &self.limits);
        self
    }

    /// While this holds, another node takes the clients of this one when it ends.
    #[must_use]
    pub fn beside(mut self, others: Arc<AtomicBool>) -> Self {
        self.ending.note_others(others);
        self
    }

    /// The fan-out side, for benchmarks and tests.
    pub fn fanout(&self) -> &Fanout {
        &self.fanout
    }

    /// The home side, for tests.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Messages in the fullest open batch of each lane, for tests.
    pub fn open_batches(&self) -> (usize, usize) {
        (self.links.fullest_batch(), self.home.fullest_batch())
    }

    /// Lists in the making and users whose connections must go, for tests.
    pub fn open_walks(&self) -> (usize, usize) {
        (self.home.open_lists(), self.ending.open_terminations())
    }

    /// Traces, and questions for the slowest that have no answer, for tests.
    pub fn open_watches(&self) -> usize {
        self.watching.open() + self.home.tails()
    }

    /// Users that are known to connections, of whom homes must be told, and known as a home, for tests.
    pub fn known_users(&self) -> (usize, usize, usize) {
        let (known, unsaid) = self.users.known();
        (known, unsaid, self.home.users())
    }

    /// How many connections and shards will be told of users when it is time, for tests.
    pub fn news_of_users(&self) -> usize {
        self.users.due() + self.home.gone_users()
    }

    /// What is kept for connections that are closed, in bytes, for tests.
    pub fn parting_bytes(&self) -> usize {
        self.ending.parting_bytes()
    }

    /// This core.
    fn me(&self) -> CoreId {
        CoreId::Shard(self.place.shard)
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shard")
            .field("number", &self.place.shard)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
