//! What the API core asks about a channel or an app, and the servers must be asked about, because it is of all nodes.
//!
//! Subscriptions of this node are counted here, at the moment of the answer, and those of other nodes there; members are
//! the server's affair. Without a session nothing is asked, and what has no answer when it is lost or takes too long gets
//! none. What is open is bounded by its number.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use protocol::app::App;

use crate::cluster::bus::{Said, Server};
use crate::cluster::event_data::decode_event;
use crate::cluster::lookup::{LookedUp, Lookup};
use crate::cluster::servers::Servers;
use crate::cores::CoreId;
use crate::invariant;
use crate::limits::{LOOKUP_MS_MAX, LOOKUPS_MAX};
use crate::mesh::{Cached, Counts, Found, listed_bytes};
use crate::shard::home::Home;
use crate::shard::home::cluster::ClusterHome;
use crate::topic::{Topic, TopicKey};

/// Questions of the API core that are not answered.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    /// By the number of what the server is asked now.
    open: HashMap<u64, Open>,
    /// Numbers in order of their time; those that were answered are skipped.
    due: VecDeque<(u64, u64)>,
    next: u64,
}

#[derive(Debug)]
struct Open {
    asker: CoreId,
    id: u64,
    server: Server,
    wanted: Wanted,
}

/// What is wanted, and what has come of it.
#[derive(Debug)]
pub(in crate::shard::home) enum Wanted {
    /// How many are on a channel, and what it remembers.
    Channel(Arc<Topic>),
    /// The channels with subscribers on other nodes that live on a server.
    Channels {
        /// Where.
        server: Server,
        /// The app.
        app: Arc<App>,
        /// What their names begin with.
        prefix: Arc<str>,
        /// How much longer the list may become.
        bytes_left: usize,
        /// So far.
        found: HashMap<Box<str>, Counts>,
    },
    /// Who is on a presence channel.
    Users(Arc<Topic>, HashSet<Box<str>>),
}

impl Wanted {
    fn server(&self, servers: &Servers) -> Server {
        match self {
            Self::Channel(topic) | Self::Users(topic, _) => servers.of(topic),
            Self::Channels { server, .. } => *server,
        }
    }

    fn lookup(&self, cursor: u64) -> Lookup {
        match self {
            Self::Channel(topic) => {
                Lookup::Channel { topic: Arc::clone(topic), cached: topic.key.is_cached() }
            }
            Self::Channels { app, prefix, .. } => {
                Lookup::Channels { app: Arc::clone(app), prefix: Arc::clone(prefix), cursor }
            }
            Self::Users(topic, _) => Lookup::Users { topic: Arc::clone(topic), cursor },
        }
    }

    /// Takes a slice; returns where the next one begins, if there is one.
    fn take(&mut self, found: LookedUp) -> Result<Option<u64>, Found> {
        let next = match self {
            Self::Channels { bytes_left, found: all, .. } => {
                let LookedUp::Channels { next, found } = found else { return Ok(None) };
                for (name, counts) in found {
                    let bytes = listed_bytes(&name);
                    if all.insert(name, counts).is_none() {
                        *bytes_left = bytes_left.checked_sub(bytes).ok_or(Found::ChannelsTooLong)?;
                    }
                }
                next
            }
            Self::Users(_, all) => {
                let LookedUp::Users { next, ids } = found else { return Ok(None) };
                all.extend(ids);
                next
            }
            Self::Channel(_) => 0,
        };
        Ok(Some(next).filter(|next| *next > 0))
    }
}

impl Lookups {
    /// When the first of them has taken too long, in `mono_ms`.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.due.front().map(|(due_ms, _)| *due_ms)
    }

    fn insert(&mut self, open: Open, now_ms: u64) -> u64 {
        self.next += 1;
        self.open.insert(self.next, open);
        self.due.push_back((now_ms + LOOKUP_MS_MAX, self.next));
        self.next
    }

    fn take(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number);
        while self.due.front().is_some_and(|(_, number)| !self.open.contains_key(number)) {
            self.due.pop_front();
        }
        open
    }

    fn take_late(&mut self, now_ms: u64) -> Option<Open> {
        let (due_ms, number) = *self.due.front()?;
        if due_ms <= now_ms { self.take(number) } else { None }
    }

    fn numbers_of(&self, server: Server) -> Vec<u64> {
        let of_server = self.open.iter().filter(|(_, open)| open.server == server);
        of_server.map(|(number, _)| *number).collect()
    }
}

