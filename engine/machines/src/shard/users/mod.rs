//! Users: which connections of a shard are signed in, and as whom, and which other users these watch.
//!
//! A connection that never signs in has nothing here, so its record stays small. What must never happen here: an entry
//! that outlives its connection, for the next tenant of its slot would be signed in as somebody else.

use std::sync::Arc;

use hashbrown::HashMap;
use protocol::app::App;
use protocol::presence::Member;
use protocol::user_data::UserData;

use crate::cores::{CoreId, Cores};
use crate::deadlines::Deadlines;
use crate::invariant::Expected;
use crate::machine::Token;
use crate::readings::stats::UsersStats;
pub(super) use crate::shard::users::local::Word;
use crate::shard::users::local::{KNOWN, LocalUsers};
use crate::shard::users::watch::Watch;
use crate::topic::{Topic, TopicHash, TopicKey};

mod local;
mod signin;
mod watch;

/// The users of a shard's connections.
#[derive(Debug)]
pub(super) struct Users {
    /// By slot.
    signed_in: HashMap<u32, SignedIn>,
    locals: LocalUsers,
    /// Users on the lists of all connections.
    watches: usize,
    /// Slots of those who are to be told what has changed on their lists.
    due: Deadlines,
    /// Of this phase, in `mono_ms`.
    now_ms: u64,
    stats: UsersStats,
}

/// A connection that is signed in.
#[derive(Debug)]
struct SignedIn {
    /// As whom; presence channels share it.
    user: Arc<Member>,
    /// The place of the user.
    place: u32,
    watchlist: Vec<Watch>,
    /// How many homes have not said yet how it stands with the user whom this connection watches.
    unanswered: u32,
}

impl Users {
    /// Nobody is signed in. There are so many homes.
    pub(super) fn new(cores: Cores) -> Self {
        Self {
            signed_in: HashMap::new(),
            locals: LocalUsers::new(cores),
            watches: 0,
            due: Deadlines::default(),
            now_ms: 0,
            stats: UsersStats::default(),
        }
    }

    /// A decide phase begins.
    pub(super) fn begin_phase(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// What happened.
    pub(super) fn stats(&self) -> &UsersStats {
        &self.stats
    }

    /// How many connections are signed in.
    pub(super) fn signed_in(&self) -> usize {
        self.signed_in.len()
    }

    /// How many users are on the lists of all connections.
    pub(super) fn watches(&self) -> usize {
        self.watches
    }

    /// How many users are known, and of how many a home is still to be told something.
    pub(super) fn known(&self) -> (usize, usize) {
        (self.locals.len(), self.locals.unsaid())
    }

    /// How many connections are to be told something.
    pub(super) fn due(&self) -> usize {
        self.due.len()
    }

    /// The user that a connection is signed in as.
    pub(super) fn user_of(&self, id: Token) -> Option<&Arc<Member>> {
        self.signed_in.get(&id.slot).map(|signed_in| &signed_in.user)
    }

    /// The id of the user that a connection is signed in as.
    pub(super) fn user_id_of(&self, id: Token) -> Option<&str> {
        self.user_of(id).map(|user| &*user.user_id)
    }

    /// The next thing to be said to this home. It counts as said.
    pub(super) fn next_word(&mut self, home: CoreId) -> Option<Word> {
        self.locals.next_word(home)
    }

    /// The connection has gone.
    pub(super) fn sign_out(&mut self, id: Token) {
        if self.signed_in.is_empty() {
            return;
        }
        if let Some(signed_in) = self.signed_in.remove(&id.slot) {
            self.leave(id.slot, &signed_in);
        }
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.signed_in.shrink_to_fit();
        self.locals.give_back_room();
        self.due.give_back_room();
    }

    /// The connection is this user's from now on, and watches whom the user watches. If it was before, that is over: what
    /// stays as it is, homes are not told.
    fn sign_in(&mut self, id: Token, app: &Arc<App>, topics: &TopicHash, data: UserData) {
        self.stats.signins += 1;
        if let Some(earlier) = self.signed_in.remove(&id.slot) {
            self.leave(id.slot, &earlier);
        }
        let topic = topics.topic(app, TopicKey::User { id: &*data.user.user_id });
        let place = self.enter(topic, topics);
        let user = Arc::new(data.user);
        let signed_in = SignedIn { user, place, watchlist: Vec::new(), unanswered: 0 };
        self.signed_in.insert(id.slot, signed_in);
        self.watch(id.slot, app, topics, &data.watchlist);
    }

    /// One more connection is signed in as a user.
    fn enter(&mut self, topic: Arc<Topic>, topics: &TopicHash) -> u32 {
        let home = topics.home(topic.hash);
        let place = self.locals.find_or_add(topic, home);
        if let Some(user) = self.locals.get_mut(place).expected(KNOWN) {
            user.connections += 1;
            if user.connections == 1 {
                self.locals.mark_unsaid(place);
            }
        }
        place
    }

    /// The connection that had this slot is not signed in any more.
    fn leave(&mut self, slot: u32, signed_in: &SignedIn) {
        self.unwatch(slot, &signed_in.watchlist);
        if let Some(user) = self.locals.get_mut(signed_in.place).expected(KNOWN) {
            user.connections -= 1;
            if user.connections == 0 {
                self.locals.mark_unsaid(signed_in.place);
            }
        }
    }
}
