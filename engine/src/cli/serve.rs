//! `corecast serve`: the server.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use clap::Args;
use logging::{event, say, warn};

use super::failure::Failure;
use super::overrides::Overrides;
use super::reload::Reload;
use super::running::{read_stored_apps, run_server, settled};
use super::sources::{Found, SourceArgs, Sources, tell_of_ignored};
use crate::app_store::watch_store;
use crate::apps_url::answer_questions;
use crate::config::is_soketi_file;
use crate::server::Running;

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    files: SourceArgs,
    #[command(flatten)]
    overrides: Overrides,
}

pub(super) fn run(serve: &Serve) -> Result<(), Failure> {
    serve.overrides.log().apply();
    let sources = Sources::new(&serve.files, &serve.overrides);
    let Found { mut config, settings: _, file, files, service_links, ignored } = sources.read()?;
    config.log.apply();
    tell_of_links(&service_links);
    tell_of_ignored(&ignored);
    read_stored_apps(&mut config)?;
    if config.has_no_apps() {
        let wanted = match &file {
            Some(path) if is_soketi_file(path) => {
                format!(
                    "add an app to appManager.array.apps in {}, or give --app ID:KEY:SECRET",
                    path.display()
                )
            }
            Some(path) => {
                format!(
                    "add [[apps]], [app_store] or apps_url to {}, or give --app ID:KEY:SECRET",
                    path.display()
                )
            }
            None => {
                "give at least one --app ID:KEY:SECRET, or --app-file FILE, or set CORECAST_APPS".to_owned()
            }
        };
        return Err(Failure::no_app(&wanted));
    }
    let reader = config.app_reader();
    let reload = Reload::of(sources, files, &config, reader.clone());
    let (store, apps_url) = (config.app_store.clone(), config.apps_url.clone());
    let shards = config.shards.count.get();
    run_server(settled(config)?, |running| {
        announce(running, shards);
        if let Some(path) = store {
            let counters = Arc::clone(running.app_store());
            watch_store(&path, reader.clone(), running.apps(), counters).map_err(Failure::outside)?;
        }
        if let (Some(source), Some((answers, counters))) = (apps_url, running.app_answers()) {
            answer_questions(&source, reader, running.apps(), answers, counters).map_err(Failure::outside)?;
        }
        let certificates = running.tls().map(|tls| Arc::clone(tls.watch()));
        if reload.is_none() && certificates.is_none() {
            return Ok(());
        }
        let (apps, hooks, mut reload) = (Arc::clone(running.apps()), running.endpoints(), reload);
        let load = running.load_marks().clone();
        let on_hangup = move || match &mut reload {
            Some(reload) => reload.reload(&apps, &load, hooks.as_ref(), certificates.as_deref()),
            None => certificates.iter().for_each(|certificates| certificates.look_again()),
        };
        running.reload_on_hangup(on_hangup).map_err(Failure::outside)
    })
}

/// Kubernetes sets variables with our prefix for a Service that is called like the server.
fn tell_of_links(names: &[String]) {
    if !names.is_empty() {
        event!(
            WARN,
            "ignored_key",
            {},
            "ignored: {}, which Kubernetes sets for a Service; enableServiceLinks: false in the pod's spec leaves them out",
            names.join(", ")
        );
    }
}

fn announce(running: &Running, shards: usize) {
    let version = env!("CARGO_PKG_VERSION");
    let processors = available_parallelism().map_or(1, NonZeroUsize::get);
    let apps = running.apps().current().iter().count();
    event!(
        INFO,
        "started",
        { version = version, shards = shards, processors = processors, apps = apps, },
        "corecast {version}: {shards} shard(s) on {processors} processor(s), {apps} app(s)"
    );
    for address in running.addresses() {
        event!(INFO, "listening", { address = %address, tls = false, }, "listening on {address}");
    }
    for address in running.secure_addresses() {
        event!(INFO, "listening", { address = %address, tls = true, }, "listening on {address} with TLS");
    }
    match running.admin() {
        Some(Ok(address)) => say!("metrics at http://{address}/metrics"),
        Some(Err(error)) => warn!("no metrics: {error}, or --admin off"),
        None => {}
    }
    let capacity = running.capacity();
    let (clients, open_files) = (capacity.clients(), capacity.descriptors());
    event!(INFO, "capacity", { clients = clients, open_files = open_files, }, "{capacity}");
}
