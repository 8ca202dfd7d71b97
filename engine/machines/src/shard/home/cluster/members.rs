//! Who is in the rosters of topics: the users of this node, whom the server is told of, and all users of all nodes, as the
//! server tells it.
//!
//! The roster of a topic is the replica of the server's, and what its subscribers were told. In a session it changes only by
//! what the server says, in the server's order.

use std::sync::Arc;

use hashbrown::HashSet;
use protocol::presence::Member;

use crate::cluster::bus::Said;
use crate::cores::CoreId;
use crate::mesh::SubRef;
use crate::shard::home::Home;
use crate::shard::home::cluster::ClusterHome;
use crate::shard::home::cluster::links::{Entering, LocalUser};
use crate::shard::home::topics::HomeTopic;
use crate::topic::Topic;

/// What becomes of a subscription that enters a roster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::shard::home) enum Entrance {
    /// It waits for the server.
    Waits,
    /// The server has let its user in before.
    Known,
    /// There is no session: this home decides.
    Alone,
}

/// How a roster changes.
#[derive(Clone, Debug)]
pub(in crate::shard::home) enum Change {
    Added(Arc<Member>),
    Removed(Arc<Member>),
}

impl ClusterHome {
    fn enter(&mut self, topic: &Arc<Topic>, entering: Entering, subscriptions: u64) -> Entrance {
        self.tell_link(topic, subscriptions);
        let server = self.servers.of(topic);
        let session = self.session(server);
        let Some(link) = self.links.get_or_add(topic, server) else { return Entrance::Alone };
        let member = &entering.member;
        let user = link.users.entry(member.user_id.clone()).or_insert_with(|| LocalUser {
            member: Arc::clone(member),
            subscriptions: 0,
            ticket: 0,
            entered: false,
        });
        user.subscriptions += 1;
        if session.is_none() {
            return Entrance::Alone;
        }
        if user.subscriptions == 1 {
            self.tickets += 1;
            user.ticket = self.tickets;
            let said = Said::Enter {
                topic: Arc::clone(topic),
                member: Arc::clone(member),
                ticket: user.ticket,
                force: false,
            };
            if let Some(lane) = self.lanes.get_mut(usize::from(server.0)) {
                lane.say(said);
            }
        }
        if user.entered && link.is_live(session) {
            return Entrance::Known;
        }
        link.waiting.entering.push(entering);
        self.list_waiting(topic);
        Entrance::Waits
    }

    /// A subscription of a user has gone. Returns whether this home must take the user out of the roster: it was the last one
    /// here, and there is no session.
    pub(super) fn forget_subscription(&mut self, topic: &Arc<Topic>, user_id: &str) -> bool {
        let server = self.servers.of(topic);
        let session = self.session(server);
        let Some(link) = self.links.get_mut(topic) else { return false };
        let Some(user) = link.users.get_mut(user_id) else { return false };
        user.subscriptions -= 1;
        if user.subscriptions > 0 {
            return false;
        }
        let is_in = user.ticket > 0;
        link.users.remove(user_id);
        let told = link.told;
        if session == Some(told) && is_in {
            self.say(server, Said::Exit { topic: Arc::clone(topic), user_id: user_id.into() });
        }
        session.is_none()
    }

    /// The server has let a user in. Returns whether that is the one that is waited for.
    pub(super) fn note_entered(&mut self, topic: &Topic, user_id: &str, ticket: u64) -> bool {
        let user = self.links.get_mut(topic).and_then(|link| link.users.get_mut(user_id));
        let waits = user.filter(|user| user.ticket == ticket);
        let is_it = waits.is_some();
        waits.into_iter().for_each(|user| user.entered = true);
        is_it
    }

    /// The server has no room for a user. Returns the subscriptions that have waited for it.
    pub(super) fn take_refused(&mut self, topic: &Topic, user_id: &str, ticket: u64) -> Vec<Entering> {
        let Some(link) = self.links.get_mut(topic) else { return Vec::new() };
        let Some(user) = link.users.get_mut(user_id).filter(|user| user.ticket == ticket) else {
            return Vec::new();
        };
        user.ticket = 0;
        link.waiting.entering.extract_if(.., |it| *it.member.user_id == *user_id).collect()
    }

