//! What the hooks core is told of the channels and users that live here. Edges (occupied or vacated, a member there or not,
//! a user online or not) are
//! levels: what was told last, and what is true. Kept are only those where the two differ.
//!
//! A rise is told at the end of its phase, even if it is over by then; a fall when it has lasted for the grace, and not at
//! all after a return within it. While the server ends no fall is told that has a grace: who goes then may come back after
//! the next start, which closes what is still open. What the queue refuses stays here as a level: it is told when there is room, if it is
//! true in that phase, so no edge is lost, doubled or made up. Events of clients and publishers are no levels: those that are
//! refused are dropped and counted, and so are those of a channel with an edge that was refused. What must never happen
//! here: an event ahead of a refused edge of its channel, or vacated ahead of the members who went before.
//!
//! Bounds: a rise is of a subscription that is there, or was in this phase; a fall was told as there before, and goes with
//! its grace or when the queue has room. Listings that mean nothing any more are cleared away when they are the larger
//! part.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashTable;
use protocol::app::Apps;
use protocol::hook_event::{Happened, HookEvent, OpenEdges};
use protocol::hook_kind::HookKind;
use protocol::presence::Member;

use crate::cores::CoreId;
use crate::hook_port::HookPort;
use crate::invariant;
use crate::limits::LISTINGS_MIN;
use crate::machine::Now;
use crate::readings::stats::HomeStats;
use crate::shard::home::blocked_topics::DirtyTopics;
use crate::topic::{Topic, TopicHash, TopicKey};

/// When a full queue is tried again, in milliseconds.
const RETRY_MS: u64 = 20;

/// What differs from what was told, and events of this phase.
#[derive(Debug, Default)]
pub struct Edges {
    grace_ms: u64,
    /// Of this phase, in `mono_ms`.
    now_ms: u64,
    table: HashTable<Edge>,
    rises: Listings,
    falls: Listings,
    /// Each with the hash of its topic.
    events: VecDeque<(u64, HookEvent)>,
    dirty: DirtyTopics,
    stamps: u64,
    /// Edges with lower stamps are from earlier phases.
    phase: u64,
    retry_ms: Option<u64>,
    /// Falls wait for the next start.
    ends: bool,
}

/// A channel, a member or a user whose level is not the one that was told. With both stamps it has come and gone in this phase.
#[derive(Debug)]
struct Edge {
    topic: Arc<Topic>,
    member: Option<Arc<Member>>,
    hash: u64,
    /// It was told as not there, and came.
    rise: Option<u64>,
    /// It went.
    fall: Option<u64>,
}

/// Edges in the order in which they are to be told. One that is not in the table any more is not told.
#[derive(Debug, Default)]
struct Listings {
    queue: VecDeque<Listing>,
    /// How many are in the table.
    live: usize,
}

#[derive(Clone, Copy, Debug)]
struct Listing {
    hash: u64,
    stamp: u64,
    due_ms: u64,
}

impl Edges {
    /// No edges; falls wait for so long.
    pub(super) fn new(grace_ms: u64) -> Self {
        Self { grace_ms, ..Self::default() }
    }

    /// What follows happens now.
    pub(super) fn begin_phase(&mut self, mono_ms: u64) {
        self.now_ms = mono_ms;
    }

    /// The server ends: who goes now has not left.
    pub(super) fn end(&mut self) {
        if self.grace_ms == 0 {
            return;
        }
        self.ends = true;
        // Nothing waits for a fall any more.
        let Self { table, falls, dirty, .. } = self;
        for Listing { hash, stamp, .. } in &falls.queue {
            if let Some(edge) = table.find(*hash, |edge| edge.fall == Some(*stamp)) {
                dirty.fall_is_over(&edge.topic, *stamp);
            }
        }
        dirty.falls_to = 0;
    }

    /// When there is something to tell, in `mono_ms`.
    pub(super) fn deadline(&self) -> Option<u64> {
        let fall = self.falls.queue.front().filter(|_| !self.ends);
        self.retry_ms.or_else(|| fall.map(|fall| fall.due_ms))
    }

