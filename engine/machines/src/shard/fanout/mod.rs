//! The fan-out side of a shard: its connections, the topics that they are subscribed to, and the Runs of this phase.
//!
//! A connection enters a topic's fan-out list at the instant its acknowledgement enters its outbox, never before. The
//! cost of an event is one append; the cost of a topic's first event in a phase is one range per subscriber.

use std::rc::Rc;
use std::sync::Arc;

use protocol::app::App;
use protocol::close::Close;
use protocol::socket_id::Place;
use protocol::ws::Frame;

use crate::limits::{Limits, OUTBOXES_BYTES_MIN};
use crate::machine::Token;
use crate::mesh::SubRef;
use crate::outbox::held::Held;
use crate::outbox::run::{OpenRun, Run};
use crate::outbox::{Backlog, OPEN, Range};
use crate::readings::stats::FanoutStats;
use crate::shard::fanout::connection::{ConnectionId, Needs, Subscription, WAITING};
use crate::shard::fanout::departed::Departed;
use crate::shard::fanout::flush::{Flush, NO_RUN, Touched};
use crate::shard::fanout::slots::Connections;
use crate::shard::fanout::topics::{Gone, LocalTopic, LocalTopics, Subscriber};
use crate::topic::{Topic, TopicKey};

pub mod budget;
pub mod connection;
pub mod connections;
pub mod departed;
mod event_bucket;
pub mod flush;
pub mod pacing;
mod slots;
pub mod topics;
pub mod unflushed;

/// Connections and their topics on this shard.
#[derive(Debug)]
pub struct Fanout {
    /// Where the shard is, as socket ids say it.
    place: Place,
    connections: Connections,
    connections_max: usize,
    topics: LocalTopics,
    /// Those who have gone, and what they were subscribed to.
    departed: Departed,
    /// What must be written.
    flush: Flush,
    stats: FanoutStats,
    /// What Runs keep alive.
    held: Held,
    /// What the outboxes may keep together.
    outboxes_bytes_max: usize,
    /// Subscriptions of all connections.
    subscriptions: usize,
    outbox_bytes_max: usize,
    outbox_frames_max: usize,
}

impl Fanout {
    /// Nobody is connected.
    pub(super) fn new(place: Place, limits: &Limits) -> Self {
        Self {
            place,
            connections: Connections::default(),
            connections_max: limits.connections_max,
            topics: LocalTopics::default(),
            departed: Departed::new(limits.given_up_per_turn_max),
            flush: Flush::default(),
            stats: FanoutStats::default(),
            held: Held::default(),
            outboxes_bytes_max: limits.outboxes_bytes_max.unwrap_or(OUTBOXES_BYTES_MIN),
            subscriptions: 0,
            outbox_bytes_max: limits.outbox_bytes_max,
            outbox_frames_max: limits.outbox_frames_max,
        }
    }

    /// Where the topic that is `key` of `app` is among the local topics.
    pub fn find(&self, hash: u64, app: &App, key: TopicKey<&str>) -> Option<u32> {
        self.topics.find(hash, app, key)
    }

    /// Where this topic is among the local topics.
    pub fn find_topic(&self, topic: &Topic) -> Option<u32> {
        self.find(topic.hash, &topic.app, topic.key.as_deref())
    }

    /// The local topic in this slot.
    pub fn topic(&self, slot: u32) -> Option<&Arc<Topic>> {
        self.topics.get(slot).map(|local| &local.topic)
    }

    /// How many subscribers the local topic in this slot has, waiting ones included.
    pub fn subscribers_to(&self, slot: u32) -> u32 {
        self.topics.get(slot).map_or(0, LocalTopic::subscribers)
    }

    /// A topic is about to get its first local subscriber.
    pub fn add_topic(&mut self, topic: Arc<Topic>) -> u32 {
        self.topics.add(topic)
    }

