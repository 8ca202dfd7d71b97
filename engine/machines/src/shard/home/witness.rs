//! What a home does to the channels that live there, in its order, for the judge of what comes of it: the
//! simulation. A server has no witness. What must never happen here: anything that depends on being seen.

use protocol::ws::Frame;

use crate::mesh::Event;
use crate::topic::Topic;

/// Sees everything, at once.
pub type Witness = Box<dyn FnMut(Deed<'_>)>;

/// What was done, and to which topic.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are said with each variant")]
pub enum Deed<'a> {
    /// Its first subscriber came.
    Occupied(&'a Topic),
    /// Its last subscriber went.
    Vacated(&'a Topic),
    /// A user entered its roster.
    Added { topic: &'a Topic, user_id: &'a str },
    /// A user left its roster.
    Removed { topic: &'a Topic, user_id: &'a str },
    /// Its user has come online.
    Online(&'a Topic),
    /// Its user has gone offline.
    Offline(&'a Topic),
    /// An event was taken.
    Published { event: &'a Event, hooked: bool },
    /// Its subscribers, if it has any, were told how many they are.
    Counted { topic: &'a Topic, subscriptions: u64, hooked: bool },
    /// Subscriptions got the last event of a cache channel, or heard that there is none.
    Replayed { topic: &'a Topic, frame: Option<&'a Frame> },
}