    /// How many edges differ from what was told.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True when all has been told.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty() && self.dirty.is_empty()
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.table.shrink_to_fit(|edge| edge.hash);
        self.rises.queue.shrink_to_fit();
        self.falls.queue.shrink_to_fit();
        self.events.shrink_to_fit();
        self.dirty.give_back_room();
    }

    /// An event on the topic with this hash was taken that some endpoint wants to know of.
    pub(super) fn note_event(&mut self, hash: u64, event: HookEvent) {
        self.events.push_back((hash, event));
    }

    /// What was told before this server began and lives here: it need not be told again, and if it is not there it has the
    /// grace to come back.
    pub(super) fn take_open(&mut self, open: &[OpenEdges], apps: &Apps, topics: &TopicHash, home: CoreId) {
        for OpenEdges { app_id, channel, occupied, members } in open {
            let Some(app) = apps.by_id(app_id) else { continue };
            let key = TopicKey::of(channel);
            if topics.home(topics.of(app, key)) != home {
                continue;
            }
            let topic = topics.topic(app, key);
            for user_id in members {
                let member = Arc::new(Member { user_id: user_id.clone(), user_info: None });
                let hash = topics.of_member(topic.hash, user_id);
                self.note_told(hash, &topic, Some(&member));
            }
            if *occupied {
                self.note_told(topic.hash, &topic, None);
            }
        }
    }

    /// The level of this channel or member has changed.
    pub(super) fn note(&mut self, hash: u64, topic: &Arc<Topic>, member: Option<&Arc<Member>>, there: bool) {
        let user = member.map(|member| &*member.user_id);
        let stamp = self.next_stamp();
        let Ok(mut entry) = self.table.find_entry(hash, |edge| edge.is(topic, user)) else {
            return self.insert(Edge::new(hash, topic, member, there, stamp), there, stamp);
        };
        match (entry.get().rise, entry.get().fall, there) {
            (Some(_), None, false) => {
                entry.get_mut().fall = Some(stamp);
                self.list(hash, false, stamp);
            }
            (Some(_), Some(fall), true) => {
                entry.get_mut().fall = None;
                self.falls.live -= 1;
                self.dirty.fall_is_over(topic, fall);
            }
            (None, Some(fall), true) => {
                entry.remove();
                self.falls.live -= 1;
                self.dirty.fall_is_over(topic, fall);
            }
            _ => invariant::violated("a level that is noted has changed"),
        }
    }

    /// It was told as there, before anything was told from here.
    fn note_told(&mut self, hash: u64, topic: &Arc<Topic>, member: Option<&Arc<Member>>) {
        let user = member.map(|member| &*member.user_id);
        if let Ok(entry) = self.table.find_entry(hash, |edge| edge.is(topic, user)) {
            let (edge, _) = entry.remove();
            self.rises.live -= 1;
            edge.rise.into_iter().for_each(|rise| self.dirty.rise_is_over(topic, rise));
        } else {
            self.note(hash, topic, member, false);
        }
    }

    fn next_stamp(&mut self) -> u64 {
        self.stamps += 1;
        self.stamps
    }

    fn insert(&mut self, edge: Edge, rises: bool, stamp: u64) {
        let hash = edge.hash;
        self.table.insert_unique(hash, edge, |edge| edge.hash);
        self.list(hash, rises, stamp);
    }

    fn list(&mut self, hash: u64, rises: bool, stamp: u64) {
        let Self { table, rises: up, falls: down, .. } = self;
        let grace_ms = if rises { 0 } else { self.grace_ms };
        let listing = Listing { hash, stamp, due_ms: self.now_ms + grace_ms };
        let listings = if rises { up } else { down };
        listings.live += 1;
        listings.queue.push_back(listing);
        listings.clear(|it| table.find(it.hash, |edge| edge.has(it.stamp)).is_some());
    }

    /// Tells what is due, in the order that receivers rely on: falls of earlier phases, rises, events, falls of this phase.
    /// Returns the hashes of cache channels that could not be told as empty.
    pub(super) fn tell(&mut self, port: &mut impl HookPort, now: Now, stats: &mut HomeStats) -> Vec<u64> {
        let mut room = self.tell_falls(self.phase, port, now, stats);
        room = room && self.tell_rises(port, now, stats);
        let not_told = self.tell_events(room, port, now, stats);
        room = room && self.tell_falls(u64::MAX, port, now, stats);
        if !room {
            self.collapse();
        }
        self.phase = self.stamps + 1;
        self.retry_ms = (!room).then_some(now.mono_ms + RETRY_MS);
        not_told
    }

    /// Returns false when one was refused: it stays the first.
    fn tell_rises(&mut self, port: &mut impl HookPort, now: Now, stats: &mut HomeStats) -> bool {
        while let Some(Listing { hash, stamp, .. }) = self.rises.queue.front().copied() {
            let Ok(mut entry) = self.table.find_entry(hash, |edge| edge.rise == Some(stamp)) else {
                self.rises.queue.pop_front();
                continue;
            };
            if !offer(port, entry.get().risen(now), stats) {
                return false;
            }
            self.rises.queue.pop_front();
            self.rises.live -= 1;
            self.dirty.rise_is_over(&entry.get().topic, stamp);
            entry.get_mut().rise = None;
            if entry.get().fall.is_none() {
                entry.remove();
            }
        }
        true
    }

    /// Those that are due and have lower stamps. Returns false when one was refused: it stays the first.
    fn tell_falls(&mut self, below: u64, port: &mut impl HookPort, now: Now, stats: &mut HomeStats) -> bool {
        while let Some(Listing { hash, stamp, due_ms }) = self.falls.queue.front().copied() {
            let Ok(entry) = self.table.find_entry(hash, |edge| edge.fall == Some(stamp)) else {
                self.falls.queue.pop_front();
                continue;
            };
            if due_ms > now.mono_ms || stamp >= below || self.ends {
                return true;
            }
            if !offer(port, entry.get().fallen(now), stats) {
                return false;
            }
            let (edge, _) = entry.remove();
            self.falls.queue.pop_front();
            self.falls.live -= 1;
            self.dirty.fall_is_over(&edge.topic, stamp);
        }
        true
    }

    /// What has come and gone in this phase and could not be told was never there.
    fn collapse(&mut self) {
        let of_phase = self.falls.queue.iter().rev().take_while(|listing| listing.stamp >= self.phase);
        for Listing { hash, stamp, .. } in of_phase {
            let both = |edge: &Edge| edge.fall == Some(*stamp) && edge.rise.is_some();
            if let Ok(entry) = self.table.find_entry(*hash, both) {
                let (edge, _) = entry.remove();
                self.rises.live -= 1;
                self.falls.live -= 1;
                edge.rise.into_iter().for_each(|rise| self.dirty.rise_is_over(&edge.topic, rise));
            }
        }
    }

    /// All events of this phase, but those that would go ahead of an edge. Returns the hashes of cache misses among those that
    /// were dropped.
    fn tell_events(
        &mut self,
        all_told: bool,
        port: &mut impl HookPort,
        now: Now,
        stats: &mut HomeStats,
    ) -> Vec<u64> {
        let mut misses = Vec::new();
        if !all_told && !self.events.is_empty() {
            self.count_dirty(now.mono_ms);
        }
        for (hash, event) in self.events.drain(..) {
            let behind = !all_told && self.dirty.has(hash, event.app(), event.channel());
            let offered = Happened { event, time_ms: now.unix_ms };
            let Err(dropped) = (if behind { Err(offered) } else { port.offer(offered) }) else {
                stats.hooks += 1;
                continue;
            };
            count_dropped(&dropped.event, stats);
            if dropped.event.kind() == HookKind::CacheMiss {
                misses.push(hash);
            }
        }
        misses
    }

    /// Which topics have an edge that should have been told by now.
    fn count_dirty(&mut self, now_ms: u64) {
        let Self { table, rises, falls, dirty, phase, ends, .. } = self;
        for Listing { hash, stamp, .. } in rises.above(dirty.rises_to) {
            if let Some(edge) = table.find(*hash, |edge| edge.rise == Some(*stamp)) {
                dirty.add(&edge.topic);
            }
            dirty.rises_to = *stamp;
        }
        let due = |it: &&Listing| it.due_ms <= now_ms && it.stamp < *phase && !*ends;
        for Listing { hash, stamp, .. } in falls.above(dirty.falls_to).take_while(due) {
            if let Some(edge) = table.find(*hash, |edge| edge.fall == Some(*stamp)) {
                dirty.add(&edge.topic);
            }
            dirty.falls_to = *stamp;
        }
    }
}