    /// Whether a user has subscriptions on this node.
    pub(super) fn has_user(&self, topic: &Topic, user_id: &str) -> bool {
        self.links.get(topic).is_some_and(|link| link.users.contains_key(user_id))
    }

    /// A user with subscriptions that were let in before the server has answered is told again if it has refused them.
    pub(super) fn insist(&mut self, topic: &Arc<Topic>, user_id: &str) {
        let server = self.servers.of(topic);
        let user = self.links.get_mut(topic).and_then(|link| link.users.get_mut(user_id));
        let Some(user) = user.filter(|user| user.ticket == 0) else { return };
        self.tickets += 1;
        user.ticket = self.tickets;
        let (ticket, member) = (user.ticket, Arc::clone(&user.member));
        self.say(server, Said::Enter { topic: Arc::clone(topic), member, ticket, force: true });
    }
}

impl Home {
    /// Whether a user would make the roster of all nodes too long, as this home knows it. Those who come by several nodes at the
    /// same time may pass the bound by what they bring: the server counts members, and no bytes.
    pub(in crate::shard::home) fn is_too_long_for_all_nodes(&self, topic: &Topic, member: &Member) -> bool {
        if self.cluster.as_ref().is_none_or(|cluster| !cluster.has_live_link(topic)) {
            return false;
        }
        let is_new = |home: &&HomeTopic| home.roster.get(&member.user_id).is_none();
        let home = self.topics.view(topic).filter(is_new);
        home.is_some_and(|home| home.roster_bytes_with(member) > topic.app.limits.roster_bytes_max)
    }

    /// A subscription enters the roster of a topic.
    pub(in crate::shard::home) fn enter_in_cluster(
        &mut self,
        from: CoreId,
        topic: &Arc<Topic>,
        sub: SubRef,
        member: &Arc<Member>,
    ) -> Entrance {
        let subscriptions = self.counts(topic).subscriptions;
        let Some(cluster) = &mut self.cluster else { return Entrance::Alone };
        cluster.enter(topic, Entering { core: from, sub, member: Arc::clone(member) }, subscriptions)
    }

    /// This home has refused a subscription.
    pub(in crate::shard::home) fn forget_in_cluster(&mut self, topic: &Arc<Topic>, user_id: &str) {
        if let Some(cluster) = &mut self.cluster {
            cluster.forget_subscription(topic, user_id);
        }
    }

    /// A subscription has left the roster, or waits no more to enter it. Returns the member if it has gone with it.
    pub(in crate::shard::home) fn exit_in_cluster(
        &mut self,
        from: CoreId,
        topic: &Arc<Topic>,
        sub: SubRef,
    ) -> Option<Arc<Member>> {
        let cluster = self.cluster.as_mut()?;
        let waited = cluster.links.get_mut(topic).and_then(|link| link.take_entering(from, sub));
        let roster = &mut self.topics.find(topic)?.roster;
        let member = waited.or_else(|| roster.leave(from, sub))?;
        let goes = cluster.forget_subscription(topic, &member.user_id);
        goes.then(|| roster.remove(&member.user_id)).flatten()
    }

    /// How the roster of a topic differs from what the server says. A user of this node that was let in before the server has
    /// answered stays.
    pub(super) fn roster_changes(&self, topic: &Topic, members: &[Arc<Member>]) -> Vec<Change> {
        let Some(home) = self.topics.view(topic) else { return Vec::new() };
        let link = self.cluster.as_ref().and_then(|cluster| cluster.links.get(topic));
        let now: HashSet<&str> = members.iter().map(|member| &*member.user_id).collect();
        let stays = |id: &str| now.contains(id) || link.is_some_and(|link| link.is_unanswered(id));
        let gone = home.roster.shared_members().filter(|member| !stays(&member.user_id)).cloned();
        let come = members.iter().filter(|it| home.roster.get(&it.user_id).is_none_or(|was| **was != ***it));
        gone.map(Change::Removed).chain(come.cloned().map(Change::Added)).collect()
    }
}
