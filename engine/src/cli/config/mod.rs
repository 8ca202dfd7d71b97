//! `corecast config`: what the settings of a server come to, from all its sources, and another server's settings as a file of
//! ours. Nothing is started.

mod migrate;
mod show;

use clap::{Args, Subcommand};

use super::check::judge;
use super::failure::Failure;
use super::output::print;
use super::overrides::Overrides;
use super::sources::{Found, SourceArgs, Sources, tell_of_ignored};
use crate::config::schema;

/// The arguments of `corecast config`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the settings from file, environment and flags without starting the server
    Check(AllSources),
    /// Show every setting as it holds, and where it is from; secrets are masked
    Show(show::ShowArgs),
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
    /// Print another server's settings as a configuration file: soketi's JSON, or a .env of soketi, Reverb or Pusher
    Migrate(migrate::MigrateArgs),
}

/// Everything that `serve` reads.
#[derive(Debug, Args)]
struct AllSources {
    #[command(flatten)]
    files: SourceArgs,
    #[command(flatten)]
    overrides: Overrides,
}

impl AllSources {
    fn read(&self) -> Result<Found, Failure> {
        Sources::new(&self.files, &self.overrides).read()
    }
}

/// Runs the command that the arguments name.
pub(super) fn run(args: ConfigArgs) -> Result<(), Failure> {
    match args.command {
        ConfigCommand::Check(sources) => check(&sources),
        ConfigCommand::Show(args) => show::run(&args),
        ConfigCommand::Schema => Ok(print(&schema())?),
        ConfigCommand::Migrate(args) => migrate::run(&args),
    }
}

fn check(sources: &AllSources) -> Result<(), Failure> {
    let Found { config, file, ignored, .. } = sources.read()?;
    tell_of_ignored(&ignored);
    // Without a file, the variables and flags are all there is.
    let name = file.map_or_else(|| "the settings".to_owned(), |path| path.display().to_string());
    judge(config, &name)
}
