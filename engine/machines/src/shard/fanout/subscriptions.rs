//! Who is subscribed to what on this shard.
//!
//! A connection enters a topic's fan-out list at the instant its acknowledgement enters its outbox, never before. Its
//! record and the topic's list point at each other, so that either finds its place in the other at once.

use std::rc::Rc;
use std::sync::Arc;

use protocol::app::App;

use crate::invariant::{self, Expected};
use crate::machine::Token;
use crate::mesh::SubRef;
use crate::outbox::run::Run;
use crate::shard::fanout::Fanout;
use crate::shard::fanout::connection::{Needs, Subscription, WAITING};
use crate::shard::fanout::flush::NO_RUN;
use crate::shard::fanout::topics::{Gone, LocalTopic, Subscriber};
use crate::topic::{Topic, TopicKey};

/// A topic stays while somebody is subscribed to it.
const HAS_TOPIC: &str = "a subscription has its topic";

/// A subscription that is given up leaves the list.
const IS_LISTED: &str = "what a topic lists is a subscription";

impl Fanout {
    /// Where the topic that is `key` of `app` is among the local topics.
    pub(in crate::shard) fn find(&self, hash: u64, app: &App, key: TopicKey<&str>) -> Option<u32> {
        self.topics.find(hash, app, key)
    }

    /// Where this topic is among the local topics.
    pub(in crate::shard) fn find_topic(&self, topic: &Topic) -> Option<u32> {
        self.find(topic.hash, &topic.app, topic.key.as_deref())
    }

    /// The local topic in this slot.
    pub(in crate::shard) fn topic(&self, slot: u32) -> Option<&Arc<Topic>> {
        self.topics.get(slot).map(|local| &local.topic)
    }

    /// How many subscribers the local topic in this slot has, waiting ones included.
    pub(in crate::shard) fn subscribers_to(&self, slot: u32) -> u32 {
        self.topics.get(slot).map_or(0, LocalTopic::subscribers)
    }

    /// A topic is about to get its first local subscriber.
    pub(in crate::shard) fn add_topic(&mut self, topic: Arc<Topic>) -> u32 {
        self.topics.add(topic)
    }

    /// A topic has lost its last local subscriber and home has been told.
    pub(in crate::shard) fn remove_topic(&mut self, slot: u32) {
        let Some(topic) = self.topics.remove(slot).expected("a topic goes once") else { return };
        for run in [topic.run, topic.object_run] {
            if let Some(run) = self.flush.open.get_mut(run as usize) {
                run.topic_slot = NO_RUN;
            }
        }
    }

    /// The index of a connection's subscription to a local topic.
    pub(in crate::shard) fn subscription_to(&self, id: Token, topic_slot: u32) -> Option<usize> {
        let connection = self.connections.view(id)?;
        connection.subscriptions.iter().position(|sub| sub.topic_slot == topic_slot)
    }

    /// Its subscription to a local topic, if that is acknowledged.
    #[inline]
    pub(in crate::shard) fn acknowledged(&self, id: Token, topic_slot: u32) -> Option<&Subscription> {
        let subscriptions = &self.connections.view(id)?.subscriptions;
        subscriptions.iter().find(|it| it.topic_slot == topic_slot && it.fanout_index != WAITING)
    }

    /// The waiting subscription that an answer is for.
    pub(in crate::shard) fn waiting(&mut self, topic_slot: u32, sub: SubRef) -> Option<(Token, usize)> {
        let connection = self.connections.by_id(sub.connection)?;
        let index = connection.subscriptions.iter().position(|it| {
            it.topic_slot == topic_slot && it.fanout_index == WAITING && it.ticket == sub.ticket
        })?;
        Some((sub.connection, index))
    }

