//! `corecast app list` and `show`.

use clap::Args;

use super::Place;
use super::view::{Secrets, listed};
use crate::cli::failure::Failure;
use crate::cli::output::print;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    place: Place,
    /// With --json: show the secrets of keys too
    #[arg(long, requires = "json")]
    show_secrets: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The app's id
    id: String,
    #[command(flatten)]
    place: Place,
    /// Show the secrets of keys too
    #[arg(long)]
    show_secrets: bool,
}

pub(super) fn list(args: &ListArgs) -> Result<(), Failure> {
    let found = args.place.find()?;
    let apps = found.open()?.apps()?;
    match found.json {
        true => found.print(&apps, &secrets(args.show_secrets)),
        false => Ok(print(&listed(&apps))?),
    }
}

pub(super) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let found = args.place.find()?;
    let app = found.open()?.app(&args.id)?;
    found.print(&[app], &secrets(args.show_secrets))
}

fn secrets(all: bool) -> Secrets<'static> {
    if all { Secrets::All } else { Secrets::None }
}