    /// A topic has lost its last local subscriber and home has been told.
    pub fn remove_topic(&mut self, slot: u32) {
        let Some(topic) = self.topics.remove(slot) else { return };
        if let Some(run) = self.flush.open.get_mut(topic.run as usize) {
            run.topic_slot = NO_RUN;
        }
    }

    /// What must be written.
    #[inline]
    pub fn flush(&self) -> &Flush {
        &self.flush
    }

    /// Those who have gone, and what they were subscribed to.
    #[inline]
    pub fn departed(&self) -> &Departed {
        &self.departed
    }

    /// What the outboxes may keep together, in bytes.
    pub fn outboxes_bytes_max(&self) -> usize {
        self.outboxes_bytes_max
    }

    /// A Run that many connections share counts as held as long as it lives.
    pub fn count_as_held(&self, run: &Run) {
        run.charge(&self.held);
    }

    /// A decide phase begins.
    pub fn begin_phase(&mut self, now_ms: u64) {
        self.flush.begin_phase(now_ms);
    }

    /// Gives back what nothing needs now.
    pub fn give_back_room(&mut self) {
        self.departed.give_back_room();
        self.flush.give_back_room();
        self.topics.give_back_room();
    }

    /// What happened.
    pub fn stats(&self) -> &FanoutStats {
        &self.stats
    }

    /// How many topics have local subscribers.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// The index of a connection's subscription to a local topic.
    pub(super) fn subscription_to(&self, id: ConnectionId, topic_slot: u32) -> Option<usize> {
        let connection = self.connections.view(id)?;
        connection.subscriptions.iter().position(|sub| sub.topic_slot == topic_slot)
    }

    /// The waiting subscription that an answer is for.
    pub fn waiting(&mut self, topic_slot: u32, sub: SubRef) -> Option<(ConnectionId, usize)> {
        let id = ConnectionId { slot: sub.slot, generation: sub.generation };
        let connection = self.connections.by_id(id)?;
        let index = connection.subscriptions.iter().position(|it| {
            it.topic_slot == topic_slot && it.fanout_index == WAITING && it.ticket == sub.ticket
        })?;
        Some((id, index))
    }

    /// A subscription waits for its home's answer.
    pub fn add_waiting(&mut self, topic_slot: u32, sub: SubRef, needs: Needs) {
        let id = ConnectionId { slot: sub.slot, generation: sub.generation };
        let Some(connection) = self.connections.by_id(id) else { return };
        let Some(topic) = self.topics.get_mut(topic_slot) else { return };
        let subscription =
            Subscription { topic_slot, fanout_index: WAITING, ticket: sub.ticket, entered: 0, needs };
        topic.waiting += 1;
        self.departed.note_subscription();
        if connection.subscriptions.capacity() == 0 {
            // Most connections have one channel; a vector that begins by itself begins with room for four.
            connection.subscriptions.reserve_exact(1);
        }
        connection.subscriptions.push(subscription);
        connection.app().add_subscription();
        self.subscriptions += 1;
    }

    /// Its last subscription asks to enter a roster, by the root of this number.
    pub fn note_entered(&mut self, id: ConnectionId, sequence: u64) {
        if let Some(connection) = self.connections.by_id(id)
            && let Some(subscription) = connection.subscriptions.last_mut()
        {
            subscription.entered = sequence as u32;
        }
    }

    /// How many subscriptions there are, those that wait included.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// The acknowledgement goes into the outbox, and the connection into the fan-out list.
    pub fn acknowledge(&mut self, id: ConnectionId, index: usize, succeeded: Rc<Run>) {
        let Some(connection) = self.connections.by_id(id) else { return };
        let Some(subscription) = connection.subscriptions.get_mut(index) else { return };
        let Some(topic) = self.topics.get_mut(subscription.topic_slot) else { return };
        topic.waiting -= 1;
        self.stats.subscribed += 1;
        if subscription.fanout_index == WAITING {
            subscription.fanout_index = topic.acknowledged.len() as u32;
            topic.acknowledged.push(Subscriber { slot: id.slot, subscription_index: index as u32 });
        }
        let run = topic.run;
        self.push_private(id, succeeded);
        self.open_range(id, run);
    }

