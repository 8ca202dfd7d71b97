//! This shard's links to the homes of the topics that its connections are subscribed to: how far each has come, what is
//! said to homes, a batch for each, and what waits for room in them.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::presence::Member;

use crate::cores::{CoreId, Cores, PerCore};
use crate::invariant::Expected;
use crate::limits::Limits;
use crate::machine::{Mesh, Token};
use crate::mesh::{Publish, Root, SubRef, ToHome};
use crate::outgoing::Outgoing;
use crate::readings::stats::LinksStats;
use crate::shard::users::Word;
use crate::topic::Topic;

mod gone;
mod heard;

/// What holds for every topic with local subscribers, and until its home knows that it has none.
const LINKED: &str = "a topic with subscribers has a link to its home";

/// The links, and what is said to homes.
#[derive(Debug)]
pub(super) struct Links {
    /// By the slots that their topics have in the fan-out.
    by_topic: Vec<Option<Link>>,
    roots: Outgoing<Root>,
    /// By home.
    outside: PerCore<Outside>,
    /// Of the last link.
    epoch: u64,
    /// Of the last subscription.
    ticket: u32,
    stats: LinksStats,
}

/// The link to the home of a topic that has local subscribers.
#[derive(Debug)]
struct Link {
    /// Its home shard.
    home: CoreId,
    /// Tells this link from earlier ones.
    epoch: u64,
    /// Home has said Joined.
    live: bool,
    /// Subscriptions that wait for Joined alone.
    joiners: Vec<SubRef>,
    /// Sequence number of the last Count in the open batch.
    counted: u64,
    /// A Count waits outside the full batch.
    count_outside: bool,
}

/// What waits for room in the open batch to one home. Bounded by the slots: none is reused while its Exits wait here.
#[derive(Debug, Default)]
struct Outside {
    exits: VecDeque<(Arc<Topic>, SubRef)>,
    counts: VecDeque<u32>,
}

impl Outside {
    fn is_empty(&self) -> bool {
        self.exits.is_empty() && self.counts.is_empty()
    }
}

impl Links {
    /// No links.
    pub(super) fn new(cores: Cores, limits: &Limits) -> Self {
        Self {
            by_topic: Vec::new(),
            roots: Outgoing::to_shards(cores, limits),
            outside: PerCore::of_shards(cores, |_| Outside::default()),
            epoch: 0,
            ticket: 0,
            stats: LinksStats::default(),
        }
    }

    /// What happened.
    pub(super) fn stats(&self) -> &LinksStats {
        &self.stats
    }

    /// True when a command that adds to the open batch for this home may be taken.
    pub(super) fn is_open(&self, home: CoreId) -> bool {
        !self.roots.is_full(home) && self.outside.get(home).is_some_and(Outside::is_empty)
    }

    /// The topic in this slot has its first subscriber: asks for a link, with an epoch of its own.
    pub(super) fn open(&mut self, topic_slot: u32, home: CoreId, topic: Arc<Topic>) {
        self.epoch += 1;
        let epoch = self.epoch;
        self.roots.push(home, Root::Join { topic, epoch });
        let link =
            Link { home, epoch, live: false, joiners: Vec::new(), counted: u64::MAX, count_outside: false };
        let index = topic_slot as usize;
        if index >= self.by_topic.len() {
            self.by_topic.resize_with(index + 1, || None);
        }
        if let Some(place) = self.by_topic.get_mut(index) {
            *place = Some(link);
        }
    }

    /// A new subscription of this connection, as homes know it.
    pub(super) fn name_subscription(&mut self, id: Token) -> SubRef {
        self.ticket = self.ticket.wrapping_add(1);
        SubRef { connection: id, ticket: self.ticket }
    }

    /// Whether home has said Joined.
    pub(super) fn is_live(&self, topic_slot: u32) -> bool {
        matches!(self.by_topic.get(topic_slot as usize), Some(Some(link)) if link.live)
    }

    /// A subscription waits for Joined alone.
    pub(super) fn wait_for_joined(&mut self, topic_slot: u32, sub: SubRef) {
        if let Some(link) = self.get_mut(topic_slot).expected(LINKED) {
            link.joiners.push(sub);
        }
    }

    /// A subscription asks to enter the roster. Returns the sequence number of that.
    pub(super) fn enter(
        &mut self,
        topic_slot: u32,
        topic: Arc<Topic>,
        sub: SubRef,
        member: Arc<Member>,
    ) -> Option<u64> {
        let Link { home, epoch, .. } = *self.get_mut(topic_slot).expected(LINKED)?;
        Some(self.roots.push(home, Root::Enter { topic, epoch, sub, member }))
    }

    /// True when one more message to this home has room.
    pub(super) fn has_room(&self, home: CoreId) -> bool {
        !self.roots.is_full(home)
    }

    /// What is so of a user on this shard.
    pub(super) fn tell_of_user(&mut self, home: CoreId, word: Word) {
        let Word { topic, signed_in, watches } = word;
        self.roots.push(home, Root::User { topic, signed_in, watches });
    }

