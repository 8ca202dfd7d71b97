//! Puts the house together: real shards and a real API core on the server's cores, the hooks thread behind their
//! queue. The one place that knows all parts by name; the command line calls it, tests may too.

use std::net::SocketAddr;
use std::sync::Arc;

use hooks::settings::Settings;
use protocol::app::Apps;

use super::random::{Random, random_u64};
use super::{self as server, AdminPlan, Plan, Running, StartError, Surroundings};
use crate::config::{Shards, Steering};
use crate::driver::control::CoreError;
use crate::driver::hook_line::HookLine;
use crate::driver::listen::ListenError;
use crate::hooks_link::HooksRun;
use crate::metrics;
use crate::settings::capacity::Capacity;
use crate::settings::ending::Ending;
use crate::settings::memory::memory_bytes;
use crate::takeover::TakeoverPlan;
use crate::takeover::counters::Counters;
use machines::api_core::{ApiConfig, ApiCore, Health, MetricsConfig};
use machines::limits::{
    Limits, MEMORY_PER_SUBSCRIPTION, OUTBOXES_BYTES_MIN, OUTBOXES_MEMORY_PART, SUBSCRIPTIONS_MIN,
};
use machines::shard::{Shard, ShardConfig};
use machines::topic::TopicHash;

/// A core that has not turned for so long hangs: idle ones turn every second.
const BEAT_MS_MAX: u64 = 5_000;

/// What an operator decides.
#[derive(Debug)]
pub struct House {
    /// Addresses for WebSocket and REST.
    pub listen: Vec<SocketAddr>,
    /// Addresses of the API core, besides.
    pub api_listen: Vec<SocketAddr>,
    /// Where the operator's tools connect.
    pub admin: Option<AdminPlan>,
    /// `[::]` among these addresses is not every address of IPv4 as well.
    pub ipv6_only: bool,
    /// What `GET /` shows; None: `OK`.
    pub page: Option<Arc<str>>,
    /// Whether it ends with its terminal.
    pub hangup_stops: bool,
    /// The names of the admin listener, besides IP addresses and localhost.
    pub admin_hosts: Vec<Box<str>>,
    /// What the names of metrics begin with.
    pub metrics_prefix: Box<str>,
    /// Where events go; None: nowhere.
    pub hooks: Option<Settings>,
    /// The apps.
    pub apps: Arc<Apps>,
    /// How many shards there are.
    pub shards: Shards,
    /// Whether each shard has a processor of its own, where there are enough.
    pub pin: bool,
    /// Who decides which shard a newcomer gets.
    pub accept_steering: Steering,
    /// The bounds of each shard and of the API core.
    pub limits: Limits,
    /// How it ends.
    pub ending: Ending,
}

/// Starts the server. Returns when every core is up.
pub fn start(house: House) -> Result<Inhabited, StartError> {
    server::install_panic_hook();
    let shards = house.shards.count();
    let seed = random_u64();
    let Ending { takeover, ready_grace, drain: drain_plan } = house.ending;
    let counters = Arc::new(Counters::default());
    let plan = Plan {
        listen: house.listen,
        api_listen: house.api_listen,
        admin: house.admin,
        ipv6_only: house.ipv6_only,
        shards,
        pin: house.pin,
        steer_by_cpu: house.accept_steering == Steering::Cpu,
        hangup_stops: house.hangup_stops,
        takeover,
        ready_grace,
        drain_rate: drain_plan.connections_per_second_max,
        share: Some(TakeoverPlan {
            apps: Arc::clone(&house.apps),
            homes: TopicHash::new(seed, shards),
            counters: Arc::clone(&counters),
        }),
    };
    server::block_signals()?;
    logging::start().map_err(StartError::System)?;
    let hook_grace_ms = house.hooks.as_ref().map_or(0, |settings| settings.grace.as_millis() as u64);
    let stream = house.hooks.as_ref().is_some_and(|settings| settings.stream.is_some());
    let hooks = house.hooks.map(|settings| HooksRun::start(settings, Arc::clone(&house.apps), takeover));
    let hooks = hooks.transpose().map_err(StartError::Hooks)?;
    let line = hooks.as_ref().map_or(HookLine::Absent, HooksRun::line);
    let gauge = line.gauge();
    let (apps, api_apps) = (Arc::clone(&house.apps), house.apps);
    let shard_limits = with_room_for_subscriptions(house.limits.clone(), shards, apps.iter().count());
    let api_limits = house.limits;
    let make_shard = move |index: usize, around: &Surroundings| {
        let random = Random::new();
        Shard::new(ShardConfig {
            index,
            apps: Arc::clone(&apps),
            topics: TopicHash::new(seed, shards),
            limits: fitted(&shard_limits, shards, around),
            hook_grace_ms,
            witness: None,
            drain: drain_plan,
            random: Box::new(random.numbers()),
        })
    };
    let make_api = move |around: &Surroundings| {
        let (health, clock) = (Arc::clone(&around.health), around.clock);
        let others = metrics::of_the_process(around, gauge, stream, counters);
        ApiCore::new(ApiConfig {
            index: shards,
            topics: TopicHash::new(seed, shards),
            apps: api_apps,
            limits: fitted(&api_limits, shards, around),
            health: Box::new(move || Health {
                live: health.oldest_beat_age_ms(clock.now().mono_ms) < BEAT_MS_MAX,
                ready: health.is_ready(),
            }),
            page: house.page,
            admin_hosts: house.admin_hosts.into(),
            metrics: MetricsConfig { prefix: house.metrics_prefix, others },
        })
    };
    let running = server::start_with(&plan, line, make_shard, make_api)?;
    Ok(Inhabited { running, hooks, capacity: Capacity::new(server::descriptors_max(), shards) })
}

