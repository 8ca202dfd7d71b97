//! The links of a home to the servers where its topics live: `Absent → Joining → Live`, each told anew in each session.
//!
//! What was told counts in the session in which it was told: so the end of a session is no walk over all links.

use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use protocol::presence::Member;
use slab::Slab;

use crate::cluster::bus::Server;
use crate::cores::CoreId;
use crate::invariant::Expected;
use crate::mesh::SubRef;
use crate::topic::Topic;

/// All links, each at a place of its own.
#[derive(Debug, Default)]
pub(super) struct BusLinks {
    links: Slab<BusLink>,
    table: HashTable<u32>,
}

/// A topic that somebody here subscribes to, watches or is a user of.
#[derive(Debug)]
pub(super) struct BusLink {
    pub(super) topic: Arc<Topic>,
    pub(super) server: Server,
    /// The session in which it was told. 0: in none.
    pub(super) told: u64,
    /// It was asked for in that session, because it has subscribers or is watched.
    pub(super) asked: bool,
    /// What it was called then.
    number: u64,
    /// The answer has come: what happens to the topic comes.
    live: bool,
    /// How many subscribe to it on other nodes, as far as was heard.
    pub(super) elsewhere: u64,
    /// Somebody on this node watches the user that the topic is.
    pub(super) is_watched: bool,
    /// That user is signed in on some node, as far as was heard.
    pub(super) is_signed_in: bool,
    /// Its users on this node.
    pub(super) users: HashMap<Box<str>, LocalUser>,
    /// What waits for an answer.
    pub(super) waiting: Waiting,
    /// Until when it stands in the list of those where something waits, in `mono_ms`.
    pub(super) listed_ms: Option<u64>,
    /// The number of its subscriptions is to be told.
    pub(super) count_is_due: bool,
}

/// Subscriptions that wait for an answer of the bus.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Shards with their links: for the answer to the Join.
    pub(super) joins: Vec<(CoreId, u64)>,
    /// Those that enter a roster: for that, and for their user's.
    pub(super) entering: Vec<Entering>,
    /// Those that get the last event of a cache channel: for the answer to the Join.
    pub(super) replays: Vec<(CoreId, u64, SubRef)>,
    /// Shards that watch the user: for the same.
    pub(super) watching: Vec<CoreId>,
}

/// A subscription that enters a roster.
#[derive(Clone, Debug)]
pub(super) struct Entering {
    pub(super) core: CoreId,
    pub(super) sub: SubRef,
    pub(super) member: Arc<Member>,
}

/// A user of a topic on this node.
#[derive(Debug)]
pub(super) struct LocalUser {
    /// As its first subscription has brought it.
    pub(super) member: Arc<Member>,
    pub(super) subscriptions: u32,
    /// What its Enter is called, in the session in which the topic was told. 0: it was refused, or told in none.
    pub(super) ticket: u64,
    /// That was answered.
    pub(super) entered: bool,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.joins.is_empty()
            && self.entering.is_empty()
            && self.replays.is_empty()
            && self.watching.is_empty()
    }
}

impl BusLink {
    /// Whether what happens to the topic comes in this session.
    pub(super) fn is_live(&self, session: Option<u64>) -> bool {
        self.live && session == Some(self.told)
    }

    /// How many on this node want to hear of it, if there are so many subscriptions.
    pub(super) fn interest(&self, subscriptions: u64) -> u64 {
        subscriptions + u64::from(self.is_watched)
    }

    /// It is told in this session.
    pub(super) fn begin_session(&mut self, session: u64) {
        (self.told, self.asked, self.live, self.count_is_due) = (session, false, false, false);
        for user in self.users.values_mut() {
            (user.ticket, user.entered) = (0, false);
        }
    }

    /// It is asked for under this number.
    pub(super) fn ask(&mut self, number: u64) {
        (self.asked, self.number, self.live) = (true, number, false);
    }

    /// Nobody on this node subscribes to it or watches it any more: nothing more is heard of it.
    pub(super) fn end(&mut self) {
        (self.asked, self.live) = (false, false);
        (self.elsewhere, self.is_signed_in) = (0, false);
        let entering = std::mem::take(&mut self.waiting.entering);
        self.waiting = Waiting { entering, ..Waiting::default() };
        self.unlist_if_idle();
    }

