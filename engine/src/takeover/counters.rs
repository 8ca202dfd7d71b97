//! What the relay counts, read by `/metrics` from another thread.

use std::sync::atomic::{AtomicU64, Ordering};

use machines::exchange::Message;

/// Since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    links: AtomicU64,
    waiting_bytes: AtomicU64,
    said: AtomicU64,
    heard: AtomicU64,
    lost: AtomicU64,
    violations: AtomicU64,
}

/// As they are now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TakeoverReading {
    /// Other processes that this one shares its events with.
    pub links: u64,
    /// Events that wait to be sent to them or decided by them, in bytes.
    pub waiting_bytes: u64,
    /// Events sent to them.
    pub said: u64,
    /// Events that came from them.
    pub heard: u64,
    /// Links that ended while both processes served.
    pub lost: u64,
}

impl Counters {
    /// As they are now.
    pub fn read(&self) -> TakeoverReading {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TakeoverReading {
            links: now(&self.links),
            waiting_bytes: now(&self.waiting_bytes),
            said: now(&self.said),
            heard: now(&self.heard),
            lost: now(&self.lost),
        }
    }

    /// How many invariants were violated on the relay's thread.
    pub fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, links: usize, waiting_bytes: usize, violations: u64) {
        self.links.store(links as u64, Ordering::Relaxed);
        self.waiting_bytes.store(waiting_bytes as u64, Ordering::Relaxed);
        self.violations.store(violations, Ordering::Relaxed);
    }

    pub(super) fn note_said<E>(&self, message: &Message<E>) {
        self.said.fetch_add(u64::from(is_event(message)), Ordering::Relaxed);
    }

    pub(super) fn note_heard<E>(&self, message: &Message<E>) {
        self.heard.fetch_add(u64::from(is_event(message)), Ordering::Relaxed);
    }

    pub(super) fn note_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_event<E>(message: &Message<E>) -> bool {
    matches!(message, Message::Offered { .. } | Message::Heard(_))
}
