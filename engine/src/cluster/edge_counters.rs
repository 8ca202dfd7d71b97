//! What is counted of hooks' edges on their way through this node.

use std::sync::atomic::{AtomicBool, AtomicU64};

/// What is counted of the edges of a server.
#[derive(Debug, Default)]
pub(super) struct EdgeCounters {
    /// This node passes them on.
    pub(super) is_holder: AtomicBool,
    /// Levels that are due.
    pub(super) due: AtomicU64,
    /// Edges that were handed to the journal.
    pub(super) passed: AtomicU64,
    /// Edges that were told before.
    pub(super) filtered: AtomicU64,
    /// Edges that a comparison has found.
    pub(super) compared: AtomicU64,
}