    /// What comes to wait later waits for as long as anything, whatever waited before.
    fn unlist_if_idle(&mut self) {
        if self.waiting.is_empty() {
            self.listed_ms = None;
        }
    }

    /// Takes a subscription that waits, because it has gone.
    pub(super) fn take_entering(&mut self, core: CoreId, sub: SubRef) -> Option<Arc<Member>> {
        let entering = &mut self.waiting.entering;
        let at = entering.iter().position(|it| it.core == core && it.sub == sub)?;
        Some(entering.remove(at).member)
    }

    /// The answer to the Join of this number has come. Returns whether that is the one that is waited for.
    pub(super) fn take_joined(&mut self, number: u64) -> bool {
        let is_it = self.asked && self.number == number && !self.live;
        self.live |= is_it;
        is_it
    }

    /// Whether a user of this node is told of, and the server has not answered.
    pub(super) fn is_unanswered(&self, user_id: &str) -> bool {
        self.users.get(user_id).is_some_and(|user| !user.entered)
    }

    /// Takes what may be let in on a live link.
    pub(super) fn take_admitted(&mut self) -> Waiting {
        let users = &self.users;
        let is_in = |it: &mut Entering| users.get(&it.member.user_id).is_some_and(|user| user.entered);
        let admitted = Waiting {
            joins: std::mem::take(&mut self.waiting.joins),
            entering: self.waiting.entering.extract_if(.., is_in).collect(),
            replays: std::mem::take(&mut self.waiting.replays),
            watching: std::mem::take(&mut self.waiting.watching),
        };
        self.unlist_if_idle();
        admitted
    }
}

impl BusLinks {
    fn place_of(&self, topic: &Topic) -> Option<u32> {
        let is = |at: &u32| self.links.get(*at as usize).is_some_and(|it| *it.topic == *topic);
        self.table.find(topic.hash, is).copied()
    }

    /// The link of a topic, if it has one.
    pub(super) fn get(&self, topic: &Topic) -> Option<&BusLink> {
        self.links.get(self.place_of(topic)? as usize)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, topic: &Topic) -> Option<&mut BusLink> {
        self.links.get_mut(self.place_of(topic)? as usize)
    }

    /// The link of a topic, which has one from now on.
    pub(super) fn get_or_add(&mut self, topic: &Arc<Topic>, server: Server) -> Option<&mut BusLink> {
        let at = self.place_of(topic).unwrap_or_else(|| self.add(topic, server));
        self.links.get_mut(at as usize).expected("what is found or added is there")
    }

    fn add(&mut self, topic: &Arc<Topic>, server: Server) -> u32 {
        let at = self.links.insert(BusLink {
            topic: Arc::clone(topic),
            server,
            told: 0,
            asked: false,
            number: 0,
            live: false,
            elsewhere: 0,
            is_watched: false,
            is_signed_in: false,
            users: HashMap::new(),
            waiting: Waiting::default(),
            listed_ms: None,
            count_is_due: false,
        }) as u32;
        let links = &self.links;
        let hash_at = |at: &u32| links.get(*at as usize).map_or(0, |it| it.topic.hash);
        self.table.insert_unique(topic.hash, at, hash_at);
        at
    }

    /// The topic has none any more.
    pub(super) fn remove(&mut self, topic: &Topic) {
        let Some(at) = self.place_of(topic) else { return };
        if let Ok(entry) = self.table.find_entry(topic.hash, |other| *other == at) {
            entry.remove();
        }
        self.links.try_remove(at as usize);
    }

    /// The link at a place, if there is one.
    pub(super) fn at(&self, place: usize) -> Option<&BusLink> {
        self.links.get(place)
    }

    /// All of them are at places below this one.
    pub(super) fn places(&self) -> usize {
        self.links.capacity()
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.links.shrink_to_fit();
        let links = &self.links;
        self.table.shrink_to_fit(|at| links.get(*at as usize).map_or(0, |it| it.topic.hash));
    }
}
