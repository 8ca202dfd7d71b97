//! The home side of a shard: for each topic that lives here, which shards have subscribers and how many, and who is
//! in its presence roster. One truth per topic, so one order for all its subscribers.
//!
//! Only this file changes a roster or a link, and only it says which edges that makes (`edges` tells them).

use std::sync::Arc;

use hashbrown::HashTable;
use protocol::hook_event::HookEvent;
use protocol::presence::Member;
use protocol::server_event;
use protocol::socket_id::SocketId;
use protocol::ws::Frame;
use slab::Slab;

use crate::mesh::{Answer, Ask, Counts, Found, Leaf, Publish, Query, Refusal, Root, SubRef};
use crate::shard::Shard;
use crate::shard::home::roster::{Entered, Roster};
use crate::shard::home::witness::Deed;
use crate::topic::Topic;

pub(super) mod blocked_topics;
pub mod edges;
pub(super) mod grants;
pub(super) mod list;
pub mod relay;
pub mod roster;
pub mod witness;

/// The topics whose home is this shard and that somebody is subscribed to.
#[derive(Debug, Default)]
pub struct Home {
    /// Places do not move, so that a walk through them can be left and taken up again.
    topics: Slab<HomeTopic>,
    table: HashTable<u32>,
    births: u64,
}

/// A topic that somebody is subscribed to.
#[derive(Debug)]
pub(in crate::shard) struct HomeTopic {
    /// Which topic.
    pub(in crate::shard) topic: Arc<Topic>,
    /// Its number in the order in which topics became occupied here.
    pub(in crate::shard) birth: u64,
    links: Vec<Link>,
    roster: Roster,
    /// Who is in it since this phase and will be told so at its end, with the shard.
    pub(in crate::shard) entered: Vec<(usize, SubRef)>,
    /// How long the roster is that they will get, as far as it was counted.
    pub(in crate::shard) entered_bytes: usize,
}

/// A shard with subscribers.
#[derive(Clone, Copy, Debug)]
struct Link {
    shard: usize,
    epoch: u64,
    /// Its subscribers, waiting ones included.
    n: u32,
}

impl Home {
    fn place_of(&self, topic: &Topic) -> Option<usize> {
        let is = |at: &u32| self.at(*at as usize).is_some_and(|it| *it.topic == *topic);
        self.table.find(topic.hash, is).map(|at| *at as usize)
    }

    fn view(&self, topic: &Topic) -> Option<&HomeTopic> {
        self.at(self.place_of(topic)?)
    }

    pub(in crate::shard) fn find(&mut self, topic: &Topic) -> Option<&mut HomeTopic> {
        let at = self.place_of(topic)?;
        self.topics.get_mut(at)
    }

    fn find_or_add(&mut self, topic: &Arc<Topic>) -> &mut HomeTopic {
        let at = self.place_of(topic).unwrap_or_else(|| self.add(topic));
        let Some(home) = self.topics.get_mut(at) else {
            unreachable!("what is found or added is there");
        };
        home
    }

    fn add(&mut self, topic: &Arc<Topic>) -> usize {
        let (topic, birth) = (Arc::clone(topic), self.births);
        let hash = topic.hash;
        let at = self.topics.insert(HomeTopic {
            topic,
            birth,
            links: Vec::new(),
            roster: Roster::default(),
            entered: Vec::new(),
            entered_bytes: 0,
        });
        self.births += 1;
        let topics = &self.topics;
        let hash_at = |at: &u32| topics.get(*at as usize).map_or(0, |it| it.topic.hash);
        self.table.insert_unique(hash, at as u32, hash_at);
        at
    }

    fn remove(&mut self, topic: &Topic) {
        let Some(at) = self.place_of(topic) else { return };
        if let Ok(entry) = self.table.find_entry(topic.hash, |other| *other as usize == at) {
            entry.remove();
        }
        self.topics.try_remove(at);
    }

    /// The topic at this place.
    pub(in crate::shard) fn at(&self, place: usize) -> Option<&HomeTopic> {
        self.topics.get(place)
    }

    /// All topics are at places below this one.
    pub(in crate::shard) fn places(&self) -> usize {
        self.topics.capacity()
    }

    /// The birth of the next topic that becomes occupied.
    pub(in crate::shard) fn births(&self) -> u64 {
        self.births
    }

    /// Gives back what nothing needs now.
    pub fn give_back_room(&mut self) {
        self.topics.shrink_to_fit();
        let topics = &self.topics;
        self.table.shrink_to_fit(|at| topics.get(*at as usize).map_or(0, |it| it.topic.hash));
    }

    /// How many topics are occupied.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// True when no topic is occupied.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }
}

impl HomeTopic {
    /// How long the subscription_succeeded of who enters is.
    pub(in crate::shard) fn roster_bytes(&self) -> usize {
        server_event::presence_succeeded_bytes(&self.topic.name(), self.roster.len(), self.roster.bytes())
    }

