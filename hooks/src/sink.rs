//! What a sink is: something that takes batches of rows and says what became of them.
//!
//! A sink may block for as long as its timeout; a dispatcher calls it on a thread of its own. What must never happen in
//! a sink: a retry (the dispatcher decides that, in order per channel), or success without an acknowledgement.

use std::sync::Arc;
use std::time::Duration;

use protocol::app::App;

use crate::row::Row;

/// Rows of one app that go to one endpoint together. Tried again as it is: same rows, same time, so the same bytes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The app of all rows.
    pub app: Arc<App>,
    /// Oldest first, never empty.
    pub rows: Vec<Arc<Row>>,
    /// When it was put together, in milliseconds of Unix time.
    pub time_ms: u64,
    /// How often it was tried before.
    pub tries: u32,
}

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was accepted.
    Done,
    /// The endpoint answered, but not with success: the text says how, for the operator.
    Refused(String),
    /// The endpoint answered, but not with success, and wants no further try of this batch for so long.
    Later(String, Duration),
    /// The endpoint answered that it wants this batch never again: the text says how.
    Ended(String),
    /// There was no answer: it could not be reached, hung, or broke off.
    Unreachable(String),
}

/// Takes batches for one endpoint.
pub trait Sink: Send {
    /// Delivers a batch, or says why not.
    fn deliver(&mut self, batch: &Batch) -> Outcome;
}

/// How the batches of one endpoint leave: at once, or on threads of their own.
pub struct Outlet {
    pub(crate) make: Option<MakeSink>,
    pub(crate) parallel_max: usize,
}

pub(crate) type MakeSink = Box<dyn Fn() -> Box<dyn Sink> + Send>;

impl Outlet {
    /// Every batch is accepted at once, without a thread.
    pub fn instant() -> Self {
        Self { make: None, parallel_max: 1 }
    }

    /// Batches go to sinks on up to so many threads, each with a sink of its own. Batches that are on their way at the
    /// same time are never of one channel.
    pub fn threads(parallel_max: usize, make: impl Fn() -> Box<dyn Sink> + Send + 'static) -> Self {
        Self { make: Some(Box::new(make)), parallel_max: parallel_max.max(1) }
    }

    /// A sink as each thread gets one; none when there are no threads.
    pub fn sink(&self) -> Option<Box<dyn Sink>> {
        self.make.as_ref().map(|make| make())
    }
}
