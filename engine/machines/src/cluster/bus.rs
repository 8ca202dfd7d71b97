//! What homes and a bus say to each other. They have a lane of their own, with batches of at most two in flight each way,
//! like roots and leaves.
//!
//! Both directions carry the number of the session in which something is said. A bus drops what was said in another, and so
//! does a home, but for [`News::Begun`].

use std::sync::Arc;

use protocol::presence::Member;
use protocol::ws::Frame;

use crate::cluster::lookup::{LookedUp, Lookup};
use crate::cluster::order::Order;
use crate::mesh::{Event, Weigh};
use crate::topic::Topic;

/// Which of the cluster's servers, by its place in the list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Server(
    /// From 0.
    pub u16,
);

/// From a home to the bus of a server.
#[derive(Debug)]
pub struct ToBus {
    /// The session in which it is said.
    pub session: u64,
    /// What.
    pub said: Said,
}

/// What a home says.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields mean what they mean in commands")]
pub enum Said {
    /// The topic has its first subscriber on this node.
    Join { topic: Arc<Topic>, link: u64, subscriptions: u64 },
    /// How many subscribers the topic has on this node; 0 ends the link.
    Count { topic: Arc<Topic>, subscriptions: u64 },
    /// A user has a first connection on this node.
    Enter { topic: Arc<Topic>, member: Arc<Member>, ticket: u64, force: bool },
    /// A user has no connection on this node any more.
    Exit { topic: Arc<Topic>, user_id: Box<str> },
    /// An event, and the number of the echo that is kept of it; 0: none is.
    Publish(Box<Event>, u64),
    /// For all nodes.
    Order(Order),
    /// A question about all nodes, behind all that was said before, and the home's number for it.
    LookUp(Box<Lookup>, u64),
    /// All that this home holds was told in this session.
    Retold,
}

/// From a bus to a home.
#[derive(Debug)]
pub struct FromBus {
    /// The session in which it is said.
    pub session: u64,
    /// What.
    pub news: News,
}

/// What a bus says.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields mean what they mean in items")]
pub enum News {
    /// A session begins. The home tells everything anew, and then that it has.
    Begun,
    /// The session is over: nothing more of it will come, and what it did not answer will not be done.
    Lost,
    /// The answer to a Join.
    Joined(Box<Joined>),
    /// The answer to an Enter: the user is in.
    Entered { topic: Arc<Topic>, user_id: Box<str>, ticket: u64 },
    /// The answer to an Enter: there is no room.
    Refused { topic: Arc<Topic>, user_id: Box<str>, ticket: u64 },
    /// A user has a first connection on any node.
    Added { topic: Arc<Topic>, member: Arc<Member> },
    /// A user has no connection on any node any more.
    Removed { topic: Arc<Topic>, user_id: Box<str> },
    /// So many subscribe to the topic on other nodes.
    Elsewhere { topic: Arc<Topic>, subscriptions: u64 },
    /// An event for the subscribers of its topic, and the number of its echo if this home published it; 0: there is none.
    Event(Box<Event>, u64),
    /// An event that this home published has come, and its topic has no subscribers on this node any more.
    Echoed(u64),
    /// For all connections of this shard.
    Order(Order),
    /// The answer to the question of this number.
    LookedUp(Box<LookedUp>, u64),
}

/// The answer to a Join.
#[derive(Debug)]
pub struct Joined {
    /// The topic.
    pub topic: Arc<Topic>,
    /// What the home called the link.
    pub link: u64,
    /// How many subscribe on other nodes.
    pub elsewhere: u64,
    /// All members on all nodes.
    pub members: Vec<Arc<Member>>,
    /// The last event of a cache channel.
    pub cached: Option<CachedFrame>,
}

/// The last event of a cache channel.
#[derive(Clone, Debug)]
pub struct CachedFrame {
    /// The whole event.
    pub frame: Frame,
    /// For how long it will be remembered, in milliseconds.
    pub ttl_ms: u64,
}

/// What a message counts for in its batch without its own bytes.
const MESSAGE_BYTES: usize = 64;

fn member_bytes(member: &Member) -> usize {
    member.user_id.len() + member.user_info.as_deref().map_or(0, str::len)
}

impl Weigh for ToBus {
    fn weight(&self) -> usize {
        MESSAGE_BYTES
            + match &self.said {
                Said::Enter { member, .. } => member_bytes(member),
                Said::Exit { user_id, .. } => user_id.len(),
                Said::Publish(event, _) => event.frame.len(),
                Said::Join { .. } | Said::Count { .. } | Said::Order(_) | Said::LookUp(..) | Said::Retold => {
                    0
                }
            }
    }
}

impl Weigh for FromBus {
    fn weight(&self) -> usize {
        MESSAGE_BYTES
            + match &self.news {
                News::Joined(joined) => {
                    let members: usize =
                        joined.members.iter().map(|it| MESSAGE_BYTES + member_bytes(it)).sum();
                    members + joined.cached.as_ref().map_or(0, |cached| cached.frame.len())
                }
                News::Added { member, .. } => member_bytes(member),
                News::Event(event, _) => event.frame.len(),
                News::LookedUp(found, _) => found.bytes(),
                _ => 0,
            }
    }
}
