//! The start of a real server: shards and API core on its cores, and the hooks behind their queue. The one place that
//! knows all parts by name.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hooks::settings::IDS_APART;

use super::cores::{RunningCores, start_cores};
use super::environment::Environment;
use super::error::StartError;
use super::load::{LoadMarks, watch_load};
use super::random::{Random, random_bytes, random_u64};
use super::supervisor::watch_pulses;
use super::{block_signals, descriptors_max, install_panic_hook};
use crate::app_store::StoreCounters;
use crate::apps_url::UrlCounters;
use crate::cluster::{ClusterPlan, Standings};
use crate::console::{ConsoleFacts, HooksDesk, NextToken, Reached, ReachedLater, console};
use crate::driver::app_line::AppAnswers;
use crate::driver::apps::AppsControl;
use crate::driver::control::CoreError;
use crate::driver::hooks_end::HooksEnd;
use crate::driver::limits::APP_WAITS_MAX;
use crate::driver::listen::ListenError;
use crate::hooks_link::{Endpoints, HooksLink};
use crate::limits::BEAT_MS_MAX;
use crate::metrics::{self, AppSources, Descriptors};
use crate::process::resident_bytes;
use crate::settings::capacity::Capacity;
use crate::settings::{Memory, Settings, fitted};
use crate::takeover::TakeoverPlan;
use crate::takeover::counters::Counters;
use crate::tls::ServerTls;
use machines::address_caps::AddressCaps;
use machines::api_core::{ApiConfig, ApiCore, Health, MetricsConfig};
use machines::limits::Limits;
use machines::shard::{Shard, ShardConfig};
use machines::topic::TopicHash;

/// The number of this server among those that share their channels: it is alone.
const NODE: u16 = 0;

/// Journals of a cluster that are told apart by their ids, which stay far below what SQLite can hold.
const JOURNALS: u64 = 1 << 19;

/// What falls wait for on a node without hooks, for the hooks of others.
const HOOK_GRACE: Duration = Duration::from_secs(3);

