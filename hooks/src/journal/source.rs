//! The journal as a source: endpoints that keep up are served from memory, others from the file.
//!
//! It has a connection of its own that only reads, opened when it is first needed. What must never happen here: a row that is
//! passed over without being counted.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::Receiver;
use protocol::app::Apps;
use rusqlite::{Connection, OpenFlags, params};

use super::shared::JournalShared;
use crate::counters::JournalCounters;
use crate::disk_fault::is_damaged;
use crate::encoding::{UndecodableRow, decode_row};
use crate::notice::say;
use crate::row::{Position, Row};
use crate::source::{Source, SourceError};

/// Reads the journal and releases what is done.
#[derive(Debug)]
pub struct JournalSource {
    path: PathBuf,
    shared: Arc<JournalShared>,
    apps: Arc<Apps>,
    counters: Arc<JournalCounters>,
    /// To the file of this generation.
    reader: Option<(u64, Connection)>,
    released: u64,
    passed_over: u64,
    gap: Gap,
}

/// Nobody here can read the rows behind `after` and up to `up_to`.
#[derive(Clone, Copy, Default, Debug)]
struct Gap {
    after: u64,
    up_to: u64,
}

impl JournalSource {
    pub(super) fn new(
        path: PathBuf,
        shared: Arc<JournalShared>,
        apps: Arc<Apps>,
        counters: Arc<JournalCounters>,
    ) -> Self {
        let released = shared.first_id() - 1;
        Self { path, shared, apps, counters, reader: None, released, passed_over: 0, gap: Gap::default() }
    }

    /// Tells when there are new rows: one message for any number of them.
    pub fn rows_here(&self) -> Receiver<()> {
        self.shared.rows_here().clone()
    }

    // Reads rows in (after, up_to]. Skips those that cannot be decoded, or an endpoint would stop before them.
    fn read_file(
        &mut self,
        after: u64,
        up_to: u64,
        rows_max: usize,
        rows: &mut Vec<(Position, Arc<Row>)>,
    ) -> Result<(), SourceError> {
        let (mut from, before) = (self.gap.jump(after), rows.len());
        while rows.len() == before && from < up_to {
            let generation = self.shared.generation();
            let found = self.select(generation, from, up_to, rows_max).inspect_err(|error| {
                if is_damaged(error) {
                    self.shared.is_damaged(generation);
                }
            });
            let found = found?;
            let Some((last_id, _)) = found.last() else { break };
            from = *last_id;
            for (id, row) in found {
                match row {
                    Ok(row) => rows.push((Position(id, 0), Arc::new(row))),
                    Err(error) => self.pass_over(id, &error),
                }
            }
        }
        if rows.len() == before && from > after {
            self.gap = Gap { after, up_to: from };
            self.release_gap();
        }
        Ok(())
    }

    fn select(
        &mut self,
        generation: u64,
        after: u64,
        up_to: u64,
        rows_max: usize,
    ) -> rusqlite::Result<Vec<FoundRow>> {
        let reader = match &mut self.reader {
            Some((opened, reader)) if *opened == generation => reader,
            other => &mut other.insert((generation, open_to_read(&self.path)?)).1,
        };
        let mut select = reader.prepare_cached(
            "SELECT id, time_ms, app_id, name, data FROM rows WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
        )?;
        let apps = &self.apps;
        let each = |row: &rusqlite::Row<'_>| {
            let id = row.get(0)?;
            let text = |column: usize| row.get_ref(column).ok()?.as_str().ok();
            let time_ms: Option<u64> = row.get(1).ok();
            let decoded = match (time_ms, text(2), text(3), text(4)) {
                (Some(time_ms), Some(app_id), Some(name), Some(data)) => {
                    decode_row(id, time_ms, app_id, name, data, apps)
                }
                _ => Err(UndecodableRow::Data(id)),
            };
            Ok((id, decoded))
        };
        select.query_map(params![after, up_to, rows_max], each)?.collect()
    }

    // Each row counts once, however many endpoints pass it.
    fn pass_over(&mut self, id: u64, why: &dyn Display) {
        if id <= self.passed_over {
            return;
        }
        if self.passed_over == 0 {
            say(format_args!("an event in the journal is passed over: {why}"));
        }
        self.passed_over = id;
        self.counters.undecodable.add(1);
    }

    // No endpoint ever releases rows that none can read.
    fn release_gap(&mut self) {
        let released = self.gap.jump(self.released);
        if released > self.released {
            self.released = released;
            self.shared.release(Position(released, 0), &[]);
        }
    }
}

impl Gap {
    fn jump(self, id: u64) -> u64 {
        if id >= self.after { id.max(self.up_to) } else { id }
    }
}

type FoundRow = (u64, Result<Row, UndecodableRow>);

impl Source for JournalSource {
    fn place_of(&mut self, endpoint: &str) -> Result<Position, SourceError> {
        Ok(self.shared.place_of(endpoint))
    }

    fn read(
        &mut self,
        after: Position,
        rows_max: usize,
        rows: &mut Vec<(Position, Arc<Row>)>,
    ) -> Result<(), SourceError> {
        let (mut after, before) = (after.0, rows.len());
        loop {
            let tail = self.shared.tail();
            let complete_after = tail.complete_after();
            if after >= complete_after {
                tail.read(after, rows_max, rows);
                return Ok(());
            }
            drop(tail);
            self.read_file(after, complete_after, rows_max, rows)?;
            if rows.len() > before {
                return Ok(());
            }
            // The tail may have moved on meanwhile.
            after = complete_after;
        }
    }

    fn release(&mut self, all: Position, places: &[(&str, Position)]) -> Result<(), SourceError> {
        self.shared.release(all, places);
        self.released = self.released.max(all.0);
        self.release_gap();
        Ok(())
    }

    fn note_moved(&mut self, row: u64) {
        self.shared.note_moved(row);
    }
}

/// A connection that only reads, beside the writer.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}
