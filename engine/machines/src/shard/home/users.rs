//! Users whose home is this shard: on which shards each is signed in, which shards watch it, and what these were told.
//!
//! A shard says of a user what is so there, as a level: whether any of its connections is signed in as that user, and whether
//! any watches it. Watching shards are told at once who has come online; who has gone when that has lasted for
//! [`OFFLINE_MS`], and nothing of it after a return. Where nobody watches, nothing waits.
//!
//! Bounds: a user is known here while some shard has said that it is signed in or watched there.

use std::sync::Arc;

use hashbrown::HashTable;
use protocol::hook_kind::HookKind;
use slab::Slab;

use crate::cores::CoreId;
use crate::deadlines::Deadlines;
use crate::invariant::Expected;
use crate::mesh::Leaf;
use crate::shard::home::Home;
use crate::shard::home::witness::Deed;
use crate::topic::Topic;

/// How long a user must be gone before those who watch are told so, in milliseconds: as long as a page takes to load again.
const OFFLINE_MS: u64 = 3000;

/// All of them, each at a place of its own.
#[derive(Debug, Default)]
pub(super) struct HomeUsers {
    users: Slab<HomeUser>,
    table: HashTable<u32>,
    /// Places of users who have gone and whose watchers do not know.
    gone: Deadlines,
    /// Of this phase, in `mono_ms`.
    now_ms: u64,
}

#[derive(Debug)]
struct HomeUser {
    topic: Arc<Topic>,
    /// Those where it is signed in or watched.
    shards: Vec<OnShard>,
    /// Those that watch were told that it is online.
    told: bool,
}

/// What a shard has said of a user.
#[derive(Clone, Copy, Debug)]
struct OnShard {
    shard: CoreId,
    signed_in: bool,
    /// It watches, by this epoch.
    watches: Option<u64>,
}

/// What a shard's word has changed.
#[derive(Debug, Default)]
struct Change {
    /// The user has come online or gone offline.
    edge: Option<bool>,
    /// It was gone and is back before anybody was told.
    returned: bool,
    /// Who is told: all that watch, or those that watch since now.
    news: bool,
    asks: bool,
}

impl HomeUser {
    fn is_online(&self) -> bool {
        self.shards.iter().any(|on| on.signed_in)
    }

    fn is_watched(&self) -> bool {
        self.shards.iter().any(|on| on.watches.is_some())
    }

    /// Returns what was said before.
    fn set(&mut self, now: OnShard) -> Option<OnShard> {
        let at = self.shards.iter().position(|on| on.shard == now.shard);
        let is_over = !now.signed_in && now.watches.is_none();
        match at {
            Some(at) if is_over => Some(self.shards.swap_remove(at)),
            Some(at) => self.shards.get_mut(at).map(|before| std::mem::replace(before, now)),
            None if is_over => None,
            None => {
                self.shards.push(now);
                None
            }
        }
    }
}

impl HomeUsers {
    /// A decide phase begins.
    pub(super) fn begin_phase(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// How many users are known.
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// How many have gone and are still to be told.
    pub(super) fn gone(&self) -> usize {
        self.gone.len()
    }

    /// When the next of them is to be told, in `mono_ms`.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.gone.next_ms()
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.users.shrink_to_fit();
        let users = &self.users;
        self.table.shrink_to_fit(|at| users.get(*at as usize).map_or(0, |it| it.topic.hash));
        self.gone.give_back_room();
    }

    fn place_of(&self, topic: &Topic) -> Option<u32> {
        let is = |at: &u32| self.users.get(*at as usize).is_some_and(|it| *it.topic == *topic);
        self.table.find(topic.hash, is).copied()
    }

    fn add(&mut self, topic: &Arc<Topic>) -> u32 {
        let user = HomeUser { topic: Arc::clone(topic), shards: Vec::new(), told: false };
        let at = self.users.insert(user) as u32;
        let users = &self.users;
        let hash_at = |at: &u32| users.get(*at as usize).map_or(0, |it| it.topic.hash);
        self.table.insert_unique(topic.hash, at, hash_at);
        at
    }

