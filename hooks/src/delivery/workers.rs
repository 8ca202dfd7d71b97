//! The threads that deliver to one endpoint, so that a slow answer holds up no other endpoint.
//!
//! A thread is started when a batch finds all others busy, up to a bound, and ends after a while without work. What must
//! never happen here: a dispatcher that waits for a thread.

use std::io;
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::limits::WORKER_IDLE_MAX;
use crate::sink::{Batch, Outcome, Outlet, Sink};

/// A batch that a thread has done with.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// The index of the endpoint.
    pub(crate) endpoint: usize,
    /// Which batch.
    pub(crate) flight: u64,
    /// How many rows it has.
    pub(crate) rows: usize,
    /// What became of it.
    pub(crate) outcome: Outcome,
}

/// The threads of one endpoint.
pub(crate) struct Workers {
    endpoint: usize,
    name: String,
    outlet: Outlet,
    delivered: Sender<Delivered>,
    workers: Vec<Worker>,
}

struct Worker {
    jobs: Sender<(u64, Batch)>,
    /// What it is busy with.
    flight: Option<u64>,
    idle_since: Instant,
}

impl Workers {
    pub(crate) fn new(endpoint: usize, name: &str, outlet: Outlet, delivered: Sender<Delivered>) -> Self {
        // The kernel keeps fifteen bytes of a thread's name.
        let name = format!("hook-{endpoint}-{name}").chars().take(15).collect();
        Self { endpoint, name, outlet, delivered, workers: Vec::new() }
    }

    /// True when batches are accepted without a thread.
    pub(crate) fn is_instant(&self) -> bool {
        self.outlet.make.is_none()
    }

    /// Hands a batch to a thread. Fails when no thread can be started; then the batch was not tried.
    pub(crate) fn send(&mut self, flight: u64, batch: Batch, now: Instant) -> io::Result<()> {
        let index = match self.workers.iter().position(|worker| worker.flight.is_none()) {
            Some(index) => index,
            None => self.start(now)?,
        };
        let worker = self.workers.get_mut(index);
        debug_assert!(worker.is_some(), "a worker that is free or new is there");
        let Some(worker) = worker else { return Err(io::Error::other("there is no such thread")) };
        if worker.jobs.try_send((flight, batch)).is_err() {
            // Its thread is gone by a panic in a sink.
            self.workers.swap_remove(index);
            return Err(io::Error::other("the thread of a sink has ended"));
        }
        worker.flight = Some(flight);
        Ok(())
    }

    /// The thread that had this batch is free again.
    pub(crate) fn handle_delivered(&mut self, flight: u64, now: Instant) {
        let worker = self.workers.iter_mut().find(|worker| worker.flight == Some(flight));
        debug_assert!(worker.is_some(), "flight {flight} was with a thread");
        if let Some(worker) = worker {
            worker.flight = None;
            worker.idle_since = now;
        }
    }

    /// Ends threads that have long had nothing to do.
    pub(crate) fn trim(&mut self, now: Instant) {
        self.workers.retain(|worker| {
            worker.flight.is_some() || now.saturating_duration_since(worker.idle_since) < WORKER_IDLE_MAX
        });
    }

    fn start(&mut self, now: Instant) -> io::Result<usize> {
        assert!(
            self.workers.len() < self.outlet.parallel_max,
            "no more batches are on their way than threads"
        );
        let make = self.outlet.make.as_ref().ok_or_else(|| io::Error::other("no sink"))?;
        let (jobs, queue) = bounded(1);
        let (endpoint, sink, delivered) = (self.endpoint, make(), self.delivered.clone());
        thread::Builder::new()
            .name(self.name.clone())
            .spawn(move || work(endpoint, sink, &queue, &delivered))?;
        self.workers.push(Worker { jobs, flight: None, idle_since: now });
        Ok(self.workers.len() - 1)
    }
}

fn work(
    endpoint: usize,
    mut sink: Box<dyn Sink>,
    queue: &Receiver<(u64, Batch)>,
    delivered: &Sender<Delivered>,
) {
    for (flight, batch) in queue {
        // A sink that panics has not accepted anything, and must not take the endpoint with it.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sink.deliver(&batch)))
            .unwrap_or_else(|_| Outcome::Unreachable("the sink panicked".to_owned()));
        if delivered.send(Delivered { endpoint, flight, rows: batch.rows.len(), outcome }).is_err() {
            return;
        }
    }
}