    /// A subscription asks for the last event of a cache channel. Returns the sequence number of that.
    pub(super) fn ask_replay(&mut self, topic_slot: u32, topic: Arc<Topic>, sub: SubRef) -> Option<u64> {
        let Link { home, epoch, .. } = *self.get_mut(topic_slot)?;
        Some(self.roots.push(home, Root::Replay { topic, epoch, sub }))
    }

    /// A client's event goes to its home.
    pub(super) fn publish(&mut self, home: CoreId, publish: Publish) {
        self.roots.push(home, Root::Publish(Box::new(publish)));
    }

    /// What this shard, which is `home`, says to itself while it decides what a lost leader has left.
    pub(super) fn go_on(&mut self, home: CoreId) {
        self.roots.push(home, Root::Relay(Box::new(ToHome::Next)));
    }

    /// The first message to this home alone: what a shard says to itself.
    pub(super) fn take_own(&mut self, home: CoreId) -> Option<Root> {
        self.roots.pop(home)
    }

    /// Sends what waits for this home, if that may be. Returns whether anything was sent.
    pub(super) fn send(&mut self, home: CoreId, mesh: &mut impl Mesh) -> bool {
        let sends = !self.roots.is_empty(home) && mesh.may_send_roots(home);
        if sends {
            mesh.send_roots(home, self.roots.take(home));
        }
        sends
    }

    /// What waits to be sent, in bytes.
    pub(super) fn queue_bytes(&self) -> usize {
        self.roots.bytes()
    }

    /// Messages in the fullest batch.
    pub(super) fn fullest_batch(&self) -> usize {
        self.roots.fullest()
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        let len = self.by_topic.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.by_topic.truncate(len);
        self.by_topic.shrink_to_fit();
        for outside in self.outside.entries_mut() {
            outside.exits.shrink_to_fit();
            outside.counts.shrink_to_fit();
        }
    }

    /// Home has said Joined. Returns those who have waited for that.
    fn join(&mut self, topic_slot: Option<u32>, epoch: u64) -> Vec<SubRef> {
        let Some(link) = topic_slot.and_then(|slot| self.by_topic.get_mut(slot as usize)?.as_mut()) else {
            self.stats.joined_stale += 1;
            return Vec::new();
        };
        if link.epoch != epoch || link.live {
            self.stats.joined_superseded += 1;
            return Vec::new();
        }
        link.live = true;
        self.stats.joined += 1;
        std::mem::take(&mut link.joiners)
    }

    fn get_mut(&mut self, topic_slot: u32) -> Option<&mut Link> {
        self.by_topic.get_mut(topic_slot as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use protocol::app::{App, Apps};
    use protocol::auth::sign_subscription;
    use protocol::dialect::DataForm;
    use protocol::socket_id::SocketId;

    use super::*;
    use crate::limits::Limits;
    use crate::machine::{Now, Token};
    use crate::shard::ending::drain::DrainPlan;
    use crate::shard::inbound::commands::Target;
    use crate::shard::{Shard, ShardConfig};
    use crate::topic::{TopicHash, TopicKey};

    const CHANNEL: &str = "presence-a";
    const NOW: Now = Now::at(1000, 0);

    struct Rig {
        shard: Shard,
        app: Arc<App>,
        topics: TopicHash,
        id: Token,
    }

    impl Rig {
        /// A shard with one connection, and its own home.
        fn new() -> Self {
            let apps = Arc::new(Apps::new(vec![App::new("1", "a", "s")]).unwrap());
            let app = Arc::clone(apps.by_id("1").unwrap());
            let topics = TopicHash::new(7, 1);
            let mut shard = Shard::new(ShardConfig {
                number: 0,
                node: 0,
                apps,
                path_prefix: Default::default(),
                trusted_proxies: Default::default(),
                address_caps: Default::default(),
                topics: topics.clone(),
                limits: Limits { subscriptions_per_connection_max: 50, ..Limits::default() },
                hook_grace_ms: 0,
                witness: None,
                drain: DrainPlan::default(),
                random: Box::new(|| 0),
            });
            let id = Token { slot: 0, generation: 1 };
            shard.fanout.attach(id, app.admit().unwrap(), 9, shard.ending.heard(), DataForm::String);
            Self { shard, app, topics, id }
        }

        fn with_target(&mut self, take: impl FnOnce(&mut Shard, Token, &Target<'_>)) {
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
            for root in self.shard.links.roots.waiting(CoreId::Shard(0)) {
                enters += usize::from(matches!(root, Root::Enter { .. }));
                exits += usize::from(matches!(root, Root::Exit { .. }));
            }
            (enters, exits)
        }

        fn take_all(&mut self) {
            while let Some(root) = self.shard.links.roots.pop(CoreId::Shard(0)) {
                self.shard.handle_root(CoreId::Shard(0), root);
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
        assert_eq!((rig.shard.stats().members_added, rig.shard.links.roots.bytes()), (1, 0));
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
        while let Some(root) = rig.shard.links.roots.pop(CoreId::Shard(0)) {
            rig.shard.handle_root(CoreId::Shard(0), root);
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
        assert!(rig.shard.inbound.has_no_churn());
    }
}
