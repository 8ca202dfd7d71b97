//! `corecast hooks status`: what waits in the journal, in the stream, and among the dead letters.

use std::collections::BTreeMap;
use std::path::Path;

use hooks::dead_letters::{DeadLetters, DisabledEndpoint, EndpointStatus, Selection};
use hooks::journal::{JournalView, STREAM_PLACE, Status};
use hooks::redis::fault::RedisFault;
use hooks::row::Position;
use hooks::settings::StreamSettings;
use hooks::stream::view::{StreamStatus, StreamView};

use super::Found;
use crate::cli::failure::Failure;
use crate::cli::output::print;
use crate::cli::table::{Table, ago, bytes, now_ms, one_line, thousands, utc};
use crate::limits::COUNTED_ENTRIES_MAX;

/// Shows everything that is there.
pub(super) fn run(found: &Found) -> Result<(), Failure> {
    let journal = JournalView::open(&found.data_dir).map_err(Failure::outside)?;
    let letters = dead_letters(&found.data_dir)?;
    if journal.is_none() && letters.is_none() && found.stream.is_none() {
        return Err(found.nothing());
    }
    let mut facts = Table::new(&[]);
    let mut places = Table::new(&["endpoint", "source", "behind", "done up to"]);
    let mut stream_fault = None;
    if let Some(journal) = journal {
        let status = journal.status().map_err(Failure::outside)?;
        show_journal(&mut facts, &found.data_dir, &status);
        show_journal_places(&mut places, &status);
    }
    if let Some(stream) = &found.stream {
        // The rest is shown even if Redis does not answer.
        if let Err(fault) = show_redis(&mut facts, &mut places, stream) {
            facts.push(["stream".to_owned(), "cannot be read".to_owned(), fault.to_string()]);
            stream_fault = Some(fault);
        }
    }
    let mut endpoints = Table::new(&["endpoint", "to", "held", "state", "next try", "last error"]);
    if let Some(letters) = &letters {
        let (all, waiting) = letters.counts(&Selection::All).map_err(Failure::outside)?;
        facts.push([
            "dead letters".to_owned(),
            thousands(all),
            format!("{} to be retried", thousands(waiting)),
        ]);
    }
    if let Some(letters) = &letters {
        let disabled = letters.disabled().map_err(Failure::outside)?;
        for status in letters.endpoints().map_err(Failure::outside)? {
            let disabled = disabled.iter().find(|it| it.name == status.name);
            endpoints.push(disabled.map_or_else(|| endpoint_row(&status), |it| disabled_row(&status, it)));
        }
    }
    print(&format!("{}\n{}\n{}", facts.render(), places.render(), endpoints.render()))?;
    stream_fault.map_or(Ok(()), |fault| Err(Failure::outside(fault)))
}

fn show_redis(facts: &mut Table, places: &mut Table, stream: &StreamSettings) -> Result<(), RedisFault> {
    let mut view = StreamView::open(stream)?;
    let status = view.status()?;
    show_stream(facts, stream, &status);
    show_stream_places(places, &mut view, &status.places)
}

/// What the delivering process has stored: at most a second old while it runs.
fn endpoint_row(status: &EndpointStatus) -> [String; 6] {
    let now = now_ms();
    let (condition, next, error) = match &status.failure {
        None => ("accepts events".to_owned(), "-".to_owned(), "-".to_owned()),
        Some(failure) => {
            let next = match failure.next_ms {
                _ if status.held == 0 => "with the next event".to_owned(),
                Some(next_ms) if next_ms > now => format!("in {} s", (next_ms - now).div_ceil(1_000)),
                _ => "now".to_owned(),
            };
            (format!("fails since {}", utc(failure.since_ms)), next, one_line(&failure.error))
        }
    };
    [status.name.clone(), status.target.clone(), thousands(status.held), condition, next, error]
}

fn disabled_row(status: &EndpointStatus, disabled: &DisabledEndpoint) -> [String; 6] {
    let condition = format!("disabled since {}", utc(disabled.since_ms));
    let next = format!("after `corecast hooks enable {}`", status.name);
    let held = thousands(status.held);
    [status.name.clone(), status.target.clone(), held, condition, next, one_line(&disabled.reason)]
}

fn dead_letters(data_dir: &Path) -> Result<Option<DeadLetters>, Failure> {
    DeadLetters::open_existing(data_dir).map_err(Failure::outside)
}

fn show_journal(facts: &mut Table, data_dir: &Path, status: &Status) {
    let row = |facts: &mut Table, name: &str, value: String, note: String| {
        facts.push([name.to_owned(), value, note]);
    };
    row(facts, "journal", String::new(), data_dir.display().to_string());
    row(
        facts,
        "  events that wait",
        thousands(status.rows),
        format!("oldest {}", ago(status.oldest_ms, now_ms())),
    );
    row(facts, "  last event", thousands(status.last_id), String::new());
    row(
        facts,
        "  open edges",
        thousands(status.open_edges),
        "channels and members reported as present".into(),
    );
    row(facts, "  size", bytes(status.bytes), String::new());
}

fn show_journal_places(places: &mut Table, status: &Status) {
    for (name, place) in &status.places {
        let name = if name == STREAM_PLACE { "(the stream)" } else { name };
        let behind = thousands(status.last_id.saturating_sub(place.0));
        places.push([name.to_owned(), "journal".to_owned(), behind, thousands(place.0)]);
    }
}

fn show_stream(facts: &mut Table, settings: &StreamSettings, status: &StreamStatus) {
    let row = |facts: &mut Table, name: &str, value: String, note: String| {
        facts.push([name.to_owned(), value, note]);
    };
    let Some(standing) = &status.standing else {
        return row(facts, "stream", "none".to_owned(), format!("there is no key {}", settings.key));
    };
    row(facts, "stream", String::new(), settings.key.clone());
    row(facts, "  entries", thousands(standing.length), format!("last {}", standing.last));
    row(facts, "  consumer groups", thousands(standing.groups as u64), String::new());
    if let Some(group) = standing.group {
        row(facts, "group", String::new(), settings.group.clone());
        row(facts, "  not taken yet", group.lag.map_or_else(|| "-".to_owned(), thousands), String::new());
        row(facts, "  pending", thousands(group.pending), format!("all up to {} acknowledged", group.mark));
    }
    row(
        facts,
        "  active consumer",
        status.active.clone().unwrap_or_else(|| "none".to_owned()),
        String::new(),
    );
}

fn show_stream_places(
    places: &mut Table,
    view: &mut StreamView,
    stream: &BTreeMap<String, Position>,
) -> Result<(), RedisFault> {
    for (name, place) in stream {
        let behind = match view.count_after(*place, COUNTED_ENTRIES_MAX)? {
            count if count >= COUNTED_ENTRIES_MAX as u64 => format!("{} or more", thousands(count)),
            count => thousands(count),
        };
        places.push([name.clone(), "stream".to_owned(), behind, place.to_string()]);
    }
    Ok(())
}
