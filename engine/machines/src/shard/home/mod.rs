//! The home side of a shard: for each topic that lives here, which shards have subscribers and how many, and who is
//! in its presence roster. One truth per topic, so one order for all its subscribers.
//!
//! Only this file changes a roster or a link, and only it says which edges that makes (`edges` tells them). What home has
//! to say to its own shard is no message: it is given back, and the shard does it at once (`roots`).

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use protocol::app::Apps;
use protocol::hook_event::{HookEvent, OpenEdges};
use protocol::hook_kind::HookKind;
use protocol::presence::Member;
use protocol::server_event;
use protocol::socket_id::SocketId;
use protocol::ws::Frame;

use crate::cluster::bus::Server;
use crate::cluster::servers::Servers;
use crate::cores::{CoreId, Cores};
use crate::hook_port::HookPort;
use crate::invariant::{self, Expected};
use crate::limits::Limits;
use crate::machine::{Mesh, Now};
use crate::mesh::{Answer, Ask, Counts, Event, Found, Leaf, Publish, Refusal, SubRef};
use crate::now::Moment;
use crate::outgoing::Outgoing;
use crate::readings::stats::{ClusterStats, HomeStats};
use crate::shard::home::cache::Cache;
use crate::shard::home::cluster::ClusterHome;
use crate::shard::home::cluster::lookups::Wanted;
use crate::shard::home::cluster::members::{Change, Entrance};
use crate::shard::home::edges::Edges;
use crate::shard::home::grants::Grants;
use crate::shard::home::list::{Extent, Lists};
use crate::shard::home::misses::Misses;
use crate::shard::home::relay::Relay;
use crate::shard::home::roster::Entered;
use crate::shard::home::subscription_counts::SubscriptionCounts;
use crate::shard::home::tails::Tails;
use crate::shard::home::topics::{HomeTopics, Joined};
use crate::shard::home::users::HomeUsers;
use crate::shard::home::witness::{Deed, Witness};
use crate::topic::{Topic, TopicHash, TopicKey};

mod blocked_topics;
pub mod cache;
pub mod cluster;
pub mod edges;
mod grants;
mod links;
mod list;
mod misses;
pub mod relay;
mod roots;
mod roster;
pub mod subscription_counts;
mod tails;
mod topics;
mod users;
pub mod witness;

/// What a shard keeps as the home of its topics.
pub struct Home {
    /// The shard itself.
    me: CoreId,
    apps: Arc<Apps>,
    hash: TopicHash,
    topics: HomeTopics,
    users: HomeUsers,
    grants: Grants,
    lists: Lists,
    /// What an operator watches.
    tails: Tails,
    /// What cache channels remember.
    cache: Cache,
    misses: Misses,
    edges: Edges,
    subscription_counts: SubscriptionCounts,
    /// There is another process on the same ports.
    relay: Option<Box<Relay<Event>>>,
    /// There are other nodes.
    cluster: Option<Box<ClusterHome>>,
    /// What is read where there are none.
    no_cluster: ClusterStats,
    /// What is said to shards, to the API core and to the relay.
    leaves: Outgoing<Leaf>,
    witness: Option<Witness>,
    stats: HomeStats,
}

/// What became of somebody who asked to enter a roster.
#[derive(Debug)]
enum Entry {
    /// The link is gone.
    Stale,
    /// There is no room.
    Refused(Refusal),
    /// The cluster is asked.
    Waits,
    /// It is in.
    Admitted(Entered),
}

impl Home {
    /// No topic is occupied.
    pub(super) fn new(
        me: CoreId,
        apps: Arc<Apps>,
        hash: TopicHash,
        limits: &Limits,
        hook_grace_ms: u64,
        witness: Option<Witness>,
    ) -> Self {
        Self {
            me,
            apps,
            topics: HomeTopics::default(),
            users: HomeUsers::default(),
            grants: Grants::default(),
            lists: Lists::new(limits),
            tails: Tails::default(),
            cache: Cache::new(limits),
            misses: Misses::new(limits),
            edges: Edges::new(hook_grace_ms),
            subscription_counts: SubscriptionCounts::new(limits),
            relay: None,
            cluster: None,
            no_cluster: ClusterStats::default(),
            leaves: Outgoing::to_all(hash.cores(), limits),
            hash,
            witness,
            stats: HomeStats::default(),
        }
    }

