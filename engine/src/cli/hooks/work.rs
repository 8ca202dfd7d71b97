//! `corecast hooks work`: a consumer of the stream without a server, until a signal ends it.
//!
//! It has a data directory of its own for dead letters. Several may run on several machines; one is active at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hooks::delivery::{DeliveryCounters, Dispatcher, Means};
use hooks::settings::{Settings, StreamSettings};
use hooks::source::Wake;
use hooks::stream::counters::StreamCounters;
use hooks::stream::source::StreamSource;
use protocol::app::{App, Apps};

use super::{HooksFailure, read_config, world};
use crate::config::EndpointWish;
use crate::server;

/// How long endpoints may take, at the end, for deliveries already under way.
const FLUSH_MAX: Duration = Duration::from_secs(5);

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

pub(super) fn run(args: WorkArgs) -> Result<(), HooksFailure> {
    let (settings, stream, apps) = settle(args)?;
    server::install_panic_hook();
    server::block_signals().map_err(world)?;
    logging::start().map_err(world)?;
    let (wake, woken) = Wake::new();
    let counters = Arc::new(DeliveryCounters::new(&settings.endpoints));
    let means = Means::new(&settings, Arc::clone(&apps), counters).map_err(world)?;
    let (key, endpoints) = (stream.key.clone(), settings.endpoints.len());
    let source =
        StreamSource::open(stream, apps, wake, Arc::new(StreamCounters::default())).map_err(world)?;
    let dispatcher = Dispatcher::start(source, woken, means).map_err(world)?;
    logging::say!("delivering the stream {key} to {endpoints} endpoint(s)");
    server::wait_for_signal().map_err(world)?;
    dispatcher.stop(FLUSH_MAX);
    Ok(())
}

fn settle(args: WorkArgs) -> Result<(Settings, StreamSettings, Arc<Apps>), HooksFailure> {
    let mut config = read_config(args.config.as_deref())?;
    if !args.app.is_empty() {
        let apps: Result<_, _> = args.app.iter().map(|text| App::parse(text)).collect();
        config.apps = apps.map_err(|error| HooksFailure::Config(format!("--app: {error}")))?;
    }
    if let Some(data_dir) = args.data_dir {
        config.hooks.set_data_dir(data_dir);
    }
    if let Some(url) = &args.redis {
        config.hooks.set_redis_url(url).map_err(|why| HooksFailure::Config(format!("--redis {why}")))?;
    }
    if !args.webhook.is_empty() {
        config.hooks.endpoints = EndpointWish::webhooks(&config.apps, &args.webhook)
            .map_err(|why| HooksFailure::Config(format!("--webhook {why}")))?;
    }
    let apps = Apps::new(config.apps).map_err(|error| HooksFailure::Config(format!("--app: {error}")))?;
    let settings = config.hooks.settled(&apps).filter(|settings| !settings.endpoints.is_empty());
    let settings = settings.ok_or_else(|| {
        let wanted =
            "there is nothing to deliver to: give --app and --webhook, or a --config with [[apps.hooks]]";
        HooksFailure::Config(wanted.to_owned())
    })?;
    let stream = settings.stream.clone().ok_or_else(|| {
        HooksFailure::Config("no stream is named: give --redis URL, or redis_url under [hooks]".to_owned())
    })?;
    Ok((settings, stream, Arc::new(apps)))
}
