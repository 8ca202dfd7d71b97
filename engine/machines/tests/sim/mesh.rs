//! The fake mesh: batches travel in order per pair and lane, and stay on the way as long as the schedule likes.

use std::collections::VecDeque;

use corecast_machines::limits::BATCHES_IN_FLIGHT_MAX;
use corecast_machines::machine::Mesh;
use corecast_machines::mesh::{Leaf, Root};

/// One lane between all cores.
#[derive(Debug)]
pub struct Lane<M> {
    /// By receiver, batches that have arrived, with their sender.
    pub inbox: Vec<VecDeque<(usize, Vec<M>)>>,
    /// By receiver, batches on their way, in the order of their sending.
    pub way: Vec<VecDeque<(usize, Vec<M>)>>,
    /// By sender and receiver.
    pub in_flight: Vec<Vec<u32>>,
}

impl<M> Lane<M> {
    pub fn new(cores: usize) -> Self {
        Self {
            inbox: (0..cores).map(|_| VecDeque::new()).collect(),
            way: (0..cores).map(|_| VecDeque::new()).collect(),
            in_flight: vec![vec![0; cores]; cores],
        }
    }

    fn may_send(&self, from: usize, to: usize) -> bool {
        self.in_flight[from][to] < BATCHES_IN_FLIGHT_MAX
    }

    pub fn send(&mut self, from: usize, to: usize, batch: Vec<M>) {
        assert!(self.may_send(from, to), "a third batch in flight from {from} to {to}");
        assert!(!batch.is_empty(), "an empty batch was sent");
        self.in_flight[from][to] += 1;
        self.way[to].push_back((from, batch));
    }

    /// One batch arrives. Returns whether there was one.
    pub fn arrive(&mut self, to: usize) -> bool {
        let Some(batch) = self.way[to].pop_front() else { return false };
        self.inbox[to].push_back(batch);
        true
    }

    pub fn is_empty(&self) -> bool {
        self.inbox.iter().all(VecDeque::is_empty) && self.way.iter().all(VecDeque::is_empty)
    }
}

/// What one core sends over.
pub struct Port<'a> {
    pub me: usize,
    pub roots: &'a mut Lane<Root>,
    pub leaves: &'a mut Lane<Leaf>,
}

impl Mesh for Port<'_> {
    fn may_send_roots(&self, to: usize) -> bool {
        self.roots.may_send(self.me, to)
    }

    fn may_send_leaves(&self, to: usize) -> bool {
        self.leaves.may_send(self.me, to)
    }

    fn send_roots(&mut self, to: usize, batch: Vec<Root>) {
        self.roots.send(self.me, to, batch);
    }

    fn send_leaves(&mut self, to: usize, batch: Vec<Leaf>) {
        self.leaves.send(self.me, to, batch);
    }
}
