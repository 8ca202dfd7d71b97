//! A home in a cluster: what it says to the servers where its topics live, and what it hears.
//!
//! In a session the server decides: who is in a roster, and which event comes next. The home keeps a replica of each roster
//! and lets nobody in before the server has answered. What is published goes to the server and is delivered when it comes
//! back. Without a session a home serves its subscribers alone, as if there were no cluster, and tells everything anew when
//! the next session begins.
//!
//! What must never happen here: an event that a subscriber gets twice, one that was published here and that no subscriber
//! here gets, or a roster that differs from what its members were told. A home without a cluster has none of this.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::cluster::bus::{Said, Server, ToBus};
use crate::cluster::servers::Servers;
use crate::limits::{CLUSTER_WAIT_MS_MAX, Limits};
use crate::readings::stats::ClusterStats;
use crate::topic::Topic;

mod counts;
mod echoes;
mod forgetting;
mod joining;
mod lane;
mod links;
pub(in crate::shard::home) mod lookups;
pub(in crate::shard::home) mod members;
mod news;
mod publishing;
mod sessions;
mod users;

use lane::Lane;
use links::BusLinks;
use lookups::Lookups;

/// What a home keeps in a cluster.
#[derive(Debug)]
pub(super) struct ClusterHome {
    servers: Servers,
    lanes: Vec<Lane>,
    links: BusLinks,
    /// Numbers of links.
    link_numbers: u64,
    /// Numbers of Enters.
    tickets: u64,
    /// Topics where something waits for an answer, by the time until which it may.
    waiting: VecDeque<(u64, Arc<Topic>)>,
    /// Topics where what waits may be let in.
    released: VecDeque<Arc<Topic>>,
    /// Topics whose number of subscriptions is to be told, by the time from which it may.
    due_counts: VecDeque<(u64, Arc<Topic>)>,
    /// What servers are asked about all nodes.
    lookups: Lookups,
    echo_bytes_max: usize,
    looks_max: usize,
    members_kept_ms: u64,
    /// Of this phase, in `mono_ms`.
    now_ms: u64,
    stats: ClusterStats,
}

impl ClusterHome {
    /// In no session.
    pub(super) fn new(servers: Servers, limits: &Limits) -> Self {
        Self {
            lanes: servers.all().map(|_| Lane::new(limits)).collect(),
            servers,
            links: BusLinks::default(),
            link_numbers: 0,
            tickets: 0,
            waiting: VecDeque::new(),
            released: VecDeque::new(),
            due_counts: VecDeque::new(),
            lookups: Lookups::default(),
            echo_bytes_max: limits.cluster_echo_bytes_max,
            looks_max: limits.walk_looks_max,
            members_kept_ms: limits.cluster_members_kept_ms,
            now_ms: 0,
            stats: ClusterStats::default(),
        }
    }

    /// What follows happens now.
    pub(super) fn begin_phase(&mut self, mono_ms: u64) {
        self.now_ms = mono_ms;
    }

    /// When something of it is due, in `mono_ms`, if there is room for what shards and servers are told then.
    pub(super) fn deadline(&self, has_room: bool) -> Option<u64> {
        let waits = self.waiting.front().filter(|_| has_room).map(|(until_ms, _)| *until_ms);
        let counts = self.due_counts.front().filter(|_| !self.is_backed_up()).map(|(from_ms, _)| *from_ms);
        let lookups = self.lookups.deadline().filter(|_| has_room);
        let forgets = self.lanes.iter().filter(|_| has_room).filter_map(|lane| lane.forgets_ms);
        waits.into_iter().chain(counts).chain(lookups).chain(forgets).min()
    }

    /// True when what adds to what servers are told must wait.
    pub(super) fn is_backed_up(&self) -> bool {
        self.lanes.iter().any(|lane| lane.is_full() || lane.echoes.bytes() >= self.echo_bytes_max)
    }

    /// True when what servers say must wait.
    pub(super) fn is_draining(&self) -> bool {
        self.lanes.iter().any(Lane::is_draining)
    }

    /// The servers that have something to be told.
    pub(super) fn unsent(&self) -> impl Iterator<Item = Server> {
        let unsent = self.lanes.iter().zip(0..).filter(|(lane, _)| !lane.is_empty());
        unsent.map(|(_, number)| Server(number))
    }

    /// All that a server is to be told.
    pub(super) fn take(&mut self, server: Server) -> Vec<ToBus> {
        self.lane_mut(server).map_or_else(Vec::new, Lane::take)
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.links.give_back_room();
        self.waiting.shrink_to_fit();
        self.released.shrink_to_fit();
        self.due_counts.shrink_to_fit();
    }

    /// What has happened.
    pub(super) fn stats(&self) -> &ClusterStats {
        &self.stats
    }

    /// Whether what happens to a topic comes from its server.
    pub(super) fn has_live_link(&self, topic: &Topic) -> bool {
        self.links.get(topic).is_some_and(|link| link.is_live(self.session(link.server)))
    }

    /// How many echoes have not come back, topics where something waits, and links that are not told.
    pub(super) fn waits(&self) -> usize {
        let echoes: usize = self.lanes.iter().map(|lane| lane.echoes.len()).sum();
        let places = 0..self.links.places();
        let links = places.filter_map(|place| self.links.at(place));
        echoes + links.filter(|link| !link.waiting.is_empty()).count()
    }

    fn lane(&self, server: Server) -> Option<&Lane> {
        self.lanes.get(usize::from(server.0))
    }

    fn lane_mut(&mut self, server: Server) -> Option<&mut Lane> {
        self.lanes.get_mut(usize::from(server.0))
    }

    /// The session with a server that this home is in.
    pub(super) fn session(&self, server: Server) -> Option<u64> {
        self.lane(server)?.session
    }

    fn say(&mut self, server: Server, said: Said) {
        if let Some(lane) = self.lane_mut(server) {
            lane.say(said);
        }
    }

    /// Something of the topic waits for an answer.
    fn list_waiting(&mut self, topic: &Arc<Topic>) {
        let until_ms = self.now_ms + CLUSTER_WAIT_MS_MAX;
        if let Some(link) = self.links.get_mut(topic).filter(|link| link.listed_ms.is_none()) {
            link.listed_ms = Some(until_ms);
            self.waiting.push_back((until_ms, Arc::clone(topic)));
        }
    }
}
