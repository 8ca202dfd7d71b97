//! This shard's links to the homes of the topics that its connections are subscribed to: what is told to home (Count,
//! Exit), and what comes from it (Joined, Granted, Refused, Deliver).
//!
//! What closes have to say when the open batch is full waits *outside*: Exits in order, Counts as a mark per topic
//! that is read when sent; both go before any command that waits for the same home, Exits before Counts.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use protocol::server_event;
use protocol::socket_id::SocketId;
use protocol::ws::Frame;

use super::Shard;
use crate::mesh::{Leaf, Refusal, Root, SubRef};
use crate::outbox::run::Run;
use crate::shard::fanout::connection::ConnectionId;
use crate::shard::fanout::topics::Gone;
use crate::shard::inbound::refuse::Grounds;
use crate::topic::Topic;

/// The link to the home of a topic that has local subscribers.
#[derive(Debug)]
pub(super) struct Link {
    /// Its home shard.
    pub(super) home: usize,
    /// Tells this link from earlier ones.
    pub(super) epoch: u64,
    /// Home has said Joined.
    pub(super) live: bool,
    /// Subscriptions that wait for Joined alone.
    pub(super) joiners: Vec<SubRef>,
    /// Sequence number of the last Count in the open batch.
    counted: u64,
    /// A Count waits outside the full batch.
    count_outside: bool,
}

impl Link {
    /// One that was just asked for.
    pub(super) fn new(home: usize, epoch: u64) -> Self {
        Self { home, epoch, live: false, joiners: Vec::new(), counted: u64::MAX, count_outside: false }
    }
}

/// The links, by the slots that their topics have in the fan-out.
#[derive(Debug, Default)]
pub(super) struct Links {
    of: Vec<Option<Link>>,
}

impl Links {
    pub(super) fn get_mut(&mut self, topic_slot: u32) -> Option<&mut Link> {
        self.of.get_mut(topic_slot as usize)?.as_mut()
    }

    pub(super) fn open(&mut self, topic_slot: u32, link: Link) {
        let slot = topic_slot as usize;
        if slot >= self.of.len() {
            self.of.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.of.get_mut(slot) {
            *place = Some(link);
        }
    }

    fn close(&mut self, topic_slot: u32) {
        if let Some(link) = self.of.get_mut(topic_slot as usize) {
            *link = None;
        }
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        let len = self.of.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.of.truncate(len);
        self.of.shrink_to_fit();
    }
}

/// What waits for room in the open batch to one home. Bounded by the slots: none is reused while its Exits wait here.
#[derive(Debug, Default)]
pub struct Outside {
    exits: VecDeque<(Arc<Topic>, SubRef)>,
    counts: VecDeque<u32>,
}

impl Outside {
    /// Gives back what nothing needs now.
    pub fn give_back_room(&mut self) {
        self.exits.shrink_to_fit();
        self.counts.shrink_to_fit();
    }
}

impl Outside {
    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.exits.is_empty() && self.counts.is_empty()
    }
}

impl Shard {
    /// True when a command that adds to the open batch for this home may be taken.
    pub(super) fn command_gate_is_open(&self, home: usize) -> bool {
        !self.roots.is_full(home) && self.outside.get(home).is_some_and(Outside::is_empty)
    }

    /// A subscription has gone: says so to its home, Exit before Count. What a close has to say may wait outside.
    pub(super) fn tell_gone(&mut self, gone: Gone, by_close: bool) {
        let Gone { topic_slot, sub, entered, waited, .. } = gone;
        let Some(link) = self.links.get_mut(topic_slot) else { return };
        let home = link.home;
        if waited {
            link.joiners.retain(|joiner| *joiner != sub);
        }
        let wait = by_close && !self.command_gate_is_open(home);
        if gone.is_member && !(waited && self.strike_enter(home, entered, sub)) {
            self.tell_exit(home, gone.topic, sub, wait);
        }
        let wait = by_close && !self.command_gate_is_open(home);
        self.tell_count(topic_slot, wait);
    }

