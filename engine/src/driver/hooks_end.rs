//! A core's end of the link to the hooks: not there, not open yet, or a queue.
//!
//! It is closed until the journal is open, which may be after the core has begun to serve: a server that takes over
//! waits for its predecessor's journal, and any server for a disk that can be written. Until then everything is refused, so
//! that nothing is told before it is known what has been told already. What must never happen here: a wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use hooks::counters::Counters;
use hooks::queue::Queue;
use protocol::hook_event::{Happened, OpenEdges};

use machines::hook_port::HookPort;
use machines::machine::{Machine, Now};

/// What comes of the start of the hooks core.
#[derive(Debug)]
pub struct HooksOpen {
    /// Where events go.
    pub queue: Queue,
    /// What was told before, by this server or its predecessors.
    pub edges: Box<[OpenEdges]>,
}

/// What the hooks count; those of the endpoints become others when the endpoints do.
pub type SharedCounters = Arc<RwLock<Counters>>;

/// A core's end of the link.
#[derive(Clone, Debug)]
pub enum HooksEnd {
    /// There are no hooks.
    Absent,
    /// There are, and events go into the queue as soon as it is there.
    Present {
        /// Set once, when the hooks core has started.
        open: Arc<OnceLock<HooksOpen>>,
        /// The queue, once the machine knows what was told before.
        queue: Option<Queue>,
        /// Events that were dropped, of all cores.
        dropped: Arc<AtomicU64>,
        /// What the hooks core counts, before it has started too.
        counters: SharedCounters,
    },
}

impl HooksEnd {
    /// An end that opens when the hooks core does.
    pub fn closed(open: Arc<OnceLock<HooksOpen>>, dropped: Arc<AtomicU64>, counters: SharedCounters) -> Self {
        Self::Present { open, queue: None, dropped, counters }
    }

    /// What can be seen of it from outside.
    pub fn gauge(&self) -> Option<HookGauge> {
        let Self::Present { open, counters, .. } = self else { return None };
        Some(HookGauge { open: Arc::downgrade(open), counters: counters.clone() })
    }

    /// The way to the hooks for edges that no core tells.
    pub fn road(&self) -> Option<HookRoad> {
        let Self::Present { open, .. } = self else { return None };
        Some(HookRoad { open: Arc::downgrade(open) })
    }

    /// Opens as soon as it can; the machine is told what was told before, first of all.
    pub(super) fn open<M: Machine>(&mut self, machine: &mut M, now: Now) {
        let Self::Present { open, queue: queue @ None, .. } = self else { return };
        let Some(open) = open.get() else { return };
        machine.handle_open_edges(&open.edges, now);
        *queue = Some(open.queue.clone());
    }

    /// Lets the machine tell what has happened.
    pub(super) fn tell<M: Machine>(&mut self, machine: &mut M, now: Now) {
        if matches!(self, Self::Absent) {
            return;
        }
        let more = machine.tell_hooks(self, now);
        if let (Self::Present { dropped, .. }, 1..) = (self, more) {
            dropped.fetch_add(more, Ordering::Relaxed);
        }
    }
}

/// The way to the hooks for edges that no core tells. It does not keep the link open.
#[derive(Clone, Debug)]
pub struct HookRoad {
    open: Weak<OnceLock<HooksOpen>>,
}

impl HookRoad {
    /// The queue, while there is one. Give it back soon: the hooks core ends when the last one is dropped.
    pub fn queue(&self) -> Option<Queue> {
        Some(self.open.upgrade()?.get()?.queue.clone())
    }
}

/// Looks at the link without keeping it open: the hooks core ends when the last end is dropped.
#[derive(Clone, Debug)]
pub struct HookGauge {
    open: Weak<OnceLock<HooksOpen>>,
    counters: SharedCounters,
}

impl HookGauge {
    /// How many events wait for the hooks core, and what it counts.
    pub fn reading(&self) -> (u64, Counters) {
        let open = self.open.upgrade();
        let queued = open.and_then(|open| open.get().map(|open| open.queue.len() as u64));
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner).clone();
        (queued.unwrap_or(0), counters)
    }
}

impl HookPort for HooksEnd {
    fn offer(&mut self, happened: Happened) -> Result<(), Happened> {
        match self {
            Self::Present { queue: Some(queue), .. } => queue.offer(happened),
            Self::Absent | Self::Present { queue: None, .. } => Err(happened),
        }
    }
}
