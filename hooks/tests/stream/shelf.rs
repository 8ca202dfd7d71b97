//! A journal in memory, to be read by a mover: rows that a test puts there, and what was released.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hooks::row::{Position, Row};
use hooks::source::{Source, SourceError};
use protocol::app::App;
use protocol::hook_event::HookEvent;

pub(crate) fn app() -> Arc<App> {
    Arc::new(App::new("1", "key", "secret"))
}

/// An occupied channel, `room-` and a number.
pub(crate) fn row(app: &Arc<App>, id: u64) -> Row {
    let channel: Arc<str> = format!("room-{}", id % 10).into();
    Row {
        id,
        time_ms: 1_700_000_000_000 + id,
        event: HookEvent::ChannelOccupied { app: Arc::clone(app), channel },
    }
}

#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    rows: Vec<Arc<Row>>,
    released: u64,
    places: HashMap<String, Position>,
}

impl Shelf {
    pub(crate) fn put(&self, rows: impl IntoIterator<Item = Row>) {
        self.0.lock().unwrap().rows.extend(rows.into_iter().map(Arc::new));
    }

    pub(crate) fn released(&self) -> u64 {
        self.0.lock().unwrap().released
    }
}

impl Source for Shelf {
    fn place_of(&mut self, endpoint: &str) -> Result<Position, SourceError> {
        Ok(self.0.lock().unwrap().places.get(endpoint).copied().unwrap_or_default())
    }

    fn read(
        &mut self,
        after: Position,
        rows_max: usize,
        rows: &mut Vec<(Position, Arc<Row>)>,
    ) -> Result<(), SourceError> {
        let shelf = self.0.lock().unwrap();
        let start = shelf.rows.partition_point(|row| Position(row.id, 0) <= after);
        let next = shelf.rows[start..].iter().take(rows_max);
        rows.extend(next.map(|row| (Position(row.id, 0), Arc::clone(row))));
        Ok(())
    }

    fn release(&mut self, all: Position, places: &[(&str, Position)]) -> Result<(), SourceError> {
        let mut shelf = self.0.lock().unwrap();
        assert!(all.0 >= shelf.released, "a release never goes back");
        shelf.released = all.0;
        shelf.rows.retain(|row| row.id > all.0);
        for (name, place) in places {
            shelf.places.insert((*name).to_owned(), *place);
        }
        Ok(())
    }
}
