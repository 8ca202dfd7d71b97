//! Which shards have subscribers of a topic, and how many. A link is told from an earlier one of its shard by its epoch.

/// The shards with subscribers, in the order of their coming.
#[derive(Debug, Default)]
pub(super) struct LinkedShards(Vec<Link>);

#[derive(Clone, Copy, Debug)]
struct Link {
    shard: usize,
    epoch: u64,
    /// Its subscribers, waiting ones included.
    n: u32,
}

impl Link {
    fn is(&self, shard: usize, epoch: u64) -> bool {
        self.shard == shard && self.epoch == epoch
    }
}

impl LinkedShards {
    /// A shard has its first subscriber. Returns whether its earlier link was still there.
    pub(super) fn join(&mut self, shard: usize, epoch: u64) -> bool {
        let link = Link { shard, epoch, n: 1 };
        let old = self.0.iter_mut().find(|old| old.shard == shard);
        let supersedes = old.is_some();
        match old {
            Some(old) => *old = link,
            None => self.0.push(link),
        }
        supersedes
    }

    /// A shard has so many subscribers. Returns whether its link is there.
    pub(super) fn count(&mut self, shard: usize, epoch: u64, n: u32) -> bool {
        let link = self.0.iter_mut().find(|link| link.is(shard, epoch));
        let known = link.is_some();
        link.into_iter().for_each(|link| link.n = n);
        known
    }

    /// A shard has no subscribers any more.
    pub(super) fn end(&mut self, shard: usize) {
        self.0.retain(|link| link.shard != shard);
    }

    /// Whether this link is there.
    pub(super) fn has(&self, shard: usize, epoch: u64) -> bool {
        self.0.iter().any(|link| link.is(shard, epoch))
    }

    /// True when no shard has subscribers.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Subscribers of all shards.
    pub(super) fn subscriptions(&self) -> u64 {
        self.0.iter().map(|link| u64::from(link.n)).sum()
    }

    /// Whether this shard has said that it has subscribers.
    pub(super) fn has_subscribers(&self, shard: usize) -> bool {
        self.0.iter().any(|link| link.shard == shard && link.n > 0)
    }

    /// The shards.
    pub(super) fn shards(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|link| link.shard)
    }
}
