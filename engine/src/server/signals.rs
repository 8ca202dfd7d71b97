//! Signals: which of them stop the server, and the one thread that takes them.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread;

use crossbeam_channel::{Sender, bounded};

use super::error::StartError;
use super::reports::Stopper;
use super::supervisor::during_reload;
use crate::driver::ring::{self, Signal};

/// Keeps signals from this thread and from all that it starts from now on.
pub fn block_signals() -> Result<(), StartError> {
    ring::block_signals().map_err(StartError::System)
}

/// What SIGHUP does.
#[derive(Debug)]
pub(super) enum Hangup {
    /// It stops the server, which belongs to a terminal.
    Stops,
    /// It asks for a reload.
    Reloads(ReloadBell),
}

/// Where a reload is asked for, once there is something to reload.
#[derive(Clone, Debug, Default)]
pub(super) struct ReloadBell(Arc<OnceLock<Sender<()>>>);

impl ReloadBell {
    /// From now on it calls this on a thread of its own, so that a file that takes long to read keeps no signal waiting.
    pub(super) fn connect(&self, mut reload: impl FnMut() + Send + 'static) -> io::Result<()> {
        // A ring while one call waits is answered by that one.
        let (bell, rung) = bounded(1);
        let wait = move || {
            while rung.recv().is_ok() {
                during_reload(&mut reload);
            }
        };
        thread::Builder::new().name("reload".to_owned()).spawn(wait)?;
        // The first that was connected stays.
        let _ = self.0.set(bell);
        Ok(())
    }

    /// Returns whether there is something to reload.
    fn ring(&self) -> bool {
        // A full channel holds a call that has not begun.
        self.0.get().map(|bell| bell.try_send(())).is_some()
    }
}

/// Sleeps until SIGTERM or SIGINT comes. `block_signals` was called before any other thread was started.
pub fn wait_for_signal() -> Result<(), StartError> {
    let nothing = Hangup::Reloads(ReloadBell::default());
    wait_for_stop_signal(&nothing).map(drop).map_err(StartError::System)
}

/// Waits for a signal that stops the server and returns its number. Others are ignored with a line in the log, and so is
/// SIGHUP where there is nothing to reload.
fn wait_for_stop_signal(hangup: &Hangup) -> io::Result<i32> {
    loop {
        let name = match (ring::wait_for_signal()?, hangup) {
            (Signal::Stop(number), _) | (Signal::Hangup(number), Hangup::Stops) => return Ok(number),
            (Signal::Hangup(_), Hangup::Reloads(bell)) if bell.ring() => continue,
            (Signal::Hangup(_), Hangup::Reloads(_)) => {
                // A supervisor that has asked for a reload waits for its end.
                during_reload(|| {});
                "SIGHUP"
            }
            (Signal::Other(name), _) => name,
        };
        logging::say!(
            "{name} is ignored: settings are not reloaded while the server runs; SIGTERM stops it gracefully"
        );
    }
}

/// One thread takes the signals: the first that stops stops the server, the second ends the process.
pub(super) fn watch_signals(stopper: Stopper, hangup: Hangup) -> io::Result<()> {
    let watch = move || {
        if wait_for_stop_signal(&hangup).is_ok() {
            stopper.stop();
            if let Ok(signal) = wait_for_stop_signal(&hangup) {
                logging::finish();
                std::process::exit(128 + signal);
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
}
