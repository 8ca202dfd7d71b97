//! Users whose home is this shard: on which shards each is signed in, which shards watch it, and what these were told. In a
//! cluster a user is online while it is signed in on any node.
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

/// When that is looked at again of which the server of a cluster has not said how it is on other nodes, in milliseconds.
const UNANSWERED_MS: u64 = 500;

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
    /// The user is signed in on a shard, or on another node.
    online: bool,
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
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    /// The user is signed in on a shard now, or on none any more.
    signed_in: Option<bool>,
    /// It is watched now, or no more.
    watched: Option<bool>,
    /// The shard watches since now.
    asks: bool,
}

/// How it stands with a user now.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    online: bool,
    /// It was not so before.
    is_edge: bool,
    /// It was gone and is back before anybody was told.
    returned: bool,
    /// All that watch are told.
    news: bool,
}

impl HomeUser {
    fn is_signed_in(&self) -> bool {
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
        let user = HomeUser { topic: Arc::clone(topic), shards: Vec::new(), online: false, told: false };
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

    /// What a shard says. What that means for the user is told by [`HomeUsers::update`], which must follow.
    fn take(&mut self, topic: &Arc<Topic>, word: OnShard) -> Word {
        let at = self.place_of(topic).unwrap_or_else(|| self.add(topic));
        let user = self.users.get_mut(at as usize);
        let Some(user) = user.expected("what is found or added is there") else { return Word::default() };
        let (was_signed_in, was_watched) = (user.is_signed_in(), user.is_watched());
        let before = user.set(word);
        let (signed_in, watched) = (user.is_signed_in(), user.is_watched());
        Word {
            signed_in: (was_signed_in != signed_in).then_some(signed_in),
            watched: (was_watched != watched).then_some(watched),
            asks: word.watches.is_some() && before.and_then(|it| it.watches) != word.watches,
        }
    }

    /// The user is signed in on other nodes or not, as far as is known. None: the user is not known here.
    fn update(&mut self, topic: &Topic, elsewhere: bool) -> Option<Change> {
        let at = self.place_of(topic)?;
        let user = self.users.get_mut(at as usize)?;
        let online = user.is_signed_in() || elsewhere;
        let is_edge = std::mem::replace(&mut user.online, online) != online;
        let mut change = Change { online, is_edge, ..Change::default() };
        if online || !user.is_watched() {
            change.returned = self.gone.cancel(at) && online;
            change.news = user.told != online;
            user.told = online;
        } else if user.told && !self.gone.has(at) {
            self.gone.set(at, self.now_ms + OFFLINE_MS);
        }
        self.forget_unneeded(at);
        Some(change)
    }

    /// The next who has been gone for long enough.
    fn take_gone(&mut self) -> Option<Arc<Topic>> {
        let at = self.gone.pop_due(self.now_ms)?;
        let user = self.users.get(at as usize).expected("a user that is watched stays until it is told")?;
        Some(Arc::clone(&user.topic))
    }

    /// Those who watch are told that this user has gone.
    fn note_told_gone(&mut self, topic: &Topic) {
        let user = self.place_of(topic).and_then(|at| self.users.get_mut(at as usize));
        user.into_iter().for_each(|user| user.told = false);
    }

    /// Whether this user has gone is not known yet.
    fn put_off(&mut self, topic: &Topic) {
        if let Some(at) = self.place_of(topic) {
            self.gone.set(at, self.now_ms + UNANSWERED_MS);
        }
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
        let word = self.users.take(topic, OnShard { shard: from, signed_in, watches });
        let elsewhere = self.tell_of_user(topic, word.signed_in, word.watched);
        let change = self.users.update(topic, elsewhere)?;
        self.note_change(topic, change);
        if change.news {
            self.tell_watching(topic, None)
        } else if word.asks && (change.online || self.may_say_offline(from, topic)) {
            self.tell_watching(topic, Some(from))
        } else {
            None
        }
    }

    /// Whether a user is signed in on other nodes. Returns what this shard is to be told.
    #[must_use]
    pub(super) fn hear_of_user_elsewhere(&mut self, topic: &Arc<Topic>, signed_in: bool) -> Option<Leaf> {
        let change = self.users.update(topic, signed_in)?;
        self.note_change(topic, change);
        if change.news { self.tell_watching(topic, None) } else { None }
    }

    fn note_change(&mut self, topic: &Arc<Topic>, change: Change) {
        if change.is_edge {
            self.note_user(topic, change.online);
        }
        self.stats.users_returned += u64::from(change.returned);
    }

    /// Tells those who watch of the next who has been gone for long enough, unless it may be signed in on another node. None:
    /// there is none. What this shard is to be told comes with it.
    pub(in crate::shard) fn tell_next_gone(&mut self) -> Option<Option<Leaf>> {
        let topic = self.users.take_gone()?;
        if self.waits_for_answer(&topic) {
            self.users.put_off(&topic);
            return Some(None);
        }
        self.users.note_told_gone(&topic);
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
        if self.cluster.is_none() && topic.app.hooks.in_pairs().has(HookKind::UserOnline) {
            self.edges.note(topic.hash, topic, None, online);
        }
    }

    /// Tells all shards that watch, or one. Returns what this one is to be told.
    pub(super) fn tell_watching(&mut self, topic: &Arc<Topic>, only: Option<CoreId>) -> Option<Leaf> {
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
