//! What `/metrics` tells of hooks: the queue, the journal, the stream, and each endpoint by its name.
//!
//! The hooks core keeps these counters anyway. Without hooks the server has none of them but `hooks_queued`.

use hooks::counters::{Count, Counters, DeliveryCounters, EndpointCounters, JournalCounters, StreamCounters};

use machines::api_core::exposition::Exposition;
use machines::machine::Now;

/// Describes what the hooks core counts, and whether rows go through a stream. `queued` events wait for the journal.
pub(super) fn describe_hooks(all: &mut Exposition, hooks: Option<(u64, Counters)>, stream: bool, now: Now) {
    let queued = hooks.as_ref().map_or(0, |(queued, _)| *queued);
    all.gauge("hooks_queued", "Hook events that wait for the journal.", queued);
    let Some((_, counters)) = hooks else { return };
    describe_journal(all, &counters.journal, now);
    if stream {
        describe_stream(all, &counters.stream);
    }
    describe_delivery(all, &counters.delivery);
}

fn describe_journal(all: &mut Exposition, journal: &JournalCounters, now: Now) {
    all.counter(
        "hooks_journal_written_total",
        "Hook events committed to the journal.",
        journal.written.now(),
    );
    all.counter(
        "hooks_journal_failures_total",
        "Transactions and openings that failed.",
        journal.failures.now(),
    );
    all.counter(
        "hooks_journal_unreadable_total",
        "Rows that nobody here can read.",
        journal.undecodable.now(),
    );
    all.counter(
        "hooks_journal_set_aside_total",
        "Times that the journal was damaged and set aside.",
        journal.set_aside.now(),
    );
    all.gauge("hooks_journal_blocked", "1 while the journal takes nothing.", journal.blocked.now());
    all.gauge("hooks_journal_rows", "Hook events kept in the journal.", journal.rows.now());
    all.gauge("hooks_journal_bytes", "Bytes of the journal's files.", journal.bytes.now());
    let oldest_ms = journal.oldest_ms.now();
    let age_ms = if oldest_ms == 0 { 0 } else { now.unix_ms.saturating_sub(oldest_ms) };
    all.gauge("hooks_oldest_age_seconds", "Age of the oldest hook event kept.", age_ms / 1000);
}

fn describe_stream(all: &mut Exposition, stream: &StreamCounters) {
    all.counter("hooks_stream_added_total", "Rows added to the stream.", stream.added.now());
    all.counter("hooks_stream_losses_total", "Times that the stream had lost entries.", stream.losses.now());
    all.counter("hooks_stream_failures_total", "Tries to add that failed.", stream.failures.now());
    all.gauge("hooks_stream_in_trouble", "1 while nothing can be added.", stream.in_trouble.now());
    all.gauge("hooks_stream_at_limit", "1 while the stream is as long as it may be.", stream.at_limit.now());
    all.gauge("hooks_stream_length", "Entries in the stream.", stream.length.now());
    all.gauge("hooks_stream_pending", "Entries taken and not acknowledged.", stream.pending.now());
    all.counter("hooks_stream_acknowledged_total", "Entries acknowledged here.", stream.acknowledged.now());
    all.counter(
        "hooks_stream_redelivered_total",
        "Entries taken here that were given out before.",
        stream.redelivered.now(),
    );
    all.gauge(
        "hooks_stream_deliveries_max",
        "Most times that one of the last of them was given out.",
        stream.deliveries_max.now(),
    );
    all.gauge("hooks_stream_consumer_active", "1 while the consumer here is the one.", stream.active.now());
}

/// One figure of each endpoint.
struct Figure {
    name: &'static str,
    help: &'static str,
    of: fn(&EndpointCounters) -> &Count,
}

const TOTALS: [Figure; 5] = [
    Figure { name: "hooks_accepted_total", help: "Events that an endpoint accepted.", of: |it| &it.accepted },
    Figure {
        name: "hooks_dead_letters_total",
        help: "Events that were given up.",
        of: |it| &it.dead_letters,
    },
    Figure { name: "hooks_replayed_total", help: "Dead letters accepted later.", of: |it| &it.replayed },
    Figure {
        name: "hooks_batches_split_total",
        help: "Batches that failed and were retried in parts.",
        of: |it| &it.split,
    },
    Figure {
        name: "hooks_given_up_early_total",
        help: "Events given up early because too many later ones waited behind them.",
        of: |it| &it.given_up_early,
    },
];

const GAUGES: [Figure; 4] = [
    Figure { name: "hooks_paused", help: "1 while an endpoint gets probes only.", of: |it| &it.paused },
    Figure {
        name: "hooks_endpoint_disabled",
        help: "1 while an endpoint gets nothing because it failed for too long.",
        of: |it| &it.disabled,
    },
    Figure {
        name: "hooks_batches_retrying",
        help: "Batches that wait for their next try; at 256 no new one begins.",
        of: |it| &it.retrying,
    },
    Figure { name: "hooks_held", help: "Events read and not accepted yet.", of: |it| &it.held },
];

fn describe_delivery(all: &mut Exposition, delivery: &DeliveryCounters) {
    let help = "Batches delivered to an endpoint, by outcome.";
    let mut outcomes = all.counters("hooks_deliveries_total", help);
    for it in &delivery.endpoints {
        for (outcome, count) in
            [("accepted", &it.batches), ("refused", &it.refused), ("unreachable", &it.unreachable)]
        {
            let labels = [("app_id", &*it.app_id), ("endpoint", &*it.name), ("outcome", outcome)];
            outcomes.sample(&labels, count.now() as f64);
        }
    }
    all.add(outcomes);
    let totals = TOTALS.iter().map(|figure| (figure, all.counters(figure.name, figure.help)));
    let gauges = GAUGES.iter().map(|figure| (figure, all.gauges(figure.name, figure.help)));
    let families: Vec<_> = totals.chain(gauges).collect();
    for (figure, mut family) in families {
        for it in &delivery.endpoints {
            let labels = [("app_id", &*it.app_id), ("endpoint", &*it.name)];
            family.sample(&labels, (figure.of)(it).now() as f64);
        }
        all.add(family);
    }
    let lost = delivery.dead_letters_dropped.now();
    all.counter("hooks_dead_letters_dropped_total", "Dead letters that went for newer ones.", lost);
    let failing = delivery.source_failing.now();
    all.gauge("hooks_source_failing", "1 while journal or stream cannot be read.", failing);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hooks::settings::{Endpoint, SinkSettings};
    use protocol::app::App;

    use super::*;

    #[test]
    fn the_page_has_a_row_for_every_metric() {
        let page = include_str!("../../../docs/hooks.md");
        let endpoint = Endpoint::new("e", Arc::new(App::new("1", "k", "s")), SinkSettings::None);
        let mut all = Exposition::new("corecast_");
        describe_hooks(&mut all, Some((0, Counters::new(&[endpoint]))), true, Now::default());
        let text = all.encode();
        let names: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
        assert!(names.len() > 25, "{names:?}");
        for name in names {
            let row = |line: &str| line.starts_with("| ") && line.contains(&format!("`{name}`"));
            assert!(page.lines().any(row), "{name}");
        }
    }
}
