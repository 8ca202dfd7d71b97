//! The API core's side of the mesh: roots that wait for room, and those in open batches.

use std::collections::VecDeque;

use corecast_machines::limits::Limits;
use corecast_machines::machine::Mesh;
use corecast_machines::mesh::Root;
use corecast_machines::outgoing::Outgoing;

use crate::cores::Cores;

#[derive(Debug)]
pub struct ApiSide {
    open: Outgoing<Root>,
    /// By home.
    waits: Vec<VecDeque<Root>>,
}

impl ApiSide {
    pub fn new(homes: usize, limits: &Limits) -> Self {
        Self { open: Outgoing::new(homes, limits), waits: (0..homes).map(|_| VecDeque::new()).collect() }
    }

    /// A root is to go to this home.
    pub fn add(&mut self, home: usize, root: Root) {
        self.waits[home].push_back(root);
    }

    /// True when nothing waits for room.
    pub fn is_empty(&self) -> bool {
        self.waits.iter().all(VecDeque::is_empty)
    }

    /// Puts what waits into open batches, as far as they have room. Until then it is not accepted.
    pub fn accept(&mut self, mut accepted: impl FnMut(usize, &Root)) {
        for (home, waits) in self.waits.iter_mut().enumerate() {
            while !self.open.is_full(home) {
                let Some(root) = waits.pop_front() else { break };
                accepted(home, &root);
                self.open.push(home, root);
            }
        }
    }

    /// Sends the open batches that may go. Returns whether one went.
    pub fn send(&mut self, cores: &mut Cores) -> bool {
        let mut port = cores.api_port();
        let mut any = false;
        for home in 0..self.waits.len() {
            if !self.open.is_empty(home) && port.may_send_roots(home) {
                port.send_roots(home, self.open.take(home));
                any = true;
            }
        }
        any
    }
}
