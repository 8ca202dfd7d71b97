//! This node in its cluster: a bus thread for each Redis server that joins it with others.
//!
//! `thread` gives a bus its turns; `edges` hands what hooks are told of the whole cluster to the journal of one node; `nodes`
//! says who comes and goes; `standing` is what `/ready` and metrics tell of each server, and what the log says when that changes; `round_trips` is
//! how fast each has been of late.
//!
//! What is decided is decided in `machines::cluster`, what is spoken with Redis in `bus`. Called by the server.

mod counts;
mod edge_counters;
mod edges;
mod metrics;
mod nodes;
mod round_trips;
mod standing;
mod thread;

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use counts::Counts;

use crate::driver::apps::AppsControl;
use crate::driver::bus_lines::BusLines;
use crate::driver::control::{Clock, Control, Health};
use crate::driver::hooks_end::HookRoad;
use crate::limits::EDGES_MAX;
use crate::settings;
use bus::keys::Keys;
use bus::server::Server as BusServer;
use machines::cluster::bus::Server;
use machines::cluster::servers::Servers;
use machines::cluster::session::pace::Pace;
use machines::limits::{ClusterLimits, Limits};
use machines::topic::TopicHash;

pub(crate) use metrics::describe_cluster;
pub use standing::Standings;

/// What being a node needs.
pub struct ClusterPlan {
    settings: settings::Cluster,
    topics: TopicHash,
    limits: Limits,
    keys: Keys,
    standings: Arc<Standings>,
    /// The way to this node's hooks, if it has any.
    road: Option<HookRoad>,
}

/// The version of what nodes say to each other; nodes with another one stay apart.
const PROTOCOL: u32 = 1;

/// What nodes take the server at this place of so many for, as the server keeps it.
pub(crate) fn map_entry(place: usize, servers: usize) -> String {
    format!("protocol {PROTOCOL}, server {} of {servers}", place + 1)
}

impl ClusterPlan {
    /// None: the settings name no server. `grace` is what falls of levels wait for before hooks are told.
    pub fn new(
        settings: &settings::Cluster,
        topics: TopicHash,
        limits: &Limits,
        grace: Duration,
        road: Option<HookRoad>,
    ) -> Option<Self> {
        if settings.servers.is_empty() {
            return None;
        }
        let inbox_bytes_max = ClusterLimits::default().inbox_bytes_max;
        let names = settings.servers.iter().map(|server| server.name().into()).collect();
        Some(Self {
            keys: Keys::new(&settings.prefix, grace.as_millis() as u64, inbox_bytes_max, EDGES_MAX),
            road,
            standings: Arc::new(Standings::new(names, settings.lease)),
            settings: settings.clone(),
            topics,
            limits: limits.clone(),
        })
    }

    /// Where topics live. A server is called by its place in the list: nodes may reach it by different names.
    pub fn servers(&self) -> Servers {
        let places: Vec<String> = (0..self.settings.servers.len()).map(|place| place.to_string()).collect();
        Servers::new(&places)
    }

    /// How it stands with each server.
    pub fn standings(&self) -> &Arc<Standings> {
        &self.standings
    }

    /// What all nodes must say of a server: otherwise they do not agree where topics live.
    fn digest(&self, server: Server) -> Arc<str> {
        map_entry(usize::from(server.0), self.settings.servers.len()).into()
    }

    /// Starts a thread for each server, over these lines. They end when the server has stopped.
    pub fn start(
        &self,
        lines: Vec<BusLines>,
        control: &Arc<Control>,
        health: &Arc<Health>,
        clock: Clock,
        apps: &Arc<AppsControl>,
        random: impl Fn() -> u64 + Clone + Send + 'static,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        let spawn = |lines: BusLines| {
            let server = lines.server();
            let setup = thread::Setup {
                server: self.settings.servers[usize::from(server.0)].clone(),
                keys: self.keys.clone(),
                lease: self.settings.lease,
                topics: self.topics.clone(),
                limits: self.limits.clone(),
                digest: self.digest(server),
                random: Box::new(random.clone()),
                standings: Arc::clone(&self.standings),
                control: Arc::clone(control),
                health: Arc::clone(health),
                clock,
                // One server is enough to count connections by.
                counts: (server.0 == 0).then(|| Counts::new(Arc::clone(apps))),
                lines,
            };
            Builder::new().name(format!("bus-{}", server.0)).spawn(move || thread::run(setup))
        };
        let mut threads: Vec<_> = lines.into_iter().map(spawn).collect::<io::Result<_>>()?;
        threads.extend(self.start_edges(control, apps)?);
        Ok(threads)
    }

    /// Only where there are hooks.
    fn start_edges(
        &self,
        control: &Arc<Control>,
        apps: &Arc<AppsControl>,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        let Some(road) = &self.road else { return Ok(Vec::new()) };
        let spawn = |(place, server): (u16, &BusServer)| {
            let setup = edges::Setup {
                place: Server(place),
                server: server.clone(),
                keys: self.keys.clone(),
                lease: self.settings.lease,
                patience: Duration::from_millis(
                    Pace::of_lease(self.settings.lease.as_millis() as u64).silence_ms,
                ),
                standings: Arc::clone(&self.standings),
                control: Arc::clone(control),
                apps: Arc::clone(apps),
                road: road.clone(),
                counters: self.standings.edges(Server(place)),
            };
            Builder::new().name(format!("bus-edges-{place}")).spawn(move || edges::run(setup))
        };
        (0..).zip(&self.settings.servers).map(spawn).collect()
    }
}