    /// A decide phase begins.
    pub(super) fn begin_phase(&mut self, now: Now) {
        self.edges.begin_phase(now.mono_ms);
        self.subscription_counts.begin_phase(now.mono_ms);
        self.users.begin_phase(now.mono_ms);
        self.cache.begin_phase(now.mono_ms);
        self.look_at_tails(now.mono_ms);
        if let Some(cluster) = &mut self.cluster {
            cluster.begin_phase(now.mono_ms);
        }
    }

    /// Its topics are those of a cluster, too.
    pub(super) fn join_cluster(&mut self, servers: Servers, limits: &Limits) {
        self.cluster = Some(Box::new(ClusterHome::new(servers, limits)));
    }

    /// The server ends: who goes now has not left.
    pub(super) fn end(&mut self) {
        self.edges.end();
        self.subscription_counts.end();
    }

    /// What happened.
    pub(super) fn stats(&self) -> &HomeStats {
        &self.stats
    }

    /// True when any of its batches is full, or too many counts must be told: what adds to them must wait.
    pub(super) fn is_backed_up(&self) -> bool {
        !self.has_room()
            || self.subscription_counts.is_full(self.grants.counts_coming())
            || self.cluster.as_ref().is_some_and(|cluster| cluster.is_backed_up())
    }

    /// Whether there are other nodes.
    pub(super) fn is_clustered(&self) -> bool {
        self.cluster.is_some()
    }

    /// True when what the cluster says may be taken.
    pub(super) fn may_take_news(&self) -> bool {
        self.has_room() && self.cluster.as_ref().is_some_and(|cluster| !cluster.is_draining())
    }

    /// Sends what servers are to be told, as far as that may be. Returns whether anything was sent.
    pub(super) fn send_to_servers(&mut self, mesh: &mut impl Mesh) -> bool {
        let Some(cluster) = &mut self.cluster else { return false };
        let unsent: Vec<_> = cluster.unsent().filter(|server| mesh.may_send_to_server(*server)).collect();
        for server in &unsent {
            mesh.send_to_server(*server, cluster.take(*server));
        }
        !unsent.is_empty()
    }

    /// True when none of its batches is full.
    pub(super) fn has_room(&self) -> bool {
        !self.leaves.any_full()
    }

    /// All cores of the server: it speaks to each.
    pub(super) fn cores(&self) -> Cores {
        self.hash.cores()
    }

    /// Sends what waits for core `to`, if that may be. Returns whether anything was sent.
    pub(super) fn send(&mut self, to: CoreId, mesh: &mut impl Mesh) -> bool {
        let sends = !self.leaves.is_empty(to) && mesh.may_send_leaves(to);
        if sends {
            mesh.send_leaves(to, self.leaves.take(to));
        }
        sends
    }

    /// What waits to be sent, in bytes.
    pub(super) fn queue_bytes(&self) -> usize {
        self.leaves.bytes()
    }

    /// Messages in the fullest batch.
    pub(super) fn fullest_batch(&self) -> usize {
        self.leaves.fullest()
    }

    /// When there is something to tell hooks, or subscribers of how many they are, or a cached event is over, in `mono_ms`.
    pub(super) fn deadline(&self) -> Option<u64> {
        let cluster = self.cluster.as_ref().and_then(|cluster| cluster.deadline(self.has_room()));
        let all = [
            self.edges.deadline(),
            self.subscription_counts.deadline(),
            self.cache.deadline(),
            self.tails.deadline(),
            cluster,
        ];
        all.into_iter().flatten().min()
    }

