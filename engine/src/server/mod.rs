//! The server: takes the ports, starts a thread per core, and ends them in order.
//!
//! `start` puts real shards, a real API core and the hooks on its cores. `cores` says what each core starts with, `ports`,
//! `inherited` and `pinning` where it listens and runs; `threads` has their threads, `reports` what they say, `stop` the order of the
//! end. `load` says when there is too much to do for
//! newcomers; `supervisor` is told how the server is, and `signals` and `panics` are about the whole process. Called by the command line.

mod cores;
mod environment;
mod error;
mod inherited;
mod load;
mod panics;
mod pinning;
mod ports;
mod random;
mod reports;
mod signals;
mod start;
mod stop;
mod supervisor;
mod threads;

pub use cores::{RunningCores, start_cores};
pub use environment::Environment;
pub use error::StartError;
pub use load::LoadMarks;
pub use panics::install_panic_hook;
pub use reports::Stopper;
pub use signals::{block_signals, wait_for_signal};
pub use start::{Running, start};
pub use supervisor::tell_ready;

use crate::driver::allowed;

/// Raises the limit of descriptors as far as the system allows, and returns it.
pub fn descriptors_max() -> u64 {
    allowed::raise_descriptors_max()
}
