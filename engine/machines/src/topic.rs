//! A topic: what can be subscribed to and published on, a channel or a user of an app, and the hash that says which
//! shard is its home.
//!
//! A topic holds its own `Arc<App>`, so that an app may leave the registry while its channels empty. The hash is
//! seeded per process (names are chosen by peers) and the same on all cores, so it is computed once per message.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use protocol::app::App;
use protocol::channel::{ChannelKind, channel_of_user, user_of_channel};

use crate::cores::{CoreId, Cores};

/// What a topic is within its app: a channel, or a user. Tables of topics find by it, with its text borrowed
/// (`TopicKey<&str>`), and a topic owns one. A user and a channel of the same name are two topics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicKey<S = Arc<str>> {
    /// A channel.
    Channel {
        /// Its name.
        name: S,
        /// What the name's prefix says.
        kind: ChannelKind,
    },
    /// The connections that are signed in as a user. Clients and back ends write it `#server-to-user-ID`, where they write a channel.
    User {
        /// The user's id.
        id: S,
    },
}

impl<'a> TopicKey<&'a str> {
    /// What clients and back ends mean by this name.
    pub fn of(name: &'a str) -> Self {
        Self::of_kind(name, ChannelKind::of(name))
    }

    /// The same of a name whose kind is known.
    pub fn of_kind(name: &'a str, kind: ChannelKind) -> Self {
        match user_of_channel(name) {
            Some(id) if kind == ChannelKind::ServerToUser => Self::User { id },
            _ => Self::Channel { name, kind },
        }
    }

    fn to_owned(self) -> TopicKey {
        match self {
            Self::Channel { name, kind } => TopicKey::Channel { name: Arc::from(name), kind },
            Self::User { id } => TopicKey::User { id: Arc::from(id) },
        }
    }
}

impl<S: Deref<Target = str>> TopicKey<S> {
    /// Whether this is a channel, and no user.
    pub fn is_channel(&self) -> bool {
        matches!(self, Self::Channel { .. })
    }

    /// Whether this is a channel with members.
    pub fn is_presence(&self) -> bool {
        matches!(self, Self::Channel { kind, .. } if kind.is_presence())
    }

    /// Whether this is a channel that remembers its last event.
    pub fn is_cached(&self) -> bool {
        matches!(self, Self::Channel { kind, .. } if kind.is_cached())
    }

    /// The same with its text borrowed.
    pub fn as_deref(&self) -> TopicKey<&str> {
        match self {
            Self::Channel { name, kind } => TopicKey::Channel { name, kind: *kind },
            Self::User { id } => TopicKey::User { id },
        }
    }
}

/// A channel or a user of an app.
#[derive(Debug)]
pub struct Topic {
    /// The app.
    pub app: Arc<App>,
    /// Which channel or user of it.
    pub key: TopicKey,
    /// [`TopicHash::of`] this app and key.
    pub hash: u64,
}

impl Topic {
    /// True if this is what `key` says, of `app`.
    pub fn is(&self, app: &App, key: TopicKey<&str>) -> bool {
        self.key.as_deref() == key && self.app.id == app.id
    }

    /// What clients and back ends call it.
    pub fn name(&self) -> Cow<'_, str> {
        match &self.key {
            TopicKey::Channel { name, .. } => Cow::Borrowed(name),
            TopicKey::User { id } => Cow::Owned(channel_of_user(id)),
        }
    }

    /// The same, to keep. A channel's is shared.
    pub fn shared_name(&self) -> Arc<str> {
        match &self.key {
            TopicKey::Channel { name, .. } => Arc::clone(name),
            TopicKey::User { .. } => Arc::from(self.name()),
        }
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.app, other.key.as_deref())
    }
}

impl Eq for Topic {}

/// The hash by which topics find their home shard and their place in its tables.
#[derive(Clone, Debug)]
pub struct TopicHash {
    state: SeedableRandomState,
    cores: Cores,
}

impl TopicHash {
    /// `seed` is random and the same on all cores of a process.
    pub fn new(seed: u64, shards: usize) -> Self {
        // Leaked once per core and start: the hasher wants a seed that lives for ever.
        let shared: &'static SharedSeed = Box::leak(Box::new(SharedSeed::from_u64(seed)));
        Self { state: SeedableRandomState::with_seed(seed, shared), cores: Cores::new(shards) }
    }

    /// The hash of the topic that is `key` of `app`.
    pub fn of(&self, app: &App, key: TopicKey<&str>) -> u64 {
        let (variant, text) = match key {
            TopicKey::Channel { name, .. } => (0, name),
            TopicKey::User { id } => (1, id),
        };
        let mut hasher = self.state.build_hasher();
        hasher.write(app.id.as_bytes());
        hasher.write_u8(variant);
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    /// The hash of a member of the topic with this hash.
    pub fn of_member(&self, topic: u64, user_id: &str) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write_u64(topic);
        hasher.write(user_id.as_bytes());
        hasher.finish()
    }

    /// The home shard of a topic with this hash.
    pub fn home(&self, hash: u64) -> CoreId {
        // The tables use the low bits and the top seven; the bits between are independent of both.
        self.cores.shard_for((hash >> 16) as u32)
    }

    /// The topic that is `key` of `app`.
    pub fn topic(&self, app: &Arc<App>, key: TopicKey<&str>) -> Arc<Topic> {
        let hash = self.of(app, key);
        Arc::new(Topic { app: Arc::clone(app), key: key.to_owned(), hash })
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.cores.shards()
    }

    /// The cores of this server.
    pub fn cores(&self) -> Cores {
        self.cores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash() -> (TopicHash, Arc<App>) {
        (TopicHash::new(7, 3), Arc::new(App::new("1", "key", "secret")))
    }

    #[test]
    fn a_user_and_a_channel_of_the_same_name_never_meet() {
        let (hash, app) = hash();
        let (channel, user) = (TopicKey::of("bob"), TopicKey::User { id: "bob" });
        let (of_channel, of_user) = (hash.topic(&app, channel), hash.topic(&app, user));
        assert_ne!(of_channel.hash, of_user.hash);
        assert!(of_channel != of_user && of_channel == hash.topic(&app, channel));
        assert!(of_user.is(&app, user) && !of_user.is(&app, channel) && !of_channel.is(&app, user));
    }

    #[test]
    fn a_topic_belongs_to_one_app() {
        let (hash, app) = hash();
        let other = Arc::new(App::new("2", "other", "secret"));
        for key in [TopicKey::of("bob"), TopicKey::User { id: "bob" }] {
            assert_ne!(hash.of(&app, key), hash.of(&other, key));
            assert!(hash.topic(&app, key) != hash.topic(&other, key));
        }
    }

    #[test]
    fn the_name_on_the_wire_leads_to_the_topic_and_back() {
        let (hash, app) = hash();
        assert_eq!(TopicKey::of("#server-to-user-bob"), TopicKey::User { id: "bob" });
        for name in ["bob", "presence-bob", "#server-to-user-bob", "server-to-user-bob", "#server-to-user-"] {
            let topic = hash.topic(&app, TopicKey::of(name));
            assert_eq!((&*topic.name(), &*topic.shared_name()), (name, name));
        }
    }
}
