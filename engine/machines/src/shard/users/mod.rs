//! Users: which connections of a shard are signed in, and as whom.
//!
//! A connection that never signs in has nothing here, so its record stays small. What must never happen here: an entry
//! that outlives its connection, for the next tenant of its slot would be signed in as somebody else.

use std::sync::Arc;

use hashbrown::HashMap;
use protocol::presence::Member;

use crate::readings::stats::UsersStats;
use crate::shard::fanout::connection::ConnectionId;

mod signin;

/// The users of a shard's connections.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// By slot.
    signed_in: HashMap<u32, SignedIn>,
    stats: UsersStats,
}

/// A connection that is signed in.
#[derive(Debug)]
struct SignedIn {
    /// As whom; presence channels share it.
    user: Arc<Member>,
}

impl Users {
    /// What happened.
    pub(super) fn stats(&self) -> &UsersStats {
        &self.stats
    }

    /// How many connections are signed in.
    pub(super) fn signed_in(&self) -> usize {
        self.signed_in.len()
    }

    /// The user that a connection is signed in as.
    pub(super) fn user_of(&self, id: ConnectionId) -> Option<&Arc<Member>> {
        self.signed_in.get(&id.slot).map(|signed_in| &signed_in.user)
    }

    /// The id of the user that a connection is signed in as.
    pub(super) fn user_id_of(&self, id: ConnectionId) -> Option<&str> {
        self.user_of(id).map(|user| &*user.user_id)
    }

    /// The connection has gone.
    pub(super) fn sign_out(&mut self, id: ConnectionId) {
        if !self.signed_in.is_empty() {
            self.signed_in.remove(&id.slot);
        }
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.signed_in.shrink_to_fit();
    }

    /// The connection is this user's from now on.
    fn sign_in(&mut self, id: ConnectionId, user: Member) {
        self.stats.signins += 1;
        self.signed_in.insert(id.slot, SignedIn { user: Arc::new(user) });
    }
}
