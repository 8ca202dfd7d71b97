//! The lines between the homes of this node and the buses of its cluster: batches of what homes say, and of news.
//!
//! Owns the bounded channels and, per pair and direction, the number of batches in flight. As in the mesh a pair has at most
//! two, and each inbox holds two per sender, so none is ever full. What must never happen here: a wait, or a lost batch.
//! Built once by the server.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::doorbell::{Doorbell, Doorbells};
use machines::cluster::bus::{FromBus, Server, ToBus};
use machines::cores::{CoreId, Cores, PerCore};
use machines::limits::BATCHES_IN_FLIGHT_MAX;

/// A shard's ends of the lines to all buses.
#[derive(Debug)]
pub struct ShardLines {
    me: CoreId,
    to: Vec<Sender<(CoreId, Vec<ToBus>)>>,
    news: Receiver<(Server, Vec<FromBus>)>,
    pairs: Arc<Pairs>,
    bells: Arc<[Doorbell]>,
}

/// The ends of one bus of the lines to all shards.
#[derive(Debug)]
pub struct BusLines {
    server: Server,
    said: Receiver<(CoreId, Vec<ToBus>)>,
    to: PerCore<Sender<(Server, Vec<FromBus>)>>,
    pairs: Arc<Pairs>,
    bells: Arc<[Doorbell]>,
    shards: Doorbells,
}

/// Batches in flight, by shard and server: those of the shard, and those of the bus.
type Pairs = PerCore<Vec<(AtomicU32, AtomicU32)>>;

/// Builds the lines between all shards and the buses of so many servers.
pub fn bus_lines(
    cores: Cores,
    servers: u16,
    shards: &Doorbells,
) -> io::Result<(Vec<ShardLines>, Vec<BusLines>)> {
    let none = |_| (0..servers).map(|_| (AtomicU32::new(0), AtomicU32::new(0))).collect();
    let pairs: Arc<Pairs> = Arc::new(PerCore::of_shards(cores, none));
    let bells: Arc<[Doorbell]> = (0..servers).map(|_| Doorbell::new()).collect::<io::Result<_>>()?;
    let batches = BATCHES_IN_FLIGHT_MAX as usize;
    let (to, said): (Vec<_>, Vec<_>) = (0..servers).map(|_| bounded(batches * cores.shards())).unzip();
    let news = PerCore::of_shards(cores, |_| bounded(batches * usize::from(servers)));
    let senders = PerCore::of_shards(cores, |shard| news[shard].0.clone());
    let of_shards = news.into_entries().map(|(me, (_, news))| ShardLines {
        me,
        to: to.clone(),
        news,
        pairs: Arc::clone(&pairs),
        bells: Arc::clone(&bells),
    });
    let of_shards = of_shards.collect();
    let of_buses = said.into_iter().zip(0..).map(|(said, server)| BusLines {
        server: Server(server),
        said,
        to: senders.clone(),
        pairs: Arc::clone(&pairs),
        bells: Arc::clone(&bells),
        shards: shards.clone(),
    });
    Ok((of_shards, of_buses.collect()))
}

impl ShardLines {
    /// The next batch of news, with the server that it is of.
    pub fn next_news(&self) -> Option<(Server, Vec<FromBus>)> {
        self.news.try_recv().ok()
    }

    /// A batch of this server is used up.
    pub fn release_news(&self, from: Server) {
        let (_, of_bus) = &self.pairs[self.me][usize::from(from.0)];
        if is_released(of_bus) {
            self.bells[usize::from(from.0)].ring();
        }
    }

    /// True while fewer than two batches are in flight to the bus of this server.
    pub fn may_send(&self, to: Server) -> bool {
        let (of_shard, _) = &self.pairs[self.me][usize::from(to.0)];
        may_send(of_shard)
    }

    /// Sends a batch; asked only after `may_send`.
    pub fn send(&self, to: Server, batch: Vec<ToBus>) {
        let number = usize::from(to.0);
        let (of_shard, _) = &self.pairs[self.me][number];
        of_shard.fetch_add(1, Ordering::SeqCst);
        let sent = self.to[number].try_send((self.me, batch));
        debug_assert!(
            !sent.is_err_and(|error| error.is_full()),
            "an inbox holds two batches of every sender"
        );
        self.bells[number].ring();
    }
}

