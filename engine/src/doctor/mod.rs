//! What is wrong on this machine, and what to do about it, before a server starts or beside one that runs.
//!
//! A file for each area, each with a thin reader and a judge: a function from what was read to findings. They ask what a start
//! asks, in the same way: the ring is made, limits are raised, certificates are read, ports are tried. `clients` are the
//! lines for those who connect. What must never happen here: a change that outlives the question, or a secret in a finding.

mod certificates;
mod clients;
mod clock;
mod cluster;
mod data_directory;
mod finding;
mod kernel;
mod load;
mod network;
mod ports;
mod processors;
mod redis;
mod resources;
mod server;

pub use clients::{Clients, Snippet};
pub use finding::{Finding, State};

use machines::cores::Cores;
use protocol::app::App;

use self::certificates::Pair;
use self::clock::{Clock, Other};
use self::cluster::Joining;
use self::data_directory::DataDirectory;
use self::kernel::Kernel;
use self::network::Network;
use self::ports::Port;
use self::processors::Processors;
use self::redis::Redis;
use self::resources::Resources;
use self::server::Server;
use crate::config::{Config, HooksConfig};
use crate::settings::Memory;

/// What there is to say.
#[derive(Clone, Debug)]
pub struct Report {
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
    /// How clients connect; none without an app.
    pub clients: Option<Clients>,
}

/// Looks at the machine alone: for settings that cannot be read.
pub fn examine_machine() -> Vec<Finding> {
    let mut findings = machine(&Config::default(), &[], &[]);
    findings.extend(Clock::read().findings(&[]));
    findings
}

/// Looks at everything that a server of these settings needs. `secret` is where the secret of its first app stands. Blocks while
/// it asks others, with limits of time.
pub fn examine(config: &Config, secret: &str) -> Report {
    let ports = Port::read_all(config);
    let numbers: Vec<u16> = ports.iter().filter_map(Port::number).collect();
    let apps: Vec<&App> = config.apps.iter().chain(&config.stored_apps).collect();
    let mut findings = machine(config, &numbers, &apps);
    let redis = config.hooks.stream().map(Redis::ask);
    let joining = Joining::ask_all(&config.cluster);
    let clocks = redis.iter().filter_map(Redis::clock).chain(joining.iter().filter_map(Joining::clock));
    let others: Vec<Other> = clocks.collect();
    let clock = Clock::read();
    findings.extend(clock.findings(&others));
    match &redis {
        Some(redis) => findings.extend(redis.findings()),
        None => findings.push(Finding::ok("redis", "none is configured")),
    }
    findings.push(load::finding(&config.load, Memory::find().map(|memory| memory.bytes)));
    findings.extend(joining.iter().flat_map(Joining::findings));
    if joining.is_empty() {
        findings.push(Finding::ok("cluster", "a server of its own"));
    }
    let servers: Vec<u32> = ports.iter().filter_map(Port::server).collect();
    findings.push(judge_endpoints(&config.hooks));
    findings.extend(DataDirectory::read(&config.hooks).findings(&servers));
    let pairs = Pair::read_all(&config.tls);
    findings.extend(certificates::findings(&config.tls, &pairs, clock.unix_s()));
    findings.extend(ports.iter().map(Port::finding));
    match Server::ask(config, &ports) {
        Some(server) => findings.extend(server.findings()),
        None => findings.push(server::no_server()),
    }
    let name = pairs.first().and_then(Pair::host);
    Report { findings, clients: Clients::of(config, secret, name) }
}

/// Whether events could be brought to the endpoints of hooks, as far as their settings say.
fn judge_endpoints(hooks: &HooksConfig) -> Finding {
    match hooks.check_endpoints() {
        Ok(()) => Finding::ok("hooks", format!("{} endpoint(s)", hooks.endpoints.len())),
        Err(fault) => {
            Finding::fail("hooks", fault.to_string(), "mend that endpoint in [[apps.hooks]] (docs/hooks.md)")
        }
    }
}

/// Kernel, limits, processors and network, for a server that listens on these ports and has these apps.
fn machine(config: &Config, ports: &[u16], apps: &[&App]) -> Vec<Finding> {
    let cores = Cores::new(config.shards.count.get()).turning();
    let resources = Resources::read(config.shards.count, cores);
    let mut findings = Kernel::read().findings();
    findings.extend(resources.findings(apps.iter().copied()));
    findings.extend(Processors::read().findings(&config.shards));
    findings.extend(Network::read().findings(ports, resources.capacity().clients()));
    findings
}