/// Starts the server. Returns when every core is up.
pub fn start(settings: Settings) -> Result<Running, StartError> {
    install_panic_hook();
    block_signals()?;
    logging::start().map_err(StartError::System)?;
    let tls = (!settings.tls.certificates.is_empty()).then(|| ServerTls::new(&settings.tls.certificates));
    let tls = tls.transpose().map_err(StartError::Certificate)?;
    let shards = settings.shards.count.get();
    let capacity = Capacity::new(descriptors_max(), shards);
    let mut hooks = settings.hooks.clone();
    if let Some(hooks) = hooks.as_mut().filter(|_| !settings.cluster.servers.is_empty()) {
        // The same endpoints hear of several journals.
        hooks.ids_after = (1 + random_u64() % JOURNALS) * IDS_APART;
        if let Some(stream) = &mut hooks.stream {
            stream.edges_once = true;
        }
    }
    let hooks =
        hooks.map(|hooks| HooksLink::start(hooks, Arc::clone(&settings.apps), settings.ending.takeover));
    let hooks = hooks.transpose().map_err(StartError::Hooks)?;
    let hooks_end = hooks.as_ref().map_or(HooksEnd::Absent, HooksLink::end);
    let takeover = Arc::new(Counters::default());
    let app_store = Arc::new(StoreCounters::default());
    let apps_url = Arc::new(UrlCounters::default());
    let random = random_u64();
    let topics = move || TopicHash::new(random, shards);
    // Nodes of a cluster are joined by it, on the same ports too.
    let share = settings.cluster.servers.is_empty().then(|| TakeoverPlan {
        apps: Arc::clone(&settings.apps),
        homes: topics(),
        counters: Arc::clone(&takeover),
    });
    let settings = Arc::new(settings);
    let mut limits = fitted(settings.limits.clone(), shards, settings.apps.iter().count(), capacity);
    if settings.asks_for_apps {
        limits.app_waits_max = APP_WAITS_MAX;
    }
    limits.cluster_members_kept_ms = settings.cluster.members_kept.as_millis() as u64;
    let address_caps = AddressCaps::default();
    let load = LoadMarks::new(settings.load);
    let (reached, next_token) = (ReachedLater::default(), NextToken::default());
    let grace = settings.hooks.as_ref().map_or(HOOK_GRACE, |hooks| hooks.grace);
    let cluster = ClusterPlan::new(&settings.cluster, topics(), &limits, grace, hooks_end.road());
    let standings = cluster.as_ref().map(|cluster| Arc::clone(cluster.standings()));
    let servers = cluster.as_ref().map(ClusterPlan::servers);
    let make_shard = {
        let (settings, limits, caps) = (Arc::clone(&settings), limits.clone(), address_caps.clone());
        let servers = servers.clone();
        // What the operator has set goes for all clients.
        let others = standings.as_ref().filter(|_| settings.ending.drain_close.is_none());
        let others = others.map(|standings| Arc::clone(standings.others()));
        // Nodes of a cluster need not agree on their numbers: whole socket ids are compared.
        let node = if servers.is_some() { random_u64() as u16 } else { NODE };
        move |number: u16, _: &Environment| {
            let shard = shard(number, node, &settings, limits.clone(), caps.clone(), topics());
            match &servers {
                Some(servers) => {
                    let shard = shard.in_cluster(servers.clone());
                    match &others {
                        Some(others) => shard.beside(Arc::clone(others)),
                        None => shard,
                    }
                }
                None => shard,
            }
        }
    };
    let make_api = {
        let (settings, gauge) = (Arc::clone(&settings), hooks_end.gauge());
        let (load, reached) = (load.clone(), ReachedLater::clone(&reached));
        let next_token = next_token.clone();
        let tls = tls.clone();
        let app_store = Arc::clone(&app_store);
        let apps_url = settings.asks_for_apps.then(|| Arc::clone(&apps_url));
        move |environment: &Environment| {
            let stream = settings.hooks.as_ref().is_some_and(|hooks| hooks.stream.is_some());
            let Environment { health, descriptors_max, listeners, .. } = environment.clone();
            let port = listeners.first().map_or(0, SocketAddr::port);
            let descriptors = Descriptors { max: descriptors_max, listeners };
            let sources = AppSources { app_store, apps_url };
            let cluster = standings.clone();
            let relay = Arc::clone(&takeover);
            let others = metrics::of_the_process(health, descriptors, gauge, stream, takeover, sources, tls);
            let others = match cluster {
                Some(cluster) => metrics::of_a_node(others, cluster),
                None => others,
            };
            let metrics = MetricsConfig {
                prefix: settings.admin.metrics_prefix.clone(),
                port,
                relay_violations: Box::new(move || relay.violations()),
                others,
            };
            let memory_bytes = Memory::find().map(|memory| memory.bytes);
            let hooks = settings.hooks.as_ref().filter(|_| settings.admin.token.is_some());
            let facts = ConsoleFacts {
                hooks: hooks.and_then(|hooks| HooksDesk::start(hooks).ok()),
                settings: settings.shown.clone(),
                next_token,
                random: random_bytes,
                reached,
                health: Arc::clone(&environment.health),
                memory_high_bytes: Box::new(move || {
                    load.current().marks(memory_bytes).map(|marks| marks.high)
                }),
                standings: standings.clone(),
            };
            let api = api_core(&settings, limits, topics(), environment, standings, metrics, facts);
            match servers {
                Some(servers) => api.in_cluster(servers),
                None => api,
            }
        }
    };
    let cores = start_cores(&settings, tls.as_ref(), share, cluster, hooks_end, make_shard, make_api)?;
    // The server's handshake with itself is over: no crowd at its address has kept it from starting.
    address_caps.change(&settings.limits);
    if let Some(place) = reached_at(&settings, &cores) {
        reached.get_or_init(|| place);
    }
    watch_load(load.clone(), Arc::clone(cores.health()), cores.cores(), capacity.clients())
        .map_err(StartError::System)?;
    watch_pulses(Arc::clone(cores.health()), cores.clock()).map_err(StartError::System)?;
    Ok(Running { cores, tls, hooks, capacity, load, address_caps, next_token, app_store, apps_url })
}

/// Where clients connect: with TLS, where there is TLS.
fn reached_at(settings: &Settings, cores: &RunningCores) -> Option<Reached> {
    let (secure, plain) = (cores.secure_addresses().first(), cores.addresses().first());
    Some(Reached {
        address: *secure.or(plain)?,
        tls: secure.is_some(),
        path_prefix: settings.listen.path_prefix.as_str().to_owned(),
    })
}

fn shard(
    number: u16,
    node: u16,
    settings: &Settings,
    limits: Limits,
    address_caps: AddressCaps,
    topics: TopicHash,
) -> Shard {
    Shard::new(ShardConfig {
        number,
        node,
        apps: Arc::clone(&settings.apps),
        path_prefix: settings.listen.path_prefix.clone(),
        trusted_proxies: settings.proxies.trusted.clone(),
        address_caps,
        topics,
        limits,
        hook_grace_ms: settings.hooks.as_ref().map_or(0, |hooks| hooks.grace.as_millis() as u64),
        witness: None,
        drain: settings.ending.drain(),
        random: Box::new(Random::new().numbers()),
    })
}

