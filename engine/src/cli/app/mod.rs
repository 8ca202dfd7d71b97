//! `corecast app`: the operator's commands for the app store, beside a running server or without one.
//!
//! Each changes the store in one transaction, after the reader of the configuration file has found the result sound. What
//! must never happen here: a secret that was not asked for.

mod add;
mod change;
mod setting;
mod show;
mod view;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use protocol::app::App;

use super::failure::Failure;
use super::output::{print, print_json_lines};
use crate::app_store::{AppStore, StoreError, StoredApp};
use crate::config::{AppReader, Config};
use view::{Secrets, json, text};

/// The arguments of `corecast app`.
#[derive(Debug, Args)]
pub(super) struct AppArgs {
    #[command(subcommand)]
    command: AppCommand,
}

#[derive(Debug, Subcommand)]
enum AppCommand {
    /// Add an app, with new credentials or with those that it has elsewhere
    Add(add::AddArgs),
    /// List all apps
    List(show::ListArgs),
    /// Show one app
    Show(show::ShowArgs),
    /// Set settings and limits of an app
    Set(change::SetArgs),
    /// Return settings and limits of an app to their defaults
    Unset(change::UnsetArgs),
    /// Refuse an app's clients and back ends, or those with one of its keys
    Disable(change::SwitchArgs),
    /// Serve an app again, or one of its keys
    Enable(change::SwitchArgs),
    /// Add a key to an app; its other keys keep working until they are disabled
    Rotate(change::RotateArgs),
    /// Delete an app, or one of its keys
    Remove(change::SwitchArgs),
}

/// Which store, and how results are printed.
#[derive(Debug, Args)]
struct Place {
    /// Configuration file (TOML) of the server, which names the app store
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The app store; overrides that of the configuration file
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Print apps as JSON, one per line, in the form of a table [[apps]]
    #[arg(long)]
    json: bool,
}

/// Runs the command that the arguments name.
pub(super) fn run(args: AppArgs) -> Result<(), Failure> {
    match args.command {
        AppCommand::Add(args) => add::run(args),
        AppCommand::List(args) => show::list(&args),
        AppCommand::Show(args) => show::show(&args),
        AppCommand::Set(args) => change::set(&args),
        AppCommand::Unset(args) => change::unset(&args),
        AppCommand::Disable(args) => change::switch(&args, false),
        AppCommand::Enable(args) => change::switch(&args, true),
        AppCommand::Rotate(args) => change::rotate(&args),
        AppCommand::Remove(args) => change::remove(&args),
    }
}

/// A store, found.
struct Found {
    path: PathBuf,
    reader: AppReader,
    /// Those of the configuration file.
    others: Vec<App>,
    json: bool,
}

impl Place {
    fn find(&self) -> Result<Found, Failure> {
        let config = self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
        let reader = config.app_reader();
        match self.store.clone().or(config.app_store) {
            Some(path) => Ok(Found { path, reader, others: config.apps, json: self.json }),
            None => Err(Failure::config(match &self.config {
                Some(file) => format!("{} names no app store: add [app_store] path", file.display()),
                None => "no app store is given: use --config FILE or --store FILE".to_owned(),
            })),
        }
    }
}

impl Found {
    /// The store; a fault if there is none yet.
    fn open(&self) -> Result<AppStore, Failure> {
        let missing = || {
            let path = self.path.display();
            Failure::config(format!("there is no app store {path} yet: `corecast app add` makes it"))
        };
        AppStore::open_existing(&self.path)?.ok_or_else(missing)
    }

    /// Whether a server could take this app.
    fn check(&self, app: &StoredApp) -> Result<(), StoreError> {
        app.checked(&self.path, &self.reader, &self.others).map(drop)
    }

    /// Changes an app, if it is sound afterwards.
    fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut StoredApp) -> Result<(), Failure>,
    ) -> Result<StoredApp, Failure> {
        self.open()?.change(id, |app| {
            change(app)?;
            Ok(self.check(app)?)
        })
    }

    /// Prints apps as JSON, or one after the other for a reader.
    fn print(&self, apps: &[StoredApp], secrets: &Secrets<'_>) -> Result<(), Failure> {
        if self.json {
            let lines: Result<String, Failure> = apps.iter().map(|app| json(app, secrets)).collect();
            return Ok(print_json_lines(&lines?)?);
        }
        let texts: Vec<String> = apps.iter().map(|app| text(app, secrets)).collect();
        Ok(print(&texts.join("\n"))?)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if error.is_of_the_asker() { Self::config(error.to_string()) } else { Self::outside(error) }
    }
}
