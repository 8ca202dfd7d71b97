//! `corecast hooks work`: a consumer of the stream without a server, until a signal ends it.
//!
//! It has a data directory of its own for dead letters. Several may run on several machines; one is active at a time.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use hooks::counters::{DeliveryCounters, StreamCounters};
use hooks::delivery::{Dispatcher, Means};
use hooks::settings::{Settings, StreamSettings};
use hooks::source::Wake;
use hooks::stream::source::StreamSource;
use protocol::app::Apps;

use crate::cli::failure::Failure;
use crate::cli::overrides::Overrides;
use crate::cli::running::settled;
use crate::cli::sources::Sources;
use crate::limits::WORKER_FLUSH_MAX;
use crate::server;

#[derive(Debug, Args)]
pub(super) struct WorkArgs {
    /// Configuration file (TOML) of the server; the options below override it
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// An app and its credentials; repeatable; replaces all apps of the configuration file
    #[arg(long, value_name = "ID:KEY:SECRET")]
    app: Vec<String>,
    /// Where dead letters are kept [default: corecast-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Webhook for the events of every app; repeatable; replaces all endpoints of the configuration file
    #[arg(long, value_name = "URL")]
    webhook: Vec<String>,
    /// Redis whose stream is read
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
}

pub(super) fn run(args: WorkArgs) -> Result<(), Failure> {
    let (settings, stream, apps) = settle(args)?;
    server::install_panic_hook();
    server::block_signals().map_err(Failure::outside)?;
    logging::start().map_err(Failure::outside)?;
    let (wake, woken) = Wake::new();
    let counters = Arc::new(DeliveryCounters::new(&settings.endpoints));
    let means = Means::new(&settings, Arc::clone(&apps), counters).map_err(Failure::outside)?;
    let (key, endpoints) = (stream.key.clone(), settings.endpoints.len());
    let source = StreamSource::open(stream, apps, wake, Arc::new(StreamCounters::default()))
        .map_err(Failure::outside)?;
    let dispatcher = Dispatcher::start(source, woken, means).map_err(Failure::outside)?;
    logging::say!("delivering the stream {key} to {endpoints} endpoint(s)");
    server::wait_for_signal().map_err(Failure::outside)?;
    dispatcher.stop(WORKER_FLUSH_MAX);
    Ok(())
}

fn settle(args: WorkArgs) -> Result<(Settings, StreamSettings, Arc<Apps>), Failure> {
    let flags = Overrides {
        app: args.app,
        data_dir: args.data_dir,
        webhook: args.webhook,
        redis: args.redis,
        ..Overrides::default()
    };
    let config = Sources::of_file(args.config.as_deref(), flags).read()?.config;
    config.log.apply();
    let settings = settled(config)?;
    let hooks = settings.hooks.filter(|hooks| !hooks.endpoints.is_empty()).ok_or_else(|| {
        Failure::config(
            "there is nothing to deliver to: use --app and --webhook, or a --config with [[apps.hooks]]",
        )
    })?;
    let stream = hooks.stream.clone().ok_or_else(|| {
        Failure::config("no stream is given: use --redis URL, or redis_url under [hooks]".to_owned())
    })?;
    Ok((hooks, stream, settings.apps))
}
