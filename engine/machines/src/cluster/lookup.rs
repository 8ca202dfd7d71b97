//! What a home asks of a server about all nodes, and what comes of it. Nothing is changed, so nothing is numbered: what has
//! no answer when a connection breaks is asked again.
//!
//! What is long comes in slices: each says where the next one begins, 0 at the end. What comes or goes meanwhile may be
//! missing, and anything may come twice.

use std::sync::Arc;

use protocol::app::App;

use crate::mesh::{Counts, listed_bytes};
use crate::topic::Topic;

/// A question.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// How many are on a channel.
    Channel {
        /// The channel.
        topic: Arc<Topic>,
        /// What it remembers is wanted, too.
        cached: bool,
    },
    /// A slice of the channels of an app that have subscribers on other nodes.
    Channels {
        /// The app.
        app: Arc<App>,
        /// What their names begin with.
        prefix: Arc<str>,
        /// Where the slice begins.
        cursor: u64,
    },
    /// A slice of the members of a channel on all nodes.
    Users {
        /// The channel.
        topic: Arc<Topic>,
        /// Where the slice begins.
        cursor: u64,
    },
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LookedUp {
    /// To `Channel`.
    Channel {
        /// Its subscriptions on other nodes, and its users on all.
        counts: Counts,
        /// What it remembers, as [`event_data`](super::event_data) has it, and for how many milliseconds it will.
        cached: Option<(Vec<u8>, u64)>,
    },
    /// To `Channels`.
    Channels {
        /// Where the next slice begins.
        next: u64,
        /// Each with its subscriptions on other nodes, and its users on all.
        found: Vec<(Box<str>, Counts)>,
    },
    /// To `Users`.
    Users {
        /// Where the next slice begins.
        next: u64,
        /// Their ids.
        ids: Vec<Box<str>>,
    },
}

impl LookedUp {
    /// What it counts for in a batch, beside the message.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Channel { cached, .. } => cached.as_ref().map_or(0, |(event, _)| event.len()),
            Self::Channels { found, .. } => found.iter().map(|(name, _)| listed_bytes(name)).sum(),
            Self::Users { ids, .. } => ids.iter().map(|id| listed_bytes(id)).sum(),
        }
    }
}
