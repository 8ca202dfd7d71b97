//! `corecast hooks`: the operator's commands for hooks, beside a running server or without one.
//!
//! `status` and `tail` only read; `dlq` retries events that endpoints did not accept; `reset` deletes; `work`
//! is a consumer of the stream in a process of its own. What must never happen here: a secret on the terminal, or a change
//! to what a running server owns.

mod dead_letters;
mod enable;
mod reset;
mod status;
mod tail;
mod work;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hooks::settings::StreamSettings;

use super::failure::Failure;
use super::overrides::Overrides;
use super::sources::Sources;

/// The arguments of `corecast hooks`.
#[derive(Debug, Args)]
pub(super) struct HooksArgs {
    #[command(subcommand)]
    command: HooksCommand,
}

#[derive(Debug, Subcommand)]
enum HooksCommand {
    /// Show what is waiting, and where
    Status(Where),
    /// Follow events as JSON lines
    Tail(tail::TailArgs),
    /// List and retry dead letters: events that an endpoint did not accept in time
    Dlq(dead_letters::DlqArgs),
    /// Enable an endpoint that was disabled because it failed for too long
    Enable(enable::EnableArgs),
    /// Delete all waiting events, all dead letters, and the stream
    Reset(reset::ResetArgs),
    /// Deliver events from the stream, in a separate process, on any machine
    Work(work::WorkArgs),
}

/// Where the data of hooks is: data directory and stream.
#[derive(Debug, Args)]
struct Where {
    /// Configuration file (TOML) of the server; the options below override it
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's data directory [default: corecast-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Redis whose stream carries hook events
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
}

/// Runs the command that the arguments name.
pub(super) fn run(args: HooksArgs) -> Result<(), Failure> {
    match args.command {
        HooksCommand::Status(place) => status::run(&place.find()?),
        HooksCommand::Tail(args) => tail::run(args),
        HooksCommand::Dlq(args) => dead_letters::run(args),
        HooksCommand::Enable(args) => enable::run(args),
        HooksCommand::Reset(args) => reset::run(args),
        HooksCommand::Work(args) => work::run(args),
    }
}

/// The data directory and the stream, found.
struct Found {
    data_dir: PathBuf,
    stream: Option<StreamSettings>,
}

impl Where {
    fn find(self) -> Result<Found, Failure> {
        let flags = Overrides { data_dir: self.data_dir, redis: self.redis, ..Overrides::default() };
        let hooks = Sources::of_file(self.config.as_deref(), flags).read()?.config.hooks;
        Ok(Found { data_dir: hooks.data_dir().to_owned(), stream: hooks.stream().cloned() })
    }
}

impl Found {
    fn nothing(&self) -> Failure {
        let directory = self.data_dir.display();
        Failure::outside(format!(
            "there are no hook events in {directory}, and no stream is given: use --config FILE, --data-dir DIR or --redis URL"
        ))
    }
}