fn count_dropped(event: &HookEvent, stats: &mut HomeStats) {
    match event.kind() {
        HookKind::ClientEvent => stats.hook_client_events_dropped += 1,
        HookKind::SubscriptionCount => stats.hook_subscription_counts_dropped += 1,
        HookKind::CacheMiss => stats.hook_cache_misses_dropped += 1,
        _ => stats.hook_server_events_dropped += 1,
    }
}

/// Returns whether there was room.
fn offer(port: &mut impl HookPort, happened: Happened, stats: &mut HomeStats) -> bool {
    let taken = port.offer(happened).is_ok();
    stats.hooks += u64::from(taken);
    stats.hook_edges_refused += u64::from(!taken);
    taken
}

impl Edge {
    fn new(hash: u64, topic: &Arc<Topic>, member: Option<&Arc<Member>>, rises: bool, stamp: u64) -> Self {
        let (rise, fall) = if rises { (Some(stamp), None) } else { (None, Some(stamp)) };
        Self { topic: Arc::clone(topic), member: member.cloned(), hash, rise, fall }
    }

    fn is(&self, topic: &Topic, user: Option<&str>) -> bool {
        self.member.as_ref().map(|member| &*member.user_id) == user && *self.topic == *topic
    }

    fn has(&self, stamp: u64) -> bool {
        self.rise == Some(stamp) || self.fall == Some(stamp)
    }

