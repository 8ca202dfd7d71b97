//! The first subscriber of a topic on this node, and the last.

use std::sync::Arc;

use crate::cluster::bus::Said;
use crate::cores::CoreId;
use crate::mesh::SubRef;
use crate::shard::home::Home;
use crate::shard::home::cluster::ClusterHome;
use crate::topic::Topic;

impl ClusterHome {
    /// Tells the topic in the session that goes on, unless it was told: its users first, then its subscribers. Who was in
    /// stays in, so a user that is told anew is never refused.
    pub(super) fn tell_link(&mut self, topic: &Topic, subscriptions: u64) {
        let Some(link) = self.links.get_mut(topic) else { return };
        let Some(lane) = self.lanes.get_mut(usize::from(link.server.0)) else { return };
        let Some(session) = lane.session else { return };
        if link.told != session {
            self.stats.bus_topics_retold += u64::from(link.told > 0);
            link.begin_session(session);
            for user in link.users.values_mut() {
                self.tickets += 1;
                user.ticket = self.tickets;
                let (topic, member) = (Arc::clone(&link.topic), Arc::clone(&user.member));
                lane.say(Said::Enter { topic, member, ticket: user.ticket, force: true });
            }
        }
        let subscriptions = link.interest(subscriptions);
        if subscriptions > 0 && !link.asked {
            self.link_numbers += 1;
            link.ask(self.link_numbers);
            lane.say(Said::Join { topic: Arc::clone(&link.topic), link: self.link_numbers, subscriptions });
        }
    }

    /// Shard `from` has its first subscriber. Returns whether it may be told at once that its link is live.
    fn join(&mut self, from: CoreId, topic: &Arc<Topic>, epoch: u64, subscriptions: u64) -> bool {
        let server = self.servers.of(topic);
        let session = self.session(server);
        let Some(link) = self.links.get_or_add(topic, server) else { return true };
        if session.is_none() || link.is_live(session) {
            return true;
        }
        link.waiting.joins.push((from, epoch));
        self.list_waiting(topic);
        self.tell_link(topic, subscriptions);
        false
    }

    /// Nobody subscribes to the topic here any more.
    pub(super) fn leave(&mut self, topic: &Topic) {
        let Some(link) = self.links.get_mut(topic) else { return };
        if link.is_watched {
            return self.note_count(topic);
        }
        let (topic, server, told) = (Arc::clone(&link.topic), link.server, link.told);
        let was_asked = link.asked;
        link.end();
        if link.users.is_empty() {
            self.links.remove(&topic);
        }
        if was_asked && self.session(server) == Some(told) {
            self.say(server, Said::Count { topic, subscriptions: 0 });
        }
    }

    /// A subscription to a cache channel asks for its last event. Returns whether it may have it at once.
    fn may_replay(&mut self, from: CoreId, topic: &Arc<Topic>, epoch: u64, sub: SubRef) -> bool {
        let session = self.session(self.servers.of(topic));
        let Some(link) = self.links.get_mut(topic) else { return true };
        if session.is_none() || link.is_live(session) {
            return true;
        }
        link.waiting.replays.push((from, epoch, sub));
        self.list_waiting(topic);
        false
    }
}

impl Home {
    /// Shard `from` has its first subscriber. Returns whether it may be told at once that its link is live.
    pub(in crate::shard::home) fn join_in_cluster(
        &mut self,
        from: CoreId,
        topic: &Arc<Topic>,
        epoch: u64,
    ) -> bool {
        if self.cluster.is_none() {
            return true;
        }
        let subscriptions = self.counts(topic).subscriptions;
        self.cluster.as_mut().is_none_or(|cluster| {
            let joined = cluster.join(from, topic, epoch, subscriptions);
            cluster.note_count(topic);
            joined
        })
    }

    /// The topic was vacated.
    pub(in crate::shard::home) fn leave_in_cluster(&mut self, topic: &Topic) {
        if let Some(cluster) = &mut self.cluster {
            cluster.leave(topic);
        }
    }

    /// A subscription to a cache channel asks for its last event. Returns whether it may have it at once.
    pub(in crate::shard::home) fn may_replay(
        &mut self,
        from: CoreId,
        topic: &Arc<Topic>,
        epoch: u64,
        sub: SubRef,
    ) -> bool {
        self.cluster.as_mut().is_none_or(|cluster| cluster.may_replay(from, topic, epoch, sub))
    }
}
