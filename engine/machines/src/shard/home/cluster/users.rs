//! Users over all nodes: the server is told who is signed in on this node, and says who is signed in on any.
//!
//! The topic of a user has one member, without a name, while the user is signed in somewhere. A node hears of it while the
//! user is watched there. What it has heard holds until it hears otherwise, as with the members of a channel.

use std::sync::Arc;

use protocol::presence::Member;

use crate::cores::CoreId;
use crate::shard::Shard;
use crate::shard::home::Home;
use crate::shard::home::cluster::ClusterHome;
use crate::shard::home::cluster::links::LocalUser;
use crate::topic::{Topic, TopicKey};

/// What the member of a user's topic is called.
const NAMELESS: &str = "";

/// Whether its members are no users of a channel, but say that a user is signed in.
pub(super) fn is_user(topic: &Topic) -> bool {
    matches!(topic.key, TopicKey::User { .. })
}

impl ClusterHome {
    /// The user has signed in on this node, which has not had it before.
    fn sign_in(&mut self, topic: &Arc<Topic>, subscriptions: u64) {
        let server = self.servers.of(topic);
        let session = self.session(server);
        let Some(link) = self.links.get_or_add(topic, server) else { return };
        let member = Arc::new(Member { user_id: NAMELESS.into(), user_info: None });
        let user = LocalUser { member, subscriptions: 1, ticket: 0, entered: false };
        link.users.insert(NAMELESS.into(), user);
        if session == Some(link.told) {
            self.insist(topic, NAMELESS);
        } else {
            self.tell_link(topic, subscriptions);
        }
    }

    /// The user is not signed in on this node any more.
    fn sign_out(&mut self, topic: &Arc<Topic>, subscriptions: u64) {
        let is_alone = self.forget_subscription(topic, NAMELESS);
        let Some(link) = self.links.get_mut(topic) else { return };
        link.is_signed_in &= !is_alone;
        if subscriptions == 0 && !link.is_watched {
            self.links.remove(topic);
        }
    }

    /// Somebody on this node watches the user, and nobody did before.
    fn watch(&mut self, topic: &Arc<Topic>, subscriptions: u64) {
        let server = self.servers.of(topic);
        let Some(link) = self.links.get_or_add(topic, server) else { return };
        link.is_watched = true;
        self.tell_link(topic, subscriptions);
        self.note_count(topic);
    }

    /// Nobody on this node watches the user any more.
    fn unwatch(&mut self, topic: &Topic, subscriptions: u64) {
        let Some(link) = self.links.get_mut(topic) else { return };
        link.is_watched = false;
        if subscriptions > 0 {
            self.note_count(topic);
        } else {
            self.leave(topic);
        }
    }

    /// Shard `from` asks whether the user is online. Returns whether it may be told that it is not.
    fn may_say_offline(&mut self, from: CoreId, topic: &Arc<Topic>) -> bool {
        if !self.waits_for_answer(topic) {
            return true;
        }
        let Some(link) = self.links.get_mut(topic) else { return true };
        link.waiting.watching.push(from);
        self.list_waiting(topic);
        false
    }

    /// Whether the server has not said yet how it stands with a topic.
    fn waits_for_answer(&self, topic: &Topic) -> bool {
        let session = self.session(self.servers.of(topic));
        session.is_some() && self.links.get(topic).is_some_and(|link| !link.is_live(session))
    }
}

impl Home {
    /// The user has signed in on this node or out of it, or is watched here or no more. Returns whether the cluster says that it
    /// is signed in.
    pub(in crate::shard::home) fn tell_of_user(
        &mut self,
        topic: &Arc<Topic>,
        signed_in: Option<bool>,
        watched: Option<bool>,
    ) -> bool {
        if self.cluster.is_none() {
            return false;
        }
        let subscriptions = self.counts(topic).subscriptions;
        let Some(cluster) = &mut self.cluster else { return false };
        match signed_in {
            Some(true) => cluster.sign_in(topic, subscriptions),
            Some(false) => cluster.sign_out(topic, subscriptions),
            None => {}
        }
        match watched {
            Some(true) => cluster.watch(topic, subscriptions),
            Some(false) => cluster.unwatch(topic, subscriptions),
            None => {}
        }
        cluster.links.get(topic).is_some_and(|link| link.is_signed_in)
    }

    /// Whether shard `from` may be told that a user is offline. If not, it is told when the server has answered.
    pub(in crate::shard::home) fn may_say_offline(&mut self, from: CoreId, topic: &Arc<Topic>) -> bool {
        self.cluster.as_mut().is_none_or(|cluster| cluster.may_say_offline(from, topic))
    }

    /// Whether the server has not said yet if a user is signed in on other nodes.
    pub(in crate::shard::home) fn waits_for_answer(&self, topic: &Topic) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.waits_for_answer(topic))
    }

    fn set_signed_in(&mut self, topic: &Topic, signed_in: bool) {
        let link = self.cluster.as_mut().and_then(|cluster| cluster.links.get_mut(topic));
        link.into_iter().for_each(|link| link.is_signed_in = signed_in);
    }
}

impl Shard {
    /// Whether a user is signed in on any node, as its server says.
    pub(super) fn hear_of_signed_in(&mut self, topic: &Arc<Topic>, signed_in: bool) {
        self.home.set_signed_in(topic, signed_in);
        if let Some(leaf) = self.home.hear_of_user_elsewhere(topic, signed_in) {
            self.handle_leaf(leaf);
        }
    }

    /// Tells shards that have asked for a user.
    pub(super) fn answer_watching(&mut self, topic: &Arc<Topic>, shards: &[CoreId]) {
        for shard in shards {
            if let Some(leaf) = self.home.tell_watching(topic, Some(*shard)) {
                self.handle_leaf(leaf);
            }
        }
    }
}
