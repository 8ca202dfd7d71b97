//! Signals: which of them stop the server, and the one thread that takes them.

use std::io;
use std::thread;

use super::error::StartError;
use super::reports::Stopper;
use crate::driver::ring::{self, Signal};

/// Keeps signals from this thread and from all that it starts from now on.
pub fn block_signals() -> Result<(), StartError> {
    ring::block_signals().map_err(StartError::System)
}

/// Sleeps until SIGTERM or SIGINT comes. `block_signals` was called before any other thread was started.
pub fn wait_for_signal() -> Result<(), StartError> {
    wait_for_stop_signal(false).map(drop).map_err(StartError::System)
}

/// Waits for a signal that stops the server and returns its number. Others are ignored with a line in the log: SIGHUP asks
/// for a reload, unless the server is to end with its terminal.
fn wait_for_stop_signal(hangup_stops: bool) -> io::Result<i32> {
    loop {
        let name = match ring::wait_for_signal()? {
            Signal::Stop(number) => return Ok(number),
            Signal::Hangup(number) if hangup_stops => return Ok(number),
            Signal::Hangup(_) => "SIGHUP",
            Signal::Other(name) => name,
        };
        logging::say!(
            "{name} is ignored: settings are not reloaded while the server runs; SIGTERM stops it gracefully"
        );
    }
}

/// One thread takes the signals: the first that stops stops the server, the second ends the process.
pub(super) fn watch_signals(stopper: Stopper, hangup_stops: bool) -> io::Result<()> {
    let watch = move || {
        if wait_for_stop_signal(hangup_stops).is_ok() {
            stopper.stop();
            if let Ok(signal) = wait_for_stop_signal(hangup_stops) {
                logging::finish();
                std::process::exit(128 + signal);
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
}
