//! `corecast app add`: an app with new credentials, or apps with those that they have elsewhere.

use std::path::PathBuf;

use clap::Args;
use protocol::app::App;

use super::setting::{Setting, parse_limit};
use super::view::Secrets;
use super::{Found, Place};
use crate::app_store::{AppStore, StoredApp, StoredKey};
use crate::cli::app_file::read_written_apps;
use crate::cli::credentials::fresh_credentials;
use crate::cli::failure::Failure;
use crate::cli::overrides::parse_app;
use crate::cli::table::now_ms;

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The app's id [default: a random number]
    #[arg(group = "credentials")]
    id: Option<String>,
    /// Credentials that the app has already; anyone who can list processes can read them, so prefer --app-file
    #[arg(long, value_name = "ID:KEY:SECRET", group = "credentials")]
    app: Option<String>,
    /// A file of apps with their credentials, one ID:KEY:SECRET per line
    #[arg(long, value_name = "FILE", group = "credentials")]
    app_file: Option<PathBuf>,
    /// A setting, as in a table [[apps]]; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Setting>,
    /// A limit, as in a table [apps.limits]; repeatable
    #[arg(long, value_name = "NAME=NUMBER", value_parser = parse_limit)]
    limit: Vec<Setting>,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: AddArgs) -> Result<(), Failure> {
    let found = args.place.find()?;
    let mut apps = credentials(&args)?;
    for app in &mut apps {
        for Setting { name, value } in args.set.iter().chain(&args.limit) {
            app.set(name, value.clone());
        }
        found.check(app)?;
    }
    add(&found, &apps)?;
    found.print(&apps, &Secrets::All)
}

fn add(found: &Found, apps: &[StoredApp]) -> Result<(), Failure> {
    Ok(AppStore::open(&found.path)?.add(apps)?)
}

fn credentials(args: &AddArgs) -> Result<Vec<StoredApp>, Failure> {
    if let Some(file) = &args.app_file {
        let written = read_written_apps(file).map_err(Failure::config)?;
        return Ok(written.iter().map(|(app, text)| stored(app, &app.id, text)).collect());
    }
    let text = match &args.app {
        Some(text) => text.clone(),
        None => fresh_credentials().map_err(Failure::outside)?,
    };
    let app = parse_app(&text)?;
    Ok(vec![stored(&app, args.id.as_deref().unwrap_or(&app.id), &text)])
}

/// The app of a text `ID:KEY:SECRET`, under this id.
fn stored(app: &App, id: &str, text: &str) -> StoredApp {
    let secret = text.splitn(3, ':').nth(2).unwrap_or_default().to_owned();
    let name = app.oldest_key().name.to_string();
    StoredApp::new(id, StoredKey { name, secret, enabled: true, created_s: now_ms() / 1000 })
}
