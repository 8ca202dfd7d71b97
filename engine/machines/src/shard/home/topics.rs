//! The table of the topics that live here: for each, which shards have subscribers, and who is in its roster.
//!
//! A topic that is known here need not be occupied: that is a question to its links. One function says when a topic is
//! forgotten (`HomeTopic::is_needed`).

use std::sync::Arc;

use hashbrown::HashTable;
use protocol::presence::Member;
use protocol::server_event::{self, roster_bytes_of};
use protocol::ws::Frame;
use slab::Slab;

use crate::cores::CoreId;
use crate::invariant::{self, Expected};
use crate::mesh::{Counts, SubRef};
use crate::shard::home::links::LinkedShards;
use crate::shard::home::roster::Roster;
use crate::topic::Topic;

/// The topics whose home is this shard and of which something must be known.
#[derive(Debug, Default)]
pub(super) struct HomeTopics {
    /// Places do not move, so that a walk through them can be left and taken up again.
    topics: Slab<HomeTopic>,
    table: HashTable<u32>,
    /// How many are occupied.
    occupied: usize,
    births: u64,
}

/// What the first subscriber of a shard has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Joined {
    /// The topic was not occupied.
    pub(super) occupies: bool,
    /// The shard's earlier link was still there.
    pub(super) supersedes: bool,
}

/// A topic of which something must be known.
#[derive(Debug)]
pub(super) struct HomeTopic {
    /// Which topic.
    pub(super) topic: Arc<Topic>,
    /// Its number in the order in which topics became occupied here, the last time that it did.
    pub(super) birth: u64,
    /// Who has subscribers.
    pub(super) links: LinkedShards,
    /// Who is a member.
    pub(super) roster: Roster,
    /// Who was let in in this phase and will be told so at its end, with the shard.
    pub(super) entered: Vec<(CoreId, SubRef)>,
    /// How long it is what they will get, as far as it was counted.
    pub(super) entered_bytes: usize,
}

impl HomeTopics {
    fn place_of(&self, topic: &Topic) -> Option<usize> {
        let is = |at: &u32| self.at(*at as usize).is_some_and(|it| *it.topic == *topic);
        self.table.find(topic.hash, is).map(|at| *at as usize)
    }

    /// The topic, if it is known, read only.
    pub(super) fn view(&self, topic: &Topic) -> Option<&HomeTopic> {
        self.at(self.place_of(topic)?)
    }

    /// The topic, if it is known.
    pub(super) fn find(&mut self, topic: &Topic) -> Option<&mut HomeTopic> {
        let at = self.place_of(topic)?;
        self.topics.get_mut(at)
    }

    /// A shard has its first subscriber of this topic.
    pub(super) fn join(&mut self, topic: &Arc<Topic>, core: CoreId, epoch: u64) -> Joined {
        let at = self.place_of(topic).unwrap_or_else(|| self.add(topic));
        let Some(home) = self.topics.get_mut(at) else {
            unreachable!("what is found or added is there");
        };
        let occupies = !home.is_occupied();
        let supersedes = home.links.join(core, epoch);
        if occupies {
            home.birth = self.births;
            self.births += 1;
            self.occupied += 1;
            // By the same `App` as in `leave`: one that comes back under this id may count anew.
            if home.topic.key.is_channel() {
                home.topic.app.add_channel();
            }
        }
        Joined { occupies, supersedes }
    }

    /// A shard that had subscribers of this topic has none any more. Returns the topic if it is vacated.
    pub(super) fn leave(&mut self, topic: &Topic, core: CoreId) -> Option<Arc<Topic>> {
        let at = self.place_of(topic).expected("its caller has found it")?;
        let home = self.topics.get_mut(at)?;
        home.links.end(core);
        if home.is_occupied() {
            return None;
        }
        let topic = Arc::clone(&home.topic);
        self.occupied -= 1;
        if topic.key.is_channel() {
            topic.app.remove_channel();
        }
        self.forget_unneeded(at);
        Some(topic)
    }

    fn add(&mut self, topic: &Arc<Topic>) -> usize {
        let (topic, birth) = (Arc::clone(topic), self.births);
        let hash = topic.hash;
        let at = self.topics.insert(HomeTopic {
            topic,
            birth,
            links: LinkedShards::default(),
            roster: Roster::default(),
            entered: Vec::new(),
            entered_bytes: 0,
        });
        let topics = &self.topics;
        let hash_at = |at: &u32| topics.get(*at as usize).map_or(0, |it| it.topic.hash);
        self.table.insert_unique(hash, at as u32, hash_at);
        at
    }

    fn forget_unneeded(&mut self, at: usize) {
        let Some(home) = self.at(at).filter(|home| !home.is_needed()) else { return };
        match self.table.find_entry(home.topic.hash, |other| *other as usize == at) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => invariant::violated("each topic is in the table"),
        }
        self.topics.try_remove(at);
    }

    /// The topic at this place.
    pub(super) fn at(&self, place: usize) -> Option<&HomeTopic> {
        self.topics.get(place)
    }

    /// All topics are at places below this one.
    pub(super) fn places(&self) -> usize {
        self.topics.capacity()
    }

    /// The birth of the next topic that becomes occupied.
    pub(super) fn births(&self) -> u64 {
        self.births
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.topics.shrink_to_fit();
        let topics = &self.topics;
        self.table.shrink_to_fit(|at| topics.get(*at as usize).map_or(0, |it| it.topic.hash));
    }

    /// How many topics are occupied.
    pub(super) fn occupied(&self) -> usize {
        self.occupied
    }
}

impl HomeTopic {
    /// True when somebody is subscribed.
    pub(super) fn is_occupied(&self) -> bool {
        !self.links.is_empty()
    }

    /// False when nothing of it must be known any more.
    fn is_needed(&self) -> bool {
        self.is_occupied()
    }

    /// How long the subscription_succeeded of who is let in is.
    pub(super) fn succeeded_bytes(&self) -> usize {
        if self.topic.key.is_presence() { self.roster_bytes() } else { self.encode_succeeded().len() }
    }

    fn encode_succeeded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        server_event::encode_subscription_succeeded(&mut bytes, &self.topic.name());
        bytes
    }

    /// The same of who enters a roster.
    pub(super) fn roster_bytes(&self) -> usize {
        server_event::presence_succeeded_bytes(&self.topic.name(), self.roster.len(), self.roster.bytes())
    }

    /// The same if this member came.
    pub(super) fn roster_bytes_with(&self, member: &Member) -> usize {
        let (members, bytes) = (self.roster.len() + 1, self.roster.bytes() + roster_bytes_of(member));
        server_event::presence_succeeded_bytes(&self.topic.name(), members, bytes)
    }

    /// Takes those who are to be told that they were let in, with what each of them gets.
    pub(super) fn take_entered(&mut self) -> (Vec<(CoreId, SubRef)>, Frame) {
        let succeeded = if self.topic.key.is_presence() {
            let mut bytes = Vec::new();
            server_event::encode_presence_succeeded(&mut bytes, &self.topic.name(), self.roster.members());
            invariant::check(bytes.len() == self.roster_bytes(), "the length of a roster is known before");
            bytes
        } else {
            self.encode_succeeded()
        };
        self.entered_bytes = 0;
        (std::mem::take(&mut self.entered), Frame::from(succeeded).holding_json(true))
    }

    /// How many are on it.
    pub(super) fn counts(&self) -> Counts {
        Counts { subscriptions: self.links.subscriptions(), users: self.roster.len() as u32 }
    }
}
