//! The server: takes the ports, starts a thread per core, and ends them in order.
//!
//! Owns the phases of the server's life and its threads. Whatever can fail on a machine that does not suit fails here,
//! before the first executor, with one line that names cause and way out. What must never happen here: a thread that
//! starts before signals are blocked, or work for a single connection. Called by the command line.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::driver::accept::Entrance;
use crate::driver::control::{Clock, Control, CoreError, Health, Leave, Phase, Report};
use crate::driver::hook_line::HookLine;
use crate::driver::inbox::{MeshEnd, mesh};
use crate::driver::listen::ListenError;
use crate::driver::probe::{ProbeError, probe};
use crate::driver::ring::{self, Sizes};
use crate::driver::steering::SteeringError;
use crate::driver::{CoreSetup, run_core};
use crate::takeover::{Takeover, TakeoverPlan};
use machines::machine::Machine;

mod panics;
mod pinning;
mod ports;
mod random;
mod signals;
pub mod start;

pub use panics::install_panic_hook;
pub use signals::{block_signals, wait_for_signal};

use pinning::cpus;
use ports::{Ports, take_ports};
use signals::watch_signals;

/// What to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whether SIGHUP ends the server: one that runs in a terminal goes with it.
    pub hangup_stops: bool,
    /// Where clients and back ends connect.
    pub listen: Vec<SocketAddr>,
    /// Where back ends may connect besides; these connections go to the API core directly.
    pub api_listen: Vec<SocketAddr>,
    /// Where the operator's tools connect; they too go to the API core.
    pub admin: Option<AdminPlan>,
    /// `[::]` among these addresses is not every address of IPv4 as well.
    pub ipv6_only: bool,
    /// How many shards there are, at least one.
    pub shards: usize,
    /// Keep each shard on a processor of its own, where there are more processors than shards.
    pub pin: bool,
    /// Give a newcomer to the shard on the processor that received it.
    pub steer_by_cpu: bool,
    /// Join a running server's ports instead of finding them taken.
    pub takeover: bool,
    /// How long newcomers are still served after the server was told to stop and says that it is not ready.
    pub ready_grace: Duration,
    /// At which rate its machines close their connections then. The server only waits as long as that takes.
    pub drain_rate: NonZeroU32,
    /// What events are shared by while another process serves the same ports; None: they are not.
    pub share: Option<TakeoverPlan>,
}

impl Plan {
    /// All addresses of all cores.
    fn addresses(&self) -> Vec<SocketAddr> {
        let admin = self.admin.map(|admin| admin.address);
        self.listen.iter().chain(&self.api_listen).copied().chain(admin).collect()
    }
}

/// Where the operator's tools connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdminPlan {
    /// The address.
    pub address: SocketAddr,
    /// Whether the operator has named it. A server goes on without an address that is only its default.
    pub wanted: bool,
}

/// What a machine may want to know of its server.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The pulses of all cores, and whether the server is ready.
    pub health: Arc<Health>,
    /// The clocks whose readings machines are given.
    pub clock: Clock,
    /// How many cores there are: the shards, and after them the API core.
    pub cores: usize,
    /// How many descriptors the process may open.
    pub descriptors_max: u64,
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    admin: Option<Result<SocketAddr, ListenError>>,
    threads: Vec<JoinHandle<()>>,
    reports: Receiver<Report>,
    tally: Tally,
    stopper: Stopper,
    control: Arc<Control>,
    health: Arc<Health>,
    clock: Clock,
    takeover: bool,
    ready_grace: Duration,
    drain_rate: NonZeroU32,
    sharing: Option<Takeover>,
    /// Addresses on which another process listens as well.
    shared: Vec<SocketAddr>,
}

/// Asks a server to stop, from any thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    reports: Sender<Report>,
    asked: Arc<AtomicBool>,
}