    /// Takes back an Enter that home was not sent. Returns whether it was.
    fn strike_enter(&mut self, home: usize, entered: u32, sub: SubRef) -> bool {
        let sequence = self.roots.sequence(home, entered);
        match self.roots.unsent(home, sequence) {
            Some(Root::Enter { sub: of, .. }) if *of == sub => {
                self.roots.replace(home, sequence, Root::Struck);
                self.links_stats.enters_struck += 1;
                true
            }
            _ => false,
        }
    }

    fn tell_exit(&mut self, home: usize, topic: Arc<Topic>, sub: SubRef, wait: bool) {
        if !wait {
            self.roots.push(home, Root::Exit { topic, sub });
        } else if let Some(outside) = self.outside.get_mut(home) {
            outside.exits.push_back((topic, sub));
            self.fanout.connections.keep(sub.slot);
            self.links_stats.exits_outside += 1;
        }
    }

    fn tell_count(&mut self, at: u32, wait: bool) {
        let Some(link) = self.links.get_mut(at) else { return };
        let home = link.home;
        if !wait {
            self.send_count(at);
        } else if !link.count_outside {
            link.count_outside = true;
            if let Some(outside) = self.outside.get_mut(home) {
                outside.counts.push_back(at);
            }
            self.links_stats.counts_outside += 1;
        }
    }

    /// Tells home how many subscribers there are, and with none forgets the topic.
    pub(super) fn send_count(&mut self, at: u32) {
        let Some(topic) = self.fanout.topic(at).cloned() else { return };
        let n = self.fanout.subscribers_to(at);
        let Some(link) = self.links.get_mut(at) else { return };
        link.count_outside = false;
        let Link { home, epoch, counted, live, .. } = *link;
        if n == 0 && !live {
            self.links_stats.joining_abandoned += 1;
        }
        if let Some(earlier) = self.roots.unsent(home, counted)
            && matches!(earlier, Root::Count { epoch: of, .. } if *of == epoch)
        {
            *earlier = Root::Struck;
            self.links_stats.counts_struck += 1;
        }
        let sequence = self.roots.push(home, Root::Count { topic, epoch, n });
        if let Some(link) = self.links.get_mut(at) {
            link.counted = sequence;
        }
        self.forget_without_subscribers(at, n);
    }

    fn forget_without_subscribers(&mut self, at: u32, n: u32) {
        if n == 0 {
            self.fanout.remove_topic(at);
            self.links.close(at);
        }
    }

    /// What waits outside goes into the open batches as far as there is room. Returns whether anything did.
    pub(super) fn bring_in_outside(&mut self) -> bool {
        let mut any = false;
        for home in 0..self.outside.len() {
            while !self.roots.is_full(home) {
                let Some(outside) = self.outside.get_mut(home) else { break };
                if let Some((topic, sub)) = outside.exits.pop_front() {
                    self.roots.push(home, Root::Exit { topic, sub });
                    self.fanout.connections.let_go(sub.slot);
                } else if let Some(at) = outside.counts.pop_front() {
                    self.send_count(at);
                } else {
                    break;
                }
                any = true;
            }
        }
        any
    }

    /// One message from the home of a topic.
    pub(super) fn handle_leaf(&mut self, leaf: Leaf) {
        match leaf {
            Leaf::Joined { topic, epoch } => self.handle_joined(&topic, epoch),
            Leaf::Granted { topic, subs, succeeded } => self.handle_granted(&topic, subs, succeeded),
            Leaf::Refused { topic, sub, why } => self.handle_refused(&topic, sub, why),
            Leaf::Deliver { topic, frame, except } => self.handle_deliver(&topic, &frame, except),
            Leaf::Answer(_) | Leaf::Relay(_) => debug_assert!(false, "shards get none of these"),
        }
    }

