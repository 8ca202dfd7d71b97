//! A consumer of the stream as a library: a handler written in Rust takes the events.
//!
//! Order per channel, retries and dead letters are those of the server's own endpoints. What must never happen here: an
//! event that is acknowledged before the handler has said that it has it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use protocol::app::{App, Apps, DuplicateApp};
use protocol::hook_kind::HookKinds;

use crate::counters::{DeliveryCounters, StreamCounters};
use crate::dead_letters::DeadLetters;
use crate::delivery::{Dispatcher, Means};
use crate::settings::{DeliverySettings, Endpoint, SinkSettings, StreamSettings};
use crate::sink::{Batch, Outcome, Outlet, Sink};
use crate::source::Wake;
use crate::stream::source::StreamSource;

/// Takes events. After an error the same events come again later. The next event of a channel comes only when the one before
/// it is taken.
pub trait HookHandler: Send + Sync + 'static {
    /// Takes a batch of one app, oldest first.
    fn handle(&self, batch: &Batch) -> Result<(), String>;
}

/// What a worker is made from.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The stream.
    pub stream: StreamSettings,
    /// How deliveries to the handler are retried.
    pub delivery: DeliverySettings,
    /// Where dead letters are kept.
    pub data_dir: PathBuf,
    /// Which kinds of events the handler gets.
    pub kinds: HookKinds,
    /// Batches that are handled at the same time.
    pub handlers_max: usize,
}

impl WorkerConfig {
    /// A worker for the stream at this URL, with dead letters in this directory: all usual kinds, one batch at a time.
    pub fn new(url: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            stream: StreamSettings::new(url),
            delivery: DeliverySettings::default(),
            data_dir: data_dir.into(),
            kinds: HookKinds::USUAL,
            handlers_max: 1,
        }
    }
}

/// A worker that has no handler yet.
#[derive(Debug)]
pub struct Worker {
    config: WorkerConfig,
    apps: Arc<Apps>,
}

impl Worker {
    /// A worker for the events of these apps; those of others are skipped.
    pub fn new(config: WorkerConfig, apps: Vec<App>) -> Result<Self, DuplicateApp> {
        Ok(Self { config, apps: Arc::new(Apps::new(apps)?) })
    }

    /// Gives it a handler.
    pub fn handler(self, handler: impl HookHandler) -> ReadyWorker {
        ReadyWorker { worker: self, handler: Arc::new(handler) }
    }
}

/// A worker with its handler.
pub struct ReadyWorker {
    worker: Worker,
    handler: Arc<dyn HookHandler>,
}

impl ReadyWorker {
    /// Works until the process ends.
    pub fn run(self) -> Result<(), Box<dyn Error + Send + Sync>> {
        let _dispatcher = self.start()?;
        loop {
            thread::park_timeout(Duration::from_secs(3_600));
        }
    }

    /// Works on threads of its own, until the dispatcher is stopped.
    pub fn start(self) -> Result<Dispatcher, Box<dyn Error + Send + Sync>> {
        let Worker { config, apps } = self.worker;
        let endpoints: Vec<Endpoint> = apps.iter().map(|app| endpoint(app, config.kinds)).collect();
        let counters = Arc::new(DeliveryCounters::new(&endpoints));
        let outlet = |endpoint| {
            let handler = Arc::clone(&self.handler);
            let sink = move || Box::new(HandlerSink(Arc::clone(&handler))) as Box<dyn Sink>;
            (endpoint, Outlet::threads(config.handlers_max, sink))
        };
        let means = Means {
            outlets: endpoints.into_iter().map(outlet).collect(),
            delivery: config.delivery,
            dead_letters: DeadLetters::open(&config.data_dir)?,
            apps: Arc::clone(&apps),
            counters,
        };
        let (wake, woken) = Wake::new();
        let source = StreamSource::open(config.stream, apps, wake, Arc::new(StreamCounters::default()))?;
        Ok(Dispatcher::start(source, woken, means)?)
    }
}

/// The worker's progress is stored under this name.
fn endpoint(app: &Arc<App>, kinds: HookKinds) -> Endpoint {
    let name = format!("worker-{}", app.id);
    Endpoint { kinds, ..Endpoint::new(name, Arc::clone(app), SinkSettings::None) }
}

struct HandlerSink(Arc<dyn HookHandler>);

impl Sink for HandlerSink {
    fn deliver(&mut self, batch: &Batch) -> Outcome {
        self.0.handle(batch).map_or_else(Outcome::Refused, |()| Outcome::Done)
    }
}