    fn risen(&self, now: Now) -> Happened {
        let (app, channel) = (Arc::clone(&self.topic.app), self.topic.shared_name());
        let event = match (&self.member, &self.topic.key) {
            (None, TopicKey::Channel { .. }) => HookEvent::ChannelOccupied { app, channel },
            (None, TopicKey::User { .. }) => HookEvent::UserOnline { app, channel },
            (Some(member), _) => {
                let (user_id, user_info) = (member.user_id.clone(), member.user_info.clone());
                HookEvent::MemberAdded { app, channel, user_id, user_info }
            }
        };
        Happened { event, time_ms: now.unix_ms }
    }

    fn fallen(&self, now: Now) -> Happened {
        let (app, channel) = (Arc::clone(&self.topic.app), self.topic.shared_name());
        let event = match (&self.member, &self.topic.key) {
            (None, TopicKey::Channel { .. }) => HookEvent::ChannelVacated { app, channel },
            (None, TopicKey::User { .. }) => HookEvent::UserOffline { app, channel },
            (Some(member), _) => HookEvent::MemberRemoved { app, channel, user_id: member.user_id.clone() },
        };
        Happened { event, time_ms: now.unix_ms }
    }
}

impl Listings {
    /// Those with higher stamps.
    fn above(&self, stamp: u64) -> impl Iterator<Item = &Listing> {
        let first = self.queue.partition_point(|it| it.stamp <= stamp);
        self.queue.range(first..)
    }

    /// Forgets those that mean nothing when they are the larger part.
    fn clear(&mut self, is_live: impl Fn(&Listing) -> bool) {
        if self.queue.len() > LISTINGS_MIN + 2 * self.live {
            self.queue.retain(is_live);
        }
    }
}
