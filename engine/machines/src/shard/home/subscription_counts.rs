//! Which channels have a number of subscriptions that their subscribers must still be told, and when each may be told.
//!
//! A change is told in the next phase, so a channel that changes a thousand times in one is told once. Above
//! `counts_exact_max` subscriptions a channel is told once per `counts_interval_ms`, and what changes meanwhile is told
//! at the end of that: the last number always comes. Even if it is the one that was told before, because somebody may
//! have come who has not heard it. What must never happen here: a change that is not told.
//!
//! Bounds: past `counts_due_max` channels that are due, what would add to them waits. Past `counts_paced_max` channels
//! that were told and must not be told again yet, the oldest may be.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashTable;
use protocol::hook_event::HookEvent;
use protocol::hook_kind::HookKind;
use protocol::server_event;
use protocol::ws::Frame;

use crate::invariant::{self, Expected};
use crate::limits::Limits;
use crate::readings::stats::HomeStats;
use crate::shard::Shard;
use crate::shard::home::Home;
use crate::shard::home::witness::Deed;
use crate::topic::{Topic, TopicKey};

/// Channels with changes that were not told, and channels that must not be told again yet.
#[derive(Debug, Default)]
pub struct SubscriptionCounts {
    exact_max: u64,
    interval_ms: u64,
    due_max: usize,
    paced_max: usize,
    /// Of this phase, in `mono_ms`.
    now_ms: u64,
    table: HashTable<Channel>,
    /// In the order of their changes.
    due: VecDeque<Arc<Topic>>,
    /// The first of them, so many, have not changed in this phase alone.
    ready: usize,
    /// In the order in which they may be told again, with that time.
    paced: VecDeque<(u64, Arc<Topic>)>,
    /// The server ends.
    ends: bool,
}

/// A channel that is due, that must not be told again yet, or that hooks have yet to hear of; or several of these.
#[derive(Debug)]
struct Channel {
    topic: Arc<Topic>,
    /// Something has changed since it was told.
    changed: bool,
    /// Something on this node has: hooks hear of that.
    changed_here: bool,
    /// How many subscribe on other nodes.
    elsewhere: u64,
    due: bool,
    paced: bool,
}

impl Channel {
    /// Whether it can be forgotten.
    fn is_over(&self) -> bool {
        !self.due && !self.paced && !self.changed_here
    }
}

impl SubscriptionCounts {
    /// Nothing has changed.
    pub(super) fn new(limits: &Limits) -> Self {
        assert!(limits.counts_due_max > 0 && limits.counts_paced_max > 0, "counts must be told");
        Self {
            exact_max: limits.counts_exact_max,
            interval_ms: limits.counts_interval_ms,
            due_max: limits.counts_due_max,
            paced_max: limits.counts_paced_max,
            ..Self::default()
        }
    }

    /// What follows happens now, and what has changed before may be told.
    pub(super) fn begin_phase(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        while self.paced.front().is_some_and(|(until_ms, _)| *until_ms <= now_ms) {
            self.end_pause();
        }
        self.ready = self.due.len();
    }

    /// The server ends, and everybody goes: nobody needs to know how many are left.
    pub(super) fn end(&mut self) {
        self.ends = true;
        self.table.clear();
        self.due.clear();
        self.ready = 0;
        self.paced.clear();
    }

