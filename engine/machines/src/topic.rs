//! A topic: what can be subscribed to and published on, and the hash that says which shard is its home.
//!
//! A topic holds its own `Arc<App>`, so that an app may leave the registry while its channels empty. The hash is
//! seeded per process (names are chosen by peers) and the same on all cores, so it is computed once per message.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use protocol::app::App;
use protocol::channel::ChannelKind;

/// A channel of an app.
#[derive(Debug)]
pub struct Topic {
    /// The app whose channel this is.
    pub app: Arc<App>,
    /// The channel's name.
    pub name: Arc<str>,
    /// What the name's prefix says.
    pub kind: ChannelKind,
    /// [`TopicHash::of`] this app and name.
    pub hash: u64,
}

impl Topic {
    /// True if this is channel `name` of `app`.
    pub fn is(&self, app: &App, name: &str) -> bool {
        *self.name == *name && self.app.id == app.id
    }
}

/// The hash by which topics find their home shard and their place in its tables.
#[derive(Clone, Debug)]
pub struct TopicHash {
    state: SeedableRandomState,
    shards: usize,
}

impl TopicHash {
    /// `seed` is random and the same on all cores of a process.
    pub fn new(seed: u64, shards: usize) -> Self {
        assert!(shards > 0, "a server has at least one shard");
        // Leaked once per core and start: the hasher wants a seed that lives for ever.
        let shared: &'static SharedSeed = Box::leak(Box::new(SharedSeed::from_u64(seed)));
        Self { state: SeedableRandomState::with_seed(seed, shared), shards }
    }

    /// The hash of channel `name` of `app`.
    pub fn of(&self, app: &App, name: &str) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(app.id.as_bytes());
        hasher.write_u8(0);
        hasher.write(name.as_bytes());
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
    pub fn home(&self, hash: u64) -> usize {
        // The tables use the low bits and the top seven; the bits between are independent of both.
        (hash >> 16) as u32 as usize % self.shards
    }

    /// A topic for channel `name` of `app`.
    pub fn topic(&self, app: &Arc<App>, name: &str, kind: ChannelKind) -> Arc<Topic> {
        let hash = self.of(app, name);
        Arc::new(Topic { app: Arc::clone(app), name: Arc::from(name), kind, hash })
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.shards
    }
}
