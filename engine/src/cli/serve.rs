//! `corecast serve`: the server.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use clap::Args;
use logging::{event, say, warn};

use super::failure::Failure;
use super::overridden::overridden;
use super::overrides::Overrides;
use super::reload::{Followers, Reload};
use super::running::{read_stored_apps, run_server, settled};
use super::sources::{Found, SourceArgs, Sources, tell_of_ignored};
use crate::app_store::watch_store;
use crate::apps_url::answer_questions;
use crate::config::{Setting, is_soketi_file};
use crate::server::Running;
use crate::settings::{AdminToken, ListenAddress, Memory, ShownSetting};
use crate::tls::CertificateWatch;

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
    let Found { mut config, settings, file, files, service_links, ignored } = sources.read()?;
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
    let overridden = overridden(&settings);
    let shown: Vec<ShownSetting> = settings.iter().map(Setting::shown).collect();
    let reload = Reload::of(sources, files, settings, &config, reader.clone());
    let (store, apps_url) = (config.app_store.clone(), config.apps_url.clone());
    let shards = config.shards.count.get();
    let settings = settled(config)?;
    settings.shown.show(shown.into_iter());
    let (has_console, shown) = (settings.admin.token.is_some(), settings.shown.clone());
    let is_weak = settings.admin.token.as_ref().is_some_and(AdminToken::is_weak);
    run_server(settings, |running| {
        announce(running, shards, &overridden);
        announce_console(running, has_console, is_weak);
        if let Some(path) = store {
            let counters = Arc::clone(running.app_store());
            watch_store(&path, reader.clone(), running.apps(), counters).map_err(Failure::outside)?;
        }
        if let (Some(source), Some((answers, counters))) = (apps_url, running.app_answers()) {
            answer_questions(&source, reader, running.apps(), answers, counters).map_err(Failure::outside)?;
        }
        let followers = Followers::of(running, shown);
        if reload.is_none() && followers.certificates().is_none() {
            return Ok(());
        }
        let mut reload = reload;
        let on_hangup = move || match &mut reload {
            Some(reload) => reload.reload(&followers),
            None => followers.certificates().into_iter().for_each(CertificateWatch::look_again),
        };
        running.reload_on_hangup(on_hangup).map_err(Failure::outside)
    })
}

/// Kubernetes sets variables with our prefix for a Service that is called like the server.
fn tell_of_links(names: &[String]) {
    if !names.is_empty() {
        let names = &*names.join(", ");
        event!(
            WARN,
            "ignored_key",
            { key = names, },
            "ignored: {names}, which Kubernetes sets for a Service; enableServiceLinks: false in the pod's spec leaves them out"
        );
    }
}

fn announce(running: &Running, shards: usize, settings: &str) {
    let version = env!("CARGO_PKG_VERSION");
    let processors = available_parallelism().map_or(1, NonZeroUsize::get);
    let apps = running.apps().current().iter().count();
    let (open_files, memory) = (running.capacity().descriptors(), Memory::find().map(|memory| memory.bytes));
    event!(
        INFO,
        "started",
        {
            version = version,
            shards = shards,
            processors = processors,
            apps = apps,
            settings = settings,
            open_files = open_files,
            memory_bytes = memory,
        },
        "corecast {version}: {shards} shard(s) on {processors} processor(s), {apps} app(s), {open_files} open files and {} \
         bytes of memory at most; set: {}",
        memory.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string()),
        if settings.is_empty() { "nothing but apps" } else { settings }
    );
    for address in running.addresses() {
        event!(INFO, "listening", { address = %address, tls = false, }, "listening on {address}");
    }
    for address in running.secure_addresses() {
        event!(INFO, "listening", { address = %address, tls = true, }, "listening on {address} with TLS");
    }
    for path in running.paths() {
        let address = ListenAddress::Unix(path.to_owned());
        event!(INFO, "listening", { address = %address, tls = false, }, "listening on {address}");
    }
    if let Some(tls) = running.tls() {
        tls.watch().tell();
    }
    match running.admin() {
        Some(Ok(address)) => say!("metrics at http://{address}/metrics"),
        Some(Err(error)) => warn!("no metrics: {error}, or --admin off"),
        None => {}
    }
    tell_capacity(running);
}

fn announce_console(running: &Running, has_console: bool, is_weak: bool) {
    if let (true, Some(Ok(address))) = (has_console, running.admin()) {
        say!("console at http://{address}/");
        if is_weak {
            warn!("warning: admin_token is short, take 16 characters or more that nobody guesses");
        }
    }
}

fn tell_capacity(running: &Running) {
    let capacity = running.capacity();
    let (clients, open_files) = (capacity.clients(), capacity.descriptors());
    event!(INFO, "capacity", { clients = clients, open_files = open_files, }, "{capacity}");
}
