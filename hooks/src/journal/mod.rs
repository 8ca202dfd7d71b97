//! The journal: every event lies in SQLite before it leaves the process, and until all endpoints have done with it.
//!
//! One thread writes: it takes from the shards' queue, gives ids, and commits in batches, with the open edges and the
//! endpoints' places in the same transactions. One data directory belongs to one server. What must never happen here: a
//! row that is read before it is committed, an id given twice, or a wait that a shard could feel.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use protocol::app::Apps;
use protocol::hook_event::OpenEdges;

use self::board::Board;
use self::checkpoint::Checkpointer;
use self::file::JournalFile;
use self::lock::DirectoryLock;
use self::writer::Writer;
use crate::counters::JournalCounters;
use crate::outage::{io_passes, sqlite_passes};
use crate::queue::Drain;
use crate::settings::Settings;

pub use self::outlook::outlook;
pub use self::source::JournalSource;
pub use self::trouble::Trouble;
pub use self::view::{JournalView, KeptRow, Status, clear};

mod batch;
mod board;
mod checkpoint;
mod edges;
mod file;
mod lock;
mod outlook;
mod source;
mod tail;
mod trouble;
mod view;
mod writer;

/// The name of the file in a data directory.
pub const FILE_NAME: &str = "journal.db";

/// The reserved name under which the mover into a stream has its place.
pub const STREAM_PLACE: &str = "stream";

/// A journal that is open and whose writer runs.
#[derive(Debug)]
pub struct Journal {
    board: Arc<Board>,
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
        let path = settings.data_dir.join(FILE_NAME);
        let mut file = JournalFile::open(&path, settings.durability)?;
        let broken = |error| StartError::Sqlite { path: path.clone(), error };
        let open_edges = file.keep_edges_of(&apps).map_err(broken)?;
        let places = file.keep_places_of(&live_names(settings)).map_err(broken)?;
        let extent = file.extent().map_err(broken)?;
        let board = Arc::new(Board::new(extent, places));
        let parts = (Arc::clone(&board), Arc::clone(&counters));
        let checkpointer = Checkpointer::start(&path, settings.durability)?;
        let (writer, drained) =
            Writer::new(file, checkpointer, lock, drain, parts.0, parts.1, settings.journal_bytes_max)
                .map_err(broken)?;
        let spawned = thread::Builder::new().name("hooks-journal".to_owned()).spawn(move || writer.run());
        let writer = spawned.map_err(StartError::Thread)?;
        Ok((Self { board, drained, writer, path, apps, counters }, open_edges))
    }

    /// What a dispatcher or a mover reads. There may be only one.
    pub fn source(&self) -> JournalSource {
        JournalSource::new(
            self.path.clone(),
            Arc::clone(&self.board),
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
        self.board.stop();
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

// Whose places are of use: what an endpoint left behind that is gone must not be found by another of its name.
fn live_names(settings: &Settings) -> Vec<&str> {
    match settings.stream {
        Some(_) => vec![STREAM_PLACE],
        None => settings.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect(),
    }
}

/// Why there is no journal. Each is one line that says what to do.
#[derive(Debug)]
pub enum StartError {
    /// The data directory cannot be made or written.
    Directory {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another server has the data directory.
    InUse {
        /// Which.
        path: PathBuf,
        /// Its process, if it says so.
        process: Option<u32>,
    },
    /// The journal was written by a newer version.
    Newer {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that is known here.
        known: i64,
    },
    /// SQLite cannot read or write the journal.
    Sqlite {
        /// Which.
        path: PathBuf,
        /// What it says.
        error: rusqlite::Error,
    },
    /// The system gives no thread.
    Thread(io::Error),
}

impl StartError {
    /// Whether the journal may open later although nobody starts anything anew: when there is room, or the right to write.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Directory { error, .. } => io_passes(error),
            Self::Sqlite { error, .. } => sqlite_passes(error),
            Self::InUse { .. } | Self::Newer { .. } | Self::Thread(_) => false,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &'_ Path| path.display().to_string();
        match self {
            Self::Directory { path, error } => {
                write!(f, "the data directory {} cannot be written: {error}", shown(path))
            }
            Self::InUse { path, process } => {
                write!(f, "the data directory {} is in use by another server", shown(path))?;
                if let Some(process) = process {
                    write!(f, " (process {process})")?;
                }
                write!(f, ": stop that one, or give this one a directory of its own with --data-dir")
            }
            Self::Newer { path, found, known } => write!(
                f,
                "{} was written by a newer version (schema {found}, here up to {known}): start that version, or \
                 move the file away",
                shown(path)
            ),
            Self::Sqlite { path, error } => write!(f, "{} cannot be used: {error}", shown(path)),
            Self::Thread(error) => write!(f, "no thread for hooks: {error}"),
        }
    }
}

impl Error for StartError {}
