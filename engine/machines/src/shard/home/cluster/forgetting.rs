//! What was heard of other nodes is forgotten when their server has been away for too long: until then it is likelier that they
//! are still there, and to say that all have gone would tell every client twice what is not so.

use std::sync::Arc;

use crate::cluster::bus::Server;
use crate::shard::Shard;
use crate::shard::home::Home;
use crate::shard::home::cluster::ClusterHome;
use crate::shard::home::cluster::members::Change;
use crate::shard::home::cluster::users::is_user;
use crate::topic::Topic;

impl ClusterHome {
    /// The next topic of which the rest is forgotten, if it is found within so many looks.
    fn next_to_forget(&mut self, server: Server, looks: &mut usize) -> Option<Arc<Topic>> {
        let (places, now_ms) = (self.links.places(), self.now_ms);
        let lane = self.lanes.get_mut(usize::from(server.0))?;
        if lane.forgets_ms.take_if(|at_ms| *at_ms <= now_ms).is_some() {
            lane.forgets = Some(0);
        }
        while let Some(place) = lane.forgets.filter(|_| *looks > 0) {
            *looks -= 1;
            lane.forgets = (place < places).then_some(place + 1);
            if let Some(link) = self.links.at(place).filter(|link| link.server == server) {
                return Some(Arc::clone(&link.topic));
            }
        }
        None
    }
}

impl Home {
    fn next_to_forget(&mut self, looks: &mut usize) -> Option<Arc<Topic>> {
        let cluster = self.cluster.as_mut()?;
        let mut servers = cluster.servers.all();
        servers.find_map(|server| cluster.next_to_forget(server, looks))
    }

    /// The members of a channel that are on other nodes alone.
    fn others(&self, topic: &Topic) -> Vec<Change> {
        let Some(home) = self.topics.view(topic) else { return Vec::new() };
        let others = home.roster.shared_members().filter(|member| !home.roster.is_here(&member.user_id));
        others.cloned().map(Change::Removed).collect()
    }

    fn note_forgotten(&mut self, members: usize) {
        if let Some(cluster) = &mut self.cluster {
            cluster.stats.bus_members_forgotten += members as u64;
        }
    }
}

impl Shard {
    /// One step of forgetting what was heard of other nodes. Returns whether anything was looked at.
    pub(super) fn forget_others(&mut self) -> bool {
        let looks_max = self.limits.walk_looks_max;
        let mut looks = looks_max;
        while !self.flush_gate_is_closed()
            && self.home.has_room()
            && let Some(topic) = self.home.next_to_forget(&mut looks)
        {
            self.home.take_elsewhere(&topic, 0);
            if is_user(&topic) {
                self.hear_of_signed_in(&topic, false);
            }
            let others = self.home.others(&topic);
            self.home.note_forgotten(others.len());
            for change in others {
                self.change_roster(&topic, change);
            }
        }
        looks < looks_max
    }
}