    fn handle_joined(&mut self, topic: &Topic, epoch: u64) {
        let at = self.fanout.find_topic(topic);
        let Some((at, link)) = at.and_then(|at| self.links.get_mut(at).map(|link| (at, link))) else {
            self.links_stats.joined_stale += 1;
            return;
        };
        if link.epoch != epoch || link.live {
            self.links_stats.joined_superseded += 1;
            return;
        }
        link.live = true;
        let joiners = std::mem::take(&mut link.joiners);
        self.links_stats.joined += 1;
        if joiners.is_empty() {
            return;
        }
        let mut bytes = Vec::new();
        server_event::encode_subscription_succeeded(&mut bytes, &topic.name());
        let succeeded = Run::private(bytes);
        for joiner in joiners {
            if let Some((id, subscription)) = self.fanout.waiting(at, joiner) {
                self.fanout.acknowledge(id, subscription, Rc::clone(&succeeded));
            }
        }
    }

    fn handle_granted(&mut self, topic: &Topic, subs: Vec<SubRef>, succeeded: Frame) {
        let succeeded = Run::shared(succeeded);
        for sub in subs {
            match self.waiting_for(topic, sub) {
                Some((id, at)) => self.fanout.acknowledge(id, at, Rc::clone(&succeeded)),
                None => self.links_stats.granted_stale += 1,
            }
        }
    }

    fn handle_refused(&mut self, topic: &Topic, sub: SubRef, why: Refusal) {
        let Some((id, at)) = self.waiting_for(topic, sub) else {
            self.links_stats.granted_stale += 1;
            return;
        };
        let full = format!("The presence channel {} is full", topic.name());
        let text = match why {
            Refusal::MembersMax(members) => {
                format!("{full}: it has {members} members (presence_members_max)")
            }
            Refusal::RosterMax(bytes) => {
                format!("{full}: its roster would have more than {bytes} bytes (roster_bytes_max)")
            }
        };
        self.refuse_subscription(id, &topic.name(), Grounds::Full, &text);
        if let Some(mut gone) = self.fanout.remove_subscription(id, at) {
            // Home has no entry of it, so there is nothing to exit from.
            gone.is_member = false;
            self.tell_gone(gone, true);
        }
    }

    fn waiting_for(&mut self, topic: &Topic, sub: SubRef) -> Option<(ConnectionId, usize)> {
        let at = self.fanout.find_topic(topic)?;
        self.fanout.waiting(at, sub)
    }

    pub(super) fn handle_deliver(&mut self, topic: &Topic, frame: &Frame, except: Option<SocketId>) {
        let Some(at) = self.fanout.find_topic(topic) else { return };
        let except = except.and_then(|socket_id| self.fanout.by_socket_id(self.index, socket_id));
        self.fanout.deliver(at, frame, except);
    }
}

#[cfg(test)]
mod tests {
    use protocol::app::{App, Apps};
    use protocol::auth::sign_subscription;
    use protocol::ws::Decoder;

    use super::*;
    use crate::limits::Limits;
    use crate::machine::{Now, Token};
    use crate::outbox::Outbox;
    use crate::shard::ShardConfig;
    use crate::shard::ending::drain::DrainPlan;
    use crate::shard::fanout::connection::Connection;
    use crate::shard::inbound::commands::Target;
    use crate::topic::{TopicHash, TopicKey};

    const CHANNEL: &str = "presence-a";
    const NOW: Now = Now { mono_ms: 1000, unix_ms: 0 };

    struct Rig {
        shard: Shard,
        app: Arc<App>,
        topics: TopicHash,
        id: ConnectionId,
    }

