//! Watchlists: a connection that is signed in is told which of the users on its list are online, and what changes.
//!
//! It is told first when the homes of all of them have answered, and then what has changed within [`BATCH_MS`] together. What
//! a home says is a level, so who comes and goes within that is not told at all.

use std::sync::Arc;

use protocol::app::App;
use protocol::server_event;

use crate::invariant::Expected;
use crate::shard::Shard;
use crate::shard::users::local::{KNOWN, Watcher};
use crate::shard::users::{SignedIn, Users};
use crate::topic::{Topic, TopicHash, TopicKey};

/// For how long changes are gathered before a connection is told of them, in milliseconds.
const BATCH_MS: u64 = 1000;

/// What holds for every connection that watches.
const SIGNED_IN: &str = "a connection that watches is signed in";

/// A user on a connection's list.
#[derive(Debug)]
pub(super) struct Watch {
    /// The place of the user.
    user: u32,
    /// The place of the connection among those that watch the user.
    at: u32,
    /// What the connection was told.
    told: Option<bool>,
}

impl Users {
    /// The connection in this slot, which has just signed in, watches these users.
    pub(super) fn watch(&mut self, slot: u32, app: &Arc<App>, topics: &TopicHash, watchlist: &[Box<str>]) {
        for id in watchlist {
            let topic = topics.topic(app, TopicKey::User { id });
            let home = topics.home(topic.hash);
            let place = self.locals.find_or_add(topic, home);
            let Some(user) = self.locals.get_mut(place).expected(KNOWN) else { continue };
            let Some(signed_in) = self.signed_in.get_mut(&slot).expected(SIGNED_IN) else { return };
            let index = signed_in.watchlist.len() as u32;
            signed_in.unanswered += u32::from(user.online.is_none());
            signed_in.watchlist.push(Watch { user: place, at: user.watchers.len() as u32, told: None });
            user.watchers.push(Watcher { slot, index });
            if user.watchers.len() == 1 {
                self.locals.mark_unsaid(place);
            }
        }
        self.watches += watchlist.len();
        if !watchlist.is_empty() && self.signed_in.get(&slot).is_some_and(|it| it.unanswered == 0) {
            self.due.set(slot, self.now_ms);
        }
    }

    /// The connection that had this slot watches nobody any more.
    pub(super) fn unwatch(&mut self, slot: u32, watchlist: &[Watch]) {
        self.due.cancel(slot);
        self.watches -= watchlist.len();
        for watch in watchlist {
            let Some(user) = self.locals.get_mut(watch.user).expected(KNOWN) else { continue };
            user.watchers.swap_remove(watch.at as usize);
            let is_last = user.watchers.is_empty();
            if let Some(moved) = user.watchers.get(watch.at as usize)
                && let Some(other) = self.signed_in.get_mut(&moved.slot)
                && let Some(its) = other.watchlist.get_mut(moved.index as usize)
            {
                its.at = watch.at;
            }
            if is_last {
                self.locals.mark_unsaid(watch.user);
            }
        }
    }

    /// A home says whether a user is online.
    pub(in crate::shard) fn hear(&mut self, topic: &Topic, epoch: u64, online: bool) {
        let Some((place, is_first)) = self.locals.hear(topic, epoch, online) else {
            self.stats.watch_news_stale += 1;
            return;
        };
        let watchers = self.locals.get(place).map_or(&[][..], |user| &user.watchers);
        for Watcher { slot, .. } in watchers {
            let Some(signed_in) = self.signed_in.get_mut(slot).expected(SIGNED_IN) else { continue };
            if is_first {
                signed_in.unanswered -= 1;
                if signed_in.unanswered == 0 {
                    self.due.set(*slot, self.now_ms);
                }
            } else if signed_in.unanswered == 0 && !self.due.has(*slot) {
                self.due.set(*slot, self.now_ms + BATCH_MS);
            }
        }
    }

    /// The next connection that is to be told something, and what. None: nobody is.
    fn next_told(&mut self) -> Option<(u32, Option<Vec<u8>>)> {
        let slot = self.due.pop_due(self.now_ms)?;
        let Self { signed_in, locals, .. } = self;
        let SignedIn { watchlist, .. } = signed_in.get_mut(&slot).expected(SIGNED_IN)?;
        let (mut online, mut offline) = (Vec::new(), Vec::new());
        for watch in watchlist {
            let Some(user) = locals.get(watch.user).expected(KNOWN) else { continue };
            let (Some(is), TopicKey::User { id }) = (user.online, &user.topic.key) else { continue };
            if watch.told.replace(is) != Some(is) {
                if is { online.push(&**id) } else { offline.push(&**id) }
            }
        }
        if online.is_empty() && offline.is_empty() {
            return Some((slot, None));
        }
        self.stats.watch_events += 1;
        let mut bytes = Vec::new();
        server_event::encode_watchlist_events(&mut bytes, online, offline);
        Some((slot, Some(bytes)))
    }

    /// When somebody is to be told something, in `mono_ms`.
    pub(in crate::shard) fn deadline(&self) -> Option<u64> {
        self.due.next_ms()
    }
}

impl Shard {
    /// Tells the next connection what has changed on its watchlist. Returns whether there was one.
    pub(in crate::shard) fn tell_next_watcher(&mut self) -> bool {
        let Some((slot, told)) = self.users.next_told() else { return false };
        if let Some(id) = self.fanout.connection_in(slot).expected("a connection that is signed in is there")
            && let Some(bytes) = told
        {
            self.fanout.reply(id, bytes);
        }
        true
    }
}
