//! The inboxes between cores: batches of roots, batches of leaves, and descriptors that change hands.
//!
//! Owns the bounded channels and, per ordered pair and lane, the number of batches in flight. A pair has at most two
//! of a lane, and an inbox holds two per sender, so it is never full; were it full all the same, that is our own
//! mistake: asserted in debug builds, counted, and the batch waits here. What must never happen here: a wait, or a
//! lost batch. Called by the turn; built once by the server.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::doorbell::Doorbell;
use super::transport::Transport;
use machines::cores::{CoreId, Cores};
use machines::limits::{BATCHES_IN_FLIGHT_MAX, HANDOVERS_MAX};
use machines::machine::Mesh;
use machines::mesh::{Leaf, Root};

/// A connection that changes cores.
#[derive(Debug)]
pub struct Handover {
    /// Its socket, with no operation armed on it.
    pub transport: Transport,
    /// What was read from it and is not handled yet.
    pub bytes: Vec<u8>,
}

/// What one core has of the mesh.
#[derive(Debug)]
pub struct MeshEnd {
    roots: Lane<Root>,
    leaves: Lane<Leaf>,
    handovers: Receiver<Handover>,
    handovers_out: Vec<Sender<Handover>>,
    doorbells: Arc<[Doorbell]>,
    cores: Cores,
    me: usize,
}

/// One lane of the mesh, as one core sees it.
#[derive(Debug)]
struct Lane<M> {
    me: usize,
    inbox: Receiver<(usize, Vec<M>)>,
    out: Vec<Sender<(usize, Vec<M>)>>,
    /// By sender × cores + receiver.
    in_flight: Arc<[AtomicU32]>,
    /// Batches that found an inbox full, with their receivers, oldest first.
    stuck: VecDeque<(usize, Vec<M>)>,
    stuck_count: u64,
}

/// Builds the mesh of these cores and gives each its end.
pub fn mesh(cores: Cores) -> io::Result<Vec<MeshEnd>> {
    let layout = cores;
    let cores = layout.in_mesh();
    let doorbells = (0..cores).map(|_| Doorbell::new()).collect::<io::Result<Arc<[_]>>>()?;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..cores).map(|_| bounded(HANDOVERS_MAX)).unzip();
    let lanes = Lane::all(cores).into_iter().zip(Lane::all(cores)).zip(receivers).enumerate();
    let end = |(me, ((roots, leaves), handovers))| MeshEnd {
        roots,
        leaves,
        handovers,
        handovers_out: senders.clone(),
        doorbells: Arc::clone(&doorbells),
        cores: layout,
        me,
    };
    Ok(lanes.map(end).collect())
}

impl MeshEnd {
    /// This core's place in the mesh.
    pub fn me(&self) -> usize {
        self.me
    }

    /// The place of a core in the mesh.
    pub fn index(&self, core: CoreId) -> usize {
        self.cores.index(core)
    }

    /// This core's own doorbell.
    pub fn doorbell(&self) -> &Doorbell {
        &self.doorbells[self.me]
    }

    /// All doorbells, by core.
    pub fn doorbells(&self) -> Arc<[Doorbell]> {
        Arc::clone(&self.doorbells)
    }

    /// The next batch of roots, with its sender.
    pub fn next_roots(&self) -> Option<(usize, Vec<Root>)> {
        self.roots.inbox.try_recv().ok()
    }

    /// The next batch of leaves, with its sender.
    pub fn next_leaves(&self) -> Option<(usize, Vec<Leaf>)> {
        self.leaves.inbox.try_recv().ok()
    }

    /// A batch of roots from core `from` is used up.
    pub fn release_roots(&self, from: usize) {
        if self.roots.release(from) {
            self.doorbells[from].ring();
        }
    }

    /// A batch of leaves from core `from` is used up.
    pub fn release_leaves(&self, from: usize) {
        if self.leaves.release(from) {
            self.doorbells[from].ring();
        }
    }

    /// The next connection that another core has passed on to this one.
    pub fn next_handover(&self) -> Option<Handover> {
        self.handovers.try_recv().ok()
    }

    /// Passes a connection on to core `to`, or gives it back when that core's inbox is full.
    pub fn hand_over(&self, to: usize, handover: Handover) -> Result<(), Handover> {
        match self.handovers_out[to].try_send(handover) {
            Ok(()) => {
                self.doorbells[to].ring();
                Ok(())
            }
            Err(TrySendError::Full(handover) | TrySendError::Disconnected(handover)) => Err(handover),
        }
    }

    /// Tries once more what found an inbox full. Returns whether anything went.
    pub fn retry_stuck(&mut self) -> bool {
        let roots = self.roots.retry_stuck(&self.doorbells);
        self.leaves.retry_stuck(&self.doorbells) | roots
    }

    /// How many batches have found an inbox full since this was last asked; anything but 0 is a mistake of ours.
    pub fn take_stuck_count(&mut self) -> u64 {
        std::mem::take(&mut self.roots.stuck_count) + std::mem::take(&mut self.leaves.stuck_count)
    }
}

impl Mesh for MeshEnd {
    fn may_send_roots(&self, to: usize) -> bool {
        self.roots.may_send(to)
    }

    fn may_send_leaves(&self, to: usize) -> bool {
        self.leaves.may_send(to)
    }

