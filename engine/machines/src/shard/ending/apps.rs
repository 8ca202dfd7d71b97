//! What a new registry of apps means for the connections that are there: those of an app that is gone or disabled are
//! closed, those of an app with other settings go on under the new ones.
//!
//! A walk through all connections, in steps of `walk_looks_max` looks, so that others are served meanwhile. Newcomers have
//! the new registry from the first, and one that has only more apps than the last needs no walk. If it changes again before the walk is over, another walk follows, for the connections
//! that this one has behind it: with registries that come faster than walks, one walk follows the other and each ends.
//! Channels and users that are subscribed to keep the settings that they began with until nobody is left on them.

use std::sync::Arc;

use protocol::close::Close;

use crate::machine::Token;
use crate::shard::Shard;

/// What closing a connection counts for, in looks.
const CLOSE_LOOKS: usize = 32;

/// How far the walk has come.
#[derive(Debug, Default)]
pub(super) struct AppWalk {
    /// The slot that is looked at next; None: there is no walk.
    next_slot: Option<u32>,
    /// The registry has changed since the walk began.
    again: bool,
}

impl AppWalk {
    fn begin(&mut self) {
        match self.next_slot {
            Some(_) => self.again = true,
            None => self.next_slot = Some(0),
        }
    }

    fn end(&mut self) {
        self.next_slot = std::mem::take(&mut self.again).then_some(0);
    }
}

impl super::Ending {
    /// The registry has changed.
    pub(in crate::shard) fn begin_app_walk(&mut self) {
        self.app_walk.begin();
    }
}

impl Shard {
    /// One step of the walk. Returns whether there was one.
    pub(in crate::shard) fn continue_app_walk(&mut self) -> bool {
        let Some(mut slot) = self.ending.app_walk.next_slot else { return false };
        self.ending.stats.app_steps += 1;
        let mut looks_left = self.limits.walk_looks_max;
        while looks_left > 0 {
            if slot >= self.fanout.slots() {
                self.ending.app_walk.end();
                return true;
            }
            let looks = self.fanout.connection_in(slot).map_or(1, |id| self.apply_app(id));
            slot += 1;
            looks_left = looks_left.saturating_sub(looks);
        }
        self.ending.app_walk.next_slot = Some(slot);
        true
    }

    /// Gives the connection its app as that is now, or closes it. Returns what that counts for.
    fn apply_app(&mut self, id: Token) -> usize {
        let Some(app) = self.fanout.app_of(id) else { return 1 };
        let Some(now) = self.inbound.apps().by_id(&app.id).filter(|now| now.enabled) else {
            self.ending.stats.apps_gone += 1;
            self.close_after_outbox(id, Close::APP_DISABLED);
            return CLOSE_LOOKS;
        };
        if !Arc::ptr_eq(now, app) {
            let now = Arc::clone(now);
            self.fanout.renew_app(id, &now);
            self.ending.stats.apps_renewed += 1;
        }
        1
    }

    /// Connections whose app is not as the registry has it, for tests.
    pub fn outdated_connections(&self) -> usize {
        let ids = (0..self.fanout.slots()).filter_map(|slot| self.fanout.connection_in(slot));
        let is_outdated = |id: &Token| {
            self.fanout.app_of(*id).is_some_and(|app| {
                self.inbound.apps().by_id(&app.id).is_none_or(|now| !now.enabled || !Arc::ptr_eq(now, app))
            })
        };
        ids.filter(is_outdated).count()
    }
}
