//! Everything about hooks in one value: the queue's far end, the journal behind it, and what takes rows out of that.
//!
//! Starts the parts in the order of the road and stops them in the same order, so that nothing is left between two. What
//! must never happen here: a delivery before the journal is there, or an end before the queue is empty and time is left.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::app::Apps;

use crate::counters::Counters;
use crate::dispatch::{self, Dispatcher, Means};
use crate::journal::{self, Journal, OpenEdges};
use crate::queue::{Queue, queue};
use crate::settings::Settings;

/// What of the time to stop is kept for the last commit.
const LAST_COMMIT: Duration = Duration::from_millis(500);

/// Hooks at work.
#[derive(Debug)]
pub struct Hooks {
    journal: Journal,
    dispatcher: Dispatcher,
    counters: Counters,
}

impl Hooks {
    /// Starts everything that these settings ask for. The queue is for the shards, the open edges for those of their
    /// home. Without an endpoint and without a stream nobody should call this: it makes a directory and threads.
    pub fn start(settings: &Settings, apps: Arc<Apps>) -> Result<(Self, Queue, Vec<OpenEdges>), StartError> {
        let counters = Counters::new(&settings.endpoints);
        let (queue, drain) = queue(settings.queue_events_max);
        let (journal, open_edges) =
            Journal::start(settings, Arc::clone(&apps), drain, Arc::clone(&counters.journal))?;
        let source = journal.source();
        let wake = source.rows_here();
        let dispatcher = Means::new(settings, apps, Arc::clone(&counters.delivery))
            .and_then(|means| Dispatcher::start(source, wake, means));
        match dispatcher {
            Ok(dispatcher) => Ok((Self { journal, dispatcher, counters }, queue, open_edges)),
            Err(error) => {
                journal.stop(LAST_COMMIT);
                Err(error.into())
            }
        }
    }

    /// What is counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Ends, within about this time: commits what the shards have given away, delivers what endpoints take, and leaves the
    /// rest in the journal for the next start. All halves of the queue should be dropped before; one that is not keeps us
    /// waiting for half of the time.
    pub fn stop(self, patience: Duration) {
        let end = Instant::now() + patience;
        self.journal.wait_until_drained(patience / 2);
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        self.dispatcher.stop(left(end).saturating_sub(LAST_COMMIT));
        self.journal.stop(left(end).max(LAST_COMMIT));
    }
}

/// Why there are no hooks: one line that says what to do.
#[derive(Debug)]
pub enum StartError {
    /// There is no journal.
    Journal(journal::StartError),
    /// There are no deliveries.
    Dispatch(dispatch::StartError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(error) => error.fmt(f),
            Self::Dispatch(error) => error.fmt(f),
        }
    }
}

impl Error for StartError {}

impl From<journal::StartError> for StartError {
    fn from(error: journal::StartError) -> Self {
        Self::Journal(error)
    }
}

impl From<dispatch::StartError> for StartError {
    fn from(error: dispatch::StartError) -> Self {
        Self::Dispatch(error)
    }
}
