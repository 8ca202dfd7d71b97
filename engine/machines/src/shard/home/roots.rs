//! What this shard is told as a home: each root changes what home keeps, and what home has to say to its own shard is
//! done at once.

use std::sync::Arc;

use protocol::hook_event::HookEvent;
use protocol::presence::Member;
use protocol::socket_id::SocketId;

use crate::cores::CoreId;
use crate::mesh::{Ask, Event, Found, Leaf, Publish, Query, Root, SubRef};
use crate::shard::Shard;
use crate::shard::home::Entry;
use crate::shard::home::relay::Outcome;
use crate::shard::home::roster::Entered;
use crate::topic::Topic;

impl Shard {
    /// One message to this shard as the home of its topic.
    pub(in crate::shard) fn handle_root(&mut self, from: CoreId, root: Root) {
        match root {
            Root::Join { topic, epoch } => {
                self.home.join(from, &topic, epoch);
                if self.home.join_in_cluster(from, &topic, epoch) {
                    self.send_to_leaf(from, Leaf::Joined { topic, epoch });
                }
            }
            Root::Count { topic, epoch, n } => self.home.count(from, &topic, epoch, n),
            Root::Enter { topic, epoch, sub, member } => self.handle_enter(from, topic, epoch, sub, &member),
            Root::Replay { topic, epoch, sub } => self.home.replay(from, &topic, epoch, sub),
            Root::Exit { topic, sub } => {
                if let Some(frame) = self.home.exit(from, &topic, sub) {
                    self.handle_deliver(&topic, &frame);
                }
            }
            Root::User { topic, signed_in, watches } => {
                if let Some(leaf) = self.home.hear_of_user(from, &topic, signed_in, watches) {
                    self.handle_leaf(leaf);
                }
            }
            Root::Publish(publish) => self.handle_publish(*publish),
            Root::Query(query) => self.handle_query(from, *query),
            Root::Terminate(terminate) => {
                self.home.share_terminate(from, &terminate);
                if self.home.is_clustered() {
                    self.home.terminate_on_all_nodes(&terminate);
                }
                self.handle_terminate(*terminate);
            }
            Root::Relay(said) => {
                let outcome = self.home.handle_relay(*said);
                self.perform(outcome);
                self.home.forget_relay_when_over();
            }
            Root::Struck => {}
        }
    }

    fn handle_enter(
        &mut self,
        from: CoreId,
        topic: Arc<Topic>,
        epoch: u64,
        sub: SubRef,
        member: &Arc<Member>,
    ) {
        let entry = self.home.enter(from, &topic, epoch, sub, member);
        self.handle_entry(from, &topic, sub, member, entry);
    }

    pub(super) fn handle_entry(
        &mut self,
        from: CoreId,
        topic: &Arc<Topic>,
        sub: SubRef,
        member: &Arc<Member>,
        entry: Entry,
    ) {
        match entry {
            Entry::Stale | Entry::Waits => {}
            Entry::Refused(why) => {
                self.send_to_leaf(from, Leaf::Refused { topic: Arc::clone(topic), sub, why });
            }
            Entry::Admitted(entered) => {
                self.announce(topic, member, entered == Entered::First);
                self.home.admit(from, topic, sub);
            }
        }
    }

    fn announce(&mut self, topic: &Arc<Topic>, member: &Arc<Member>, first: bool) {
        if let Some(frame) = self.home.announce(topic, member, first) {
            self.handle_deliver(topic, &frame);
        }
    }

    /// Tells all who have entered in this phase.
    pub(in crate::shard) fn grant_all(&mut self) {
        for granted in self.home.grant_all() {
            self.handle_leaf(granted);
        }
    }

    fn handle_publish(&mut self, publish: Publish) {
        self.home.note_published(&publish);
        let Publish { event, hook } = publish;
        if let Some(mut hook) = hook {
            if let HookEvent::ServerEvent { recipients, .. } = &mut hook {
                *recipients = self.recipients(&event.topic, event.except);
            }
            self.home.note_event(event.topic.hash, hook);
        }
        if self.home.publish_in_cluster(&event) {
            return;
        }
        match self.home.share_event(&event) {
            Some(outcome) => self.perform(outcome),
            None => self.send_to_links(&event),
        }
    }

    /// How many a publisher's event goes to: all who are subscribed here and now, and on other nodes as far as is known, but the
    /// one that is left out.
    fn recipients(&self, topic: &Topic, except: Option<SocketId>) -> u64 {
        let elsewhere = self.home.elsewhere(topic);
        let all = self.home.counts(topic).subscriptions + elsewhere;
        let is_one = except.is_some_and(|it| self.is_subscriber(topic, it, elsewhere));
        all.saturating_sub(u64::from(is_one))
    }

    /// A home knows how many subscribers a shard has, and who they are on its own shard only. A connection that is left out is nearly
    /// always a subscriber, so elsewhere it is taken for one of those that there are.
    fn is_subscriber(&self, topic: &Topic, socket_id: SocketId, elsewhere: u64) -> bool {
        let Some(place) = socket_id.place().filter(|place| place.node == self.place.node) else {
            return elsewhere > 0;
        };
        let counted = self.home.has_subscribers(topic, CoreId::Shard(place.shard));
        if !counted || place != self.place {
            return counted;
        }
        let Some(at) = self.fanout.find_topic(topic) else { return false };
        let Some(id) = self.fanout.by_socket_id(socket_id) else { return false };
        self.fanout.subscription_to(id, at).is_some()
    }

    fn handle_query(&mut self, from: CoreId, query: Query) {
        match query.ask {
            Ask::Reading => {
                self.fanout.settle_traffic();
                let reading = Found::Reading(Box::new(self.read()));
                self.home.answer(from, query.id, reading);
            }
            Ask::Slowest => self.ask_for_slowest(from, query.id),
            Ask::Connection { socket_id } => self.show_connection(from, query.id, socket_id),
            Ask::Trace { socket_id, watch, for_ms } => {
                let found = self.trace(from, socket_id, watch, for_ms);
                self.home.answer(from, query.id, found);
            }
            Ask::Disconnect { socket_id, close } => {
                let found = Found::Done(self.disconnect(socket_id, close));
                self.home.answer(from, query.id, found);
            }
            ask => self.home.find(from, query.id, ask),
        }
    }

    /// What comes of an input while there are other processes.
    fn perform(&mut self, outcome: Outcome<Event>) {
        let Outcome { settled, told, goes_on } = outcome;
        if let Some((event, offer)) = settled {
            self.send_to_links(&event);
            self.home.tell_followers(event, offer);
        }
        if let Some(told) = told {
            self.home.tell_relay(told);
        }
        if goes_on {
            self.links.go_on(self.me());
        }
    }

    /// An event to all subscribers of this process, and into the cache.
    pub(super) fn send_to_links(&mut self, event: &Event) {
        let Event { topic, frame, except, received, .. } = event;
        // What another process has received has come to this one now.
        let received = Some(received.unwrap_or_else(|| self.fanout.phase_began()));
        self.home.remember(event);
        if self.home.deliver(topic, frame, *except, received) {
            self.handle_event(topic, frame, *except, received);
        }
    }

    /// A message to a shard; to this one it is a call.
    pub(super) fn send_to_leaf(&mut self, shard: CoreId, leaf: Leaf) {
        if let Some(leaf) = self.home.say(shard, leaf) {
            self.handle_leaf(leaf);
        }
    }
}
