//! The fake mesh: batches travel in order per pair and lane, and stay on the way as long as the schedule likes.

use std::collections::VecDeque;

use corecast_machines::cores::{CoreId, Cores};
use corecast_machines::limits::BATCHES_IN_FLIGHT_MAX;
use corecast_machines::machine::Mesh;
use corecast_machines::mesh::{Leaf, Root};

/// One lane between all cores.
#[derive(Debug)]
pub struct Lane<M> {
    /// By receiver, batches that have arrived, with their sender.
    pub inbox: Vec<VecDeque<(CoreId, Vec<M>)>>,
    /// By receiver, batches on their way, in the order of their sending.
    pub way: Vec<VecDeque<(CoreId, Vec<M>)>>,
    /// By sender and receiver.
    in_flight: Vec<Vec<u32>>,
    cores: Cores,
}

impl<M> Lane<M> {
    pub fn new(cores: Cores) -> Self {
        let count = cores.in_mesh();
        Self {
            inbox: (0..count).map(|_| VecDeque::new()).collect(),
            way: (0..count).map(|_| VecDeque::new()).collect(),
            in_flight: vec![vec![0; count]; count],
            cores,
        }
    }

    pub fn may_send(&self, from: CoreId, to: CoreId) -> bool {
        self.in_flight[self.cores.index(from)][self.cores.index(to)] < BATCHES_IN_FLIGHT_MAX
    }

    pub fn send(&mut self, from: CoreId, to: CoreId, batch: Vec<M>) {
        assert!(self.may_send(from, to), "a third batch in flight from {from:?} to {to:?}");
        assert!(!batch.is_empty(), "an empty batch was sent");
        let (from_index, to_index) = (self.cores.index(from), self.cores.index(to));
        self.in_flight[from_index][to_index] += 1;
        self.way[to_index].push_back((from, batch));
    }

    /// One batch arrives. Returns whether there was one.
    pub fn arrive(&mut self, to: CoreId) -> bool {
        let to = self.cores.index(to);
        let Some(batch) = self.way[to].pop_front() else { return false };
        self.inbox[to].push_back(batch);
        true
    }

    /// The next batch that has arrived at a core, with its sender.
    pub fn next(&mut self, to: CoreId) -> Option<(CoreId, Vec<M>)> {
        self.inbox[self.cores.index(to)].pop_front()
    }

    /// A batch is used up.
    pub fn release(&mut self, from: CoreId, to: CoreId) {
        self.in_flight[self.cores.index(from)][self.cores.index(to)] -= 1;
    }

    pub fn is_empty(&self) -> bool {
        self.inbox.iter().all(VecDeque::is_empty) && self.way.iter().all(VecDeque::is_empty)
    }
}

/// What one core sends over.
pub struct Port<'a> {
    pub me: CoreId,
    pub roots: &'a mut Lane<Root>,
    pub leaves: &'a mut Lane<Leaf>,
}

impl Mesh for Port<'_> {
    fn may_send_roots(&self, to: CoreId) -> bool {
        self.roots.may_send(self.me, to)
    }

    fn may_send_leaves(&self, to: CoreId) -> bool {
        self.leaves.may_send(self.me, to)
    }

    fn send_roots(&mut self, to: CoreId, batch: Vec<Root>) {
        self.roots.send(self.me, to, batch);
    }

    fn send_leaves(&mut self, to: CoreId, batch: Vec<Leaf>) {
        self.leaves.send(self.me, to, batch);
    }
}
