//! The handle of a dispatcher: starts its thread and ends it.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::means::Means;
use super::start_error::StartError;
use super::turn::Dispatch;
use crate::source::Source;

/// How much longer than its patience a dispatcher may take to end.
const LAST_RELEASE: Duration = Duration::from_millis(500);

/// Delivers rows until it is stopped.
#[derive(Debug)]
pub struct Dispatcher {
    stop: Sender<Duration>,
    thread: JoinHandle<()>,
}

impl Dispatcher {
    /// Begins to deliver what the source has. The source rings `wake` when it has new rows.
    pub fn start(
        source: impl Source + 'static,
        wake: Receiver<()>,
        means: Means,
    ) -> Result<Self, StartError> {
        let (stop, stopping) = bounded(1);
        let dispatch = Dispatch::new(source, wake, stopping, means)?;
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
