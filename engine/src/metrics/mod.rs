//! The part of `/metrics` that the API core cannot know: the hooks core, the batches that cores could not send, the lines
//! that the log has lost, and the process. The API core asks for it at each scrape.

use std::sync::Arc;

use crate::driver::hook_line::HookGauge;
use crate::server::Surroundings;
use machines::rest::OtherMetrics;

mod hooks;
mod process;

/// Adds the metrics of everything but the cores' machines.
pub(crate) fn of_the_process(around: &Surroundings, hooks: Option<HookGauge>, stream: bool) -> OtherMetrics {
    let (health, descriptors_max) = (Arc::clone(&around.health), around.descriptors_max);
    Box::new(move |all, now| {
        let reading = hooks.as_ref().map(HookGauge::reading);
        hooks::describe_hooks(all, reading, stream, now);
        let stuck = "Batches that found a full inbox: a fault.";
        all.counter("stuck_batches_total", stuck, health.stuck_batches());
        let lost = "Log lines lost since standard error did not take them.";
        all.counter("log_lines_dropped_total", lost, logging::dropped());
        process::describe_process(all, descriptors_max);
    })
}
