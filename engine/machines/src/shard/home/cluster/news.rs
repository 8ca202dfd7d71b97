//! What servers say to a home, in the one order of each topic: it changes rosters, is delivered, and lets in who waits.

use std::sync::Arc;

use protocol::presence::Member;

use crate::cluster::bus::{CachedFrame, FromBus, Joined, News, Server};
use crate::cluster::order::Order;
use crate::mesh::{Event, Leaf, Refusal, Terminate};
use crate::shard::Shard;
use crate::shard::home::Home;
use crate::shard::home::cluster::links::{Entering, Waiting};
use crate::shard::home::cluster::members::Change;
use crate::shard::home::cluster::users::is_user;
use crate::topic::Topic;

impl Shard {
    /// One message from a server.
    pub(in crate::shard) fn handle_news(&mut self, server: Server, said: FromBus) {
        let Some(cluster) = &mut self.home.cluster else { return };
        let FromBus { session, news } = said;
        if matches!(news, News::Begun) {
            return cluster.begin_session(server, session);
        }
        if !cluster.is_in(server, session) {
            return;
        }
        match news {
            News::Begun => {}
            News::Lost => {
                cluster.lose_session(server);
                self.home.end_lookups(server);
            }
            News::Joined(joined) => self.handle_joined_in_cluster(*joined),
            News::Entered { topic, user_id, ticket } => {
                if cluster.note_entered(&topic, &user_id, ticket) {
                    self.let_admitted_in(&topic);
                }
            }
            News::Refused { topic, user_id, ticket } => {
                self.handle_refused_in_cluster(&topic, &user_id, ticket);
            }
            News::Added { topic, member } => {
                if self.home.hears_of(&topic) {
                    self.hear_of_added(&topic, member);
                }
            }
            News::Removed { topic, user_id } => {
                if self.home.hears_of(&topic) {
                    self.hear_of_removed(&topic, &user_id);
                }
            }
            News::Elsewhere { topic, subscriptions } => {
                if self.home.hears_of(&topic) {
                    self.home.take_elsewhere(&topic, subscriptions);
                }
            }
            News::Event(event, echo) => self.handle_event_in_cluster(server, *event, echo),
            News::Echoed(echo) => drop(cluster.end_echo(server, echo)),
            News::LookedUp(found, number) => self.home.handle_looked_up(number, *found),
            News::Order(Order::Terminate { app_id, user_id }) => self.terminate_in_cluster(&app_id, user_id),
        }
    }

    fn handle_event_in_cluster(&mut self, server: Server, mut event: Event, echo: u64) {
        if let Some(cluster) = &mut self.home.cluster {
            event.received = cluster.end_echo(server, echo);
        }
        if self.home.hears_of(&event.topic) {
            self.send_to_links(&event);
        }
    }

    /// From now on what happens to the topic comes. What has happened while it did not is told as the difference.
    fn handle_joined_in_cluster(&mut self, joined: Joined) {
        let Joined { topic, link, elsewhere, members, cached } = joined;
        if !self.home.take_joined(&topic, link) {
            return;
        }
        self.home.take_elsewhere(&topic, elsewhere);
        self.home.take_cached(&topic, cached);
        if is_user(&topic) {
            self.hear_of_signed_in(&topic, !members.is_empty());
        } else {
            self.reconcile(&topic, &members);
        }
        self.let_admitted_in(&topic);
    }

    fn reconcile(&mut self, topic: &Arc<Topic>, members: &[Arc<Member>]) {
        for change in self.home.roster_changes(topic, members) {
            self.home.note_reconciled();
            self.change_roster(topic, change);
        }
    }

    fn hear_of_added(&mut self, topic: &Arc<Topic>, member: Arc<Member>) {
        if is_user(topic) {
            self.hear_of_signed_in(topic, true);
        } else {
            self.change_roster(topic, Change::Added(member));
        }
    }

    fn hear_of_removed(&mut self, topic: &Arc<Topic>, user_id: &str) {
        if is_user(topic) {
            self.hear_of_signed_in(topic, false);
        } else if let Some(member) = self.home.member_heard_of(topic, user_id) {
            self.change_roster(topic, Change::Removed(member));
        }
    }

    /// Changes the replica of a roster, and tells those who are subscribed.
    pub(super) fn change_roster(&mut self, topic: &Arc<Topic>, change: Change) {
        let frames = self.home.change_roster(topic, change);
        for frame in frames.into_iter().flatten() {
            self.handle_deliver(topic, &frame);
        }
    }