    /// A subscription waits for its home's answer.
    pub(in crate::shard) fn add_waiting(&mut self, topic_slot: u32, sub: SubRef, needs: Needs) {
        let connection = self.connections.by_id(sub.connection);
        let Some(connection) = connection.expected("a subscriber is connected") else { return };
        let Some(topic) = self.topics.get_mut(topic_slot).expected(HAS_TOPIC) else { return };
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

    /// Its last subscription asks to enter a roster, or for the last event, by the root of this number.
    pub(in crate::shard) fn note_entered(&mut self, id: Token, sequence: u64) {
        if let Some(connection) = self.connections.by_id(id)
            && let Some(subscription) = connection.subscriptions.last_mut()
        {
            subscription.entered = sequence as u32;
        }
    }

    /// The acknowledgement goes into the outbox, and the connection into the fan-out list.
    pub(in crate::shard) fn acknowledge(&mut self, id: Token, index: usize, succeeded: Rc<Run>) {
        let connection = self.connections.by_id(id);
        let subscription = connection.and_then(|it| it.subscriptions.get_mut(index));
        let Some(subscription) = subscription.expected("its caller has found it") else { return };
        let topic_slot = subscription.topic_slot;
        let topic = self.topics.get_mut(topic_slot);
        let Some(topic) = topic.expected(HAS_TOPIC) else { return };
        topic.waiting -= 1;
        self.stats.subscribed += 1;
        if subscription.fanout_index == WAITING {
            subscription.fanout_index = topic.acknowledged.len() as u32;
            topic.acknowledged.push(Subscriber { slot: id.slot, subscription_index: index as u32 });
        }
        self.push_private(id, succeeded);
        self.open_range(id, topic_slot);
    }

    /// Takes a subscription out of its connection and its topic. The topic stays, even without subscribers.
    pub(in crate::shard) fn remove_subscription(&mut self, id: Token, index: usize) -> Option<Gone> {
        let connection = self.connections.by_id(id).expected("its caller has found it")?;
        if index >= connection.subscriptions.len() {
            invariant::violated("its caller has found it");
            return None;
        }
        let removed = connection.subscriptions.swap_remove(index);
        if let Some(moved) = connection.subscriptions.get(index)
            && let Some(topic) = self.topics.get_mut(moved.topic_slot).expected(HAS_TOPIC)
            && let Some(subscriber) = topic.acknowledged.get_mut(moved.fanout_index as usize)
        {
            subscriber.subscription_index = index as u32;
        }
        let topic_slot = removed.topic_slot;
        let gone = self.leave_topic(id, removed)?;
        if gone.waited {
            return Some(gone);
        }
        let topic = self.topics.get(topic_slot).expected(HAS_TOPIC)?;
        let connection = self.connections.by_id(id)?;
        self.stats.gained_of_gone += u64::from(self.flush.count_gone(connection, topic.gain));
        self.close_range(id, topic_slot);
        Some(gone)
    }

    /// Takes a subscription out of its topic, which stays, even without subscribers. Nobody has the subscription now.
    pub(super) fn leave_topic(&mut self, id: Token, left: Subscription) -> Option<Gone> {
        let Subscription { topic_slot, fanout_index, ticket, entered, needs } = left;
        let topic = self.topics.get_mut(topic_slot).expected(HAS_TOPIC)?;
        topic.topic.app.remove_subscription();
        self.subscriptions -= 1;
        let sub = SubRef { connection: id, ticket };
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
            && let Some(subscriptions) = self.subscriptions_in(moved.slot).expected(IS_LISTED)
            && let Some(subscription) =
                subscriptions.get_mut(moved.subscription_index as usize).expected(IS_LISTED)
        {
            subscription.fanout_index = fanout_index;
        }
        Some(gone)
    }

    /// The subscriptions of the tenant of this slot, or of one that has left and not given them up yet.
    fn subscriptions_in(&mut self, slot: u32) -> Option<&mut Vec<Subscription>> {
        match self.connections.at(slot) {
            Some((_, connection)) => Some(&mut connection.subscriptions),
            None => self.departed.left_behind(slot),
        }
    }
}
