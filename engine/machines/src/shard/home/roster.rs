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
        let member = self.entries.remove(&(core, sub))?;
        let index = *self.by_id.get(&member.user_id).expected("a member that entered is in the roster")?;
        let user = self.users.get_mut(index).expected("a member that entered is in the roster")?;
        user.subscriptions -= 1;
        if user.subscriptions > 0 {
            return None;
        }
        self.by_id.remove(&member.user_id);
        self.bytes -= self.users.swap_remove(index).bytes;
        if let Some(moved) = self.users.get(index)
            && let Some(place) = self.by_id.get_mut(&moved.member.user_id).expected("each member has a place")
        {
            *place = index;
        }
        Some(member)
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
