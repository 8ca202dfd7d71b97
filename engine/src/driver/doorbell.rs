//! How a foreign thread wakes a core: an eventfd on which the core's ring has a read.
//!
//! Owns the eventfd and the flag that spares the write when the core is already called. The order is the protocol: a
//! producer first pushes, then rings; the core first clears, then looks at its inboxes. What must never happen here:
//! a wait. Called by the mesh, by the signal thread, and by the core's turn.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use machines::cores::{CoreId, Cores, PerCore};
use rustix::event::{EventfdFlags, eventfd};

/// One core's doorbell, shared by all threads.
#[derive(Debug)]
pub struct Doorbell {
    eventfd: OwnedFd,
    rung: AtomicBool,
}

impl Doorbell {
    /// A silent doorbell.
    pub fn new() -> io::Result<Self> {
        // It blocks: with O_NONBLOCK a read through io_uring would fail at once instead of waiting.
        Ok(Self { eventfd: eventfd(0, EventfdFlags::CLOEXEC)?, rung: AtomicBool::new(false) })
    }

    /// Wakes the core. To be called after what it shall find is in its place.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            let written = rustix::io::write(&self.eventfd, &1u64.to_ne_bytes());
            assert!(written.is_ok(), "an eventfd takes every write: {written:?}");
        }
    }

    /// The core is awake and is about to look: what is pushed from now on rings again.
    pub fn clear(&self) {
        // A swap and not a store: it pairs with the producer's swap, so that what was pushed before a ring that found
        // the flag set is seen by the look that follows.
        self.rung.swap(false, Ordering::SeqCst);
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}

/// The doorbells of all that take part in the mesh.
#[derive(Clone, Debug)]
pub struct Doorbells(Arc<PerCore<Doorbell>>);

impl Doorbells {
    /// Silent ones.
    pub fn new(cores: Cores) -> io::Result<Self> {
        Ok(Self(Arc::new(PerCore::try_of_all(cores, |_| Doorbell::new())?)))
    }

    /// The doorbell of one core.
    pub fn of(&self, core: CoreId) -> &Doorbell {
        &self.0[core]
    }

    /// Wakes one core.
    pub fn ring(&self, core: CoreId) {
        self.of(core).ring();
    }

    /// Wakes all.
    pub fn ring_all(&self) {
        self.0.entries().for_each(Doorbell::ring);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_ring_since_the_last_clear_writes() {
        let bell = Doorbell::new().unwrap();
        let written = || {
            let mut word = [0; 8];
            let mut file = std::fs::File::from(bell.eventfd.try_clone().unwrap());
            io::Read::read_exact(&mut file, &mut word).unwrap();
            u64::from_ne_bytes(word)
        };
        bell.ring();
        bell.ring();
        assert_eq!(written(), 1);
        bell.clear();
        bell.ring();
        assert_eq!(written(), 1);
    }
}