    /// A range of the topic's open Run, from its present end on.
    fn open_range(&mut self, id: ConnectionId, run: u32) {
        let Some(open) = self.flush.open.get(run as usize) else { return };
        let (range, from) = (Range::open(open.run(), open.end()), open.end());
        let interval_ms = self.topics.get(open.topic_slot).map_or(0, LocalTopic::flush_interval_ms);
        let Some(connection) = self.connections.by_id(id) else { return };
        connection.outbox.push(range, &mut self.flush.tails);
        self.flush.gain.taken_by(connection.subscriptions.len());
        if connection.blocked {
            self.flush.touched.push(Touched { id, run, from });
        } else {
            self.stats.held += u64::from(self.flush.mark_or_hold(id, connection, interval_ms));
        }
    }

    /// Puts a private frame into a connection's outbox.
    pub fn push_private(&mut self, id: ConnectionId, run: Rc<Run>) {
        let bytes = run.bytes().len();
        run.charge(&self.held);
        let Some(connection) = self.connections.by_id(id) else { return };
        self.stats.replies += 1;
        connection.outbox.push(Range::whole(run), &mut self.flush.tails);
        if connection.blocked {
            self.charge(id, bytes, 1);
        } else {
            self.flush.mark_private(id, connection, bytes);
        }
    }

    /// Puts a control frame in behind the frame that is being written.
    pub fn push_urgent(&mut self, id: ConnectionId, run: Rc<Run>) {
        let bytes = run.bytes().len();
        let Some(connection) = self.connections.by_id(id) else { return };
        if !connection.blocked {
            self.push_private(id, run);
            return;
        }
        self.stats.replies += 1;
        run.charge(&self.held);
        connection.outbox.push_urgent(Range::whole(run), &mut self.flush.tails);
        self.charge(id, bytes, 1);
    }

    /// A blocked connection has gained so much. Past its limit it is tried once more: that attempt judges it.
    fn charge(&mut self, id: ConnectionId, bytes: usize, frames: usize) {
        let Some(backlog) = self.flush.backlogs.add(id.slot, bytes, frames) else { return };
        if self.excess(backlog).is_some()
            && let Some(connection) = self.connections.by_id(id)
        {
            self.flush.mark(id, connection);
        }
    }

    /// An event for all acknowledged subscribers but one.
    pub fn deliver(&mut self, topic_slot: u32, frame: &Frame, except: Option<ConnectionId>) {
        let Some(topic) = self.topics.get_mut(topic_slot) else { return };
        if topic.acknowledged.is_empty() {
            return;
        }
        self.stats.deliveries += topic.acknowledged.len() as u64;
        if topic.run == NO_RUN {
            topic.run = self.flush.open.len() as u32;
            let (open, interval_ms) = (OpenRun::new(topic_slot), topic.flush_interval_ms());
            for subscriber in &topic.acknowledged {
                let Some((id, connection)) = self.connections.at(subscriber.slot) else { continue };
                connection.outbox.push(Range::open(open.run(), 0), &mut self.flush.tails);
                self.flush.gain.taken_by(connection.subscriptions.len());
                if connection.blocked {
                    self.flush.touched.push(Touched { id, run: topic.run, from: 0 });
                } else {
                    self.stats.held += u64::from(self.flush.mark_or_hold(id, connection, interval_ms));
                }
            }
            self.flush.open.push(open);
            self.flush.gain.opened(&mut topic.gain);
        }
        let run = topic.run;
        let excluded = except.filter(|id| self.acknowledged(*id, topic_slot).is_some());
        if let Some(id) = excluded {
            self.close_range(id, run);
        }
        if let Some(open) = self.flush.open.get_mut(run as usize) {
            open.append(frame);
        }
        if let Some(topic) = self.topics.get_mut(topic_slot) {
            self.flush.decided(&mut topic.gain, frame.len());
        }
        if let Some(id) = excluded {
            self.stats.deliveries -= 1;
            self.stats.excluded += 1;
            if let Some(topic) = self.topics.get_mut(topic_slot) {
                self.flush.gain.opened(&mut topic.gain);
            }
            self.open_range(id, run);
        }
    }

