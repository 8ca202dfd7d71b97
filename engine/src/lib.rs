//! The engine of Corecast: the driver that gives the machines sockets and time, the server that starts them, the
//! configuration and the command line. The only crate that knows glommio, io_uring and client sockets.

pub mod app_store;
pub mod apps_url;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod console;
#[cfg(test)]
mod doc_pages;
pub mod doctor;
pub mod driver;
pub mod hooks_link;
mod limits;
mod metrics;
pub mod process;
pub mod server;
pub mod settings;
pub mod takeover;
pub mod tls;
