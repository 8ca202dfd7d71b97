//! `corecast hooks tail`: events as JSON lines, from the stream if there is one, else from the journal.
//!
//! It only reads: an event that is delivered between two reads of the journal is not shown.

use std::thread;
use std::time::Duration;

use clap::Args;
use hooks::journal::{JournalView, KeptRow};
use hooks::row::Position;
use hooks::stream::view::{StreamEvent, StreamView};
use protocol::json::encode_string;

use super::{Found, Where};
use crate::cli::failure::Failure;
use crate::cli::output::print_json_lines;
use crate::limits::TAIL_EVENTS_MAX;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    #[command(flatten)]
    place: Where,
    /// Skip events that are already waiting
    #[arg(long)]
    new: bool,
    /// End once all waiting events are written
    #[arg(long, conflicts_with = "new")]
    once: bool,
}

/// Writes until the reader goes away.
pub(super) fn run(args: TailArgs) -> Result<(), Failure> {
    let found = args.place.find()?;
    let mut source = Events::open(&found)?;
    if args.new {
        source.skip()?;
    }
    loop {
        let lines = source.next_lines()?;
        if lines.is_empty() {
            if args.once {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        print_json_lines(&String::from_utf8_lossy(&lines))?;
    }
}

enum Events {
    Journal(JournalView, u64),
    Stream(Box<StreamView>, Position),
}

impl Events {
    fn open(found: &Found) -> Result<Self, Failure> {
        if let Some(stream) = &found.stream {
            return Ok(Self::Stream(
                Box::new(StreamView::open(stream).map_err(Failure::outside)?),
                Position::default(),
            ));
        }
        let journal = JournalView::open(&found.data_dir).map_err(Failure::outside)?;
        journal.map(|journal| Self::Journal(journal, 0)).ok_or_else(|| found.nothing())
    }

    fn skip(&mut self) -> Result<(), Failure> {
        match self {
            Self::Journal(journal, after) => *after = journal.status().map_err(Failure::outside)?.last_id,
            Self::Stream(stream, after) => {
                *after = stream.status().map_err(Failure::outside)?.standing.unwrap_or_default().last;
            }
        }
        Ok(())
    }

    fn next_lines(&mut self) -> Result<Vec<u8>, Failure> {
        let mut lines = Vec::new();
        match self {
            Self::Journal(journal, after) => {
                for row in journal.rows_after(*after, TAIL_EVENTS_MAX).map_err(Failure::outside)? {
                    write_row(&mut lines, &row);
                    *after = row.id;
                }
            }
            Self::Stream(stream, after) => {
                for event in stream.entries_after(*after, TAIL_EVENTS_MAX).map_err(Failure::outside)? {
                    write_event(&mut lines, &event);
                    *after = event.at;
                }
            }
        }
        Ok(lines)
    }
}

fn write_row(out: &mut Vec<u8>, row: &KeptRow) {
    out.extend_from_slice(format!("{{\"id\":\"{}\",\"app_id\":", row.id).as_bytes());
    encode_string(out, &row.app_id);
    out.extend_from_slice(b",\"name\":");
    encode_string(out, &row.name);
    let (seconds, ms) = (row.time_ms / 1_000, row.time_ms % 1_000);
    out.extend_from_slice(format!(",\"time\":{seconds}.{ms:03},\"data\":{}}}\n", row.data).as_bytes());
}

/// Other programs may add entries with any content, so all fields are written as strings.
fn write_event(out: &mut Vec<u8>, event: &StreamEvent) {
    out.extend_from_slice(format!("{{\"entry\":\"{}\"", event.at).as_bytes());
    if let Some(id) = event.id {
        out.extend_from_slice(format!(",\"id\":\"{id}\"").as_bytes());
    }
    let fields =
        [("app_id", &event.app_id), ("name", &event.name), ("time", &event.time), ("data", &event.data)];
    for (name, value) in fields {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        encode_string(out, value);
    }
    out.extend_from_slice(b"}\n");
}
