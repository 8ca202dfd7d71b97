//! Closing the connections of a user at the word of its app. Every shard is told, and looks for its own.
//!
//! Of a user go all connections that are signed in, and, where the app wants it, those that are in a presence channel
//! under that id. There is no index of users: it would cost every presence subscription something, for a rare call. A walk through all
//! connections looks for all users at once, in steps of `walk_looks_max` looks. Users who are named meanwhile wait for
//! the next walk, so that none of their connections is behind it already; with `terminations_max` of them, roots wait.
//! Connections that join or sign in under such an id while the walk goes on may be closed as well.

use std::sync::Arc;

use hashbrown::{Equivalent, HashSet};
use protocol::close::Close;
use protocol::presence::Member;

use crate::invariant::Expected;
use crate::machine::Token;
use crate::mesh::Terminate;
use crate::shard::Shard;

/// What closing a connection counts for, in looks at connections and subscriptions.
const CLOSE_LOOKS: usize = 32;

/// Users whose connections must go, and how far the walk has come.
#[derive(Debug, Default)]
pub(in crate::shard) struct Terminations {
    /// Those that this walk looks for; while there is none, there is no walk.
    wanted: HashSet<User>,
    /// Those that the next one will look for.
    waiting: HashSet<User>,
    /// The slot that is looked at next.
    next_slot: u32,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct User {
    app_id: Box<str>,
    user_id: Box<str>,
}

impl Equivalent<User> for (&str, &str) {
    fn equivalent(&self, user: &User) -> bool {
        &*user.app_id == self.0 && &*user.user_id == self.1
    }
}

impl Terminations {
    /// Users whose connections must go.
    pub(in crate::shard) fn len(&self) -> usize {
        self.wanted.len() + self.waiting.len()
    }

    /// True when no more users may be named.
    pub(in crate::shard) fn is_full(&self, terminations_max: usize) -> bool {
        self.waiting.len() >= terminations_max
    }

    fn add(&mut self, user: User) {
        self.waiting.insert(user);
    }

    /// Returns whether there is a walk to go on with.
    fn begin_or_go_on(&mut self) -> bool {
        if self.wanted.is_empty() {
            std::mem::swap(&mut self.wanted, &mut self.waiting);
            self.next_slot = 0;
        }
        !self.wanted.is_empty()
    }

    fn end(&mut self) {
        self.wanted = HashSet::new();
    }

    fn wants(&self, app_id: &str, user_id: &str) -> bool {
        self.wanted.contains(&(app_id, user_id))
    }
}

impl Shard {
    pub(in crate::shard) fn handle_terminate(&mut self, terminate: Terminate) {
        self.ending.stats.terminations += 1;
        let Terminate { app, user_id } = terminate;
        if app.terminate_by_presence || self.users.signed_in() > 0 {
            self.ending.terminations.add(User { app_id: app.id.clone(), user_id });
        }
    }

    /// One step of the walk. Returns whether there was one.
    pub(in crate::shard) fn continue_terminations(&mut self) -> bool {
        if !self.ending.terminations.begin_or_go_on() {
            return false;
        }
        self.ending.stats.termination_steps += 1;
        let mut looks_left = self.limits.walk_looks_max;
        while looks_left > 0 {
            let slot = self.ending.terminations.next_slot;
            if slot >= self.fanout.slots() {
                self.ending.terminations.end();
                return true;
            }
            self.ending.terminations.next_slot = slot + 1;
            let looks = self.fanout.connection_in(slot).map_or(1, |id| self.look_at(id));
            looks_left = looks_left.saturating_sub(looks);
        }
        true
    }

    /// Closes the connection if its user must go. Returns what that counts for.
    fn look_at(&mut self, id: Token) -> usize {
        let app = self.fanout.app_of(id);
        let Some(app) = app.expected("its caller has found it") else { return 1 };
        let wanted = |member: &Arc<Member>| self.ending.terminations.wants(&app.id, &member.user_id);
        let (mut looks, mut must_go) = (1, self.users.user_of(id).is_some_and(wanted));
        if app.terminate_by_presence {
            looks += self.fanout.subscriptions_of(id);
            must_go |= self.fanout.members_of(id).any(wanted);
        }
        if !must_go {
            return looks;
        }
        self.ending.stats.terminated += 1;
        self.close(id, Close::TERMINATED);
        looks + CLOSE_LOOKS
    }
}