impl ClusterHome {
    fn ask(&mut self, open: Open, cursor: u64) {
        let (server, lookup) = (open.server, Box::new(open.wanted.lookup(cursor)));
        let number = self.lookups.insert(open, self.now_ms);
        self.say(server, Said::LookUp(lookup, number));
    }
}

impl Home {
    /// Whether other nodes know more of a topic. How many connections a user has is nobody's business.
    pub(in crate::shard::home) fn is_of_all_nodes(&self, topic: &Topic) -> bool {
        self.cluster.is_some() && matches!(topic.key, TopicKey::Channel { .. })
    }

    /// Whether what is said here of a topic reaches other nodes now.
    pub(in crate::shard::home) fn is_joined(&self, topic: &Topic) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.session(cluster.servers.of(topic)).is_some())
    }

    /// Asks a server for what core `asker` has asked under this id.
    pub(in crate::shard::home) fn look_up(&mut self, asker: CoreId, id: u64, wanted: Wanted) {
        let Some(cluster) = &mut self.cluster else {
            return invariant::violated("only a node of a cluster is asked about others");
        };
        let server = wanted.server(&cluster.servers);
        let open = Open { asker, id, server, wanted };
        if cluster.session(server).is_none() {
            return self.answer_alone(&open);
        }
        if cluster.lookups.open.len() >= LOOKUPS_MAX {
            self.stats.lookups_refused += 1;
            return self.answer(asker, id, Found::Busy);
        }
        self.stats.lookups += 1;
        cluster.ask(open, 0);
    }

    /// A server has answered.
    pub(super) fn handle_looked_up(&mut self, number: u64, found: LookedUp) {
        let Some(cluster) = &mut self.cluster else { return };
        let Some(mut open) = cluster.lookups.take(number) else {
            cluster.stats.bus_news_stale += 1;
            return;
        };
        let (asker, id) = (open.asker, open.id);
        if let (Wanted::Channel(topic), LookedUp::Channel { counts, cached }) = (&open.wanted, &found) {
            let subscriptions = self.counts(topic).subscriptions + counts.subscriptions;
            let cached = cached.as_ref().and_then(|(event, left_ms)| {
                let ttl_s = u32::try_from(left_ms.div_ceil(1000)).unwrap_or(u32::MAX);
                Some(Cached { frame: decode_event(event)?.frame, ttl_s })
            });
            return self.answer(asker, id, Found::Channel(Counts { subscriptions, ..*counts }, cached));
        }
        match open.wanted.take(found) {
            Ok(Some(next)) => cluster.ask(open, next),
            Ok(None) => self.answer(asker, id, found_of(open.wanted)),
            Err(found) => self.answer(asker, id, found),
        }
    }

    /// The session with a server is lost: what it was asked has no answer.
    pub(super) fn end_lookups(&mut self, server: Server) {
        let numbers = self.cluster.as_ref().map_or_else(Vec::new, |it| it.lookups.numbers_of(server));
        for number in numbers {
            if let Some(open) = self.cluster.as_mut().and_then(|cluster| cluster.lookups.take(number)) {
                self.answer_alone(&open);
            }
        }
    }

    /// Answers the next question that has taken too long. Returns whether there was one.
    pub(super) fn end_late_lookup(&mut self) -> bool {
        let Some(cluster) = &mut self.cluster else { return false };
        let Some(open) = cluster.lookups.take_late(cluster.now_ms) else { return false };
        self.answer_alone(&open);
        true
    }

    fn answer_alone(&mut self, open: &Open) {
        self.stats.lookups_unanswered += 1;
        let counts = match &open.wanted {
            Wanted::Channel(topic) => self.counts(topic),
            _ => Counts::default(),
        };
        self.answer(open.asker, open.id, Found::Alone(counts));
    }
}

fn found_of(wanted: Wanted) -> Found {
    match wanted {
        Wanted::Channels { found, .. } => {
            Found::ChannelsElsewhere(found.into_iter().map(|(name, counts)| (name.into(), counts)).collect())
        }
        Wanted::Users(_, ids) => Found::Users(ids.into_iter().collect()),
        Wanted::Channel(_) => Found::Channel(Counts::default(), None),
    }
}
