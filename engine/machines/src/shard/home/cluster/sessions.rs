//! How sessions begin and end: what was said in one counts in no other, everything is told anew, and what waits for a session
//! that is lost waits no more. All of it in steps, between which everything else has its turn.

use std::sync::Arc;

use crate::cluster::bus::{Said, Server};
use crate::shard::Shard;
use crate::shard::home::Home;
use crate::shard::home::cluster::ClusterHome;
use crate::topic::Topic;

impl ClusterHome {
    /// A session begins: all that this home holds is to be told.
    pub(super) fn begin_session(&mut self, server: Server, session: u64) {
        if let Some(lane) = self.lane_mut(server) {
            (lane.session, lane.retells) = (Some(session), Some(0));
            (lane.forgets_ms, lane.forgets) = (None, None);
        }
    }

    /// The session is lost: what waits for an answer is let in.
    pub(super) fn lose_session(&mut self, server: Server) {
        let forgets_ms = self.now_ms + self.members_kept_ms;
        if let Some(lane) = self.lane_mut(server) {
            (lane.session, lane.retells) = (None, None);
            lane.forgets_ms = Some(forgets_ms);
        }
        let of_server = |(_, topic): &(u64, Arc<Topic>)| self.servers.of(topic) == server;
        let all = std::mem::take(&mut self.waiting).into_iter();
        let (released, waiting): (Vec<_>, Vec<_>) = all.partition(of_server);
        self.waiting = waiting.into();
        self.released.extend(released.into_iter().map(|(_, topic)| topic));
    }

    /// Whether this is the session that this home is in.
    pub(super) fn is_in(&mut self, server: Server, session: u64) -> bool {
        let is_it = self.session(server) == Some(session);
        self.stats.bus_news_stale += u64::from(!is_it);
        is_it
    }

    /// The next topic where what waits may be let in: there is no session, or it has waited for too long.
    fn next_released(&mut self) -> Option<Arc<Topic>> {
        while let Some(topic) = self.released.pop_front() {
            let Some(link) = self.links.get_mut(&topic) else { continue };
            link.listed_ms = None;
            let server = link.server;
            if self.session(server).is_none() {
                return Some(topic);
            }
            // Another one has begun meanwhile.
            self.list_waiting(&topic);
        }
        let now_ms = self.now_ms;
        while let Some((until_ms, topic)) = self.waiting.pop_front_if(|(until_ms, _)| *until_ms <= now_ms) {
            // What waited then may wait no more, and something else since later.
            let link = self.links.get_mut(&topic).filter(|link| link.listed_ms == Some(until_ms));
            let Some(link) = link else { continue };
            link.listed_ms = None;
            if !link.waiting.is_empty() {
                self.stats.bus_let_in_late += 1;
                return Some(topic);
            }
        }
        None
    }

    /// The next link of a server that must be told anew, if it is found within so many looks.
    fn next_untold(&mut self, server: Server, looks: &mut usize) -> Option<Arc<Topic>> {
        let places = self.links.places();
        let lane = self.lanes.get_mut(usize::from(server.0))?;
        let (session, is_full) = (lane.session?, lane.is_full());
        let next = lane.retells.as_mut()?;
        while *looks > 0 && *next < places && !is_full {
            let link = self.links.at(*next);
            (*next, *looks) = (*next + 1, *looks - 1);
            if let Some(link) = link.filter(|link| link.server == server && link.told != session) {
                return Some(Arc::clone(&link.topic));
            }
        }
        None
    }

    /// When all links of a server are told, says so.
    fn end_retelling(&mut self, server: Server) {
        let places = self.links.places();
        if let Some(lane) = self.lane_mut(server)
            && lane.retells.is_some_and(|next| next >= places)
        {
            lane.retells = None;
            lane.say(Said::Retold);
        }
    }
}

impl Home {
    /// One step of telling servers anew. Returns whether anything was looked at.
    fn retell_some(&mut self) -> bool {
        let Some(cluster) = &self.cluster else { return false };
        let (servers, mut looks) = (cluster.servers.all(), cluster.looks_max);
        for server in servers {
            while let Some(topic) =
                self.cluster.as_mut().and_then(|cluster| cluster.next_untold(server, &mut looks))
            {
                let subscriptions = self.counts(&topic).subscriptions;
                if let Some(cluster) = &mut self.cluster {
                    cluster.tell_link(&topic, subscriptions);
                }
            }
            if let Some(cluster) = &mut self.cluster {
                cluster.end_retelling(server);
            }
        }
        self.cluster.as_ref().is_some_and(|cluster| looks < cluster.looks_max)
    }
}

impl Shard {
    /// One step of all that a cluster makes to be done later.
    pub(in crate::shard) fn continue_cluster(&mut self) -> bool {
        let mut any = false;
        for _ in 0..self.limits.quantum {
            if self.flush_gate_is_closed() || !self.home.has_room() || !self.take_lost_or_released() {
                break;
            }
            any = true;
        }
        any |= self.home.retell_some();
        any |= self.forget_others();
        while self.home.has_room() && self.home.end_late_lookup() {
            any = true;
        }
        for _ in 0..self.limits.quantum {
            if !self.home.tell_next_cluster_count() {
                break;
            }
            any = true;
        }
        any
    }

    /// What a lost session has left: its echoes first, then those who wait for it.
    fn take_lost_or_released(&mut self) -> bool {
        let Some(cluster) = &mut self.home.cluster else { return false };
        if let Some(event) = cluster.next_lost_echo() {
            self.send_to_links(&event);
            return true;
        }
        let Some(topic) = cluster.next_released() else { return false };
        self.let_all_in(&topic);
        true
    }
}
