//! The engine of Corecast: the driver that gives the machines sockets and time, the server that starts them, the
//! configuration and the command line. The only crate that knows glommio, io_uring and client sockets.

pub mod app_file;
pub mod assembly;
pub mod capacity;
pub mod cli;
pub mod config;
pub mod dev;
pub mod driver;
pub mod ending;
pub mod hooks_cli;
pub mod hooks_run;
mod memory;
mod metrics;
pub mod output;
pub mod process;
pub mod publish;
pub mod server;
pub mod takeover;
