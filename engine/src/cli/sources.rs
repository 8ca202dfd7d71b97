//! Where settings come from: defaults, below the configuration file, below the environment, below the flags.
//!
//! All are read together, at the start and again on SIGHUP. What must never happen here: a secret in a message.

use std::env;
use std::path::{Path, PathBuf};

use clap::Args;
use logging::event;

use super::failure::Failure;
use super::overrides::Overrides;
use crate::config::{
    Compat, Config, IgnoredKey, Layer, Setting, Translation, Variables, is_soketi_file, translate, unread,
};

/// The files that a server is given.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct SourceArgs {
    /// Configuration file (TOML, or soketi's JSON if its name ends in .json), in place of CORECAST_CONFIG; CORECAST_… variables and the options below override it
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File of NAME=VALUE lines; the environment of the process wins over it
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Read the variables of another server as well: SOKETI_…, REVERB_… or PUSHER_…; CORECAST_… variables override them
    #[arg(long, value_name = "soketi|reverb|pusher")]
    compat: Option<Compat>,
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
    /// Keys of another server that have no effect here.
    pub(super) ignored: Vec<IgnoredKey>,
}

impl Sources {
    /// These files and the environment, with these flags over them.
    pub(super) fn new(files: &SourceArgs, overrides: &Overrides) -> Self {
        Self { files: files.clone(), overrides: overrides.clone() }
    }

    /// Only this file besides environment and flags.
    pub(super) fn of_file(config: Option<&Path>, overrides: Overrides) -> Self {
        Self {
            files: SourceArgs { config: config.map(Path::to_path_buf), ..SourceArgs::default() },
            overrides,
        }
    }

    /// Reads all of them. Blocks while it reads.
    pub(super) fn read(&self) -> Result<Found, Failure> {
        let variables = Variables::read(env::vars_os(), self.files.env_file.as_deref())?;
        let flags = self.overrides.layer()?;
        let file = self.files.config.clone().or_else(|| variables.config.map(PathBuf::from));
        let (soketi, toml) = match &file {
            Some(path) if is_soketi_file(path) => (Some(path.as_path()), None),
            toml => (None, toml.as_deref()),
        };
        let moved = translate(soketi, self.files.compat, env::vars_os(), self.files.env_file.as_deref())?;
        let layers: Vec<Layer> = moved.iter().map(Translation::layer).collect();
        let layers: Vec<&Layer> = layers.iter().chain([&variables.layer, &flags]).collect();
        let (config, settings) = Config::read_whole(toml, &layers)?;
        let named = [&file, &self.files.env_file, &self.overrides.app_file];
        let named = named.into_iter().flatten().map(|path| path.display().to_string());
        let files = named.chain(variables.files).collect();
        let unread = unread(self.files.compat, env::vars_os(), self.files.env_file.as_deref())?;
        let ignored = moved.into_iter().flat_map(|translation| translation.ignored).chain(unread).collect();
        Ok(Found { config, settings, file, files, service_links: variables.service_links, ignored })
    }
}

/// Names keys of the server that was here before.
pub(super) fn tell_of_ignored(ignored: &[IgnoredKey]) {
    for IgnoredKey { key, place, why } in ignored {
        event!(WARN, "ignored_key", { key = %key, }, "ignored: {place}: {why}");
    }
}