/// A house with its cores at work.
#[derive(Debug)]
pub struct Inhabited {
    running: Running,
    hooks: Option<HooksRun>,
    capacity: Capacity,
}

impl Inhabited {
    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.running.addresses()
    }

    /// Where the operator's tools connect, or why they cannot; None where nobody asked for it.
    pub fn admin(&self) -> Option<&Result<SocketAddr, ListenError>> {
        self.running.admin()
    }

    /// How many clients fit.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Waits for a signal to stop, for the drain after it, and for the hooks.
    pub fn wait(self) -> Result<(), CoreError> {
        let Self { mut running, hooks, capacity: _ } = self;
        let drained = running.wait_until_drained();
        // It may take seconds, in which somebody must still answer newcomers.
        hooks.into_iter().for_each(HooksRun::stop);
        drained.and_then(|()| running.close())
    }
}

/// Connections without a head may not eat the descriptors of the others, nor clients those of publishers.
fn fitted(limits: &Limits, shards: usize, around: &Surroundings) -> Limits {
    let capacity = Capacity::new(around.descriptors_max, shards);
    Limits {
        half_open_max: limits.half_open_max.min(capacity.half_open_per_shard()),
        connections_max: limits.connections_max.min(capacity.clients_per_shard()),
        outboxes_bytes_max: Some(limits.outboxes_bytes_max.unwrap_or_else(|| outboxes_bytes(limits, shards))),
        ..limits.clone()
    }
}

/// How many subscriptions each of so many shards may have, by the memory that there is; where there are several apps, one
/// of them takes no more than half of it all.
fn with_room_for_subscriptions(limits: Limits, shards: usize, apps: usize) -> Limits {
    let memory = memory_bytes().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    let by_memory = (memory / MEMORY_PER_SUBSCRIPTION / shards).max(SUBSCRIPTIONS_MIN);
    let of_shard = limits.subscriptions_per_shard_max.unwrap_or(by_memory);
    let all = of_shard.saturating_mul(shards) as u64;
    Limits {
        subscriptions_per_shard_max: Some(of_shard),
        subscriptions_per_app_max: if apps > 1 { all.div_ceil(2) } else { all },
        ..limits
    }
}

/// What the outboxes of one of so many shards may keep, by the memory that there is.
fn outboxes_bytes(limits: &Limits, shards: usize) -> usize {
    let memory = memory_bytes().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    (memory / OUTBOXES_MEMORY_PART / shards).max(OUTBOXES_BYTES_MIN).max(limits.outbox_bytes_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_subscriptions_follows_the_memory_and_is_shared_by_apps() {
        let of = |limits: &Limits, shards, apps| {
            let limits = with_room_for_subscriptions(limits.clone(), shards, apps);
            (limits.subscriptions_per_shard_max.unwrap(), limits.subscriptions_per_app_max)
        };
        let memory = memory_bytes().unwrap() as usize;
        for shards in [1, 4] {
            let (each, of_app) = of(&Limits::default(), shards, 1);
            assert_eq!(each, (memory / 2048 / shards).max(50_000));
            assert_eq!(of_app, (each * shards) as u64);
        }
        assert_eq!(of(&Limits::default(), 1 << 40, 1).0, 50_000, "a small machine");
        let set = Limits { subscriptions_per_shard_max: Some(7), ..Limits::default() };
        assert_eq!((of(&set, 3, 1), of(&set, 3, 2)), ((7, 21), (7, 11)));
    }
}
