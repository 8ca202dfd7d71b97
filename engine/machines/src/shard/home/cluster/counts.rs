//! How many subscriptions a topic has: on this node, which is told now and then, not at each change, and on all others, which
//! the server says.

use std::sync::Arc;

use crate::cluster::bus::Said;
use crate::shard::home::Home;
use crate::shard::home::cluster::ClusterHome;
use crate::topic::Topic;

/// How often the number of one topic is told at most, in milliseconds.
const INTERVAL_MS: u64 = 100;

impl ClusterHome {
    /// The number of the topic has changed.
    pub(super) fn note_count(&mut self, topic: &Topic) {
        let from_ms = self.now_ms + INTERVAL_MS;
        let Some(link) = self.links.get_mut(topic) else { return };
        if !std::mem::replace(&mut link.count_is_due, true) {
            self.due_counts.push_back((from_ms, Arc::clone(&link.topic)));
        }
    }

    fn next_due_count(&mut self) -> Option<Arc<Topic>> {
        if self.is_backed_up() {
            return None;
        }
        let now_ms = self.now_ms;
        self.due_counts.pop_front_if(|(from_ms, _)| *from_ms <= now_ms).map(|(_, topic)| topic)
    }

    /// A topic that was not told says its number when it is.
    fn tell_count(&mut self, topic: Arc<Topic>, subscriptions: u64) {
        let Some(link) = self.links.get_mut(&topic) else { return };
        let (server, told, subscriptions) = (link.server, link.told, link.interest(subscriptions));
        if std::mem::take(&mut link.count_is_due) && subscriptions > 0 && self.session(server) == Some(told) {
            self.say(server, Said::Count { topic, subscriptions });
        }
    }
}

impl Home {
    /// The number of the topic's subscriptions has changed.
    pub(in crate::shard::home) fn note_count_in_cluster(&mut self, topic: &Topic) {
        if let Some(cluster) = &mut self.cluster {
            cluster.note_count(topic);
        }
    }

    /// How many subscribe to a topic on other nodes, as far as is known: nothing of topics without subscribers here.
    pub(in crate::shard::home) fn elsewhere(&self, topic: &Topic) -> u64 {
        let link = self.cluster.as_ref().and_then(|cluster| cluster.links.get(topic));
        link.map_or(0, |link| link.elsewhere)
    }

    /// Whether subscriptions wait until their server has said how many there are on other nodes.
    pub(in crate::shard::home) fn is_joining(&self, topic: &Topic) -> bool {
        let link = self.cluster.as_ref().and_then(|cluster| cluster.links.get(topic));
        link.is_some_and(|link| !link.waiting.joins.is_empty())
    }

    /// So many subscribe to a topic on other nodes.
    pub(super) fn take_elsewhere(&mut self, topic: &Arc<Topic>, subscriptions: u64) {
        let link = self.cluster.as_mut().and_then(|cluster| cluster.links.get_mut(topic));
        let changed =
            link.is_some_and(|it| std::mem::replace(&mut it.elsewhere, subscriptions) != subscriptions);
        if changed {
            self.note_count_elsewhere(topic);
        }
    }

    /// Tells the next number that is due. Returns whether there was one.
    pub(super) fn tell_next_cluster_count(&mut self) -> bool {
        let Some(topic) = self.cluster.as_mut().and_then(|cluster| cluster.next_due_count()) else {
            return false;
        };
        let subscriptions = self.counts(&topic).subscriptions;
        if let Some(cluster) = &mut self.cluster {
            cluster.tell_count(topic, subscriptions);
        }
        true
    }
}