    /// Takes those who are to be told that they have entered, with what each of them gets.
    pub(in crate::shard) fn take_entered(&mut self) -> (Vec<(usize, SubRef)>, Frame) {
        let mut bytes = Vec::new();
        server_event::encode_presence_succeeded(&mut bytes, &self.topic.name(), self.roster.members());
        debug_assert!(bytes.len() == self.roster_bytes(), "the length of a roster is known before");
        self.entered_bytes = 0;
        (std::mem::take(&mut self.entered), Frame::from(bytes))
    }

    /// How many are on it.
    pub(in crate::shard) fn counts(&self) -> Counts {
        let subscriptions = self.links.iter().map(|link| u64::from(link.n)).sum();
        Counts { subscriptions, users: self.roster.len() as u32 }
    }

    fn link(&mut self, shard: usize, epoch: u64) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.shard == shard && link.epoch == epoch)
    }
}

impl Shard {
    /// One message to this shard as the home of its topic.
    pub(in crate::shard) fn handle_root(&mut self, from: usize, root: Root) {
        match root {
            Root::Join { topic, epoch } => self.handle_join(from, topic, epoch),
            Root::Count { topic, epoch, n } => self.handle_count(from, &topic, epoch, n),
            Root::Enter { topic, epoch, sub, member } => self.handle_enter(from, topic, epoch, sub, &member),
            Root::Exit { topic, sub } => self.handle_exit(from, &topic, sub),
            Root::Publish(publish) => self.handle_publish(*publish),
            Root::Query(query) => self.handle_query(from, *query),
            Root::Terminate(terminate) => {
                self.share_terminate(from, &terminate);
                self.handle_terminate(*terminate);
            }
            Root::Relay(said) => self.handle_relay(*said),
            Root::Struck => {}
        }
    }

    fn handle_join(&mut self, from: usize, topic: Arc<Topic>, epoch: u64) {
        self.home_stats.joins += 1;
        let home = self.home.find_or_add(&topic);
        let occupied = home.links.is_empty();
        let link = Link { shard: from, epoch, n: 1 };
        if let Some(old) = home.links.iter_mut().find(|old| old.shard == from) {
            self.home_stats.joins_superseding += 1;
            *old = link;
        } else {
            home.links.push(link);
        }
        if occupied {
            self.home_stats.occupied += 1;
            self.show(Deed::Occupied(&topic));
            self.note_channel(&topic, true);
        }
        self.send_to_leaf(from, Leaf::Joined { topic, epoch });
    }

    fn handle_count(&mut self, from: usize, topic: &Topic, epoch: u64, n: u32) {
        let Some(home) = self.home.find(topic) else {
            self.home_stats.roots_stale += 1;
            return;
        };
        let Some(link) = home.link(from, epoch) else {
            self.home_stats.roots_stale += 1;
            return;
        };
        link.n = n;
        if n > 0 {
            return;
        }
        debug_assert!(!home.roster.has_shard(from), "Exits come before the Count that ends a link");
        home.links.retain(|link| link.shard != from);
        if home.links.is_empty() {
            let topic = Arc::clone(&home.topic);
            self.home.remove(&topic);
            self.home_stats.vacated += 1;
            self.show(Deed::Vacated(&topic));
            self.note_channel(&topic, false);
        }
    }

    fn handle_enter(
        &mut self,
        from: usize,
        topic: Arc<Topic>,
        epoch: u64,
        sub: SubRef,
        member: &Arc<Member>,
    ) {
        let Some(home) = self.home.find(&topic).filter(|home| home.links.iter().any(|it| it.shard == from))
        else {
            self.home_stats.roots_stale += 1;
            return;
        };
        if home.link(from, epoch).is_none() {
            self.home_stats.roots_stale += 1;
            return;
        }
        let limits = &topic.app.limits;
        let entered = home.roster.enter(from, sub, member, limits.presence_members_max);
        let roster_bytes = home.roster_bytes();
        // Who is there already makes it no longer.
        let too_long = entered == Entered::First && roster_bytes > limits.roster_bytes_max;
        let refusal = if entered == Entered::Full {
            Some(Refusal::MembersMax(limits.presence_members_max))
        } else {
            too_long.then_some(Refusal::RosterMax(limits.roster_bytes_max))
        };
        if let Some(why) = refusal {
            home.roster.exit(from, sub);
            self.home_stats.refused += 1;
            self.send_to_leaf(from, Leaf::Refused { topic, sub, why });
            return;
        }
        self.announce(&topic, member, entered == Entered::First);
        self.put_off_grant(from, &topic, sub);
    }

