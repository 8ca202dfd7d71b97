//! All of hooks in one value: the far end of the queue, the journal behind it, and what takes rows out of the journal.
//!
//! The parts start in the order in which events pass them, and stop in the same order, so nothing is left between two of
//! them. What must never happen here: a delivery before the journal is open, or a stop with events in the queue and time
//! left.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::app::Apps;
use protocol::hook_event::OpenEdges;

use crate::counters::Counters;
use crate::delivery::{self, Dispatcher, Means};
use crate::journal::{self, Journal};
use crate::queue::{Queue, queue};
use crate::settings::Settings;
use crate::source::Wake;
use crate::stream::mover::Mover;
use crate::stream::source::StreamSource;

/// The part of the time to stop that is kept for the last commit.
const LAST_COMMIT: Duration = Duration::from_millis(500);

/// Hooks that run.
#[derive(Debug)]
pub struct Hooks {
    journal: Journal,
    mover: Option<Mover>,
    dispatcher: Option<Dispatcher>,
    counters: Counters,
}

impl Hooks {
    /// Starts everything that these settings ask for. The queue is for the shards, the open edges for those of their
    /// home. Do not call this without an endpoint or a stream: it makes a directory and threads.
    pub fn start(settings: &Settings, apps: Arc<Apps>) -> Result<(Self, Queue, Vec<OpenEdges>), StartError> {
        Self::start_with(settings, apps, Counters::new(&settings.endpoints))
    }

    /// The same with counters that exist already and were made for these endpoints.
    pub fn start_with(
        settings: &Settings,
        apps: Arc<Apps>,
        counters: Counters,
    ) -> Result<(Self, Queue, Vec<OpenEdges>), StartError> {
        let (queue, drain) = queue(settings.queue_events_max);
        let (journal, open_edges) =
            Journal::start(settings, Arc::clone(&apps), drain, Arc::clone(&counters.journal))?;
        match Self::start_readers(settings, apps, &journal, &counters) {
            Ok((mover, dispatcher)) => Ok((Self { journal, mover, dispatcher, counters }, queue, open_edges)),
            Err(error) => {
                journal.stop(LAST_COMMIT);
                Err(error)
            }
        }
    }

    /// Starts what takes rows out of the journal: a dispatcher, or a mover into a stream with a dispatcher behind it. Only
    /// one of several consumers in a process would ever be active, so there is one.
    fn start_readers(
        settings: &Settings,
        apps: Arc<Apps>,
        journal: &Journal,
        counters: &Counters,
    ) -> Result<(Option<Mover>, Option<Dispatcher>), StartError> {
        let source = journal.source();
        let rows_here = source.rows_here();
        let means = || Means::new(settings, Arc::clone(&apps), Arc::clone(&counters.delivery));
        let Some(stream) = &settings.stream else {
            return Ok((None, Some(Dispatcher::start(source, rows_here, means()?)?)));
        };
        let here = stream.consumers > 0 && stream.deliver && !settings.endpoints.is_empty();
        let dispatcher = if here {
            let (wake, woken) = Wake::new();
            let means = means()?;
            let figures = Arc::clone(&counters.stream);
            let entries = StreamSource::open(stream.clone(), Arc::clone(&apps), wake, figures)?;
            Some(Dispatcher::start(entries, woken, means)?)
        } else {
            None
        };
        let mover = Mover::start(source, rows_here, stream.clone(), Arc::clone(&counters.stream))?;
        Ok((Some(mover), dispatcher))
    }

    /// What is counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether rows go from the journal to the endpoints, with no stream in between.
    pub fn delivers_directly(&self) -> bool {
        self.mover.is_none()
    }

    /// Ends deliveries, for other endpoints to begin. What is on its way has so long; what no endpoint has accepted until then
    /// stays in the journal.
    pub fn pause(&mut self, patience: Duration) {
        if let Some(dispatcher) = self.dispatcher.take() {
            dispatcher.stop(patience);
        }
    }

    /// Begins deliveries to the endpoints of these settings, which may be of other apps. Each goes on where it stopped by its
    /// name; a new one begins with the oldest event that is kept.
    pub fn resume(&mut self, settings: &Settings, apps: Arc<Apps>) -> Result<(), StartError> {
        self.journal.know(Arc::clone(&apps));
        self.counters.delivery = Arc::new(self.counters.delivery.for_others(&settings.endpoints));
        let source = self.journal.source();
        let rows_here = source.rows_here();
        let means = Means::new(settings, apps, Arc::clone(&self.counters.delivery))?;
        self.dispatcher = Some(Dispatcher::start(source, rows_here, means)?);
        Ok(())
    }

    /// Stops within about this time: commits what the shards have handed over, delivers what endpoints take, and leaves the
    /// rest in the journal for the next start. Drop all halves of the queue first: one that is left costs half of the time.
    pub fn stop(self, patience: Duration) {
        let end = Instant::now() + patience;
        self.journal.wait_until_drained(patience / 2);
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        if let Some(mover) = self.mover {
            mover.stop(left(end) / 2);
        }
        if let Some(dispatcher) = self.dispatcher {
            dispatcher.stop(left(end).saturating_sub(LAST_COMMIT));
        }
        self.journal.stop(left(end).max(LAST_COMMIT));
    }
}

/// Why there are no hooks: one line that says what to do.
#[derive(Debug)]
pub enum StartError {
    /// There is no journal.
    Journal(journal::StartError),
    /// There are no deliveries.
    Dispatch(delivery::StartError),
    /// The system refuses a thread.
    Thread(io::Error),
}

impl StartError {
    /// Whether another start may succeed once the data directory has room or may be written.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Journal(error) => error.may_pass(),
            Self::Dispatch(error) => error.may_pass(),
            Self::Thread(_) => false,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(error) => error.fmt(f),
            Self::Dispatch(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "no thread for hooks: {error}"),
        }
    }
}

impl Error for StartError {}

impl From<journal::StartError> for StartError {
    fn from(error: journal::StartError) -> Self {
        Self::Journal(error)
    }
}

impl From<delivery::StartError> for StartError {
    fn from(error: delivery::StartError) -> Self {
        Self::Dispatch(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Thread(error)
    }
}
