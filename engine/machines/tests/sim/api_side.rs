//! The API core's side of the mesh: roots that wait for room, and those in open batches.

use std::collections::VecDeque;

use corecast_machines::cores::{self, CoreId, PerCore};
use corecast_machines::limits::Limits;
use corecast_machines::machine::Mesh;
use corecast_machines::mesh::Root;
use corecast_machines::outgoing::Outgoing;

use crate::cores::Cores;

#[derive(Debug)]
pub struct ApiSide {
    open: Outgoing<Root>,
    /// By home.
    waits: PerCore<VecDeque<Root>>,
}

impl ApiSide {
    pub fn new(layout: cores::Cores, limits: &Limits) -> Self {
        Self {
            open: Outgoing::to_shards(layout, limits),
            waits: PerCore::of_shards(layout, |_| VecDeque::new()),
        }
    }

    /// A root is to go to this home.
    pub fn add(&mut self, home: CoreId, root: Root) {
        self.waits[home].push_back(root);
    }

    /// True when nothing waits for room.
    pub fn is_empty(&self) -> bool {
        self.waits.entries().all(VecDeque::is_empty)
    }

    /// Puts what waits into open batches, as far as they have room. Until then it is not accepted.
    pub fn accept(&mut self, mut accepted: impl FnMut(CoreId, &Root)) {
        for home in self.waits.cores() {
            while !self.open.is_full(home) {
                let Some(root) = self.waits[home].pop_front() else { break };
                accepted(home, &root);
                self.open.push(home, root);
            }
        }
    }

    /// Sends the open batches that may go. Returns whether one went.
    pub fn send(&mut self, cores: &mut Cores) -> bool {
        let mut port = cores.api_port();
        let mut any = false;
        for home in self.waits.cores() {
            if !self.open.is_empty(home) && port.may_send_roots(home) {
                port.send_roots(home, self.open.take(home));
                any = true;
            }
        }
        any
    }
}
