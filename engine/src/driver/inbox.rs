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

use super::bus_lines::ShardLines;
use super::doorbell::{Doorbell, Doorbells};
use super::transport::Transport;
use machines::cluster::bus::{Server, ToBus};
use machines::cores::{CoreId, Cores, PerCore};
use machines::limits::{BATCHES_IN_FLIGHT_MAX, HANDOVERS_MAX};
use machines::machine::Mesh;
use machines::mesh::{Leaf, Root};
use protocol::address::Address;

/// A connection that changes cores.
#[derive(Debug)]
pub struct Handover {
    /// Its socket, with no operation armed on it.
    pub transport: Transport,
    /// Where its client is, if that is known.
    pub client: Option<Address>,
    /// What was read from it and is not handled yet.
    pub bytes: Vec<u8>,
}

/// What one core has of the mesh.
#[derive(Debug)]
pub struct MeshEnd {
    roots: Lane<Root>,
    leaves: Lane<Leaf>,
    handovers: Receiver<Handover>,
    handovers_out: PerCore<Sender<Handover>>,
    doorbells: Doorbells,
    me: CoreId,
    /// To the buses of the cluster; a shard of a node of one has them.
    buses: Option<ShardLines>,
}

/// One lane of the mesh, as one core sees it.
#[derive(Debug)]
struct Lane<M> {
    me: CoreId,
    inbox: Receiver<(CoreId, Vec<M>)>,
    out: PerCore<Sender<(CoreId, Vec<M>)>>,
    /// By sender and receiver.
    in_flight: Arc<PerCore<PerCore<AtomicU32>>>,
    /// Batches that found an inbox full, with their receivers, oldest first.
    stuck: VecDeque<(CoreId, Vec<M>)>,
    stuck_count: u64,
}

/// Builds the mesh of these cores and gives each its end, in the order of [`Cores::all`].
pub fn mesh(cores: Cores) -> io::Result<Vec<MeshEnd>> {
    let doorbells = Doorbells::new(cores)?;
    let (senders, receivers) = channels(cores, HANDOVERS_MAX);
    let lanes = Lane::all(cores).zip(Lane::all(cores)).zip(receivers.into_entries());
    let end = |((roots, leaves), (me, handovers))| MeshEnd {
        roots,
        leaves,
        handovers,
        handovers_out: senders.clone(),
        doorbells: doorbells.clone(),
        me,
        buses: None,
    };
    Ok(lanes.map(end).collect())
}

fn channels<T>(cores: Cores, messages_max: usize) -> (PerCore<Sender<T>>, PerCore<Receiver<T>>) {
    let channels = PerCore::of_all(cores, |_| bounded(messages_max));
    let senders = PerCore::of_all(cores, |core| channels[core].0.clone());
    (senders, PerCore::of_all(cores, |core| channels[core].1.clone()))
}

impl MeshEnd {
    /// Which core's end this is.
    pub fn me(&self) -> CoreId {
        self.me
    }

    /// From now on it has these lines to the buses of the cluster.
    pub fn join_buses(&mut self, lines: ShardLines) {
        self.buses = Some(lines);
    }

    /// The lines to the buses.
    pub fn buses(&self) -> Option<&ShardLines> {
        self.buses.as_ref()
    }

    /// This core's own doorbell.
    pub fn doorbell(&self) -> &Doorbell {
        self.doorbells.of(self.me)
    }

    /// All doorbells.
    pub fn doorbells(&self) -> Doorbells {
        self.doorbells.clone()
    }

    /// The next batch of roots, with its sender.
    pub fn next_roots(&self) -> Option<(CoreId, Vec<Root>)> {
        self.roots.inbox.try_recv().ok()
    }

    /// The next batch of leaves, with its sender.
    pub fn next_leaves(&self) -> Option<(CoreId, Vec<Leaf>)> {
        self.leaves.inbox.try_recv().ok()
    }

    /// A batch of roots from core `from` is used up.
    pub fn release_roots(&self, from: CoreId) {
        if self.roots.release(from) {
            self.doorbells.ring(from);
        }
    }

    /// A batch of leaves from core `from` is used up.
    pub fn release_leaves(&self, from: CoreId) {
        if self.leaves.release(from) {
            self.doorbells.ring(from);
        }
    }

    /// The next connection that another core has passed on to this one.
    pub fn next_handover(&self) -> Option<Handover> {
        self.handovers.try_recv().ok()
    }

