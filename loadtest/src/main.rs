//! `corecast-loadtest`: an outside observer for any server that speaks the Pusher Channels protocol, version 7.
//!
//! Owns the command line and the exit code: 0 when the run could be measured (a slow or lossy server is a
//! result, not an error), 1 when it could not. It must never import a crate of the server that it measures:
//! all it knows about a target is what arrives on the wire and what /proc says about its process.
//! Each scenario is one file in `scenario/`; `clients/` receives, `actors/` does more than that, `publish/` sends, `measure/` counts and
//! judges, `report/` shows.

// Only floor/uring.rs has unsafe code, and says why.
#![deny(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod actors;
mod clients;
mod clock;
mod command;
mod compare;
mod failure;
mod floor;
mod hex;
mod host;
mod link;
mod measure;
mod options;
mod output;
mod proc;
mod progress;
mod publish;
mod report;
mod scenario;
mod stamp;
mod tickets;

fn main() -> ExitCode {
    let options = command::Options::parse_from(compare::in_order(std::env::args_os()));
    match options.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::say(format_args!("corecast-loadtest: {failure}"));
            ExitCode::FAILURE
        }
    }
}