    fn send_roots(&mut self, to: usize, batch: Vec<Root>) {
        if self.roots.send(to, batch) {
            self.doorbells[to].ring();
        }
    }

    fn send_leaves(&mut self, to: usize, batch: Vec<Leaf>) {
        if self.leaves.send(to, batch) {
            self.doorbells[to].ring();
        }
    }
}

impl<M> Lane<M> {
    fn all(cores: usize) -> Vec<Self> {
        let in_flight: Arc<[AtomicU32]> = (0..cores * cores).map(|_| AtomicU32::new(0)).collect();
        let inbox_max = BATCHES_IN_FLIGHT_MAX as usize * cores;
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..cores).map(|_| bounded(inbox_max)).unzip();
        let lane = |(me, inbox)| Self {
            me,
            inbox,
            out: senders.clone(),
            in_flight: Arc::clone(&in_flight),
            stuck: VecDeque::new(),
            stuck_count: 0,
        };
        receivers.into_iter().enumerate().map(lane).collect()
    }

    fn pair(&self, from: usize, to: usize) -> &AtomicU32 {
        &self.in_flight[from * self.out.len() + to]
    }

    fn may_send(&self, to: usize) -> bool {
        self.pair(self.me, to).load(Ordering::SeqCst) < BATCHES_IN_FLIGHT_MAX
    }

    /// Returns whether the batch is in the inbox.
    fn send(&mut self, to: usize, batch: Vec<M>) -> bool {
        self.pair(self.me, to).fetch_add(1, Ordering::SeqCst);
        match self.out[to].try_send((self.me, batch)) {
            Ok(()) => true,
            Err(TrySendError::Full((_, batch))) => {
                debug_assert!(false, "the inbox of core {to} holds two batches of every sender");
                self.stuck_count += 1;
                self.stuck.push_back((to, batch));
                false
            }
            // Its thread has ended: the server is on its way out.
            Err(TrySendError::Disconnected(_)) => false,
        }
    }

    /// Lowers the number in flight; true when the sender may have been waiting for that.
    fn release(&self, from: usize) -> bool {
        let before = self.pair(from, self.me).fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "core {from} has no batch in flight");
        before >= BATCHES_IN_FLIGHT_MAX
    }

    fn retry_stuck(&mut self, doorbells: &[Doorbell]) -> bool {
        let mut went = false;
        while let Some((to, batch)) = self.stuck.pop_front() {
            match self.out[to].try_send((self.me, batch)) {
                Ok(()) => doorbells[to].ring(),
                Err(TrySendError::Full((_, batch))) => {
                    self.stuck.push_front((to, batch));
                    return went;
                }
                Err(TrySendError::Disconnected(_)) => {}
            }
            went = true;
        }
        went
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{EventfdFlags, eventfd};

    use super::super::transport::TransportKind;
    use super::*;

    fn batch() -> Vec<Root> {
        vec![Root::Struck]
    }

    #[test]
    fn a_pair_has_two_batches_in_flight_until_one_is_released() {
        let mut ends = mesh(Cores::new(1)).unwrap();
        for _ in 0..2 {
            assert!(ends[0].may_send_roots(2));
            ends[0].send_roots(2, batch());
        }
        assert!(!ends[0].may_send_roots(2));
        assert!(ends[0].may_send_roots(1) && ends[1].may_send_roots(2) && ends[0].may_send_leaves(2));
        let (from, taken) = ends[2].next_roots().unwrap();
        assert_eq!((from, taken.len()), (0, 1));
        assert!(!ends[0].may_send_roots(2), "a batch that is taken and not used up is still in flight");
        ends[2].release_roots(0);
        assert!(ends[0].may_send_roots(2));
    }

    #[test]
    fn an_inbox_takes_two_batches_of_every_sender() {
        let mut ends = mesh(Cores::new(2)).unwrap();
        for end in &mut ends {
            for _ in 0..2 {
                end.send_roots(3, batch());
                end.send_leaves(3, Vec::new());
            }
        }
        assert_eq!(std::iter::from_fn(|| ends[3].next_roots()).count(), 8);
        assert_eq!(std::iter::from_fn(|| ends[3].next_leaves()).count(), 8);
        assert!(ends.iter_mut().all(|end| end.take_stuck_count() == 0));
    }

    #[test]
    fn only_a_release_that_opens_the_way_asks_for_a_ring() {
        let mut lanes = Lane::<u8>::all(2);
        lanes[0].send(1, Vec::new());
        assert!(!lanes[1].release(0));
        lanes[0].send(1, Vec::new());
        lanes[0].send(1, Vec::new());
        assert!(lanes[1].release(0));
        assert!(!lanes[1].release(0));
    }

    #[test]
    fn a_full_handover_inbox_gives_the_connection_back() {
        let ends = mesh(Cores::new(1)).unwrap();
        let handover = || Handover {
            transport: TransportKind::Plain.over(eventfd(0, EventfdFlags::CLOEXEC).unwrap()),
            bytes: vec![1],
        };
        for _ in 0..HANDOVERS_MAX {
            ends[0].hand_over(1, handover()).unwrap();
        }
        assert_eq!(ends[0].hand_over(1, handover()).unwrap_err().bytes, [1]);
        drop(ends[1].next_handover().unwrap());
        ends[0].hand_over(1, handover()).unwrap();
    }
}
