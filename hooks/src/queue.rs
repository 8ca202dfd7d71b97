//! The bounded queue between the shards and the hooks threads.
//!
//! The producer's half never waits and never drops: what does not fit is given back, and the shard decides (an edge stays
//! pending at its home, a client event is dropped and counted there). The other half takes events in batches. What must never
//! happen here: a wait on the producer's side, or an event that is in neither hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use protocol::hook_event::Happened;

/// Makes a queue that holds at most `events_max` events.
pub fn queue(events_max: usize) -> (Queue, Drain) {
    let (sender, receiver) = bounded(events_max);
    (Queue { sender, refused: Arc::new(AtomicU64::new(0)) }, Drain { receiver })
}

/// What goes through the queue.
#[derive(Debug)]
pub(crate) enum Offered {
    /// An event.
    Event(Happened),
    /// Answered when all events before it are safe.
    Mark(Sender<()>),
}

/// The shards' half; cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    sender: Sender<Offered>,
    refused: Arc<AtomicU64>,
}

impl Queue {
    /// Takes the event, or gives it back when the queue is full or its far end is gone. Never waits.
    pub fn offer(&self, happened: Happened) -> Result<(), Happened> {
        match self.sender.try_send(Offered::Event(happened)) {
            Err(
                TrySendError::Full(Offered::Event(happened))
                | TrySendError::Disconnected(Offered::Event(happened)),
            ) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(happened)
            }
            _ => Ok(()),
        }
    }

    /// What is told when all events that were offered before are committed or, with a stream, in it. None: there is no room for
    /// it now.
    pub fn mark(&self) -> Option<Receiver<()>> {
        let (reached, told) = bounded(1);
        self.sender.try_send(Offered::Mark(reached)).ok().map(|()| told)
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.sender.len()
    }

    /// True when none waits.
    pub fn is_empty(&self) -> bool {
        self.sender.is_empty()
    }

    /// How often an event was given back since the start. One that is offered again counts again.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// The hooks threads' half.
#[derive(Debug)]
pub struct Drain {
    receiver: Receiver<Offered>,
}

impl Drain {
    /// The next event or mark, if there is one now.
    pub(crate) fn next_now(&self) -> Option<Offered> {
        self.receiver.try_recv().ok()
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// True when none waits.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// For a wait on several things at once.
    pub(crate) fn receiver(&self) -> &Receiver<Offered> {
        &self.receiver
    }
}

#[cfg(test)]
mod tests {
    use protocol::app::App;

    use protocol::hook_event::HookEvent;

    use super::*;

    fn happened(time_ms: u64) -> Happened {
        let app = Arc::new(App::new("1", "k", "s"));
        Happened { event: HookEvent::ChannelOccupied { app, channel: "a".into() }, time_ms }
    }

    #[test]
    fn what_does_not_fit_comes_back() {
        let (queue, drain) = queue(2);
        assert!(queue.offer(happened(1)).is_ok() && queue.offer(happened(2)).is_ok());
        assert_eq!(queue.offer(happened(3)).unwrap_err().time_ms, 3);
        assert_eq!((queue.refused(), queue.len()), (1, 2));
        assert_eq!(next_time_ms(&drain), Some(1));
        assert!(queue.offer(happened(3)).is_ok());
        assert_eq!([2, 3].map(|_| next_time_ms(&drain)), [Some(2), Some(3)]);
    }

    #[test]
    fn an_event_comes_back_when_nobody_takes_any_more() {
        let (queue, drain) = queue(2);
        drop(drain);
        assert_eq!(queue.offer(happened(7)).unwrap_err().time_ms, 7);
    }

    #[test]
    fn a_mark_keeps_its_place_and_has_none_in_a_full_queue() {
        let (queue, drain) = queue(2);
        queue.offer(happened(1)).unwrap();
        let told = queue.mark().unwrap();
        assert!(queue.mark().is_none());
        assert_eq!(next_time_ms(&drain), Some(1));
        let Some(Offered::Mark(reached)) = drain.next_now() else { panic!("the mark comes next") };
        assert!(told.try_recv().is_err());
        reached.send(()).unwrap();
        assert!(told.try_recv().is_ok());
    }

    fn next_time_ms(drain: &Drain) -> Option<u64> {
        match drain.next_now()? {
            Offered::Event(happened) => Some(happened.time_ms),
            Offered::Mark(_) => None,
        }
    }
}