    /// Its subscription to a local topic, if that is acknowledged.
    #[inline]
    pub(super) fn acknowledged(&self, id: ConnectionId, topic_slot: u32) -> Option<&Subscription> {
        let subscriptions = &self.connections.view(id)?.subscriptions;
        subscriptions.iter().find(|it| it.topic_slot == topic_slot && it.fanout_index != WAITING)
    }

    fn close_range(&mut self, id: ConnectionId, run: u32) {
        let Some(open) = self.flush.open.get(run as usize) else { return };
        let Some(connection) = self.connections.by_id(id) else { return };
        connection.outbox.close_range(open.run(), open.end());
    }

    /// Takes a subscription out of its connection and its topic. The topic stays, even without subscribers.
    pub(in crate::shard) fn remove_subscription(&mut self, id: ConnectionId, index: usize) -> Option<Gone> {
        let connection = self.connections.by_id(id)?;
        if index >= connection.subscriptions.len() {
            return None;
        }
        let removed = connection.subscriptions.swap_remove(index);
        if let Some(moved) = connection.subscriptions.get(index)
            && let Some(topic) = self.topics.get_mut(moved.topic_slot)
            && let Some(subscriber) = topic.acknowledged.get_mut(moved.fanout_index as usize)
        {
            subscriber.subscription_index = index as u32;
        }
        let topic_slot = removed.topic_slot;
        let gone = self.leave_topic(id, removed)?;
        if gone.waited {
            return Some(gone);
        }
        let topic = self.topics.get(topic_slot)?;
        let connection = self.connections.by_id(id)?;
        self.stats.gained_of_gone += u64::from(self.flush.count_gone(connection, topic.gain));
        let run = topic.run;
        self.close_range(id, run);
        Some(gone)
    }

    /// Takes a subscription out of its topic, which stays, even without subscribers. Nobody has the subscription now.
    fn leave_topic(&mut self, id: ConnectionId, left: Subscription) -> Option<Gone> {
        let Subscription { topic_slot, fanout_index, ticket, entered, needs } = left;
        let topic = self.topics.get_mut(topic_slot)?;
        topic.topic.app.remove_subscription();
        self.subscriptions -= 1;
        let sub = SubRef { slot: id.slot, generation: id.generation, ticket };
        let waited = fanout_index == WAITING;
        let gone = Gone { topic: Arc::clone(&topic.topic), topic_slot, sub, needs, entered, waited };
        if waited {
            self.stats.unsubscribed_waiting += 1;
            topic.waiting -= 1;
            return Some(gone);
        }
        self.stats.unsubscribed += 1;
        topic.acknowledged.swap_remove(fanout_index as usize);
        if let Some(moved) = topic.acknowledged.get(fanout_index as usize).copied()
            && let Some(subscriptions) = self.subscriptions_in(moved.slot)
            && let Some(subscription) = subscriptions.get_mut(moved.subscription_index as usize)
        {
            subscription.fanout_index = fanout_index;
        }
        Some(gone)
    }

    /// The subscriptions of whoever has this slot, or has left it and not given them up yet.
    fn subscriptions_in(&mut self, slot: u32) -> Option<&mut Vec<Subscription>> {
        match self.connections.at(slot) {
            Some((_, connection)) => Some(&mut connection.subscriptions),
            None => self.departed.left_behind(slot),
        }
    }

