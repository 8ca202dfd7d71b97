//! `corecast hooks`: what an operator sees of hooks from outside, beside a running server or without one.
//!
//! `status` and `tail` only read; `dlq` asks for other tries of what endpoints did not take; `reset` deletes; `work`
//! is a consumer of the stream in a process of its own. What must never happen here: a secret on the terminal, or a change
//! to what a running server owns.

mod dead_letters;
mod reset;
mod status;
mod table;
mod tail;
mod work;

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hooks::settings::StreamSettings;

use crate::cli::output::OutputError;
use crate::config::Config;

/// The arguments of `corecast hooks`.
#[derive(Debug, Args)]
pub struct HooksArgs {
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

/// Why a command failed, in one line.
#[derive(Debug)]
pub enum HooksFailure {
    /// What was asked for cannot work.
    Config(String),
    /// Something outside went wrong.
    World(String),
    /// The output cannot be written.
    Output(OutputError),
}

impl From<OutputError> for HooksFailure {
    fn from(error: OutputError) -> Self {
        Self::Output(error)
    }
}

/// Runs the command that the arguments name.
pub fn run(args: HooksArgs) -> Result<(), HooksFailure> {
    match args.command {
        HooksCommand::Status(place) => status::run(&place.find()?),
        HooksCommand::Tail(args) => tail::run(args),
        HooksCommand::Dlq(args) => dead_letters::run(args),
        HooksCommand::Reset(args) => reset::run(args),
        HooksCommand::Work(args) => work::run(args),
    }
}

/// The same, found.
struct Found {
    data_dir: PathBuf,
    stream: Option<StreamSettings>,
}

impl Where {
    fn find(self) -> Result<Found, HooksFailure> {
        let config = read_config(self.config.as_deref())?;
        let mut wish = config.hooks;
        if let Some(data_dir) = self.data_dir {
            wish.set_data_dir(data_dir);
        }
        if let Some(url) = &self.redis {
            wish.set_redis_url(url).map_err(|why| HooksFailure::Config(format!("--redis {why}")))?;
        }
        Ok(Found { data_dir: wish.data_dir().to_owned(), stream: wish.stream().cloned() })
    }
}

impl Found {
    fn nothing(&self) -> HooksFailure {
        let directory = self.data_dir.display();
        HooksFailure::World(format!(
            "there are no hooks in {directory}, and no stream is named: give --config FILE, --data-dir DIR or --redis URL"
        ))
    }
}

fn read_config(path: Option<&Path>) -> Result<Config, HooksFailure> {
    match path {
        Some(path) => Config::read(path).map_err(|fault| HooksFailure::Config(fault.to_string())),
        None => Ok(Config::default()),
    }
}

fn world(error: impl Display) -> HooksFailure {
    HooksFailure::World(error.to_string())
}
