//! `corecast check`: what is wrong with a configuration file, and what would be on this machine.

use std::path::PathBuf;

use clap::Args;
use logging::warn;

use super::failure::Failure;
use super::output::print;
use super::running::{read_stored_apps, warn_of_capacity};
use crate::config::Config;
use crate::tls::read_certificates;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Configuration file (TOML)
    #[arg(required_unless_present = "config")]
    file: Option<PathBuf>,
    /// The same, in the form that `serve` takes
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

pub(super) fn run(check: Check) -> Result<(), Failure> {
    let path = check.file.or(check.config).unwrap_or_default();
    judge(Config::read(&path)?, &path.display().to_string())
}

/// Says of settings that no reader has refused whether a server would start with them. They are called `name`.
pub(super) fn judge(mut config: Config, name: &str) -> Result<(), Failure> {
    read_certificates(&config.tls.certificates).map_err(|error| Failure::config(error.to_string()))?;
    config.hooks.check_endpoints().map_err(|fault| Failure::config(fault.to_string()))?;
    read_stored_apps(&mut config)?;
    if config.has_no_apps() {
        return Err(Failure::no_app(&format!("add [[apps]], [app_store] or apps_url to {name}")));
    }
    let apps = config.apps.iter().chain(&config.stored_apps);
    print(&format!("{name}: good, {} app(s)\n", apps.clone().count()))?;
    if let Some(why) = config.hooks.preflight() {
        warn!("warning: {why}");
    }
    warn_of_capacity(config.shards.count, apps);
    Ok(())
}
