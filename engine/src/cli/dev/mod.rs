//! `corecast dev`: a server on loopback for one developer, with credentials that it keeps, a demo page and code to paste.

mod greeting;
mod kept;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use api::page::demo_page;
use clap::Args;
use protocol::app::App;

use self::greeting::{Console, Origin, greeting};
use self::kept::{Kept, KeptError, kept_credentials};
use super::app_file::read_written_apps;
use super::credentials::fresh_token;
use super::failure::Failure;
use super::output::print;
use super::overrides::{Overrides, parse_app};
use super::running::{run_server, settled};
use crate::server::Running;
use crate::settings::{self, AdminAddress, AdminToken, Pages};

#[derive(Debug, Args)]
pub(super) struct Dev {
    /// Address on loopback
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6001")]
    listen: SocketAddr,
    /// Credentials to use instead of the ones that `dev` keeps
    #[arg(long, value_name = "ID:KEY:SECRET", group = "given")]
    app: Option<String>,
    /// A file of apps to use instead, one ID:KEY:SECRET per line
    #[arg(long, value_name = "FILE", group = "given")]
    app_file: Option<PathBuf>,
    /// Replace the kept credentials with new ones
    #[arg(long, conflicts_with = "given")]
    fresh: bool,
    /// Address of the console, or `off` [default: 127.0.0.1:9601, if it is free]
    #[arg(long, value_name = "ADDR")]
    admin: Option<AdminAddress>,
    /// A file that holds the token of the console, instead of one for this run
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// How many cores hold connections [default: one less than there are processors, at least 1]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
}

pub(super) fn run(dev: &Dev) -> Result<(), Failure> {
    if !dev.listen.ip().is_loopback() {
        let text = format!(
            "--listen {}: `dev` serves on loopback only; use `serve` for other addresses",
            dev.listen
        );
        return Err(Failure::config(text));
    }
    let flags = Overrides {
        listen: vec![dev.listen.into()],
        admin: dev.admin,
        admin_token_file: dev.admin_token_file.clone(),
        shards: dev.shards,
        ..Overrides::default()
    };
    let mut config = flags.over_defaults()?;
    let DevApps { apps, place } = dev_apps(dev)?;
    let (apps, credentials): (Vec<_>, Vec<_>) = apps.into_iter().unzip();
    let page = apps.first().map(|app| Arc::from(demo_page(&app.oldest_key().name)));
    config.apps = apps;
    let token = match config.admin.token.take() {
        Some(token) => token,
        None => AdminToken::parse(&fresh_token().map_err(Failure::outside)?).map_err(Failure::config)?,
    };
    config.admin.token = Some(token.clone());
    config.pages = Pages { assets: true, sample_endpoints: true };
    let mut settings = settled(config)?;
    settings.dev = Some(settings::Dev { page });
    run_server(settings, |running: &Running| {
        let address = running.addresses().first().copied().unwrap_or(dev.listen);
        let origin = match &place {
            Some(Ok(file)) => Origin::Kept(file),
            Some(Err(why)) => Origin::Passing(why),
            None => Origin::Given(dev.app_file.as_deref()),
        };
        let first = credentials.first().map_or("", String::as_str);
        let console = match running.admin() {
            Some(Ok(address)) => Console::At(*address, token.reveal()),
            Some(Err(why)) => Console::Not(why.to_string()),
            None => Console::Off,
        };
        Ok(print(&greeting(address, first, origin, &console))?)
    })
}

/// The apps of `dev`, as they are written, and where they are kept if they are its own.
struct DevApps {
    apps: Vec<(App, String)>,
    place: Option<Result<PathBuf, String>>,
}

fn dev_apps(dev: &Dev) -> Result<DevApps, Failure> {
    if let Some(file) = &dev.app_file {
        let apps = read_written_apps(file).map_err(Failure::config)?;
        return Ok(DevApps { apps, place: None });
    }
    let (credentials, place) = match &dev.app {
        Some(text) => (text.clone(), None),
        None => {
            let Kept { credentials, place } = kept_credentials(dev.fresh)?;
            (credentials, Some(place))
        }
    };
    Ok(DevApps { apps: vec![(parse_app(&credentials)?, credentials)], place })
}

impl From<KeptError> for Failure {
    fn from(error: KeptError) -> Self {
        match error {
            KeptError::NoRandomness(error) => Self::outside(error),
            KeptError::Spoiled(_) => Self::config(error.to_string()),
        }
    }
}
