//! The cores of a server: what each of them starts with.
//!
//! A machine that cannot run the server is found out here, before the first executor, with one line that names the cause and
//! a way out. What must never happen here: a thread that starts before signals are blocked, or work for a single
//! connection.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::environment::Environment;
use super::error::StartError;
use super::pinning::cpu;
use super::ports::{Ports, take_ports};
use super::reports::{Reports, Stopper};
use super::signals::{Hangup, ReloadBell, block_signals, watch_signals};
use super::stop;
use super::threads::Threads;
use crate::cluster::ClusterPlan;
use crate::driver::CoreSetup;
use crate::driver::allowed;
use crate::driver::app_line::{AppAnswers, app_lines};
use crate::driver::apps::{AppsControl, AppsView};
use crate::driver::bus_lines::{BusLines, bus_lines};
use crate::driver::control::{Clock, Control, CoreError, Health, Phase};
use crate::driver::hooks_end::HooksEnd;
use crate::driver::inbox::{MeshEnd, mesh};
use crate::driver::introduction::Oneself;
use crate::driver::listen::ListenError;
use crate::driver::probe::probe;
use crate::driver::ring::Sizes;
use crate::driver::socket_file::SocketFile;
use crate::driver::transport::Handshake;
use crate::settings::{Ending, Settings};
use crate::takeover::{Takeover, TakeoverPlan};
use crate::tls::{ServerTls, check_oneself};
use machines::cores::{CoreId, Cores};
use machines::machine::Machine;

/// Starts the cores of a server with these machines, which are made on their own threads. `make_shard` gets the shard's
/// number. `cluster` is what joins this server with others, if anything does. `share` is what events are shared by while another process serves the
/// same ports; None: they are not. Blocks SIGTERM and SIGINT in this thread, so call it before starting others: the first of
/// them makes [`RunningCores::wait`] drain, the second ends the process at once.
pub fn start_cores<S: Machine, A: Machine>(
    settings: &Settings,
    tls: Option<&ServerTls>,
    share: Option<TakeoverPlan>,
    cluster: Option<ClusterPlan>,
    hooks: HooksEnd,
    make_shard: impl Fn(u16, &Environment) -> S + Send + Sync + 'static,
    make_api: impl FnOnce(&Environment) -> A + Send + 'static,
) -> Result<RunningCores, StartError> {
    let prepared = Prepared::new(settings, hooks)?;
    let mut environment = prepared.environment.clone();
    let mut ports = take_ports(settings, tls, share.is_some())?;
    environment.listeners = ports.addresses.iter().chain(&ports.secure).copied().collect();
    let Assigned { mut threads, mut setups, buses, apps, app_answers, reload } =
        prepared.assign(&mut ports, share, cluster.as_ref())?;
    let api = setups.remove(environment.cores.index(CoreId::Api));
    let make_shard = Arc::new(make_shard);
    for (shard, setup) in (0..).zip(setups) {
        let (make, environment) = (Arc::clone(&make_shard), environment.clone());
        threads.spawn(format!("shard-{shard}"), setup, move || make(shard, &environment))?;
    }
    threads.spawn("api".to_owned(), api, move || make_api(&environment))?;
    threads.await_start()?;
    if let Some(cluster) = cluster
        && let Err(error) = threads.start_buses(&cluster, buses, &apps)
    {
        threads.end();
        return Err(StartError::System(error));
    }
    threads.serve(settings.ending.takeover, &ports.all(), &ports.shared);
    let Ports { addresses, secure, files, introduced, oneself, admin, queues_stay, .. } = ports;
    if let Some(tls) = tls
        && let Err(error) = check_tls(tls, &secure, &introduced, &oneself)
    {
        threads.end();
        return Err(error);
    }
    Ok(RunningCores {
        threads,
        ending: settings.ending,
        addresses,
        secure,
        files,
        queues_stay,
        admin,
        apps,
        app_answers,
        reload,
    })
}

/// Nobody is told of an address with TLS where it does not work.
fn check_tls(
    tls: &ServerTls,
    addresses: &[SocketAddr],
    introduced: &[SocketAddr],
    oneself: &Oneself,
) -> Result<(), StartError> {
    for address in addresses {
        let oneself = introduced.contains(address).then_some(oneself);
        check_oneself(*address, oneself).map_err(StartError::SelfCheck)?;
        tls.counters().forget_one(Handshake::Full);
    }
    Ok(())
}

/// Cores that serve.
#[derive(Debug)]
pub struct RunningCores {
    threads: Threads,
    ending: Ending,
    addresses: Vec<SocketAddr>,
    secure: Vec<SocketAddr>,
    files: Vec<SocketFile>,
    /// Clients that wait in the queues of the listeners are left to the next process.
    queues_stay: bool,
    admin: Option<Result<SocketAddr, ListenError>>,
    apps: Arc<AppsControl>,
    app_answers: Option<AppAnswers>,
    reload: ReloadBell,
}

impl RunningCores {
    /// Where the server listens, in the order of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it listens with TLS, in the order of the settings.
    pub fn secure_addresses(&self) -> &[SocketAddr] {
        &self.secure
    }

