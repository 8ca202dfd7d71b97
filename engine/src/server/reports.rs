//! What cores and other threads report to the server, and how the server waits for it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::driver::control::{CoreError, Report};
use crate::limits::{REPORTS_PER_CORE_MAX, SUCCESSORS_MAX};

/// The reports of a server's cores.
#[derive(Debug)]
pub(super) struct Reports {
    receiver: Receiver<Report>,
    stopper: Stopper,
    tally: Tally,
}

impl Reports {
    /// For so many cores, which have reported nothing.
    pub(super) fn new(cores: usize) -> Self {
        let (sender, receiver) = bounded(REPORTS_PER_CORE_MAX * cores + SUCCESSORS_MAX + 1);
        let stopper = Stopper { reports: sender, asked: Arc::new(AtomicBool::new(false)) };
        Self { receiver, stopper, tally: Tally::default() }
    }

    /// Where a core reports.
    pub(super) fn sender(&self) -> Sender<Report> {
        self.stopper.reports.clone()
    }

    /// A handle that stops the server.
    pub(super) fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// How many cores have reported what so far.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Takes reports until enough are there; false when time runs out before. A core that fails ends every wait. A process
    /// that wants to take over is passed to `adopt`.
    pub(super) fn wait_until(
        &mut self,
        patience: Option<Duration>,
        adopt: impl Fn(OwnedFd),
        enough: impl Fn(&Tally) -> bool,
    ) -> Result<bool, CoreError> {
        let give_up = patience.map(|patience| Instant::now() + patience);
        while !enough(&self.tally) {
            let report = match give_up {
                None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(give_up) => self.receiver.recv_deadline(give_up),
            };
            match report {
                Ok(Report::Ended(Err(error))) => return Err(error),
                Ok(Report::Successor(socket)) => adopt(socket),
                Ok(report) => self.tally.note(&report),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// How many cores have reported what.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) up: usize,
    pub(super) draining: usize,
    /// Those of the cores that drain.
    pub(super) connections: u64,
    pub(super) empty: usize,
    pub(super) closed: usize,
    pub(super) ended: usize,
    pub(super) stop: bool,
}

impl Tally {
    fn note(&mut self, report: &Report) {
        match report {
            Report::Up => self.up += 1,
            Report::Draining(connections) => {
                self.draining += 1;
                self.connections += *connections as u64;
            }
            Report::Empty => self.empty += 1,
            Report::Closed => self.closed += 1,
            Report::Ended(_) => self.ended += 1,
            Report::Stop => self.stop = true,
            // It was passed on already.
            Report::Successor(_) => {}
        }
    }
}

/// Asks a server to stop, from any thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    reports: Sender<Report>,
    asked: Arc<AtomicBool>,
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
