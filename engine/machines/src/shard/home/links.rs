//! Which shards have subscribers of a topic, and how many. A link is told from an earlier one of its shard by its epoch.

use crate::cores::CoreId;

/// The shards with subscribers, in the order of their coming.
#[derive(Debug, Default)]
pub(super) struct LinkedShards(Vec<Link>);

#[derive(Clone, Copy, Debug)]
struct Link {
    core: CoreId,
    epoch: u64,
    /// Its subscribers, waiting ones included.
    n: u32,
}

impl Link {
    fn is(&self, core: CoreId, epoch: u64) -> bool {
        self.core == core && self.epoch == epoch
    }
}

impl LinkedShards {
    /// A shard has its first subscriber. Returns whether its earlier link was still there.
    pub(super) fn join(&mut self, core: CoreId, epoch: u64) -> bool {
        let link = Link { core, epoch, n: 1 };
        let old = self.0.iter_mut().find(|old| old.core == core);
        let supersedes = old.is_some();
        match old {
            Some(old) => *old = link,
            None => self.0.push(link),
        }
        supersedes
    }

    /// A shard has so many subscribers. Returns whether its link is there.
    pub(super) fn count(&mut self, core: CoreId, epoch: u64, n: u32) -> bool {
        let link = self.0.iter_mut().find(|link| link.is(core, epoch));
        let known = link.is_some();
        link.into_iter().for_each(|link| link.n = n);
        known
    }

    /// A shard has no subscribers any more.
    pub(super) fn end(&mut self, core: CoreId) {
        self.0.retain(|link| link.core != core);
    }

    /// Whether this link is there.
    pub(super) fn has(&self, core: CoreId, epoch: u64) -> bool {
        self.0.iter().any(|link| link.is(core, epoch))
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
    pub(super) fn has_subscribers(&self, core: CoreId) -> bool {
        self.0.iter().any(|link| link.core == core && link.n > 0)
    }

    /// The shards.
    pub(super) fn shards(&self) -> impl Iterator<Item = CoreId> {
        self.0.iter().map(|link| link.core)
    }
}
