//! The part of `/metrics` that the API core cannot know: the hooks core, the batches that cores could not send, the lines
//! that the log has lost, the sources of apps, and the process. The API core asks for it at each scrape.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::app_store::StoreCounters;
use crate::apps_url::UrlCounters;
use crate::cluster::{Standings, describe_cluster};
use crate::driver::control::Health;
use crate::driver::hooks_end::HookGauge;
use crate::driver::notices;
use crate::driver::transport::Handshake;
use crate::takeover::counters::{Counters, TakeoverReading};
use crate::tls::ServerTls;
use machines::api_core::OtherMetrics;
use machines::api_core::exposition::Exposition;
use machines::cores::CoreId;
use machines::machine::Now;

mod backlog;
mod hooks;
mod process;

/// Where apps come from besides the file.
pub(crate) struct AppSources {
    /// The app store.
    pub(crate) app_store: Arc<StoreCounters>,
    /// The back end that is asked; None: there is none.
    pub(crate) apps_url: Option<Arc<UrlCounters>>,
}

/// The descriptors of the process.
pub(crate) struct Descriptors {
    /// How many it may open.
    pub(crate) max: u64,
    /// Where those listen to which clients and back ends connect.
    pub(crate) listeners: Arc<[SocketAddr]>,
}

/// Adds the metrics of everything but the cores' machines.
pub(crate) fn of_the_process(
    health: Arc<Health>,
    descriptors: Descriptors,
    hooks: Option<HookGauge>,
    stream: bool,
    takeover: Arc<Counters>,
    sources: AppSources,
    tls: Option<ServerTls>,
) -> OtherMetrics {
    Box::new(move |all, now| {
        let reading = hooks.as_ref().map(HookGauge::reading);
        hooks::describe_hooks(all, reading, stream, now);
        let stuck = "Batches that found a full inbox: a fault.";
        all.counter("stuck_batches_total", stuck, health.stuck_batches());
        let shedding = "1 while there is too much to do for new connections.";
        all.gauge("shedding", shedding, u64::from(health.is_shedding()));
        describe_cores(all, &health);
        backlog::describe_backlog(all, &descriptors.listeners);
        let lost = "Log lines lost since standard error did not take them.";
        all.counter("log_lines_dropped_total", lost, logging::dropped());
        let untold = "Refusals without a log line, since there were too many of their kind within a second.";
        all.counter("log_refusals_untold_total", untold, notices::untold());
        describe_takeover(all, &takeover.read());
        describe_sources(all, &sources);
        if let Some(tls) = &tls {
            describe_tls(all, tls, now);
        }
        process::describe_process(all, descriptors.max);
    })
}

/// The same with what a node has to tell of its cluster.
pub(crate) fn of_a_node(others: OtherMetrics, cluster: Arc<Standings>) -> OtherMetrics {
    Box::new(move |all, now| {
        others(all, now);
        describe_cluster(all, &cluster);
    })
}

fn describe_cores(all: &mut Exposition, health: &Health) {
    let mut busy = all.counters("core_busy_seconds_total", "Time that a core was not asleep.");
    for core in health.cores() {
        let name = match core {
            CoreId::Shard(number) => format!("shard-{number}"),
            CoreId::Api | CoreId::Relay => "api".to_owned(),
        };
        busy.sample(&[("core", &name)], health.load(core).busy_us as f64 / 1e6);
    }
    all.add(busy);
}

fn describe_sources(all: &mut Exposition, AppSources { app_store, apps_url }: &AppSources) {
    let failing = "1 while the app store cannot be read, or has an app that is none.";
    all.gauge("app_store_failing", failing, app_store.failing());
    let changes = "Changes that were taken over from the app store.";
    all.counter("app_store_changes_total", changes, app_store.changes());
    if let Some(apps_url) = apps_url {
        apps_url.describe(all);
    }
}

fn describe_tls(all: &mut Exposition, tls: &ServerTls, now: Now) {
    let mut handshakes = all.counters("tls_handshakes_total", "Handshakes of TLS, by how they ended.");
    for (how, name) in Handshake::ALL {
        handshakes.sample(&[("result", name)], tls.counters().ended(how) as f64);
    }
    all.add(handshakes);
    let unsent = "Records of TLS that wait behind full sockets, in bytes.";
    all.gauge("tls_unsent_bytes", unsent, tls.counters().unsent_bytes());
    let mut days = all.gauges("certificate_days_left", "Days until the first certificate ends.");
    days.sample(&[], tls.days_left(now.unix_ms / 1_000) as f64);
    all.add(days);
}

fn describe_takeover(all: &mut Exposition, takeover: &TakeoverReading) {
    let TakeoverReading { links, waiting_bytes, said, heard, lost } = *takeover;
    all.gauge("takeover_links", "Processes on the same ports that events are shared with.", links);
    all.gauge("takeover_waiting_bytes", "Events that wait for them, in bytes.", waiting_bytes);
    all.counter("takeover_sent_total", "Events sent to them.", said);
    all.counter("takeover_received_total", "Events that came from them.", heard);
    all.counter("takeover_links_lost_total", "Links that ended while both processes served.", lost);
}