    /// Forgets cached events that are over.
    pub(super) fn expire_cache(&mut self, now: Now) {
        self.stats.cache_expired += self.cache.expire(now.mono_ms);
    }

    /// Tells hooks what is due. Returns how many events were dropped for want of room.
    pub(super) fn tell_hooks(&mut self, port: &mut impl HookPort, now: Now) -> u64 {
        let dropped = |stats: &HomeStats| {
            stats.hook_client_events_dropped
                + stats.hook_server_events_dropped
                + stats.hook_subscription_counts_dropped
                + stats.hook_cache_misses_dropped
        };
        let before = dropped(&self.stats);
        for hash in self.edges.tell(port, now, &mut self.stats) {
            self.misses.end(hash);
        }
        dropped(&self.stats) - before
    }

    /// What hooks were told before this server began, as far as it lives here. In a cluster homes tell no edges.
    pub(super) fn take_open_edges(&mut self, open: &[OpenEdges], now: Now) {
        if self.cluster.is_some() {
            return;
        }
        self.edges.begin_phase(now.mono_ms);
        self.edges.take_open(open, &self.apps, &self.hash, self.me);
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.topics.give_back_room();
        self.users.give_back_room();
        self.cache.give_back_room();
        self.misses.give_back_room();
        self.edges.give_back_room();
        self.subscription_counts.give_back_room();
        if let Some(cluster) = &mut self.cluster {
            cluster.give_back_room();
        }
    }

    /// How many topics are occupied.
    pub fn len(&self) -> usize {
        self.topics.occupied()
    }

    /// True when no topic is occupied.
    pub fn is_empty(&self) -> bool {
        self.topics.occupied() == 0
    }

    /// How many users are known, for tests.
    pub(super) fn users(&self) -> usize {
        self.users.len()
    }

    /// How many users have gone and are still to be told of.
    pub(super) fn gone_users(&self) -> usize {
        self.users.gone()
    }

    /// What cache channels remember, for tests.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// What the hooks were not told yet, for tests.
    pub fn edges(&self) -> &Edges {
        &self.edges
    }

    /// How many channels have subscribers who must still be told how many they are, for tests.
    pub fn subscription_counts(&self) -> &SubscriptionCounts {
        &self.subscription_counts
    }

    /// What has happened in the cluster.
    pub fn cluster_stats(&self) -> &ClusterStats {
        self.cluster.as_ref().map_or(&self.no_cluster, |cluster| cluster.stats())
    }

    /// The session with this server that it is in, for tests.
    pub fn cluster_session(&self, server: Server) -> Option<u64> {
        self.cluster.as_ref().and_then(|cluster| cluster.session(server))
    }