/// Why a server could not start.
#[derive(Debug)]
pub enum StartError {
    /// io_uring does not work here as it must.
    Probe(ProbeError),
    /// A port could not be taken.
    Listen(ListenError),
    /// Newcomers cannot be spread as was asked.
    Steering(SteeringError),
    /// A core failed while it started.
    Core(CoreError),
    /// Hook events cannot be kept.
    Hooks(hooks::pipeline::StartError),
    /// The system has refused something else.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
            Self::Steering(error) => error.fmt(f),
            Self::Core(error) => error.fmt(f),
            Self::Hooks(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refuses what a server needs: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// How long shards may take to begin to drain.
const DRAIN_BEGIN_MAX: Duration = Duration::from_secs(5);

/// How long the last clients may take to leave when the server stops, after the time that the rate allows.
const SHARD_DRAIN_MAX: Duration = Duration::from_secs(10);

/// How long back ends may take after that, and cores to end.
const API_DRAIN_MAX: Duration = Duration::from_secs(3);

/// How long the queue of a closing listener must have been empty: a handshake that has begun is over by then, between most
/// places. Nobody else comes, since newcomers are dropped, to try again after a second.
const QUIET: Duration = Duration::from_millis(100);

/// The same beside a successor, who gets all others: longer than whoever has connected and says nothing stays out of the
/// queue.
const TAKEOVER_QUIET: Duration = Duration::from_millis(1_500);

/// How long those who came last may take to leave, after the queues are quiet.
const LAST_ONES_MAX: Duration = Duration::from_secs(1);

/// Clients that were told 4100 come back after a second, and some milliseconds.
const RETURN: Duration = Duration::from_millis(1_100);

/// Half of the time after which the first of them comes back: a successor has the other half to start.
const SHORT_END: Duration = Duration::from_millis(500);

/// How long a core may take to start; its ring's memory alone may take two seconds.
const START_MAX: Duration = Duration::from_secs(10);

/// Reports that a core may send: up, draining, empty, closed, ended.
const REPORTS_PER_CORE_MAX: usize = 5;

/// Other processes that may wait for the server to hear of them, besides.
const SUCCESSORS_MAX: usize = 16;

/// Starts a server with these machines, which are made on their own threads. `make_shard` gets the shard's number; the
/// API core's is the number of shards. Blocks SIGTERM and SIGINT in this thread, so call it before starting others:
/// the first of them makes [`Running::wait`] drain, the second ends the process at once.
pub fn start_with<S: Machine, A: Machine>(
    plan: &Plan,
    hooks: HookLine,
    make_shard: impl Fn(usize, &Surroundings) -> S + Send + Sync + 'static,
    make_api: impl FnOnce(&Surroundings) -> A + Send + 'static,
) -> Result<Running, StartError> {
    assert!(plan.shards > 0, "a server has at least one shard");
    let house = House::prepare(plan, hooks)?;
    let surroundings = house.surroundings.clone();
    let ports = take_ports(plan)?;
    let (mut running, mut setups) = house.furnish(ports)?;
    let api = setups.pop();
    let make_shard = Arc::new(make_shard);
    for (shard, setup) in setups.into_iter().enumerate() {
        let (make, around) = (Arc::clone(&make_shard), surroundings.clone());
        running.spawn(format!("shard-{shard}"), setup, move || make(shard, &around))?;
    }
    if let Some(setup) = api {
        running.spawn("api".to_owned(), setup, move || make_api(&surroundings))?;
    }
    running.await_cores()
}

impl Running {
    /// Where the server listens, in the order of the plan.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the operator's tools connect, or why they cannot; None where that is not in the plan.
    pub fn admin(&self) -> Option<&Result<SocketAddr, ListenError>> {
        self.admin.as_ref()
    }

    /// A handle that stops the server as a signal does.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits until the server is told to stop, drains it and ends its cores. An error if a core could not go on.
    pub fn wait(mut self) -> Result<(), CoreError> {
        self.wait_until_drained()?;
        self.close()
    }

    /// Waits until the server is told to stop, and then until all are gone who were there. Newcomers are still told to come
    /// back. From then on no core tells the hooks core anything.
    pub fn wait_until_drained(&mut self) -> Result<(), CoreError> {
        let stopped = self.await_tally(None, |tally| tally.stop)?;
        debug_assert!(stopped, "without a deadline only a report ends the wait");
        self.health.set_ready(false);
        if !self.ready_grace.is_zero() {
            self.await_tally(Some(self.ready_grace), |_| false)?;
        }
        let shards = self.threads.len() - 1;
        self.control.advance(Phase::DrainingShards);
        self.await_tally(Some(DRAIN_BEGIN_MAX), |tally| tally.draining == shards)?;
        let patience = self.tally.patience(self.drain_rate);
        self.await_tally(Some(patience), |tally| tally.empty == shards)?;
        self.control.advance(Phase::DrainingApi);
        self.await_tally(Some(API_DRAIN_MAX), |tally| tally.empty == shards + 1)?;
        self.sharing.iter().for_each(Takeover::finish);
        self.control.advance(Phase::Drained);
        Ok(())
    }

    /// Closes the listeners and ends all cores. A port refuses only when next to nothing is left to do.
    pub fn close(mut self) -> Result<(), CoreError> {
        self.hold_those_who_come_back()?;
        self.control.advance(Phase::Closing);
        let cores = self.threads.len();
        self.await_tally(Some(quiet(self.takeover) + LAST_ONES_MAX), |tally| tally.closed == cores)?;
        self.end();
        Ok(())
    }

    /// Of clients that come back every second some would find nobody between this server and the next. So whoever comes
    /// within the last second waits in the queue, and all are told at its end: they come back together, a second later.
    fn hold_those_who_come_back(&mut self) -> Result<(), CoreError> {
        let Some((first_ms, last_ms)) = self.control.told_ms().filter(|_| !self.takeover) else {
            return Ok(());
        };
        let now_ms = self.clock.now().mono_ms;
        if now_ms.saturating_sub(first_ms) < SHORT_END.as_millis() as u64 {
            return Ok(());
        }
        self.control.advance(Phase::Holding);
        let since_last = Duration::from_millis(now_ms.saturating_sub(last_ms));
        self.await_tally(Some(RETURN.saturating_sub(since_last)), |_| false)?;
        Ok(())
    }

    /// Ends all cores. One that does not end in time ends with the process.
    fn end(&mut self) {
        self.control.advance(Phase::Stopping);
        let cores = self.threads.len();
        let ended = self.await_tally(Some(API_DRAIN_MAX), |tally| tally.ended == cores);
        if matches!(ended, Ok(true)) {
            self.threads.drain(..).for_each(|thread| drop(thread.join()));
        }
    }

    /// Takes reports until enough are there; false when time runs out before. A core that fails ends every wait.
    fn await_tally(
        &mut self,
        patience: Option<Duration>,
        enough: impl Fn(&Tally) -> bool,
    ) -> Result<bool, CoreError> {
        let give_up = patience.map(|patience| Instant::now() + patience);
        while !enough(&self.tally) {
            let report = match give_up {
                None => self.reports.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(give_up) => self.reports.recv_deadline(give_up),
            };
            match report {
                Ok(Report::Ended(_, Err(error))) => return Err(error),
                Ok(Report::Successor(socket)) => {
                    if let Some(sharing) = &self.sharing {
                        sharing.adopt(socket);
                    }
                }
                Ok(report) => self.tally.note(&report),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    fn spawn<M: Machine>(
        &mut self,
        name: String,
        setup: CoreSetup,
        make: impl FnOnce() -> M + Send + 'static,
    ) -> Result<(), StartError> {
        let reports = self.stopper.reports.clone();
        let body = move || {
            let core = setup.mesh.me();
            let result = run_core(setup, make);
            // The channel holds all that cores ever report; without its far end the server is gone.
            let _ = reports.try_send(Report::Ended(core, result));
        };
        let thread = thread::Builder::new().name(name).spawn(body);
        match thread {
            Ok(thread) => self.threads.push(thread),
            Err(error) => {
                self.end();
                return Err(StartError::System(error));
            }
        }
        Ok(())
    }

    /// Events are shared with those that serve these ports already before anybody is taken in here.
    fn meet_predecessors(&self) {
        if let Some(sharing) = self.sharing.as_ref().filter(|_| self.takeover) {
            sharing.meet(&self.addresses, &self.shared);
        }
        self.control.advance(Phase::Serving);
    }

    fn await_cores(mut self) -> Result<Self, StartError> {
        let cores = self.threads.len();
        let up = self.await_tally(Some(START_MAX), |tally| tally.up == cores);
        let late = || CoreError::during("starting the cores")(io::Error::from(io::ErrorKind::TimedOut));
        match up {
            Ok(true) => {
                self.meet_predecessors();
                self.health.set_ready(true);
                Ok(self)
            }
            Ok(false) => self.give_up(late()),
            Err(error) => self.give_up(error),
        }
    }

    fn give_up(&mut self, error: CoreError) -> Result<Self, StartError> {
        self.end();
        Err(StartError::Core(error))
    }
}

/// How many cores have reported what.
#[derive(Debug, Default)]
struct Tally {
    up: usize,
    draining: usize,
    /// Those of the cores that drain.
    connections: u64,
    empty: usize,
    closed: usize,
    ended: usize,
    stop: bool,
}

impl Tally {
    fn note(&mut self, report: &Report) {
        match report {
            Report::Up => self.up += 1,
            Report::Draining(_, connections) => {
                self.draining += 1;
                self.connections += *connections as u64;
            }
            Report::Empty(_) => self.empty += 1,
            Report::Closed(_) => self.closed += 1,
            Report::Ended(..) => self.ended += 1,
            Report::Stop => self.stop = true,
            // It was passed on already.
            Report::Successor(_) => {}
        }
    }

    /// Twice what the rate asks for, since a busy machine stays below it, and what the last ones may take.
    fn patience(&self, rate: NonZeroU32) -> Duration {
        Duration::from_secs(2 * self.connections / u64::from(rate.get())) + SHARD_DRAIN_MAX
    }
}

/// How long the queue of a closing listener must have been empty.
fn quiet(takeover: bool) -> Duration {
    if takeover { TAKEOVER_QUIET } else { QUIET }
}

impl Stopper {
    /// The server stops once, however often it is asked.
    pub fn stop(&self) {
        if !self.asked.swap(true, Ordering::SeqCst) {
            // The channel holds all that is ever reported; without its far end the server is gone.
            let _ = self.reports.try_send(Report::Stop);
        }
    }
}

/// How many descriptors this process may open, now that it has asked for all that it may ask for.
pub fn descriptors_max() -> u64 {
    ring::raise_descriptors_max()
}

/// What all cores share, before they start.
struct House<'a> {
    plan: &'a Plan,
    hooks: HookLine,
    ring_sizes: Sizes,
    surroundings: Surroundings,
}

impl<'a> House<'a> {
    /// Asks the machine whether it suits. Blocks signals, raises the limit of descriptors.
    fn prepare(plan: &'a Plan, hooks: HookLine) -> Result<Self, StartError> {
        block_signals()?;
        let descriptors_max = ring::raise_descriptors_max();
        let cores = plan.shards + 1;
        let ring_sizes = probe(cores).map_err(StartError::Probe)?;
        let health = Arc::new(Health::new(cores));
        let surroundings = Surroundings { health, clock: Clock::start(), cores, descriptors_max };
        Ok(Self { plan, hooks, ring_sizes, surroundings })
    }

    /// Gives each core what it needs. The API core is the last.
    fn furnish(self, ports: Ports) -> Result<(Running, Vec<CoreSetup>), StartError> {
        let Ports { addresses, admin, entrances, names, shared } = ports;
        let cores = self.surroundings.cores;
        // The relay has the last place.
        let mut ends = mesh(cores + 1).map_err(StartError::System)?;
        let relay = ends.pop();
        let (sender, reports) = bounded(REPORTS_PER_CORE_MAX * cores + SUCCESSORS_MAX + 1);
        let phase = if self.plan.takeover { Phase::Joining } else { Phase::Serving };
        let control = Arc::new(Control::new(phase, ends[0].doorbells(), cores - 1));
        let sharing = self.plan.share.clone().zip(relay);
        let sharing = sharing.map(|(share, relay)| Takeover::new(share, names, relay, Arc::clone(&control)));
        let stopper = Stopper { reports: sender, asked: Arc::new(AtomicBool::new(false)) };
        watch_signals(stopper.clone(), self.plan.hangup_stops).map_err(StartError::System)?;
        let cpus = cpus(self.plan.pin, self.plan.shards, &ring::allowed_cpus());
        let each = ends.into_iter().zip(entrances).zip(cpus);
        let setups =
            each.map(|((end, entrances), cpu)| self.setup(end, entrances, cpu, &control, &stopper)).collect();
        let health = Arc::clone(&self.surroundings.health);
        let running = Running {
            addresses,
            admin,
            threads: Vec::new(),
            reports,
            tally: Tally::default(),
            stopper,
            control,
            health,
            clock: self.surroundings.clock,
            takeover: self.plan.takeover,
            ready_grace: self.plan.ready_grace,
            drain_rate: self.plan.drain_rate,
            sharing,
            shared,
        };
        Ok((running, setups))
    }

    fn setup(
        &self,
        mesh: MeshEnd,
        entrances: Vec<Entrance>,
        cpu: Option<usize>,
        control: &Arc<Control>,
        stopper: &Stopper,
    ) -> CoreSetup {
        let is_shard = mesh.me() < self.plan.shards;
        CoreSetup {
            mesh,
            entrances,
            ring_sizes: self.ring_sizes,
            cpu,
            leave: Leave {
                drains_at: if is_shard { Phase::DrainingShards } else { Phase::DrainingApi },
                has_clients: is_shard,
                // A successor shall have all newcomers from the first moment on. Without one somebody must answer them.
                closes_at: if self.plan.takeover { Phase::DrainingShards } else { Phase::Closing },
                quiet: quiet(self.plan.takeover),
            },
            clock: self.surroundings.clock,
            control: Arc::clone(control),
            health: Arc::clone(&self.surroundings.health),
            reports: stopper.reports.clone(),
            hooks: self.hooks.clone(),
        }
    }
}
