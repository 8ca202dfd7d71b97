//! The API core: the pure state of the one core that parses and authorises REST calls, builds each frame once, sends
//! events and questions to the home shards and gathers their answers. It owns no connection of a WebSocket client and
//! no channel.
//!
//! Where to look: `connections` is what is kept of an HTTP connection; `requests` takes requests out of its bytes, in
//! order; `pending` has a file for each endpoint that concerns shards: it splits a call into parts, one for each home
//! shard, and puts their answers together; `rates` bounds how fast an app's back ends may call; `gate` is where a part waits for room in the batch to its home; `calls` are
//! the calls whose answer has not been given, `open_call` what all of them have; `unknown_apps` is where requests wait for
//! an app to be looked up; `metrics` is the text of `/metrics`; `console` is the operators' page and what it asks;
//! `api_machine` is the border to the driver.
//!
//! A call never holds anything that another waits for: a part that its home has room for goes at once, the others wait
//! first-in first-out at their own homes, and the call is answered when the last of them has gone.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use protocol::app::Apps;
use protocol::http::TrustedProxies;
use protocol::path_prefix::PathPrefix;

use crate::cluster::servers::Servers;
use crate::cores::CoreId;
use crate::http_date::HttpDate;
use crate::limits::Limits;
use crate::machine::{Effect, Now, Token};
use crate::mesh::{Leaf, Root};
use crate::notices::Notices;
use crate::outgoing::Outgoing;
use crate::topic::TopicHash;
use crate::traffic_meter::TrafficMeter;

mod api_machine;
mod calls;
mod connections;
pub mod console;
pub mod exposition;
mod gate;
mod metrics;
mod open_call;
mod pending;
mod rates;
mod requests;
mod soketi_metrics;
#[cfg(test)]
mod tests;
mod told;
mod unknown_apps;

use calls::Calls;
use connections::Connections;
use console::{Console, ConsoleConfig};
use exposition::Exposition;
use gate::Gates;
use rates::Rates;
use unknown_apps::Waits;

/// What the API core is made of.
pub struct ApiConfig {
    /// The hash that all cores share.
    pub topics: TopicHash,
    /// The apps whose calls it takes.
    pub apps: Arc<Apps>,
    /// What may stand before the paths of back ends.
    pub path_prefix: PathPrefix,
    /// Whose word it takes for where a caller is.
    pub trusted_proxies: TrustedProxies,
    /// The bounds of its queues.
    pub limits: Limits,
    /// How the server is, asked at each probe.
    pub health: Box<dyn Fn() -> Health>,
    /// How much memory the process uses and may use, in bytes.
    pub usage: Box<dyn Fn() -> (u64, u64)>,
    /// What `GET /` shows on the public ports; None: `OK`.
    pub page: Option<Arc<str>>,
    /// Whether push.js and its like are served.
    pub assets: bool,
    /// Whether the sample endpoints are there.
    pub sample_endpoints: bool,
    /// What `/metrics` needs besides.
    pub metrics: MetricsConfig,
    /// The names that the operator's listener has, besides IP addresses and localhost.
    pub admin_hosts: Box<[Box<str>]>,
    /// The operators' page; None: there is none.
    pub console: Option<ConsoleConfig>,
}

/// Adds metrics to those of the machines; `Now` is the instant of the scrape.
pub type OtherMetrics = Box<dyn Fn(&mut Exposition, Now)>;

/// How metrics are told.
pub struct MetricsConfig {
    /// What their names begin with.
    pub prefix: Box<str>,
    /// The port where clients connect, for metrics as soketi has them.
    pub port: u16,
    /// How many invariants were violated on the takeover thread.
    pub relay_violations: Box<dyn Fn() -> u64>,
    /// Adds what this core cannot know, at each scrape.
    pub others: OtherMetrics,
}

/// How the server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// Every core still turns.
    pub live: bool,
    /// New connections are welcome.
    pub ready: bool,
    /// It ends.
    pub draining: bool,
    /// What of the cluster cannot be used, as a JSON array. None: nothing, or there is no cluster.
    pub degraded: Option<String>,
}