    impl Rig {
        /// A shard with one connection, and its own home.
        fn new() -> Self {
            let apps = Arc::new(Apps::new(vec![App::new("1", "a", "s")]).unwrap());
            let app = Arc::clone(apps.by_id("1").unwrap());
            let topics = TopicHash::new(7, 1);
            let mut shard = Shard::new(ShardConfig {
                index: 0,
                apps,
                topics: topics.clone(),
                limits: Limits { subscriptions_per_connection_max: 50, ..Limits::default() },
                hook_grace_ms: 0,
                witness: None,
                drain: DrainPlan::default(),
                random: Box::new(|| 0),
            });
            let id = shard.fanout.connections.attach(Connection {
                admission: app.admit().unwrap(),
                second: 9,
                token: Token { slot: 0, generation: 0 },
                subscriptions: Vec::new(),
                outbox: Outbox::default(),
                decoder: Decoder::default(),
                private_gain: 0,
                client_events_full_ms: 0,
                heard: shard.wheel.heard(),
                dirty: false,
                held: false,
                blocked: false,
                stalled: false,
            });
            Self { shard, app, topics, id }
        }

        fn with_target(&mut self, take: impl FnOnce(&mut Shard, ConnectionId, &Target<'_>)) {
            let key = TopicKey::of(CHANNEL);
            let target =
                Target { app: &self.app, channel: CHANNEL, key, hash: self.topics.of(&self.app, key) };
            take(&mut self.shard, self.id, &target);
        }

        fn enter(&mut self) {
            let data = r#"{"user_id":"u"}"#;
            let auth = sign_subscription(&self.app, SocketId { first: 0, second: 9 }, CHANNEL, Some(data));
            self.with_target(|shard, id, target| shard.subscribe(id, target, &auth, Some(data), NOW));
        }

        fn leave(&mut self) {
            self.with_target(|shard, id, target| shard.unsubscribe(id, target, NOW));
        }

        /// Enters and Exits that home is to be sent.
        fn moves(&mut self) -> (usize, usize) {
            let (mut enters, mut exits) = (0, 0);
            for root in self.shard.roots.waiting(0) {
                enters += usize::from(matches!(root, Root::Enter { .. }));
                exits += usize::from(matches!(root, Root::Exit { .. }));
            }
            (enters, exits)
        }

        fn take_all(&mut self) {
            while let Some(root) = self.shard.roots.pop(0) {
                self.shard.handle_root(0, root);
            }
            self.shard.grant_all();
        }
    }

    #[test]
    fn who_enters_and_leaves_before_home_knows_is_told_to_nobody() {
        let mut rig = Rig::new();
        for _ in 0..20 {
            rig.enter();
            rig.leave();
        }
        assert_eq!((rig.moves(), rig.shard.stats().enters_struck), ((0, 0), 20));
        rig.enter();
        assert_eq!(rig.moves(), (1, 0));
        rig.take_all();
        assert_eq!((rig.shard.stats().members_added, rig.shard.roots.bytes()), (1, 0));
        // Home knows of this one, so it must hear of its going, and once only, however often it is tried again.
        for _ in 0..20 {
            rig.leave();
            rig.enter();
        }
        assert_eq!(rig.moves(), (1, 1));
        rig.take_all();
        assert_eq!((rig.shard.stats().members_added, rig.shard.stats().members_removed), (2, 1));
    }

    #[test]
    fn an_enter_that_home_has_taken_is_not_taken_back() {
        let mut rig = Rig::new();
        rig.enter();
        while let Some(root) = rig.shard.roots.pop(0) {
            rig.shard.handle_root(0, root);
        }
        // It still waits for the end of the phase.
        rig.leave();
        assert_eq!((rig.moves(), rig.shard.stats().enters_struck), ((0, 1), 0));
        rig.take_all();
        assert_eq!(rig.shard.home.len(), 0);
    }

    #[test]
    fn who_changes_too_fast_may_not_subscribe_for_a_while() {
        let mut rig = Rig::new();
        for _ in 0..50 {
            rig.enter();
            rig.leave();
        }
        rig.enter();
        assert_eq!(rig.shard.fanout.subscriptions(), 0);
        assert_eq!(rig.shard.stats().subscribe_refused_for_rate, 1);
        rig.shard.close_in_answer(rig.id, None);
        assert!(rig.shard.churn.is_empty());
    }
}