    /// Lets in who may be, on a link that is live.
    fn let_admitted_in(&mut self, topic: &Arc<Topic>) {
        let waiting = self.home.take_admitted(topic);
        self.let_in(topic, waiting, true);
    }

    /// Lets in who waits, whatever the server would say.
    pub(super) fn let_all_in(&mut self, topic: &Arc<Topic>) {
        let waiting = self.home.take_waiting(topic);
        self.let_in(topic, waiting, false);
    }

    fn let_in(&mut self, topic: &Arc<Topic>, waiting: Waiting, by_server: bool) {
        if !waiting.joins.is_empty() {
            // They were not subscribed when they were counted.
            self.home.note_count_elsewhere(topic);
        }
        for (shard, epoch) in waiting.joins {
            self.send_to_leaf(shard, Leaf::Joined { topic: Arc::clone(topic), epoch });
        }
        for Entering { core, sub, member } in waiting.entering {
            let entry = self.home.admit_to_roster(core, topic, sub, &member, !by_server);
            self.handle_entry(core, topic, sub, &member, entry);
        }
        for (shard, epoch, sub) in waiting.replays {
            self.home.replay_now(shard, topic, epoch, sub);
        }
        self.answer_watching(topic, &waiting.watching);
    }

    fn handle_refused_in_cluster(&mut self, topic: &Arc<Topic>, user_id: &str, ticket: u64) {
        let Some(cluster) = &mut self.home.cluster else { return };
        let refused = cluster.take_refused(topic, user_id, ticket);
        for Entering { core, sub, .. } in refused {
            self.home.forget_in_cluster(topic, user_id);
            let why = Refusal::MembersMax(topic.app.limits.presence_members_max);
            self.send_to_leaf(core, Leaf::Refused { topic: Arc::clone(topic), sub, why });
        }
        let Some(cluster) = &mut self.home.cluster else { return };
        if cluster.has_user(topic, user_id) {
            cluster.insist(topic, user_id);
        } else if self.home.hears_of(topic)
            && let Some(member) = self.home.member_heard_of(topic, user_id)
        {
            // It was let in before, has gone since, and no other node has it.
            self.change_roster(topic, Change::Removed(member));
        }
    }

    fn terminate_in_cluster(&mut self, app_id: &str, user_id: Box<str>) {
        if let Some(app) = self.inbound.apps().by_id(app_id).cloned() {
            self.handle_terminate(Terminate { app, user_id });
        }
    }
}

impl Home {
    /// Whether what happens to a topic comes from its server.
    fn hears_of(&mut self, topic: &Topic) -> bool {
        let Some(cluster) = &mut self.cluster else { return false };
        let hears = cluster.has_live_link(topic);
        cluster.stats.bus_news_stale += u64::from(!hears);
        hears
    }

    fn member_heard_of(&self, topic: &Topic, user_id: &str) -> Option<Arc<Member>> {
        self.topics.view(topic)?.roster.get(user_id).cloned()
    }

    fn take_joined(&mut self, topic: &Topic, number: u64) -> bool {
        let Some(cluster) = &mut self.cluster else { return false };
        let is_it = cluster.links.get_mut(topic).is_some_and(|link| link.take_joined(number));
        cluster.stats.bus_news_stale += u64::from(!is_it);
        is_it
    }

    fn note_reconciled(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.stats.bus_members_reconciled += 1;
        }
    }

    fn take_cached(&mut self, topic: &Arc<Topic>, cached: Option<CachedFrame>) {
        if topic.key.is_cached() {
            self.replace_cached(topic, cached.map(|it| (it.frame, it.ttl_ms)));
        }
    }

    fn take_admitted(&mut self, topic: &Topic) -> Waiting {
        let Some(cluster) = &mut self.cluster else { return Waiting::default() };
        if !cluster.has_live_link(topic) {
            return Waiting::default();
        }
        cluster.links.get_mut(topic).map_or_else(Waiting::default, |link| link.take_admitted())
    }

    fn take_waiting(&mut self, topic: &Topic) -> Waiting {
        let link = self.cluster.as_mut().and_then(|cluster| cluster.links.get_mut(topic));
        link.map_or_else(Waiting::default, |link| std::mem::take(&mut link.waiting))
    }
}
