//! The bounded queue between the shards and the hooks core.
//!
//! The producer's half never waits: when the queue is full the event is dropped and counted, and that loss is final.
//! (Channel and member edges must survive a full queue; they will be kept as levels at their home shard.)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use protocol::hook_event::HookEvent;

/// Makes a queue that holds at most `events_max` events.
pub fn queue(events_max: usize) -> (Queue, Drain) {
    let (sender, receiver) = bounded(events_max);
    let dropped = Arc::new(AtomicU64::new(0));
    (Queue { sender, dropped: Arc::clone(&dropped) }, Drain { receiver, dropped })
}

/// The shards' half; cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    sender: Sender<HookEvent>,
    dropped: Arc<AtomicU64>,
}

impl Queue {
    /// Takes the event, or drops and counts it when the queue is full or its far end is gone. Never waits.
    pub fn offer(&self, event: HookEvent) {
        match self.sender.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.sender.len()
    }

    /// True when none waits.
    pub fn is_empty(&self) -> bool {
        self.sender.is_empty()
    }

    /// How many events were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The hooks core's half.
#[derive(Debug)]
pub struct Drain {
    receiver: Receiver<HookEvent>,
    dropped: Arc<AtomicU64>,
}

/// What a wait for an event ended with.
#[derive(Debug)]
pub enum Waited {
    /// The next event.
    Event(HookEvent),
    /// Nothing came in time.
    Nothing,
    /// All shards are gone and the queue is empty.
    Finished,
}

impl Drain {
    /// Waits up to `patience` for the next event.
    pub fn wait(&self, patience: Duration) -> Waited {
        match self.receiver.recv_timeout(patience) {
            Ok(event) => Waited::Event(event),
            Err(RecvTimeoutError::Timeout) => Waited::Nothing,
            Err(RecvTimeoutError::Disconnected) => Waited::Finished,
        }
    }

    /// How many events were dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