    /// Passes a connection on to core `to`, or gives it back when that core's inbox is full.
    pub fn hand_over(&self, to: CoreId, handover: Handover) -> Result<(), Handover> {
        match self.handovers_out[to].try_send(handover) {
            Ok(()) => {
                self.doorbells.ring(to);
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
    fn may_send_roots(&self, to: CoreId) -> bool {
        self.roots.may_send(to)
    }

    fn may_send_leaves(&self, to: CoreId) -> bool {
        self.leaves.may_send(to)
    }

    fn send_roots(&mut self, to: CoreId, batch: Vec<Root>) {
        if self.roots.send(to, batch) {
            self.doorbells.ring(to);
        }
    }

    fn send_leaves(&mut self, to: CoreId, batch: Vec<Leaf>) {
        if self.leaves.send(to, batch) {
            self.doorbells.ring(to);
        }
    }

    fn may_send_to_server(&self, to: Server) -> bool {
        self.buses.as_ref().is_some_and(|buses| buses.may_send(to))
    }

    fn send_to_server(&mut self, to: Server, batch: Vec<ToBus>) {
        if let Some(buses) = &self.buses {
            buses.send(to, batch);
        }
    }
}

impl<M> Lane<M> {
    fn all(cores: Cores) -> impl Iterator<Item = Self> {
        let to_each = |_| PerCore::of_all(cores, |_| AtomicU32::new(0));
        let in_flight = Arc::new(PerCore::of_all(cores, to_each));
        let (out, inboxes) = channels(cores, BATCHES_IN_FLIGHT_MAX as usize * cores.in_mesh());
        inboxes.into_entries().map(move |(me, inbox)| Self {
            me,
            inbox,
            out: out.clone(),
            in_flight: Arc::clone(&in_flight),
            stuck: VecDeque::new(),
            stuck_count: 0,
        })
    }

    fn pair(&self, from: CoreId, to: CoreId) -> &AtomicU32 {
        &self.in_flight[from][to]
    }

    fn may_send(&self, to: CoreId) -> bool {
        self.pair(self.me, to).load(Ordering::SeqCst) < BATCHES_IN_FLIGHT_MAX
    }

    /// Returns whether the batch is in the inbox.
    fn send(&mut self, to: CoreId, batch: Vec<M>) -> bool {
        self.pair(self.me, to).fetch_add(1, Ordering::SeqCst);
        match self.out[to].try_send((self.me, batch)) {
            Ok(()) => true,
            Err(TrySendError::Full((_, batch))) => {
                debug_assert!(false, "the inbox of {to} holds two batches of every sender");
                self.stuck_count += 1;
                self.stuck.push_back((to, batch));
                false
            }
            // Its thread has ended: the server is on its way out.
            Err(TrySendError::Disconnected(_)) => false,
        }
    }

    /// Lowers the number in flight; true when the sender may have been waiting for that.
    fn release(&self, from: CoreId) -> bool {
        let before = self.pair(from, self.me).fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "{from} has no batch in flight");
        before >= BATCHES_IN_FLIGHT_MAX
    }

    fn retry_stuck(&mut self, doorbells: &Doorbells) -> bool {
        let mut went = false;
        while let Some((to, batch)) = self.stuck.pop_front() {
            match self.out[to].try_send((self.me, batch)) {
                Ok(()) => doorbells.ring(to),
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
    use machines::cores::CoreId::{Api, Relay, Shard};
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
            assert!(ends[0].may_send_roots(Relay));
            ends[0].send_roots(Relay, batch());
        }
        assert!(!ends[0].may_send_roots(Relay));
        assert!(
            ends[0].may_send_roots(Api) && ends[1].may_send_roots(Relay) && ends[0].may_send_leaves(Relay)
        );
        let (from, taken) = ends[2].next_roots().unwrap();
        assert_eq!((from, taken.len()), (Shard(0), 1));
        assert!(!ends[0].may_send_roots(Relay), "a batch that is taken and not used up is still in flight");
        ends[2].release_roots(Shard(0));
        assert!(ends[0].may_send_roots(Relay));
    }

    #[test]
    fn an_inbox_takes_two_batches_of_every_sender() {
        let mut ends = mesh(Cores::new(2)).unwrap();
        for end in &mut ends {
            for _ in 0..2 {
                end.send_roots(Relay, batch());
                end.send_leaves(Relay, Vec::new());
            }
        }
        assert_eq!(std::iter::from_fn(|| ends[3].next_roots()).count(), 8);
        assert_eq!(std::iter::from_fn(|| ends[3].next_leaves()).count(), 8);
        assert!(ends.iter_mut().all(|end| end.take_stuck_count() == 0));
    }

    #[test]
    fn only_a_release_that_opens_the_way_asks_for_a_ring() {
        let mut lanes: Vec<_> = Lane::<u8>::all(Cores::new(1)).collect();
        lanes[0].send(Api, Vec::new());
        assert!(!lanes[1].release(Shard(0)));
        lanes[0].send(Api, Vec::new());
        lanes[0].send(Api, Vec::new());
        assert!(lanes[1].release(Shard(0)));
        assert!(!lanes[1].release(Shard(0)));
    }

    #[test]
    fn a_full_handover_inbox_gives_the_connection_back() {
        let ends = mesh(Cores::new(1)).unwrap();
        let handover = || Handover {
            transport: TransportKind::Plain.over(eventfd(0, EventfdFlags::CLOEXEC).unwrap()).unwrap(),
            client: None,
            bytes: vec![1],
        };
        for _ in 0..HANDOVERS_MAX {
            ends[0].hand_over(Api, handover()).unwrap();
        }
        assert_eq!(ends[0].hand_over(Api, handover()).unwrap_err().bytes, [1]);
        drop(ends[1].next_handover().unwrap());
        ends[0].hand_over(Api, handover()).unwrap();
    }
}