    fn forget_unneeded(&mut self, at: u32) {
        let Some(user) = self.users.get(at as usize).filter(|user| user.shards.is_empty()) else { return };
        let entry = self.table.find_entry(user.topic.hash, |other| *other == at);
        if let Some(entry) = entry.ok().expected("each user is in the table") {
            entry.remove();
        }
        self.users.try_remove(at as usize);
    }

    fn take(&mut self, topic: &Arc<Topic>, word: OnShard) -> Change {
        let at = self.place_of(topic).unwrap_or_else(|| self.add(topic));
        let user = self.users.get_mut(at as usize);
        let Some(user) = user.expected("what is found or added is there") else { return Change::default() };
        let was_online = user.is_online();
        let before = user.set(word);
        let is_online = user.is_online();
        let mut change = Change {
            edge: (was_online != is_online).then_some(is_online),
            asks: word.watches.is_some() && before.and_then(|it| it.watches) != word.watches,
            ..Change::default()
        };
        if is_online || !user.is_watched() {
            change.returned = self.gone.cancel(at) && is_online;
            change.news = user.told != is_online;
            user.told = is_online;
        } else if user.told && !self.gone.has(at) {
            self.gone.set(at, self.now_ms + OFFLINE_MS);
        }
        self.forget_unneeded(at);
        change
    }

    /// The next who has been gone for long enough.
    fn take_gone(&mut self) -> Option<Arc<Topic>> {
        let at = self.gone.pop_due(self.now_ms)?;
        let user =
            self.users.get_mut(at as usize).expected("a user that is watched stays until it is told")?;
        user.told = false;
        Some(Arc::clone(&user.topic))
    }

    /// The shards that watch, each with its epoch, and what they are to know.
    fn watching(&self, topic: &Topic) -> Option<(bool, &[OnShard])> {
        let user = self.users.get(self.place_of(topic)? as usize)?;
        Some((user.told, &user.shards))
    }
}

impl Home {
    /// What is so of a user on shard `from`. Returns what this shard is to be told.
    #[must_use]
    pub(super) fn hear_of_user(
        &mut self,
        from: CoreId,
        topic: &Arc<Topic>,
        signed_in: bool,
        watches: Option<u64>,
    ) -> Option<Leaf> {
        let Change { edge, returned, news, asks } =
            self.users.take(topic, OnShard { shard: from, signed_in, watches });
        if let Some(online) = edge {
            self.note_user(topic, online);
        }
        self.stats.users_returned += u64::from(returned);
        if news {
            self.tell_watching(topic, None)
        } else if asks {
            self.tell_watching(topic, Some(from))
        } else {
            None
        }
    }

    /// Tells those who watch of the next who has been gone for long enough. None: there is none. What this shard is to be
    /// told comes with it.
    pub(in crate::shard) fn tell_next_gone(&mut self) -> Option<Option<Leaf>> {
        let topic = self.users.take_gone()?;
        Some(self.tell_watching(&topic, None))
    }

    /// When there is something to tell, in `mono_ms`: not while nothing may be told.
    pub(in crate::shard) fn gone_deadline(&self) -> Option<u64> {
        self.users.deadline().filter(|_| !self.is_backed_up())
    }

    /// A user has come online or gone offline.
    fn note_user(&mut self, topic: &Arc<Topic>, online: bool) {
        self.stats.users_online += u64::from(online);
        self.stats.users_offline += u64::from(!online);
        self.show(if online { Deed::Online(topic) } else { Deed::Offline(topic) });
        if topic.app.hooks.in_pairs().has(HookKind::UserOnline) {
            self.edges.note(topic.hash, topic, None, online);
        }
    }

    /// Tells all shards that watch, or one. Returns what this one is to be told.
    fn tell_watching(&mut self, topic: &Arc<Topic>, only: Option<CoreId>) -> Option<Leaf> {
        let mut here = None;
        let (online, shards) = self.users.watching(topic)?;
        for on in shards.iter().filter(|on| only.is_none_or(|only| on.shard == only)) {
            let Some(epoch) = on.watches else { continue };
            let leaf = Leaf::User { topic: Arc::clone(topic), epoch, online };
            if on.shard == self.me {
                here = Some(leaf);
            } else {
                self.leaves.push(on.shard, leaf);
            }
        }
        here
    }
}
