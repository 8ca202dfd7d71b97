//! Events that are published here: to their server in a session, to the subscribers here without one.

use crate::cluster::bus::{Said, Server};
use crate::mesh::Event;
use crate::shard::home::Home;
use crate::shard::home::cluster::ClusterHome;

impl ClusterHome {
    /// An event is published. Returns false if this home delivers it now.
    fn publish(&mut self, event: &Event, subscriptions: u64) -> bool {
        let server = self.servers.of(&event.topic);
        // Behind its Join, or it would not come back.
        self.tell_link(&event.topic, subscriptions);
        let has_link = self.links.get(&event.topic).is_some_and(|link| link.asked);
        let Some(lane) = self.lane_mut(server) else { return false };
        if lane.session.is_some() {
            let echo = if has_link { lane.echoes.push(event.clone()) } else { 0 };
            lane.say(Said::Publish(Box::new(event.clone()), echo));
            return true;
        }
        let lines_up = !lane.echoes.is_empty();
        if lines_up {
            lane.echoes.push(event.clone());
        }
        self.stats.published_alone += 1;
        lines_up
    }

    /// An event that was published here has come back.
    pub(super) fn end_echo(&mut self, server: Server, echo: u64) {
        if let Some(lane) = self.lane_mut(server).filter(|_| echo > 0) {
            lane.echoes.end(echo);
        }
    }

    /// The next event that will not come back.
    pub(super) fn next_lost_echo(&mut self) -> Option<Event> {
        let lost = self.lanes.iter_mut().filter(|lane| lane.is_draining());
        let event = lost.filter_map(|lane| lane.echoes.pop()).next()?;
        self.stats.echoes_delivered += 1;
        Some(event)
    }
}

impl Home {
    /// An event is published. Returns false if this home delivers it now.
    pub(in crate::shard::home) fn publish_in_cluster(&mut self, event: &Event) -> bool {
        if self.cluster.is_none() {
            return false;
        }
        let subscriptions = self.counts(&event.topic).subscriptions;
        self.cluster.as_mut().is_some_and(|cluster| cluster.publish(event, subscriptions))
    }
}