impl BusLines {
    /// Which server's bus this is for.
    pub fn server(&self) -> Server {
        self.server
    }

    /// What wakes the bus.
    pub fn bell(&self) -> &Doorbell {
        &self.bells[usize::from(self.server.0)]
    }

    /// The same for whoever has news of the server.
    pub fn waker(&self) -> impl Fn() + Send + Sync + use<> {
        let (bells, number) = (Arc::clone(&self.bells), usize::from(self.server.0));
        move || bells[number].ring()
    }

    /// The next batch of what homes say, with its shard.
    pub fn next_said(&self) -> Option<(CoreId, Vec<ToBus>)> {
        self.said.try_recv().ok()
    }

    /// A batch of this shard is used up.
    pub fn release(&self, shard: CoreId) {
        let (of_shard, _) = &self.pairs[shard][usize::from(self.server.0)];
        if is_released(of_shard) {
            self.shards.ring(shard);
        }
    }

    /// The shards to which fewer than two batches are in flight.
    pub fn open(&self) -> impl Iterator<Item = CoreId> {
        let is_open = |shard: &CoreId| may_send(&self.pairs[*shard][usize::from(self.server.0)].1);
        self.pairs.cores().filter(is_open)
    }

    /// Sends a batch to one of them.
    pub fn send(&self, shard: CoreId, news: Vec<FromBus>) {
        let (_, of_bus) = &self.pairs[shard][usize::from(self.server.0)];
        of_bus.fetch_add(1, Ordering::SeqCst);
        let sent = self.to[shard].try_send((self.server, news));
        debug_assert!(
            !sent.is_err_and(|error| error.is_full()),
            "an inbox holds two batches of every sender"
        );
        self.shards.ring(shard);
    }
}

impl AsFd for BusLines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell().as_fd()
    }
}

fn may_send(in_flight: &AtomicU32) -> bool {
    in_flight.load(Ordering::SeqCst) < BATCHES_IN_FLIGHT_MAX
}

/// Lowers the number in flight; true when the sender may have been waiting for that.
fn is_released(in_flight: &AtomicU32) -> bool {
    in_flight.fetch_sub(1, Ordering::SeqCst) >= BATCHES_IN_FLIGHT_MAX
}

#[cfg(test)]
mod tests {
    use machines::cluster::bus::{News, Said};

    use super::*;

    #[test]
    fn a_pair_has_two_batches_in_flight_each_way_until_one_is_released() {
        let cores = Cores::new(2);
        let (shards, buses) = bus_lines(cores, 2, &Doorbells::new(cores).unwrap()).unwrap();
        let (shard, bus) = (&shards[1], &buses[1]);
        let said = || vec![ToBus { session: 1, said: Said::Retold }];
        let news = || vec![FromBus { session: 1, news: News::Begun }];
        for _ in 0..2 {
            assert!(shard.may_send(Server(1)) && bus.open().count() == 2);
            shard.send(Server(1), said());
            bus.send(CoreId::Shard(1), news());
        }
        assert!(!shard.may_send(Server(1)) && shard.may_send(Server(0)) && shards[0].may_send(Server(1)));
        assert!(bus.open().eq([CoreId::Shard(0)]) && buses[0].open().count() == 2);
        let (from, taken) = bus.next_said().unwrap();
        assert_eq!((from, taken.len()), (CoreId::Shard(1), 1));
        assert!(!shard.may_send(Server(1)), "a batch that is taken and not used up is still in flight");
        bus.release(from);
        assert!(shard.may_send(Server(1)));
        let (from, taken) = shard.next_news().unwrap();
        assert_eq!((from, taken.len()), (Server(1), 1));
        shard.release_news(from);
        assert_eq!(bus.open().count(), 2);
        assert!(buses[0].next_said().is_none() && shards[0].next_news().is_none());
    }
}