/// What has happened so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ApiStats {
    /// Requests taken, whatever became of them.
    pub requests: u64,
    /// Requests refused with a 4xx, malformed ones included.
    pub refused: u64,
    /// Events published, counted per channel.
    pub published: u64,
    /// Parts of calls that had to wait for room in the batch to their home.
    pub gated: u64,
    /// Calls refused with 429 because their app's back ends are too fast.
    pub rate_limited: u64,
    /// Calls answered 503 because their time was up or too much waited already.
    pub overloaded: u64,
    /// Requests answered 503 because all that are on their way keep too much already.
    pub bodies_refused: u64,
    /// Requests that waited for a source of apps.
    pub app_waits: u64,
    /// Requests answered 503 because too many waited for it already.
    pub app_waits_refused: u64,
    /// Connections reset because they read their answers too slowly.
    pub slow_readers: u64,
    /// Connections handed to a shard because they asked for an upgrade.
    pub handed_over: u64,
    /// Bytes that came from sockets.
    pub bytes_received: u64,
    /// Bytes that sockets took.
    pub bytes_sent: u64,
}

/// The state of the API core.
pub struct ApiCore {
    apps: Arc<Apps>,
    path_prefix: PathPrefix,
    trusted_proxies: TrustedProxies,
    topics: TopicHash,
    /// Of the cluster, if there are other nodes.
    servers: Option<Servers>,
    limits: Limits,
    health: Box<dyn Fn() -> Health>,
    usage: Box<dyn Fn() -> (u64, u64)>,
    /// What passes between back ends and each app.
    traffic: TrafficMeter,
    page: Option<Arc<str>>,
    assets: bool,
    sample_endpoints: bool,
    metrics: MetricsConfig,
    admin_hosts: Box<[Box<str>]>,
    console: Option<Console>,
    date: HttpDate,
    connections: Connections,
    /// Connections that may go on with what was read from them.
    ready: VecDeque<Token>,
    /// Connections that have sent several requests at once, in this phase: more may have come meanwhile.
    pipelining: Vec<Token>,
    dirty: VecDeque<Token>,
    effects: VecDeque<Effect>,
    notices: Notices,
    roots: Outgoing<Root>,
    gates: Gates,
    rates: Rates,
    calls: Calls,
    app_waits: Waits,
    /// The batch of answers that is being used up, and who sent it.
    leaves: Option<(CoreId, VecDeque<Leaf>)>,
    /// When connections are next looked through for those that are late, on the monotonic clock.
    sweep_ms: u64,
    next_shard: u32,
    draining: bool,
    scratch: Vec<u8>,
    stats: ApiStats,
}

impl ApiCore {
    /// An API core without connections.
    pub fn new(config: ApiConfig) -> Self {
        let cores = config.topics.cores();
        Self {
            apps: config.apps,
            path_prefix: config.path_prefix,
            trusted_proxies: config.trusted_proxies,
            topics: config.topics,
            servers: None,
            health: config.health,
            usage: config.usage,
            traffic: TrafficMeter::default(),
            page: config.page,
            assets: config.assets,
            sample_endpoints: config.sample_endpoints,
            metrics: config.metrics,
            admin_hosts: config.admin_hosts,
            console: config.console.map(Console::new),
            date: HttpDate::default(),
            connections: Connections::default(),
            ready: VecDeque::new(),
            pipelining: Vec::new(),
            dirty: VecDeque::new(),
            effects: VecDeque::new(),
            notices: Notices::default(),
            roots: Outgoing::to_shards(cores, &config.limits),
            gates: Gates::new(cores),
            rates: Rates::default(),
            calls: Calls::default(),
            app_waits: Waits::default(),
            leaves: None,
            sweep_ms: u64::MAX,
            next_shard: 0,
            draining: false,
            scratch: Vec::new(),
            stats: ApiStats::default(),
            limits: config.limits,
        }
    }

    /// The core of a node of a cluster with these servers.
    pub fn in_cluster(self, servers: Servers) -> Self {
        Self { servers: Some(servers), ..self }
    }

    /// What has happened so far.
    pub fn stats(&self) -> &ApiStats {
        &self.stats
    }
}

impl fmt::Debug for ApiCore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ApiCore").field("stats", &self.stats).finish_non_exhaustive()
    }
}
