//! Ctrl-C in the middle of a comparison: it ends the current run and removes everything temporary.
//!
//! Owns the signals of the process and the wait for a run. A terminal signals the run as well; after a signal to
//! this process alone no child is left.

use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::{Context, Failure, Outcome};

/// How often a run is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long a child may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Interrupt {
    told: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on signals no longer end this process by themselves.
    pub(super) fn watch() -> Outcome<Self> {
        let told = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&told)).context("cannot watch for signals")?;
        }
        Ok(Self { told })
    }

    /// Waits for the end of a run, or ends it and fails when this process is told to end.
    pub(super) fn wait_for(&self, mut run: Child) -> Outcome<ExitStatus> {
        loop {
            let status = run.try_wait().context("cannot wait for a run")?;
            if self.told.load(Ordering::Relaxed) {
                end(&mut run)?;
                return Err(Failure::new("interrupted"));
            }
            if let Some(status) = status {
                return Ok(status);
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Tells a child to end, and kills it if it does not.
pub(super) fn end(child: &mut Child) -> Outcome<ExitStatus> {
    let start = Instant::now();
    // It may have ended by itself.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            return Ok(status);
        }
        std::thread::sleep(LOOK);
    }
    let _ = child.kill();
    child.wait().context("cannot wait for a child")
}
