//! Users of whom this shard has something to say to their homes: those whom its connections are signed in as, and those
//! whom they watch.
//!
//! A home is told levels, so what changes before it is told is told once, as it is then. What is still to be said waits here
//! until the batch to that home has room; no command waits for it. Bounds: a user is known here while a connection
//! is signed in as it or watches it, or until its home has been told of the end of that.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashTable;
use slab::Slab;

use crate::cores::{CoreId, Cores, PerCore};
use crate::invariant::Expected;
use crate::topic::Topic;

/// What holds for every place that is kept of a user.
pub(super) const KNOWN: &str = "a user is known while a connection is signed in as it or watches it";

/// What holds for every home.
const OWN_QUEUE: &str = "each home has a queue of its own";

/// All of them, each at a place of its own.
#[derive(Debug)]
pub(super) struct LocalUsers {
    users: Slab<LocalUser>,
    table: HashTable<u32>,
    /// By home: those of whom it must be told something.
    unsaid: PerCore<VecDeque<u32>>,
    /// Of the last watch.
    epoch: u64,
}

/// A user that connections are signed in as, or watch.
#[derive(Debug)]
pub(super) struct LocalUser {
    pub(super) topic: Arc<Topic>,
    home: CoreId,
    /// How many are signed in as it.
    pub(super) connections: u32,
    pub(super) watchers: Vec<Watcher>,
    /// Whether it is online, if home has said so to this watch.
    pub(super) online: Option<bool>,
    /// What home was told.
    said: Said,
    is_unsaid: bool,
}

/// A connection that watches a user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watcher {
    /// Its slot.
    pub(super) slot: u32,
    /// The user's place in its watchlist.
    pub(super) index: u32,
}

/// What a home is told of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Said {
    signed_in: bool,
    /// The epoch of the watch.
    watches: Option<u64>,
}

/// What is to be said to the home of a user.
#[derive(Debug)]
pub(in crate::shard) struct Word {
    pub(in crate::shard) topic: Arc<Topic>,
    pub(in crate::shard) signed_in: bool,
    pub(in crate::shard) watches: Option<u64>,
}

impl LocalUsers {
    /// No users.
    pub(super) fn new(cores: Cores) -> Self {
        let unsaid = PerCore::of_shards(cores, |_| VecDeque::new());
        Self { users: Slab::new(), table: HashTable::new(), unsaid, epoch: 0 }
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// Of how many something is still to be said.
    pub(super) fn unsaid(&self) -> usize {
        self.unsaid.entries().map(VecDeque::len).sum()
    }

    pub(super) fn get(&self, at: u32) -> Option<&LocalUser> {
        self.users.get(at as usize)
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut LocalUser> {
        self.users.get_mut(at as usize)
    }

    /// Where this user is among them.
    pub(super) fn find(&self, topic: &Topic) -> Option<u32> {
        let is = |at: &u32| self.get(*at).is_some_and(|it| *it.topic == *topic);
        self.table.find(topic.hash, is).copied()
    }

    /// The same, and if it is not there it is added.
    pub(super) fn find_or_add(&mut self, topic: Arc<Topic>, home: CoreId) -> u32 {
        self.find(&topic).unwrap_or_else(|| self.add(topic, home))
    }

    fn add(&mut self, topic: Arc<Topic>, home: CoreId) -> u32 {
        let hash = topic.hash;
        let at = self.users.insert(LocalUser {
            topic,
            home,
            connections: 0,
            watchers: Vec::new(),
            online: None,
            said: Said::default(),
            is_unsaid: false,
        }) as u32;
        let users = &self.users;
        let hash_at = |at: &u32| users.get(*at as usize).map_or(0, |it| it.topic.hash);
        self.table.insert_unique(hash, at, hash_at);
        at
    }

    /// Something of this user has changed that its home must know.
    pub(super) fn mark_unsaid(&mut self, at: u32) {
        let Some(user) = self.users.get_mut(at as usize).expected(KNOWN) else { return };
        if !std::mem::replace(&mut user.is_unsaid, true)
            && let Some(unsaid) = self.unsaid.get_mut(user.home).expected(OWN_QUEUE)
        {
            unsaid.push_back(at);
        }
    }

    /// The next thing to be said to this home. It counts as said.
    pub(super) fn next_word(&mut self, home: CoreId) -> Option<Word> {
        loop {
            let at = self.unsaid.get_mut(home).expected(OWN_QUEUE)?.pop_front()?;
            let user = self.users.get_mut(at as usize);
            let Some(user) = user.expected("a user is known until its home is told") else { continue };
            user.is_unsaid = false;
            let watches = match (user.watchers.is_empty(), user.said.watches) {
                (true, _) => None,
                (false, Some(epoch)) => Some(epoch),
                (false, None) => {
                    self.epoch += 1;
                    Some(self.epoch)
                }
            };
            let now = Said { signed_in: user.connections > 0, watches };
            let is_news = std::mem::replace(&mut user.said, now) != now;
            if watches.is_none() {
                user.online = None;
            }
            let topic = Arc::clone(&user.topic);
            if now == Said::default() {
                self.forget(at);
            }
            if is_news {
                return Some(Word { topic, signed_in: now.signed_in, watches });
            }
        }
    }

    /// Home says whether a user is online, to the watch of this epoch. Returns where the user is, and whether that is the
    /// first word of it; None if it is old, or no news.
    pub(super) fn hear(&mut self, topic: &Topic, epoch: u64, online: bool) -> Option<(u32, bool)> {
        let at = self.find(topic)?;
        let user = self.users.get_mut(at as usize).expected(KNOWN)?;
        if user.said.watches != Some(epoch) || user.online == Some(online) {
            return None;
        }
        Some((at, user.online.replace(online).is_none()))
    }

    fn forget(&mut self, at: u32) {
        let Some(user) = self.users.try_remove(at as usize).expected(KNOWN) else { return };
        let entry = self.table.find_entry(user.topic.hash, |other| *other == at);
        if let Some(entry) = entry.ok().expected("each user is in the table") {
            entry.remove();
        }
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.users.shrink_to_fit();
        let users = &self.users;
        self.table.shrink_to_fit(|at| users.get(*at as usize).map_or(0, |it| it.topic.hash));
        self.unsaid.entries_mut().for_each(VecDeque::shrink_to_fit);
    }
}
