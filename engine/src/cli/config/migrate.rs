//! `corecast config migrate`: another server's settings as a file of ours, with a comment for each key.

use std::path::PathBuf;

use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::output::print;
use crate::config::{Compat, migrate};

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// soketi's file in JSON, or a file of variables (.env)
    old: PathBuf,
    /// Whose variables the file has, where it has those of several servers
    #[arg(long, value_name = "soketi|reverb|pusher")]
    compat: Option<Compat>,
}

pub(super) fn run(args: &MigrateArgs) -> Result<(), Failure> {
    Ok(print(&migrate(&args.old, args.compat)?)?)
}
