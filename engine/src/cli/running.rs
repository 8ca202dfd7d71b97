//! A server that a command runs: from its settings to its end.

use api::samples::Sample;
use protocol::app::App;

use logging::{event, warn};

use super::failure::Failure;
use crate::app_store::read_apps;
use crate::config::Config;
use crate::server::{self, Running, StartError};
use crate::settings::capacity::Capacity;
use crate::settings::{Settings, ShardCount};

/// The settings of a server. Apps of a file are known to differ.
pub(super) fn settled(config: Config) -> Result<Settings, Failure> {
    config.hooks.check_endpoints().map_err(|fault| Failure::config(fault.to_string()))?;
    config.settings().map_err(|error| Failure::config(format!("--app: {error}")))
}

/// Reads the apps of the app store, if there is one.
pub(super) fn read_stored_apps(config: &mut Config) -> Result<(), Failure> {
    if let Some(path) = &config.app_store {
        config.stored_apps = read_apps(path, &config.app_reader(), &config.apps)?;
    }
    Ok(())
}

/// Runs a server until it is told to stop. `started` is called when it accepts connections.
pub(super) fn run_server(
    settings: Settings,
    started: impl FnOnce(&Running) -> Result<(), Failure>,
) -> Result<(), Failure> {
    warn_of_capacity(settings.shards.count, settings.apps.iter().map(|app| &**app));
    let has_samples = settings.pages.sample_endpoints;
    let running = server::start(settings).map_err(|error| match error {
        StartError::Certificate(error) => Failure::config(error.to_string()),
        error => Failure::outside(error),
    })?;
    if let Some(tls) = running.tls() {
        tls.watch().start().map_err(Failure::outside)?;
    }
    started(&running)?;
    // A start that fails, or whose reader has gone, says nothing of them.
    if has_samples {
        warn_of_samples();
    }
    server::tell_ready(&format!("serving; {}", running.capacity()));
    running.wait().map_err(Failure::outside)?;
    event!(INFO, "stopped", {}, "stopped");
    Ok(())
}

fn warn_of_samples() {
    let paths = Sample::ALL.map(|(path, _)| path).join(", ");
    warn!("warning: sample_endpoints: {paths} sign whatever anybody asks; never in production");
}

/// Warns about apps whose `connections_max` is more than this process has descriptors for.
pub(super) fn warn_of_capacity<'a>(shards: ShardCount, apps: impl IntoIterator<Item = &'a App>) {
    for why in Capacity::new(server::descriptors_max(), shards.get()).warnings(apps) {
        warn!("warning: {why}");
    }
}
