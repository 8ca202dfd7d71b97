//! The journal: every event is in SQLite before it leaves the process, and until all endpoints are done with it.
//!
//! One thread writes: it takes events from the shards' queue, assigns ids, and commits in batches, with the open edges and
//! the endpoints' places in the same transactions. A data directory belongs to one server. What must never happen here: a
//! row that is read before it is committed, an id that is used twice, or a wait that a shard could feel.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use protocol::app::Apps;
use protocol::hook_event::OpenEdges;

use self::checkpoint::Checkpointer;
use self::file::{Extent, JournalFile};
use self::lock::DirectoryLock;
use self::shared::JournalShared;
use self::writer::Writer;
use crate::counters::JournalCounters;
use crate::data_dir::JOURNAL_FILE;
use crate::notice::say;
use crate::queue::Drain;
use crate::row::Position;
use crate::settings::{IDS_APART, Settings};

pub use self::preflight::{JournalSite, JournalSiteFault, SiteFaultKind, preflight};
pub use self::source::JournalSource;
pub use self::start_error::StartError;
pub use self::view::{JournalView, KeptRow, Status, clear};

mod batch;
mod checkpoint;
mod edges;
mod file;
mod lock;
mod log;
mod marks;
mod preflight;
mod release;
mod remains;
mod shared;
mod source;
mod start_error;
mod successor;
mod tables;
mod tail;
mod view;
mod writer;

/// The reserved name under which the mover into a stream has its place.
pub const STREAM_PLACE: &str = "stream";

/// A journal that is open and whose writer runs.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<JournalShared>,
    drained: Receiver<()>,
    writer: JoinHandle<()>,
    path: PathBuf,
    apps: Arc<Apps>,
    counters: Arc<JournalCounters>,
}

impl Journal {
    /// Makes or opens the journal in the data directory and starts its writer on this queue. The open edges are those of
    /// apps that still want them.
    pub fn start(
        settings: &Settings,
        apps: Arc<Apps>,
        drain: Drain,
        counters: Arc<JournalCounters>,
    ) -> Result<(Self, Vec<OpenEdges>), StartError> {
        let lock = DirectoryLock::take(&settings.data_dir)?;
        let path = settings.data_dir.join(JOURNAL_FILE);
        let broken = |error| StartError::Sqlite { path: path.clone(), error };
        let Opened { file, open_edges, places, extent } = open_or_succeed(&path, settings, &apps, &counters)?;
        let shared = Arc::new(JournalShared::new(extent, places, settings.stream.is_some()));
        let parts = (Arc::clone(&shared), Arc::clone(&counters));
        let checkpointer = Checkpointer::start(&path, settings.durability)?;
        let (writer, drained) =
            Writer::new(file, checkpointer, lock, drain, parts.0, parts.1, settings.journal_bytes_max)
                .map_err(broken)?;
        let spawned = thread::Builder::new().name("hooks-journal".to_owned()).spawn(move || writer.run());
        let writer = spawned.map_err(StartError::Thread)?;
        Ok((Self { shared, drained, writer, path, apps, counters }, open_edges))
    }

    /// From now on rows may be of these apps.
    pub(crate) fn know(&mut self, apps: Arc<Apps>) {
        self.apps = apps;
    }

    /// What a dispatcher or a mover reads. There may be only one.
    pub fn source(&self) -> JournalSource {
        JournalSource::new(
            self.path.clone(),
            Arc::clone(&self.shared),
            Arc::clone(&self.apps),
            Arc::clone(&self.counters),
        )
    }

    /// Waits until all producers are gone and all that they offered is committed; false when the time is over before.
    pub fn wait_until_drained(&self, patience: Duration) -> bool {
        self.drained.recv_timeout(patience) != Err(crossbeam_channel::RecvTimeoutError::Timeout)
    }

    /// Commits what was released, closes the file and frees the directory. Whatever still waits in the queue is written
    /// before. Returns false when the writer was not ready in time; it is then left to the end of the process.
    pub fn stop(self, patience: Duration) -> bool {
        self.shared.stop();
        let end = Instant::now() + patience;
        while !self.writer.is_finished() {
            if Instant::now() > end {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.writer.join().is_ok()
    }
}

/// What is in a journal when it is opened.
struct Opened {
    file: JournalFile,
    open_edges: Vec<OpenEdges>,
    places: BTreeMap<String, Position>,
    extent: Extent,
}

/// A journal that is damaged is set aside, and a new one goes on in its place.
fn open_or_succeed(
    path: &Path,
    settings: &Settings,
    apps: &Apps,
    counters: &JournalCounters,
) -> Result<Opened, StartError> {
    let opened = match successor::is_awaited(path) {
        false => {
            JournalFile::open(path, settings.durability).and_then(|file| read(file, path, settings, apps))
        }
        true => Err(StartError::Unfinished),
    };
    match opened {
        Err(error) if error.is_damage() => {
            let (file, aside) = successor::succeed(path, settings.durability)?;
            counters.set_aside.add(1);
            successor::say_set_aside(path, &error, &aside, "");
            read(file, path, settings, apps)
        }
        opened => opened,
    }
}

fn read(mut file: JournalFile, path: &Path, settings: &Settings, apps: &Apps) -> Result<Opened, StartError> {
    let broken = |error| StartError::Sqlite { path: path.to_owned(), error };
    let open_edges = file.keep_edges_of(apps).map_err(broken)?;
    let mut places = file.keep_places_of(&live_names(settings)).map_err(broken)?;
    let mut extent = file.extent().map_err(broken)?;
    if extent.is_empty() && extent.last_id < IDS_APART && extent.last_id < settings.ids_after {
        file.give_ids_after(settings.ids_after).map_err(broken)?;
        extent = file.extent().map_err(broken)?;
    }
    let end = Position(extent.last_id, 0);
    for (name, place) in places.iter_mut().filter(|(_, place)| **place > end) {
        say(format_args!(
            "the place of the endpoint {name:?}, {}, is behind the last event, {}: it goes on with the next one",
            place.0, end.0
        ));
        *place = end;
    }
    Ok(Opened { file, open_edges, places, extent })
}

// Other places are deleted: a new endpoint must not find the place of an old one that had its name.
fn live_names(settings: &Settings) -> Vec<&str> {
    match settings.stream {
        Some(_) => vec![STREAM_PLACE],
        None => settings.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect(),
    }
}