    /// Whether what happens to a topic comes from its server, for tests.
    pub fn has_live_link(&self, topic: &Topic) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.has_live_link(topic))
    }

    /// How much waits for the cluster, for tests.
    pub fn cluster_waits(&self) -> usize {
        self.cluster.as_ref().map_or(0, |cluster| cluster.waits())
    }

    /// Tails that are not over, for tests.
    pub fn tails(&self) -> usize {
        self.tails.len()
    }

    /// Lists of channels in the making.
    pub(super) fn open_lists(&self) -> usize {
        self.lists.len()
    }

    /// A shard has its first subscriber.
    fn join(&mut self, from: CoreId, topic: &Arc<Topic>, epoch: u64) {
        self.stats.joins += 1;
        let Joined { occupies, supersedes } = self.topics.join(topic, from, epoch);
        self.stats.joins_superseding += u64::from(supersedes);
        if occupies {
            self.stats.occupied += 1;
            self.show(Deed::Occupied(topic));
            self.note_channel(topic, true);
        }
        self.note_count(topic);
    }

    /// A shard has so many subscribers.
    fn count(&mut self, from: CoreId, topic: &Arc<Topic>, epoch: u64, n: u32) {
        let Some(home) = self.topics.find(topic) else {
            self.stats.roots_stale += 1;
            return;
        };
        if !home.links.count(from, epoch, n) {
            self.stats.roots_stale += 1;
            return;
        }
        if n > 0 {
            self.note_count_in_cluster(topic);
            return self.note_count(topic);
        }
        debug_assert!(!home.roster.has_shard(from), "Exits come before the Count that ends a link");
        if let Some(topic) = self.topics.leave(topic, from) {
            self.stats.vacated += 1;
            self.show(Deed::Vacated(&topic));
            self.note_channel(&topic, false);
            self.note_count(&topic);
            self.leave_in_cluster(&topic);
        } else {
            self.note_count_in_cluster(topic);
            self.note_count(topic);
        }
    }

    /// A subscription asks to enter the roster. If it is admitted, its member is in it and is to be announced.
    fn enter(
        &mut self,
        from: CoreId,
        topic: &Arc<Topic>,
        epoch: u64,
        sub: SubRef,
        member: &Arc<Member>,
    ) -> Entry {
        if self.topics.view(topic).is_none_or(|home| !home.links.has(from, epoch)) {
            self.stats.roots_stale += 1;
            return Entry::Stale;
        }
        if self.is_too_long_for_all_nodes(topic, member) {
            self.stats.refused += 1;
            return Entry::Refused(Refusal::RosterMax(topic.app.limits.roster_bytes_max));
        }
        match self.enter_in_cluster(from, topic, sub, member) {
            Entrance::Alone => self.admit_to_roster(from, topic, sub, member, true),
            Entrance::Known => self.admit_to_roster(from, topic, sub, member, false),
            Entrance::Waits => Entry::Waits,
        }
    }

    /// A subscription enters the roster, as far as there is room if this home has to look after that.
    fn admit_to_roster(
        &mut self,
        from: CoreId,
        topic: &Arc<Topic>,
        sub: SubRef,
        member: &Arc<Member>,
        bounded: bool,
    ) -> Entry {
        let Some(home) = self.topics.find(topic).expected("its caller has found it") else {
            return Entry::Stale;
        };
        let limits = &topic.app.limits;
        let members_max = if bounded { limits.presence_members_max } else { usize::MAX };
        let entered = home.roster.enter(from, sub, member, members_max);
        let roster_bytes = home.roster_bytes();
        // Who is there already makes it no longer.
        let too_long = bounded && entered == Entered::First && roster_bytes > limits.roster_bytes_max;
        let refusal = if entered == Entered::Full {
            Some(Refusal::MembersMax(limits.presence_members_max))
        } else {
            too_long.then_some(Refusal::RosterMax(limits.roster_bytes_max))
        };
        let Some(why) = refusal else { return Entry::Admitted(entered) };
        home.roster.exit(from, sub);
        self.stats.refused += 1;
        self.forget_in_cluster(topic, &member.user_id);
        Entry::Refused(why)
    }

    /// Tells all subscribers of a member, who is new to the topic if it is the first subscription of that user. Returns
    /// what this shard's own are to be told.
    #[must_use]
    fn announce(&mut self, topic: &Arc<Topic>, member: &Arc<Member>, first: bool) -> Option<Frame> {
        if !first {
            self.stats.members_again += 1;
            return None;
        }
        let mut bytes = Vec::new();
        server_event::encode_member_added(&mut bytes, &topic.name(), member);
        let frame = Frame::from(bytes).holding_json(true);
        let here = self.deliver(topic, &frame, None, None);
        self.stats.members_added += 1;
        self.show(Deed::Added { topic, user_id: &member.user_id });
        self.note_member(topic, member, true);
        here.then_some(frame)
    }

    /// A subscription has left the roster. Returns what this shard's own subscribers are to be told.
    #[must_use]
    fn exit(&mut self, from: CoreId, topic: &Arc<Topic>, sub: SubRef) -> Option<Frame> {
        let member = match self.cluster {
            None => self.topics.find(topic)?.roster.exit(from, sub)?,
            Some(_) => self.exit_in_cluster(from, topic, sub)?,
        };
        self.announce_removed(topic, &member)
    }

    /// Tells all subscribers of a member that has gone. Returns what this shard's own are to be told.
    #[must_use]
    fn announce_removed(&mut self, topic: &Arc<Topic>, member: &Arc<Member>) -> Option<Frame> {
        let mut bytes = Vec::new();
        server_event::encode_member_removed(&mut bytes, &topic.name(), &member.user_id);
        let frame = Frame::from(bytes).holding_json(true);
        let here = self.deliver(topic, &frame, None, None);
        self.stats.members_removed += 1;
        self.show(Deed::Removed { topic, user_id: &member.user_id });
        self.note_member(topic, member, false);
        here.then_some(frame)
    }

    /// Changes a roster as the cluster says. Returns what this shard's own subscribers are to be told, in order.
    fn change_roster(&mut self, topic: &Arc<Topic>, change: Change) -> [Option<Frame>; 2] {
        let Some(home) = self.topics.find(topic) else { return [None, None] };
        match change {
            // It was let in before the server had answered, and will be in again.
            Change::Removed(member) if home.roster.is_here(&member.user_id) => [None, None],
            Change::Removed(member) => {
                home.roster.remove(&member.user_id);
                [self.announce_removed(topic, &member), None]
            }
            Change::Added(member) => {
                // Nobody is told of itself: of a user that is here and has another user_info now nobody hears.
                let told = home.roster.get(&member.user_id).cloned();
                let is_here = home.roster.is_here(&member.user_id);
                home.roster.put(&member);
                match told {
                    Some(_) if is_here => [None, None],
                    Some(told) => {
                        let gone = self.announce_removed(topic, &told);
                        [gone, self.announce(topic, &member, true)]
                    }
                    None => [self.announce(topic, &member, true), None],
                }
            }
        }
    }

    /// An event is taken.
    fn note_published(&mut self, publish: &Publish) {
        let Publish { event, hook } = publish;
        self.stats.published += 1;
        self.show(Deed::Published { event, hooked: hook.is_some() });
    }

    /// A frame to exactly the other shards that have subscribers; one shared pointer each. Returns whether this shard has
    /// some, too.
    #[must_use]
    fn deliver(
        &mut self,
        topic: &Topic,
        frame: &Frame,
        except: Option<SocketId>,
        received: Option<Moment>,
    ) -> bool {
        self.note_for_tails(topic, frame);
        let Some(home) = self.topics.view(topic).filter(|home| home.is_occupied()) else {
            self.stats.published_unheard += 1;
            return false;
        };
        let mut here = false;
        for shard in home.links.shards() {
            if shard == self.me {
                here = true;
                continue;
            }
            let topic = Arc::clone(&home.topic);
            let leaf = Leaf::Deliver { topic, frame: frame.clone(), except, received };
            self.leaves.push(shard, leaf);
        }
        here
    }

    /// Puts a message into the open batch to a core.
    fn push(&mut self, to: CoreId, leaf: Leaf) {
        self.leaves.push(to, leaf);
    }

    /// A message to a shard. What is for this one is given back.
    #[must_use]
    fn say(&mut self, shard: CoreId, leaf: Leaf) -> Option<Leaf> {
        if shard == self.me {
            return Some(leaf);
        }
        self.push(shard, leaf);
        None
    }

    /// Answers a question of core `to`.
    pub(super) fn answer(&mut self, to: CoreId, id: u64, found: Found) {
        invariant::check(to != self.me, "shards ask no questions");
        self.push(to, Leaf::Answer(Box::new(Answer { id, found })));
    }

    /// What is asked of the topics that live here.
    fn find(&mut self, from: CoreId, id: u64, ask: Ask) {
        let found = match ask {
            Ask::Channels { app, prefix, bytes_max } => {
                return self.begin_list(from, id, app, prefix, Extent::All { bytes_max });
            }
            Ask::ChannelsElsewhere { server, app, prefix, bytes_max } => {
                let (server, prefix, bytes_left) = (Server(server), prefix.into(), bytes_max);
                let wanted = Wanted::Channels { server, app, prefix, bytes_left, found: HashMap::new() };
                return self.look_up(from, id, wanted);
            }
            Ask::Channel { topic } if self.is_of_all_nodes(&topic) => {
                return self.look_up(from, id, Wanted::Channel(topic));
            }
            Ask::Users { topic } if self.is_of_all_nodes(&topic) => {
                return self.look_up(from, id, Wanted::Users(topic, HashSet::new()));
            }
            Ask::IsJoined { topic } if self.is_joined(&topic) => Found::Joined,
            Ask::IsJoined { .. } => Found::Alone(Counts::default()),
            Ask::ChannelPage { app, prefix, after, count } => {
                return self.begin_list(from, id, app, prefix, Extent::Page { after, count });
            }
            Ask::Tail { topic, watch, for_ms } => self.tail(from, &topic, watch, for_ms),
            Ask::Members { topic, count } => self.first_members(&topic, count),
            Ask::Channel { topic } => Found::Channel(self.shown_counts(&topic), self.cache.read(&topic)),
            Ask::Users { topic } => Found::Users(self.topics.view(&topic).map_or_else(Vec::new, |home| {
                home.roster.members().map(|member| member.user_id.clone()).collect()
            })),
            Ask::Reading
            | Ask::Slowest
            | Ask::Connection { .. }
            | Ask::Trace { .. }
            | Ask::Disconnect { .. } => return invariant::violated("that is asked of the whole shard"),
        };
        self.answer(from, id, found);
    }

    /// Some members of a presence channel, and how many there are.
    fn first_members(&self, topic: &Topic, count: usize) -> Found {
        let Some(home) = self.topics.view(topic) else { return Found::Members(Vec::new(), 0) };
        let first = home.roster.members().take(count).cloned().collect();
        Found::Members(first, home.roster.members().count())
    }

    /// What is said of it to those who ask. How many connections a user has is nobody's business.
    fn shown_counts(&self, topic: &Topic) -> Counts {
        match topic.key {
            TopicKey::Channel { .. } => self.counts(topic),
            TopicKey::User { .. } => Counts::default(),
        }
    }

    fn counts(&self, topic: &Topic) -> Counts {
        self.topics.view(topic).map_or_else(Counts::default, |home| home.counts())
    }

    /// Whether anybody here subscribes to the topic.
    fn has_subscriptions(&self, topic: &Topic) -> bool {
        self.counts(topic).subscriptions > 0
    }

    /// Whether this shard has said that it has subscribers of the topic.
    fn has_subscribers(&self, topic: &Topic, shard: CoreId) -> bool {
        self.topics.view(topic).is_some_and(|home| home.links.has_subscribers(shard))
    }

    /// A channel that lives here has its first subscriber, or has lost its last. A user is no channel.
    fn note_channel(&mut self, topic: &Arc<Topic>, occupied: bool) {
        if self.cluster.is_none()
            && topic.key.is_channel()
            && topic.app.hooks.in_pairs().has(HookKind::ChannelOccupied)
        {
            self.edges.note(topic.hash, topic, None, occupied);
        }
    }

    /// A user has entered the roster of a channel that lives here, or has left it.
    fn note_member(&mut self, topic: &Arc<Topic>, member: &Arc<Member>, there: bool) {
        if self.cluster.is_none() && topic.app.hooks.in_pairs().has(HookKind::MemberAdded) {
            let hash = self.hash.of_member(topic.hash, &member.user_id);
            self.edges.note(hash, topic, Some(member), there);
        }
    }

    /// An event on the topic with this hash was taken that some endpoint wants to know of.
    fn note_event(&mut self, hash: u64, event: HookEvent) {
        self.edges.note_event(hash, event);
    }

    fn show(&mut self, deed: Deed<'_>) {
        if let Some(witness) = &mut self.witness {
            witness(deed);
        }
    }
}
