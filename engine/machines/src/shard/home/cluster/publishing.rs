//! Events that are published here: to their server in a session, to the subscribers here without one.

use crate::cluster::bus::{Said, Server};
use crate::cluster::order::Order;
use crate::cores::CoreId;
use crate::mesh::{Event, Terminate};
use crate::now::Moment;
use crate::shard::home::Home;
use crate::shard::home::cluster::ClusterHome;
use crate::topic::TopicKey;

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
        self.stats.bus_gap_out_events += 1;
        lines_up
    }

    /// An event that was published here has come back. Returns when it was received.
    pub(super) fn end_echo(&mut self, server: Server, echo: u64) -> Option<Moment> {
        let lane = self.lane_mut(server).filter(|_| echo > 0)?;
        lane.echoes.end(echo)
    }

    /// The next event that will not come back.
    pub(super) fn next_lost_echo(&mut self) -> Option<Event> {
        let lost = self.lanes.iter_mut().filter(|lane| lane.is_draining());
        let event = lost.filter_map(|lane| lane.echoes.pop()).next()?;
        self.stats.bus_echo_local += 1;
        Some(event)
    }
}

impl Home {
    /// A user's connections go on all nodes. All shards are told here, and one of them tells the cluster, which tells this node
    /// again. Without a session only this node hears of it.
    pub(in crate::shard::home) fn terminate_on_all_nodes(&mut self, terminate: &Terminate) {
        let topic = self.hash.topic(&terminate.app, TopicKey::User { id: &terminate.user_id });
        let is_first = self.me == CoreId::Shard(0);
        if let Some(cluster) = self.cluster.as_mut().filter(|_| is_first) {
            let (app_id, user_id) = (terminate.app.id.clone(), terminate.user_id.clone());
            let server = cluster.servers.of(&topic);
            cluster.say(server, Said::Order(Order::Terminate { app_id, user_id }));
        }
    }

    /// An event is published. Returns false if this home delivers it now.
    pub(in crate::shard::home) fn publish_in_cluster(&mut self, event: &Event) -> bool {
        if self.cluster.is_none() {
            return false;
        }
        let subscriptions = self.counts(&event.topic).subscriptions;
        self.cluster.as_mut().is_some_and(|cluster| cluster.publish(event, subscriptions))
    }
}
