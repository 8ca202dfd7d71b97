//! From a source of rows to the endpoints: the dispatcher and its thread.
//!
//! The thread owns a queue per endpoint, which decides, and threads per endpoint, which wait for answers. It writes dead
//! letters and tells the source what is done. What must never happen here: an endpoint that waits for another one, or a
//! row that is released before all endpoints have done with it.

mod backoff;
mod channel_queues;
mod dead_letter_queue;
mod endpoint_queue;
mod endpoint_state;
mod filter;
mod health;
#[cfg(test)]
mod simulation;
mod source_reader;
mod turn;
mod watermark;
mod workers;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use protocol::app::Apps;

use crate::counters::DeliveryCounters;
use crate::dead_letters::{DeadLetters, DeadLettersError};
use crate::disk_fault::sqlite_passes;
use crate::settings::{DeliverySettings, Endpoint, Settings};
use crate::sink::Outlet;
use crate::sinks::{self, SinkFault};
use crate::source::Source;

/// How much longer than its patience a dispatcher may take to end.
const LAST_RELEASE: Duration = Duration::from_millis(500);

/// Delivers rows until it is stopped.
#[derive(Debug)]
pub struct Dispatcher {
    stop: Sender<Duration>,
    thread: JoinHandle<()>,
}

/// What a dispatcher works with beside its source.
pub struct Means {
    /// The endpoints, and what takes their batches.
    pub outlets: Vec<(Endpoint, Outlet)>,
    /// How deliveries are retried.
    pub delivery: DeliverySettings,
    /// Where events go that an endpoint does not take.
    pub dead_letters: DeadLetters,
    /// The apps, to read dead letters back.
    pub apps: Arc<Apps>,
    /// What is counted: made for the same endpoints in the same order.
    pub counters: Arc<DeliveryCounters>,
}

impl Means {
    /// What settings ask for: the sinks that come with the server, and dead letters in the data directory.
    pub fn new(
        settings: &Settings,
        apps: Arc<Apps>,
        counters: Arc<DeliveryCounters>,
    ) -> Result<Self, StartError> {
        let open = |endpoint: &Endpoint| {
            let outlet = sinks::open(endpoint, &settings.delivery, settings.durability)?;
            Ok((endpoint.clone(), outlet))
        };
        let outlets = settings.endpoints.iter().map(open).collect::<Result<_, SinkFault>>()?;
        let dead_letters = DeadLetters::open(&settings.data_dir)?;
        Ok(Self { outlets, delivery: settings.delivery.clone(), dead_letters, apps, counters })
    }
}

impl Dispatcher {
    /// Begins to deliver what the source has. `wake` is rung by the source when it has new rows.
    pub fn start(
        source: impl Source + 'static,
        wake: Receiver<()>,
        means: Means,
    ) -> Result<Self, StartError> {
        let (stop, stopping) = bounded(1);
        let dispatch = turn::Dispatch::new(source, wake, stopping, means)?;
        let thread =
            thread::Builder::new().name("hooks-dispatch".to_owned()).spawn(move || dispatch.run())?;
        Ok(Self { stop, thread })
    }

    /// Delivers what is there without waiting for batches to fill, for at most so long, and ends. What endpoints do not
    /// take in time stays in the source. Returns soon after everything is accepted, or when all that is left waits for an
    /// endpoint that fails. A dispatcher whose source does not answer in time is left to the end of the process.
    pub fn stop(self, patience: Duration) {
        let end = Instant::now() + patience + LAST_RELEASE;
        // A thread that is gone needs no word.
        let _ = self.stop.send(patience);
        while !self.thread.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Deliveries cannot begin.
#[derive(Debug)]
pub enum StartError {
    /// An endpoint can never work.
    Sink(SinkFault),
    /// There is no place for dead letters.
    DeadLetters(DeadLettersError),
    /// The place for dead letters cannot be written.
    Unwritable(rusqlite::Error),
    /// No thread.
    Thread(io::Error),
}

impl StartError {
    /// Whether they may begin later, when there is room or the right to write.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::DeadLetters(error) => error.may_pass(),
            Self::Unwritable(error) => sqlite_passes(error),
            Self::Sink(_) | Self::Thread(_) => false,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sink(fault) => fault.fmt(f),
            Self::DeadLetters(error) => error.fmt(f),
            Self::Unwritable(error) => write!(f, "dead letters cannot be written: {error}"),
            Self::Thread(error) => write!(f, "no thread for the deliveries of hooks: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<SinkFault> for StartError {
    fn from(fault: SinkFault) -> Self {
        Self::Sink(fault)
    }
}

impl From<DeadLettersError> for StartError {
    fn from(error: DeadLettersError) -> Self {
        Self::DeadLetters(error)
    }
}

impl From<rusqlite::Error> for StartError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unwritable(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Thread(error)
    }
}