    fn announce(&mut self, topic: &Arc<Topic>, member: &Arc<Member>, first: bool) {
        if !first {
            self.home_stats.members_again += 1;
            return;
        }
        let mut bytes = Vec::new();
        server_event::encode_member_added(&mut bytes, &topic.name(), member);
        self.send_to_links(topic, &Frame::from(bytes), None);
        self.home_stats.members_added += 1;
        self.show(Deed::Added { topic, user_id: &member.user_id });
        self.note_member(topic, member, true);
    }

    fn handle_exit(&mut self, from: usize, topic: &Arc<Topic>, sub: SubRef) {
        let Some(member) = self.home.find(topic).and_then(|home| home.roster.exit(from, sub)) else { return };
        let mut bytes = Vec::new();
        server_event::encode_member_removed(&mut bytes, &topic.name(), &member.user_id);
        self.send_to_links(topic, &Frame::from(bytes), None);
        self.home_stats.members_removed += 1;
        self.show(Deed::Removed { topic, user_id: &member.user_id });
        self.note_member(topic, &member, false);
    }

    fn handle_publish(&mut self, mut publish: Publish) {
        let hook = publish.hook.take();
        let Publish { topic, frame, except, .. } = &publish;
        let except = *except;
        self.home_stats.published += 1;
        self.show(Deed::Published { topic, frame, except, hooked: hook.is_some() });
        if let Some(hook) = hook {
            let hook = self.with_recipients(hook, topic, except);
            self.note_event(topic.hash, hook);
        }
        if self.relay.is_some() {
            return self.share_publish(publish);
        }
        self.send_to_links(topic, frame, except);
    }

    /// A publisher's event, with how many it goes to: all who are subscribed here and now, but the one that is left out.
    fn with_recipients(
        &mut self,
        mut event: HookEvent,
        topic: &Topic,
        except: Option<SocketId>,
    ) -> HookEvent {
        if let HookEvent::ServerEvent { recipients, .. } = &mut event {
            let all = self.home.view(topic).map_or(0, |home| home.counts().subscriptions);
            let is_one = except.is_some_and(|it| self.is_subscriber(topic, it));
            *recipients = all.saturating_sub(u64::from(is_one));
        }
        event
    }

    /// A home knows how many subscribers a shard has, and who they are on its own shard only. Whoever is left out is nearly
    /// always a subscriber, so elsewhere it is taken for one of those that there are.
    fn is_subscriber(&mut self, topic: &Topic, socket_id: SocketId) -> bool {
        let shard = usize::from(socket_id.shard());
        let counted = self
            .home
            .view(topic)
            .is_some_and(|home| home.links.iter().any(|it| it.shard == shard && it.n > 0));
        if !counted || shard != self.index {
            return counted;
        }
        let Some(at) = self.fanout.find_topic(topic) else { return false };
        let Some(id) = self.fanout.by_socket_id(shard, socket_id) else { return false };
        self.fanout
            .connections
            .view(id)
            .is_some_and(|it| it.subscriptions.iter().any(|sub| sub.topic_slot == at))
    }

    fn handle_query(&mut self, from: usize, query: Query) {
        let found = match query.ask {
            Ask::Channels { app, prefix, bytes_max } => {
                return self.begin_list(from, query.id, app, prefix, bytes_max);
            }
            Ask::Channel { topic } => {
                Found::Channel(self.home.find(&topic).map_or_else(Counts::default, |home| home.counts()))
            }
            Ask::Reading => Found::Reading(Box::new(self.read())),
            Ask::Users { topic } => Found::Users(self.home.find(&topic).map_or_else(Vec::new, |home| {
                home.roster.members().map(|member| member.user_id.clone()).collect()
            })),
        };
        self.answer(from, query.id, found);
    }

    /// Answers a question of core `to`.
    pub(in crate::shard) fn answer(&mut self, to: usize, id: u64, found: Found) {
        self.send_to_leaf(to, Leaf::Answer(Box::new(Answer { id, found })));
    }

    /// A frame to exactly the shards that have subscribers; one shared pointer each.
    pub(in crate::shard) fn send_to_links(
        &mut self,
        topic: &Arc<Topic>,
        frame: &Frame,
        except: Option<SocketId>,
    ) {
        let Some(home) = self.home.view(topic) else {
            self.home_stats.published_unheard += 1;
            return;
        };
        let mut mine = false;
        for link in &home.links {
            if link.shard == self.index {
                mine = true;
                continue;
            }
            let leaf = Leaf::Deliver { topic: Arc::clone(&home.topic), frame: frame.clone(), except };
            self.leaves.push(link.shard, leaf);
        }
        if mine {
            self.handle_deliver(topic, frame, except);
        }
    }

    /// A message to a shard; to this one it is a call.
    pub(in crate::shard) fn send_to_leaf(&mut self, shard: usize, leaf: Leaf) {
        if shard == self.index {
            self.handle_leaf(leaf);
        } else {
            self.leaves.push(shard, leaf);
        }
    }
}
