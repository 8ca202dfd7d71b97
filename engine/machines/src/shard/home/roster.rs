//! The members of one presence channel, kept at its home shard: distinct users, and which subscriptions each has.
//!
//! The first connection of a user brings its `user_info`, which holds until the user has left altogether: everybody
//! was told that one.

use std::sync::Arc;

use hashbrown::HashMap;
use protocol::presence::Member;
use protocol::server_event::roster_bytes_of;

use crate::cores::CoreId;
use crate::invariant::Expected;
use crate::mesh::SubRef;

/// Users in order of arrival, as far as departures leave it.
#[derive(Debug, Default)]
pub(super) struct Roster {
    users: Vec<User>,
    by_id: HashMap<Box<str>, usize>,
    entries: HashMap<(CoreId, SubRef), Arc<Member>>,
    bytes: usize,
}

#[derive(Debug)]
struct User {
    member: Arc<Member>,
    subscriptions: u32,
    /// What it adds to the encoded roster.
    bytes: usize,
}

/// What an Enter did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Entered {
    /// The user was not there.
    First,
    /// The user was there already.
    Again,
    /// The roster is full.
    Full,
}

impl Roster {
    /// Adds a subscription of shard `core`; a new user is refused when `members_max` are there.
    pub(super) fn enter(
        &mut self,
        core: CoreId,
        sub: SubRef,
        member: &Arc<Member>,
        members_max: usize,
    ) -> Entered {
        if let Some(user) = self.by_id.get(&member.user_id).and_then(|index| self.users.get_mut(*index)) {
            user.subscriptions += 1;
            self.entries.insert((core, sub), Arc::clone(&user.member));
            return Entered::Again;
        }
        if self.users.len() >= members_max {
            return Entered::Full;
        }
        self.by_id.insert(member.user_id.clone(), self.users.len());
        let bytes = roster_bytes_of(member);
        self.bytes += bytes;
        self.users.push(User { member: Arc::clone(member), subscriptions: 1, bytes });
        self.entries.insert((core, sub), Arc::clone(member));
        Entered::First
    }

    /// Removes a subscription. Returns the member if that was the user's last. An unknown one was refused before.
    pub(super) fn exit(&mut self, core: CoreId, sub: SubRef) -> Option<Arc<Member>> {
        let member = self.leave(core, sub)?;
        let index = *self.by_id.get(&member.user_id).expected("a member that entered is in the roster")?;
        let is_last = self.users.get(index).is_some_and(|user| user.subscriptions == 0);
        is_last.then(|| self.remove(&member.user_id)).flatten()
    }

    /// Removes a subscription, and leaves its user in. Returns the member. An unknown one was refused before.
    pub(super) fn leave(&mut self, core: CoreId, sub: SubRef) -> Option<Arc<Member>> {
        let member = self.entries.remove(&(core, sub))?;
        let user = self.by_id.get(&member.user_id).and_then(|index| self.users.get_mut(*index));
        if let Some(user) = user {
            user.subscriptions = user.subscriptions.saturating_sub(1);
        }
        Some(member)
    }

    /// Adds a user without a subscription here, or gives it another `user_info`.
    pub(super) fn put(&mut self, member: &Arc<Member>) {
        self.remove_bytes(&member.user_id);
        let bytes = roster_bytes_of(member);
        self.bytes += bytes;
        let known = self.by_id.get(&member.user_id).and_then(|index| self.users.get_mut(*index));
        if let Some(user) = known {
            (user.member, user.bytes) = (Arc::clone(member), bytes);
            return;
        }
        self.by_id.insert(member.user_id.clone(), self.users.len());
        self.users.push(User { member: Arc::clone(member), subscriptions: 0, bytes });
    }

    fn remove_bytes(&mut self, user_id: &str) {
        let known = self.by_id.get(user_id).and_then(|index| self.users.get(*index));
        self.bytes -= known.map_or(0, |user| user.bytes);
    }

    /// Removes a user, whatever subscriptions it has here.
    pub(super) fn remove(&mut self, user_id: &str) -> Option<Arc<Member>> {
        let index = self.by_id.remove(user_id)?;
        let removed = self.users.swap_remove(index);
        self.bytes -= removed.bytes;
        if let Some(moved) = self.users.get(index)
            && let Some(place) = self.by_id.get_mut(&moved.member.user_id).expected("each member has a place")
        {
            *place = index;
        }
        Some(removed.member)
    }

    /// The member with this id.
    pub(super) fn get(&self, user_id: &str) -> Option<&Arc<Member>> {
        self.by_id.get(user_id).and_then(|index| self.users.get(*index)).map(|user| &user.member)
    }

    /// Whether a user has subscriptions here.
    pub(super) fn is_here(&self, user_id: &str) -> bool {
        let user = self.by_id.get(user_id).and_then(|index| self.users.get(*index));
        user.is_some_and(|user| user.subscriptions > 0)
    }

    /// The members, shared.
    pub(super) fn shared_members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.users.iter().map(|user| &user.member)
    }

    /// The members.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> + Clone {
        self.users.iter().map(|user| &*user.member)
    }

    /// What all members come to in an encoded roster, in bytes ([`roster_bytes_of`]).
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many users there are.
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// True when a subscription of this shard is there.
    pub(super) fn has_shard(&self, core: CoreId) -> bool {
        self.entries.keys().any(|(of, _)| *of == core)
    }
}
