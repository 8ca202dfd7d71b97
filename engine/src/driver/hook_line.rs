//! A core's line to the hooks core: not there, not open yet, or a queue.
//!
//! It is closed until the journal is open, which may be after the core has begun to serve: a server that takes over
//! waits for its predecessor's journal. Until then everything is refused, so that nothing is told before it is known
//! what has been told already. What must never happen here: a wait.

use std::sync::{Arc, OnceLock};

use hooks::house::OpenEdges;
use hooks::queue::{Happened, Queue};

use crate::shard::machine::{HookPort, Machine, Now};

/// What comes of the start of the hooks core.
#[derive(Debug)]
pub struct HooksOpen {
    /// Where events go.
    pub queue: Queue,
    /// What was told before, by this server or its predecessors.
    pub edges: Box<[OpenEdges]>,
}

/// A core's line.
#[derive(Clone, Debug)]
pub enum HookLine {
    /// There are no hooks.
    Absent,
    /// The hooks core is still starting.
    Closed(Arc<OnceLock<HooksOpen>>),
    /// The hooks core takes events.
    Open(Queue),
}

impl HookLine {
    /// How many events wait for the hooks core.
    pub fn queued(&self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Closed(start) => start.get().map_or(0, |open| open.queue.len() as u64),
            Self::Open(queue) => queue.len() as u64,
        }
    }

    /// Opens as soon as it can; the machine is told what was told before, first of all.
    pub(super) fn open<M: Machine>(&mut self, machine: &mut M, now: Now) {
        let Self::Closed(start) = self else { return };
        let Some(open) = start.get() else { return };
        machine.handle_open_edges(&open.edges, now);
        *self = Self::Open(open.queue.clone());
    }

    /// Lets the machine tell what has happened.
    pub(super) fn tell<M: Machine>(&mut self, machine: &mut M, now: Now) {
        if !matches!(self, Self::Absent) {
            machine.tell_hooks(self, now);
        }
    }
}

impl HookPort for HookLine {
    fn offer(&mut self, happened: Happened) -> Result<(), Happened> {
        match self {
            Self::Open(queue) => queue.offer(happened),
            Self::Absent | Self::Closed(_) => Err(happened),
        }
    }
}
