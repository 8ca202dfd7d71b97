//! What the thread of an app store counts, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// How the app store of a server is.
#[derive(Debug, Default)]
pub struct StoreCounters {
    failing: AtomicU64,
    changes: AtomicU64,
}

impl StoreCounters {
    /// 1 while the store cannot be read, or holds what no server could take.
    pub fn failing(&self) -> u64 {
        self.failing.load(Ordering::Relaxed)
    }

    /// How often its apps were others than before.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    pub(super) fn fails(&self, fails: bool) {
        self.failing.store(fails.into(), Ordering::Relaxed);
    }

    pub(super) fn add_change(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }
}
