//! `corecast hooks status`: what waits in the journal, in the stream, and among the dead letters.

use std::collections::BTreeMap;
use std::path::Path;

use hooks::dead_letters::{DeadLetters, Selection};
use hooks::journal::{JournalView, STREAM_PLACE, Status};
use hooks::row::Position;
use hooks::settings::StreamSettings;
use hooks::stream::view::{StreamStatus, StreamView};

use super::table::{Table, ago, bytes, now_ms, thousands};
use super::{Found, HooksFailure, world};
use crate::output::print;

/// Shows it all; what is not there is not shown.
pub(super) fn run(found: &Found) -> Result<(), HooksFailure> {
    let journal = JournalView::open(&found.data_dir).map_err(world)?;
    let letters = dead_letters(&found.data_dir)?;
    if journal.is_none() && letters.is_none() && found.stream.is_none() {
        return Err(found.nothing());
    }
    let mut facts = Table::new(&[]);
    let mut places = Table::new(&["endpoint", "source", "behind", "done up to"]);
    if let Some(journal) = journal {
        let status = journal.status().map_err(world)?;
        show_journal(&mut facts, &found.data_dir, &status);
        show_journal_places(&mut places, &status);
    }
    if let Some(stream) = &found.stream {
        let status = StreamView::open(stream).and_then(|mut view| view.status()).map_err(world)?;
        show_stream(&mut facts, stream, &status);
        show_stream_places(&mut places, &status.places);
    }
    if let Some((all, waiting)) = letters {
        facts.push([
            "dead letters".to_owned(),
            thousands(all),
            format!("{} wait for another try", thousands(waiting)),
        ]);
    }
    Ok(print(&format!("{}\n{}", facts.render(), places.render()))?)
}

fn dead_letters(data_dir: &Path) -> Result<Option<(u64, u64)>, HooksFailure> {
    let letters = DeadLetters::open_existing(data_dir).map_err(world)?;
    letters.map(|letters| letters.counts(&Selection::All)).transpose().map_err(world)
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
        "channels and members that are reported as there".into(),
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

fn show_stream_places(places: &mut Table, stream: &BTreeMap<String, Position>) {
    for (name, place) in stream {
        places.push([name.clone(), "stream".to_owned(), "-".to_owned(), place.to_string()]);
    }
}