fn api_core(
    settings: &Settings,
    limits: Limits,
    topics: TopicHash,
    environment: &Environment,
    standings: Option<Arc<Standings>>,
    metrics: MetricsConfig,
    facts: ConsoleFacts,
) -> ApiCore {
    let (health, clock) = (Arc::clone(&environment.health), environment.clock);
    ApiCore::new(ApiConfig {
        topics,
        apps: Arc::clone(&settings.apps),
        path_prefix: settings.listen.path_prefix.clone(),
        trusted_proxies: settings.proxies.trusted.clone(),
        limits,
        health: Box::new(move || Health {
            live: health.oldest_beat_age_ms(clock.now().mono_ms) < BEAT_MS_MAX,
            ready: health.is_ready() && !health.is_shedding(),
            draining: health.is_draining(),
            degraded: standings.as_ref().and_then(|standings| standings.degraded(clock.now())),
        }),
        usage: memory_usage(),
        assets: settings.pages.assets,
        sample_endpoints: settings.pages.sample_endpoints,
        page: settings.dev.as_ref().and_then(|dev| dev.page.clone()),
        admin_hosts: settings.admin.hosts.clone().into(),
        console: settings.admin.token.as_ref().map(|token| console(token, facts)),
        metrics,
    })
}

/// The memory of this process in RAM, and all that it may have.
fn memory_usage() -> Box<dyn Fn() -> (u64, u64)> {
    let total = Memory::find().map_or(0, |memory| memory.bytes);
    Box::new(move || (resident_bytes().unwrap_or(0), total))
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    cores: RunningCores,
    tls: Option<ServerTls>,
    hooks: Option<HooksLink>,
    capacity: Capacity,
    load: LoadMarks,
    address_caps: AddressCaps,
    next_token: NextToken,
    app_store: Arc<StoreCounters>,
    apps_url: Arc<UrlCounters>,
}

impl Running {
    /// Where it listens, in the order of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.cores.addresses()
    }

    /// Where it listens with TLS, in the order of the settings.
    pub fn secure_addresses(&self) -> &[SocketAddr] {
        self.cores.secure_addresses()
    }

    /// The paths of the file system where it listens.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.cores.paths()
    }

    /// Its TLS; None without such an address.
    pub fn tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }

    /// Where the operator's tools connect, or why they cannot; None if the settings turn that off.
    pub fn admin(&self) -> Option<&Result<SocketAddr, ListenError>> {
        self.cores.admin()
    }

    /// The registry of apps, which may change while the server runs.
    pub fn apps(&self) -> &Arc<AppsControl> {
        self.cores.apps()
    }

    /// What SIGHUP does from now on, on a thread of its own: one call for all signals that come before it begins.
    pub fn reload_on_hangup(&self, reload: impl FnMut() + Send + 'static) -> Result<(), StartError> {
        self.cores.reload_on_hangup(reload).map_err(StartError::System)
    }

    /// What the metrics tell of an app store.
    pub fn app_store(&self) -> &Arc<StoreCounters> {
        &self.app_store
    }

    /// Where cores ask for apps that they do not know, and what the metrics tell of it.
    pub fn app_answers(&self) -> Option<(&AppAnswers, &Arc<UrlCounters>)> {
        Some((self.cores.app_answers()?, &self.apps_url))
    }

    /// The endpoints of the hooks, if there are hooks.
    pub fn endpoints(&self) -> Option<Endpoints> {
        self.hooks.as_ref().map(HooksLink::endpoints)
    }

    /// When there is too much to do for newcomers.
    pub fn load_marks(&self) -> &LoadMarks {
        &self.load
    }

    /// How many connections an address may have.
    pub fn address_caps(&self) -> &AddressCaps {
        &self.address_caps
    }

    /// Where a token of the console is given that replaces the one before.
    pub fn next_token(&self) -> &NextToken {
        &self.next_token
    }

    /// How many clients fit.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Waits for a signal to stop, for the drain after it, and for the hooks.
    pub fn wait(self) -> Result<(), CoreError> {
        let Self { mut cores, hooks, .. } = self;
        let drained = cores.wait_until_drained();
        // It may take seconds, in which newcomers must still be answered.
        hooks.into_iter().for_each(HooksLink::stop);
        drained.and_then(|()| cores.close())
    }
}
