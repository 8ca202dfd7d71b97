//! Time, CPU and memory between two moments of a run, for the server's process and for this one.
//!
//! Owns both processes and the clock by which a stretch of a run is measured. Without a pid the server's share is unknown, and
//! everything else is measured all the same.

use crate::clock::Clock;
use crate::failure::Outcome;
use crate::proc::{Process, Spent, Usage};

/// The two processes whose CPU time is compared.
pub(crate) struct Stopwatch {
    clock: Clock,
    own: Process,
    server: Option<Process>,
}

/// A reading of both at one moment.
pub(crate) struct Reading {
    pub(crate) at_ns: u64,
    own: Usage,
    server: Option<Usage>,
}

/// What happened between two readings.
pub(crate) struct Cost {
    pub(crate) wall_ns: u64,
    pub(crate) own: Spent,
    pub(crate) server: Option<Spent>,
}

/// What arrived in a stretch of a run, how long that took, and what it cost.
pub(crate) struct Measured {
    pub(crate) frames: u64,
    pub(crate) seconds: f64,
    pub(crate) cost: Cost,
}

impl Stopwatch {
    pub(crate) fn new(server_pid: Option<u32>, clock: Clock) -> Outcome<Self> {
        Ok(Self { clock, own: Process::own()?, server: server_pid.map(Process::open).transpose()? })
    }

    pub(crate) fn read(&self) -> Outcome<Reading> {
        let server = self.server.as_ref().map(Process::usage).transpose()?;
        Ok(Reading { at_ns: self.clock.now_ns(), own: self.own.usage()?, server })
    }

    pub(crate) fn cost_since(&self, earlier: &Reading) -> Outcome<Cost> {
        let now = self.read()?;
        let server =
            now.server.as_ref().zip(earlier.server.as_ref()).map(|(now, earlier)| now.since(earlier));
        Ok(Cost { wall_ns: now.at_ns - earlier.at_ns, own: now.own.since(&earlier.own), server })
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn server(&self) -> Option<Process> {
        self.server
    }

    pub(crate) fn server_rss(&self) -> Outcome<Option<u64>> {
        self.server.as_ref().map(Process::rss_bytes).transpose()
    }

    /// Cores that this program may use.
    pub(super) fn own_cores(&self) -> Outcome<usize> {
        Ok(self.own.cores()?.len())
    }

    pub(super) fn shares_cores(&self) -> Outcome<bool> {
        let own = self.own.cores()?;
        let server = self.server.as_ref().map(Process::cores).transpose()?.unwrap_or_default();
        Ok(server.iter().any(|core| own.contains(core)))
    }
}
