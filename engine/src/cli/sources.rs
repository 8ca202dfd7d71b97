//! Where settings come from: defaults, below the configuration file, below the environment, below the flags.
//!
//! All are read together, at the start and again on SIGHUP. What must never happen here: a secret in a message.

use std::env;
use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Failure;
use super::overrides::Overrides;
use crate::config::{Config, Setting, Variables};

/// The files that a server is given.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct SourceArgs {
    /// Configuration file (TOML), in place of CORECAST_CONFIG; CORECAST_… variables and the options below override it
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File of NAME=VALUE lines; the environment of the process wins over it
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

/// All sources of a server's settings.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    files: SourceArgs,
    overrides: Overrides,
}

/// What the sources come to.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) config: Config,
    /// Every setting as it holds, without secrets.
    pub(super) settings: Vec<Setting>,
    /// The configuration file.
    pub(super) file: Option<PathBuf>,
    /// The files that something was read from, that one first.
    pub(super) files: Vec<String>,
    /// Variables of the environment that Kubernetes has set for a Service.
    pub(super) service_links: Vec<String>,
}

impl Sources {
    /// These files and the environment, with these flags over them.
    pub(super) fn new(files: &SourceArgs, overrides: &Overrides) -> Self {
        Self { files: files.clone(), overrides: overrides.clone() }
    }

    /// Only this file besides environment and flags.
    pub(super) fn of_file(config: Option<&Path>, overrides: Overrides) -> Self {
        Self { files: SourceArgs { config: config.map(Path::to_path_buf), env_file: None }, overrides }
    }

    /// Reads all of them. Blocks while it reads.
    pub(super) fn read(&self) -> Result<Found, Failure> {
        let variables = Variables::read(env::vars_os(), self.files.env_file.as_deref())?;
        let flags = self.overrides.layer()?;
        let file = self.files.config.clone().or_else(|| variables.config.map(PathBuf::from));
        let (config, settings) = Config::read_whole(file.as_deref(), &[&variables.layer, &flags])?;
        let named = [&file, &self.files.env_file, &self.overrides.app_file];
        let named = named.into_iter().flatten().map(|path| path.display().to_string());
        let files = named.chain(variables.files).collect();
        Ok(Found { config, settings, file, files, service_links: variables.service_links })
    }
}