    /// Ends the decide phase: no Run grows any more, and blocked connections are charged with what they have gained.
    pub fn seal(&mut self) {
        for touched in std::mem::take(&mut self.flush.touched) {
            let Some(open) = self.flush.open.get(touched.run as usize) else { continue };
            let bytes = open.end().saturating_sub(touched.from) as usize;
            let frames = open.frames_from(touched.from);
            self.charge(touched.id, bytes, frames);
        }
        for open in self.flush.open.drain(..) {
            if let Some(topic) = self.topics.get_mut(open.topic_slot) {
                topic.run = NO_RUN;
            }
            open.seal(&self.held);
        }
    }

    /// Ends the holds whose tick was before or is at this moment.
    pub fn end_due_holds(&mut self, now_ms: u64) {
        self.stats.holds_ended += u64::from(self.end_holds(now_ms));
    }

    /// Ends all holds before their tick, because of how much waits, or because of how many ranges somebody may have.
    pub fn cut_holds(&mut self, many_ranges: bool) {
        let any = self.end_holds(u64::MAX);
        self.stats.holds_cut += u64::from(any);
        self.stats.holds_cut_by_ranges += u64::from(any && many_ranges);
    }

    fn end_holds(&mut self, now_ms: u64) -> bool {
        let mut any = false;
        while let Some((mark, old, held)) = self.flush.holds.poll_due(now_ms) {
            self.flush.release(mark, old, &held, &mut self.connections);
            self.flush.holds.give_back(held);
            any = true;
        }
        any
    }

    /// The connection that is to be written next, with its descriptor.
    pub fn poll_dirty(&mut self) -> Option<(ConnectionId, Token)> {
        while let Some(id) = self.flush.pop() {
            let Some(connection) = self.connections.by_id(id) else { continue };
            if !connection.dirty {
                continue;
            }
            connection.dirty = false;
            connection.private_gain = 0;
            // Ranges to which nothing was added before sealing are dropped here.
            if connection.outbox.advance_by(0, &mut self.flush.tails) {
                return Some((id, connection.token));
            }
        }
        None
    }

    /// The kernel took so many bytes. Returns whether more waits.
    pub fn handle_written(&mut self, id: ConnectionId, bytes: usize) -> bool {
        let Some(connection) = self.connections.by_id(id) else { return false };
        let more = connection.outbox.advance_by(bytes, &mut self.flush.tails);
        if !more && connection.blocked {
            connection.blocked = false;
            self.flush.backlogs.remove(id.slot);
        }
        more
    }

    /// The kernel takes no more. If the connection is too slow, judged by what remains, returns how it is to be closed.
    pub fn handle_blocked(&mut self, id: ConnectionId) -> Option<Close> {
        let connection = self.connections.by_id(id)?;
        if !connection.blocked {
            connection.blocked = true;
            self.stats.blocked += 1;
        }
        let backlog = connection.outbox.backlog();
        self.flush.backlogs.insert(id.slot, backlog);
        let excess = self.excess(backlog);
        self.stats.slow_consumers += u64::from(excess.is_some());
        excess
    }

    /// What more waits of than is allowed.
    fn excess(&self, backlog: Backlog) -> Option<Close> {
        if backlog.bytes > self.outbox_bytes_max {
            Some(Close::SLOW_CONSUMER)
        } else {
            (backlog.frames > self.outbox_frames_max).then_some(Close::SLOW_CONSUMER_FRAMES)
        }
    }

    /// What all outboxes keep alive, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.held.bytes() + self.flush.backlogs.range_bytes()
    }

    /// The socket can be written again.
    pub fn handle_writable(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.by_id(id) else { return };
        if connection.blocked {
            connection.blocked = false;
            self.flush.backlogs.remove(id.slot);
            self.flush.mark(id, connection);
        }
    }
}

const _: () = assert!(OPEN == NO_RUN, "both are the largest u32, and neither is a length that can occur");