    /// When a channel may be told again, in `mono_ms`.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.paced.front().map(|(until_ms, _)| *until_ms)
    }

    /// True when something waits for the next phase.
    fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// True when what would add another channel must wait, if so many are added anyway.
    pub(super) fn is_full(&self, coming: usize) -> bool {
        self.due.len() + coming >= self.due_max
    }

    /// How many channels are due, and how many must not be told again yet.
    pub fn waiting(&self) -> (usize, usize) {
        (self.due.len(), self.paced.len())
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.table.shrink_to_fit(|it| it.topic.hash);
        self.due.shrink_to_fit();
        self.paced.shrink_to_fit();
    }

    /// Somebody has subscribed to the channel, or unsubscribed from it. So many subscribe on other nodes.
    fn note(&mut self, topic: &Arc<Topic>, here: bool, elsewhere: u64) {
        if self.ends {
            return;
        }
        if let Some(channel) = self.table.find_mut(topic.hash, |it| it.topic == *topic) {
            channel.changed = true;
            channel.changed_here |= here;
            channel.elsewhere = elsewhere;
            if std::mem::replace(&mut channel.due, true) {
                return;
            }
        } else {
            let channel = Channel {
                topic: Arc::clone(topic),
                changed: true,
                changed_here: here,
                elsewhere,
                due: true,
                paced: false,
            };
            self.table.insert_unique(topic.hash, channel, |it| it.topic.hash);
        }
        self.due.push_back(Arc::clone(topic));
    }

    /// The next channel that has changed before this phase.
    fn next(&mut self) -> Option<Arc<Topic>> {
        self.ready = self.ready.checked_sub(1)?;
        self.due.pop_front().expected("what is ready is due")
    }

    /// How many subscriptions a channel that was due has with so many on this node, and whether hooks hear of it, if it is told
    /// now. If not, it is due again later. `settled`: the number on other nodes is known. Until it is, hooks hear nothing.
    fn may_tell(
        &mut self,
        topic: &Arc<Topic>,
        here: u64,
        settled: bool,
        stats: &mut HomeStats,
    ) -> Option<(u64, bool)> {
        let Ok(mut entry) = self.table.find_entry(topic.hash, |it| it.topic == *topic) else {
            invariant::violated("each channel that is due is in the table");
            return None;
        };
        let channel = entry.get_mut();
        channel.due = false;
        let subscriptions = here + channel.elsewhere;
        let many = subscriptions > self.exact_max;
        if many && channel.paced {
            stats.subscription_counts_put_off += 1;
            return None;
        }
        channel.changed = false;
        let tells_hooks = settled && std::mem::take(&mut channel.changed_here);
        if many {
            channel.paced = true;
            self.paced.push_back((self.now_ms + self.interval_ms, Arc::clone(topic)));
        } else if channel.is_over() {
            entry.remove();
        }
        if self.paced.len() > self.paced_max {
            stats.subscription_counts_hurried += 1;
            self.end_pause();
        }
        Some((subscriptions, tells_hooks))
    }

    /// The channel that was told first may be told again.
    fn end_pause(&mut self) {
        let next = self.paced.pop_front();
        let Some((_, topic)) = next.expected("a pause ends only where there is one") else { return };
        let Ok(mut entry) = self.table.find_entry(topic.hash, |it| it.topic == topic) else {
            return invariant::violated("each channel that must not be told yet is in the table");
        };
        let channel = entry.get_mut();
        channel.paced = false;
        if channel.due {
            return;
        }
        if channel.changed {
            channel.due = true;
            self.due.push_back(topic);
        } else if channel.is_over() {
            entry.remove();
        }
    }
}

impl Home {
    /// Somebody has subscribed to the topic, or unsubscribed from it.
    pub(super) fn note_count(&mut self, topic: &Arc<Topic>) {
        self.note_count_of(topic, true);
    }

    /// The same on another node.
    pub(super) fn note_count_elsewhere(&mut self, topic: &Arc<Topic>) {
        self.note_count_of(topic, false);
    }

    fn note_count_of(&mut self, topic: &Arc<Topic>, here: bool) {
        let TopicKey::Channel { kind, .. } = topic.key else { return };
        if kind.tells_subscription_count() && topic.app.subscription_count_events {
            self.subscription_counts.note(topic, here, self.elsewhere(topic));
        }
    }

    /// Channels with changes wait for the next phase, and there is room for what is said of them.
    pub(in crate::shard) fn has_counts_to_tell(&self) -> bool {
        self.subscription_counts.has_due() && self.has_room()
    }

    /// How many subscriptions a channel that was due has, and whether hooks hear of it, if it is told now.
    fn count_to_tell(&mut self, topic: &Arc<Topic>) -> Option<(u64, bool)> {
        let here = self.counts(topic).subscriptions;
        let settled = here == 0 || !self.is_joining(topic);
        self.subscription_counts.may_tell(topic, here, settled, &mut self.stats)
    }

    fn note_told_count(&mut self, topic: &Arc<Topic>, subscriptions: u64, tells_hooks: bool) {
        self.stats.subscription_counts_told += 1;
        let hooked = tells_hooks && topic.app.hooks.has(HookKind::SubscriptionCount);
        self.show(Deed::Counted { topic, subscriptions, hooked });
        if hooked {
            let (app, channel) = (Arc::clone(&topic.app), topic.shared_name());
            self.note_event(topic.hash, HookEvent::SubscriptionCount { app, channel, subscriptions });
        }
    }
}

impl Shard {
    /// Tells the subscribers of the next channel that is due how many they are, if they may be told. Returns false when
    /// none is due.
    pub(in crate::shard) fn tell_next_count(&mut self) -> bool {
        let Some(topic) = self.home.subscription_counts.next() else { return false };
        let Some((subscriptions, tells_hooks)) = self.home.count_to_tell(&topic) else { return true };
        self.home.note_told_count(&topic, subscriptions, tells_hooks);
        if self.home.has_subscriptions(&topic) {
            let mut bytes = Vec::new();
            server_event::encode_subscription_count(&mut bytes, &topic.name(), subscriptions);
            let frame = Frame::from(bytes).holding_json(true);
            if self.home.deliver(&topic, &frame, None, None) {
                self.handle_deliver(&topic, &frame);
            }
        }
        true
    }
}
