//! The threads of a server's cores: their start, what the server says to them and hears from them, and their end.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::environment::Environment;
use super::error::StartError;
use super::random::random_u64;
use super::reports::{Reports, Stopper, Tally};
use crate::cluster::ClusterPlan;
use crate::driver::apps::AppsControl;
use crate::driver::bus_lines::BusLines;
use crate::driver::control::{Clock, Control, CoreError, Health, Phase, Report};
use crate::driver::{CoreSetup, run_core};
use crate::limits::{CORES_END_MAX, CORES_START_MAX};
use crate::settings::ListenAddress;
use crate::takeover::Takeover;
use machines::cores::Cores;
use machines::machine::Machine;

/// A thread per core, the API core's last.
#[derive(Debug)]
pub(super) struct Threads {
    handles: Vec<JoinHandle<()>>,
    reports: Reports,
    control: Arc<Control>,
    environment: Environment,
    sharing: Option<Takeover>,
    buses: Vec<JoinHandle<()>>,
}

impl Threads {
    /// None has started.
    pub(super) fn new(
        reports: Reports,
        control: Arc<Control>,
        environment: Environment,
        sharing: Option<Takeover>,
    ) -> Self {
        Self { handles: Vec::new(), reports, control, environment, sharing, buses: Vec::new() }
    }

    /// Starts a core. Its machine is made on the core's thread. When the system has no thread left, the cores that have
    /// started end.
    pub(super) fn spawn<M: Machine>(
        &mut self,
        name: String,
        setup: CoreSetup,
        make: impl FnOnce() -> M + Send + 'static,
    ) -> Result<(), StartError> {
        let reports = self.reports.sender();
        let body = move || {
            let result = run_core(setup, make);
            // The channel holds all that cores ever report; without its far end the server is gone.
            let _ = reports.try_send(Report::Ended(result));
        };
        match thread::Builder::new().name(name).spawn(body) {
            Ok(thread) => self.handles.push(thread),
            Err(error) => {
                self.end();
                return Err(StartError::System(error));
            }
        }
        Ok(())
    }

    /// Starts the threads of the cluster's servers, which end after the cores.
    pub(super) fn start_buses(
        &mut self,
        cluster: &ClusterPlan,
        lines: Vec<BusLines>,
        apps: &Arc<AppsControl>,
    ) -> io::Result<()> {
        let Environment { health, clock, .. } = &self.environment;
        self.buses = cluster.start(lines, &self.control, health, *clock, apps, random_u64)?;
        Ok(())
    }

    /// Waits until all cores are up. If one is not, all end.
    pub(super) fn await_start(&mut self) -> Result<(), StartError> {
        let cores = self.handles.len();
        let up = self.wait_until(Some(CORES_START_MAX), |tally| tally.up == cores);
        let late = || CoreError::during("starting the cores")(io::Error::from(io::ErrorKind::TimedOut));
        let error = match up {
            Ok(true) => return Ok(()),
            Ok(false) => late(),
            Err(error) => error,
        };
        self.end();
        Err(StartError::Core(error))
    }

    /// Lets the cores serve. With `takeover`, events are first shared with the processes that serve these ports already.
    pub(super) fn serve(&self, takeover: bool, addresses: &[ListenAddress], shared: &[ListenAddress]) {
        if let Some(sharing) = self.sharing.as_ref().filter(|_| takeover) {
            sharing.meet(addresses, shared);
        }
        self.advance(Phase::Serving);
        self.environment.health.set_ready(true);
    }

    /// Whether this server is a node of a cluster.
    pub(super) fn is_node(&self) -> bool {
        !self.buses.is_empty()
    }

    /// From now on no new connections are welcome.
    pub(super) fn begin_drain(&self) {
        self.environment.health.begin_drain();
    }

    /// Moves all cores on to this phase.
    pub(super) fn advance(&self, phase: Phase) {
        self.control.advance(phase);
    }

    /// Takes reports until enough are there; false when time runs out before. A core that fails ends every wait.
    pub(super) fn wait_until(
        &mut self,
        patience: Option<Duration>,
        enough: impl Fn(&Tally) -> bool,
    ) -> Result<bool, CoreError> {
        let sharing = &self.sharing;
        let adopt = |socket| {
            if let Some(sharing) = sharing {
                sharing.adopt(socket);
            }
        };
        self.reports.wait_until(patience, adopt, enough)
    }

    /// Waits a little until other processes have what this one has told them.
    pub(super) fn finish_sharing(&self) {
        self.sharing.iter().for_each(Takeover::finish);
    }

    /// Ends all cores. One that does not end in time ends with the process.
    pub(super) fn end(&mut self) {
        self.advance(Phase::Stopping);
        let cores = self.handles.len();
        let ended = self.wait_until(Some(CORES_END_MAX), |tally| tally.ended == cores);
        if matches!(ended, Ok(true)) {
            self.handles.drain(..).for_each(|thread| drop(thread.join()));
        }
        // They have a bound of their own.
        self.buses.drain(..).for_each(|thread| drop(thread.join()));
    }

    /// The pulses of the cores, and how much they have to do.
    pub(super) fn health(&self) -> &Arc<Health> {
        &self.environment.health
    }

    /// The clocks of the cores.
    pub(super) fn clock(&self) -> Clock {
        self.environment.clock
    }

    /// Which cores there are.
    pub(super) fn cores(&self) -> Cores {
        self.environment.cores
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.handles.len()
    }

    /// How many connections the shards had when they began to drain.
    pub(super) fn draining_connections(&self) -> u64 {
        self.reports.tally().connections
    }

    /// How long ago the first and the last client was told to reconnect, in milliseconds.
    pub(super) fn told_ms_ago(&self) -> Option<(u64, u64)> {
        let now_ms = self.environment.clock.now().mono_ms;
        let (first_ms, last_ms) = self.control.told_ms()?;
        Some((now_ms.saturating_sub(first_ms), now_ms.saturating_sub(last_ms)))
    }

    /// A handle that stops the server.
    pub(super) fn stopper(&self) -> Stopper {
        self.reports.stopper()
    }
}
