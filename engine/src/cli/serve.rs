//! `corecast serve`: the server.

use std::sync::Arc;

use clap::Args;
use logging::say;

use super::failure::Failure;
use super::overrides::Overrides;
use super::reload::Reload;
use super::running::{read_stored_apps, run_server, settled};
use super::sources::{Found, SourceArgs, Sources};
use crate::app_store::watch_store;
use crate::apps_url::answer_questions;
use crate::server::Running;

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    files: SourceArgs,
    #[command(flatten)]
    overrides: Overrides,
}

pub(super) fn run(serve: &Serve) -> Result<(), Failure> {
    let sources = Sources::new(&serve.files, &serve.overrides);
    let Found { mut config, file, files, service_links } = sources.read()?;
    tell_of_links(&service_links);
    read_stored_apps(&mut config)?;
    if config.has_no_apps() {
        let wanted = match &file {
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
    run_server(settled(config)?, |running| {
        announce(running);
        if let Some(path) = store {
            let counters = Arc::clone(running.app_store());
            watch_store(&path, reader.clone(), running.apps(), counters).map_err(Failure::outside)?;
        }
        if let (Some(source), Some((answers, counters))) = (apps_url, running.app_answers()) {
            answer_questions(&source, reader, running.apps(), answers, counters).map_err(Failure::outside)?;
        }
        let Some(mut reload) = reload else { return Ok(()) };
        let (apps, hooks) = (Arc::clone(running.apps()), running.endpoints());
        running.reload_on_hangup(move || reload.reload(&apps, hooks.as_ref())).map_err(Failure::outside)
    })
}

/// Kubernetes sets variables with our prefix for a Service that is called like the server.
fn tell_of_links(names: &[String]) {
    if !names.is_empty() {
        say!(
            "ignored: {}, which Kubernetes sets for a Service; enableServiceLinks: false in the pod's spec leaves them out",
            names.join(", ")
        );
    }
}

fn announce(running: &Running) {
    for address in running.addresses() {
        say!("listening on {address}");
    }
    match running.admin() {
        Some(Ok(address)) => say!("metrics at http://{address}/metrics"),
        Some(Err(error)) => say!("no metrics: {error}, or --admin off"),
        None => {}
    }
    say!("{}", running.capacity());
}