    /// The paths of the file system where it listens.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(SocketFile::path)
    }

    /// Where the operator's tools connect, or why they cannot; None if the settings turn that off.
    pub fn admin(&self) -> Option<&Result<SocketAddr, ListenError>> {
        self.admin.as_ref()
    }

    /// The pulses of the cores, and how much they have to do.
    pub(super) fn health(&self) -> &Arc<Health> {
        self.threads.health()
    }

    /// The clocks of the cores.
    pub(super) fn clock(&self) -> Clock {
        self.threads.clock()
    }

    /// Which cores there are.
    pub(super) fn cores(&self) -> Cores {
        self.threads.cores()
    }

    /// The registry of apps, which may change while the server runs.
    pub fn apps(&self) -> &Arc<AppsControl> {
        &self.apps
    }

    /// Where cores ask for apps that they do not know, if the settings say that they ask.
    pub fn app_answers(&self) -> Option<&AppAnswers> {
        self.app_answers.as_ref()
    }

    /// What SIGHUP does from now on, on a thread of its own: one call for all signals that come before it begins.
    pub fn reload_on_hangup(&self, reload: impl FnMut() + Send + 'static) -> io::Result<()> {
        self.reload.connect(reload)
    }

    /// A handle that stops the server as a signal does.
    pub fn stopper(&self) -> Stopper {
        self.threads.stopper()
    }

    /// Waits until the server is told to stop, drains it and ends its cores. An error if a core could not go on.
    pub fn wait(mut self) -> Result<(), CoreError> {
        self.wait_until_drained()?;
        self.close()
    }

    /// Waits until the server is told to stop, and then until all its connections have ended. Newcomers are still told to come
    /// back. Afterwards no core reports anything to the hooks.
    pub fn wait_until_drained(&mut self) -> Result<(), CoreError> {
        stop::drain(&mut self.threads, &self.ending, &mut self.files)
    }

    /// Closes the listeners and ends all cores.
    pub fn close(self) -> Result<(), CoreError> {
        stop::close(self.threads, &self.ending, self.queues_stay, self.files)
    }
}

/// What each core is given, and how it is spoken to.
struct Assigned {
    threads: Threads,
    /// In the order of the cores' indexes.
    setups: Vec<CoreSetup>,
    /// Those of the cluster's servers.
    buses: Vec<BusLines>,
    apps: Arc<AppsControl>,
    app_answers: Option<AppAnswers>,
    reload: ReloadBell,
}

/// What all cores share, before they start.
struct Prepared<'a> {
    settings: &'a Settings,
    hooks: HooksEnd,
    ring_sizes: Sizes,
    environment: Environment,
}

impl<'a> Prepared<'a> {
    /// Checks that this machine can run the server. Blocks signals, raises the limit of descriptors.
    fn new(settings: &'a Settings, hooks: HooksEnd) -> Result<Self, StartError> {
        block_signals()?;
        let descriptors_max = allowed::raise_descriptors_max();
        let cores = Cores::new(settings.shards.count.get());
        let ring_sizes = probe(cores.turning()).map_err(StartError::Probe)?;
        let health = Arc::new(Health::new(cores));
        let (clock, listeners) = (Clock::start(), [].into());
        let environment = Environment { health, clock, cores, listeners, descriptors_max };
        Ok(Self { settings, hooks, ring_sizes, environment })
    }

    /// Gives each core what it needs.
    fn assign(
        self,
        ports: &mut Ports,
        share: Option<TakeoverPlan>,
        cluster: Option<&ClusterPlan>,
    ) -> Result<Assigned, StartError> {
        let cores = self.environment.cores;
        let mut ends = mesh(cores).map_err(StartError::System)?;
        let relay = Some(ends.remove(cores.index(CoreId::Relay)));
        let reports = Reports::new(cores.turning());
        let phase = if self.settings.ending.takeover { Phase::Joining } else { Phase::Serving };
        let doorbells = ends[0].doorbells();
        let servers = cluster.map_or(0, |cluster| cluster.servers().len() as u16);
        let mut buses = Vec::new();
        if servers > 0 {
            let (of_shards, of_buses) = bus_lines(cores, servers, &doorbells).map_err(StartError::System)?;
            ends.iter_mut().zip(of_shards).for_each(|(end, lines)| end.join_buses(lines));
            buses = of_buses;
        }
        let apps = Arc::new(AppsControl::new(
            Arc::clone(&self.settings.apps),
            self.settings.stored_apps,
            doorbells.clone(),
        ));
        let asked = self.settings.asks_for_apps.then(|| app_lines(cores, doorbells.clone()));
        let (app_lines, app_answers) = asked.unzip();
        let mut app_lines = app_lines.into_iter().flatten();
        let control = Arc::new(Control::new(phase, doorbells));
        let names = std::mem::take(&mut ports.names);
        let sharing = share.zip(relay).map(|(share, relay)| {
            Takeover::new(share, names, relay, Arc::clone(&control), AppsView::new(Arc::clone(&apps)))
        });
        let reload = ReloadBell::default();
        let hangup = match self.settings.dev {
            Some(_) => Hangup::Stops,
            None => Hangup::Reloads(reload.clone()),
        };
        watch_signals(reports.stopper(), hangup).map_err(StartError::System)?;
        let cpus = if self.settings.shards.pin { allowed::cpus() } else { Vec::new() };
        let core = |mesh: MeshEnd| CoreSetup {
            cpu: cpu(mesh.me(), cores, &cpus),
            leave: stop::leave(self.is_shard(&mesh), self.settings.ending.takeover),
            entrances: std::mem::take(&mut ports.entrances[mesh.me()]),
            mesh,
            ring_sizes: self.ring_sizes,
            clock: self.environment.clock,
            control: Arc::clone(&control),
            health: Arc::clone(&self.environment.health),
            reports: reports.sender(),
            hooks: self.hooks.clone(),
            apps: Arc::clone(&apps),
            app_line: app_lines.next(),
        };
        let setups = ends.into_iter().map(core).collect();
        let threads = Threads::new(reports, control, self.environment, sharing);
        Ok(Assigned { threads, setups, buses, apps, app_answers, reload })
    }

    fn is_shard(&self, mesh: &MeshEnd) -> bool {
        matches!(mesh.me(), CoreId::Shard(_))
    }
}
