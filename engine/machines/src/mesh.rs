//! What cores say to each other about topics. *Roots* go to a topic's home shard, *leaves* come from it.
//!
//! A message is small and owns or shares what it carries; a frame travels as one shared pointer, whatever the number
//! of its subscribers. Weights are what a message counts for in a batch, not its exact size in memory.

use std::sync::Arc;

use protocol::app::App;
use protocol::close::Close;
use protocol::hook_event::HookEvent;
use protocol::presence::Member;
use protocol::socket_id::SocketId;
use protocol::ws::Frame;

use crate::now::Moment;
use crate::readings::Reading;
use crate::token::Token;
use crate::topic::Topic;
use crate::watching::{ConnectionView, Seen, Sight};

/// One subscription of one connection of one shard, while it waits for its home and as a roster's key after that.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SubRef {
    /// The connection, as its shard knows it.
    pub connection: Token,
    /// Tells one subscription of a connection from a later one to the same channel: an answer whose ticket is not
    /// the waiting one is dropped.
    pub ticket: u32,
}

/// To the home shard. The fields mean the same everywhere: `topic` what it is about, `epoch` the link that the sender
/// speaks of, `sub` one subscription of the sending shard.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are said above, once")]
pub enum Root {
    /// The sending shard has its first local subscriber; counts as n = 1.
    Join { topic: Arc<Topic>, epoch: u64 },
    /// How many local subscribers the sending shard has, waiting ones included; 0 leaves.
    Count { topic: Arc<Topic>, epoch: u64, n: u32 },
    /// A subscription to a presence channel asks to enter the roster.
    Enter { topic: Arc<Topic>, epoch: u64, sub: SubRef, member: Arc<Member> },
    /// A subscription to a cache channel asks for the last event.
    Replay { topic: Arc<Topic>, epoch: u64, sub: SubRef },
    /// A subscription that has sent Enter is gone.
    Exit { topic: Arc<Topic>, sub: SubRef },
    /// Whether connections of the sending shard are signed in as this user, and whether any of them watches the user: the
    /// epoch of that. What was said before is over.
    User { topic: Arc<Topic>, signed_in: bool, watches: Option<u64> },
    /// An event for all subscribers.
    Publish(Box<Publish>),
    /// A question of the API core.
    Query(Box<Query>),
    /// Connections of a user must go. Not for a home: every shard gets it, and closes those of its own.
    Terminate(Box<Terminate>),
    /// Of other processes on the same ports, from the relay.
    Relay(Box<ToHome<Event>>),
    /// A Count that a newer one of the same epoch has made needless, or the Enter or Replay of a subscription that has gone.
    Struck,
}

/// From the home shard. The fields mean what they mean in [`Root`]; `received` is when a published event came to this
/// process.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are said above, once")]
pub enum Leaf {
    /// The link of this epoch is known at home: every later event of the topic will come.
    Joined { topic: Arc<Topic>, epoch: u64 },
    /// Subscriptions are let into a presence or cache channel.
    Granted(Box<Granted>),
    /// This subscription may not enter.
    Refused { topic: Arc<Topic>, sub: SubRef, why: Refusal },
    /// A frame for the local subscribers.
    Deliver { topic: Arc<Topic>, frame: Frame, except: Option<SocketId>, received: Option<Moment> },
    /// Whether a user is online, for those who watch by this epoch.
    User { topic: Arc<Topic>, epoch: u64, online: bool },
    /// What a Query asked for.
    Answer(Box<Answer>),
    /// What was seen of something that the API core watches.
    Seen(Box<Seen>),
    /// For other processes on the same ports, to the relay.
    Relay(Box<FromHome<Event>>),
}

/// Subscriptions that are in the roster of a presence channel, or get the last event of a cache channel.
#[derive(Debug)]
pub struct Granted {
    /// The channel.
    pub topic: Arc<Topic>,
    /// The subscriptions.
    pub subs: Vec<SubRef>,
    /// The whole subscription_succeeded of each.
    pub succeeded: Frame,
    /// What goes out right behind it on a cache channel: the last event, or that there is none.
    pub replay: Option<Frame>,
}

/// Why a subscription may not enter a presence channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The channel has as many members as the app allows.
    MembersMax(usize),
    /// With one more member its roster would be longer than the app allows, in bytes.
    RosterMax(usize),
}

/// An event on its way to its home shard.
#[derive(Debug)]
pub struct Publish {
    /// What is published.
    pub event: Event,
    /// What the home shard tells the hooks when it takes the event.
    pub hook: Option<HookEvent>,
}

/// An event, in every process that serves the same ports.
#[derive(Clone, Debug)]
pub struct Event {
    /// Where it goes.
    pub topic: Arc<Topic>,
    /// Its bytes, encoded once.
    pub frame: Frame,
    /// The connection that must not get it, in whichever process it is.
    pub except: Option<SocketId>,
    /// Where it came from.
    pub origin: Origin,
    /// When this process received it. None: another one did.
    pub received: Option<Moment>,
}

/// Where an event came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A back end, by a REST call.
    BackEnd,
    /// A client: a client event.
    Client,
}

/// Which follower has offered an event, and by what it knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OfferId {
    /// The link to the follower.
    pub link: u32,
    /// Its home shard.
    pub home: u16,
    /// That home's number for it.
    pub seq: u64,
}

/// What a home is told of other processes.
#[derive(Clone, Debug)]
pub enum ToHome<E> {
    /// From now on the process behind this link decides.
    Follow(u32),
    /// It does so no more. All that it has decided was told before.
    LeaderLost,
    /// One more process wants to hear what is decided here: that behind this link.
    FollowerJoined(u32),
    /// One less.
    FollowerLost,
    /// A follower's event.
    Offered(E, OfferId),
    /// The event with this number, which was offered, has been decided.
    Decided(u64),
    /// The leader has decided an event of another process.
    Heard(E),
    /// The next event that a lost leader has left is due: what a home says to itself.
    Next,
    /// Answer with [`FromHome::Fenced`]: all that was said before has been handled then.
    Fence,
}

/// What a home has for other processes.
#[derive(Clone, Debug)]
pub enum FromHome<E> {
    /// An event for the leader to decide, with this home's number for it.
    Offered(u64, E),
    /// An event that was decided or heard here, for all followers.
    Decided(E, Option<OfferId>),
    /// The next event will be offered to the process behind this link.
    Following(u32),
    /// What is decided from now on is told, for the process behind this link too.
    Leading(u32),
    /// The answer to a fence.
    Fenced,
    /// Connections of a user must go, in all processes.
    Terminate(Terminate),
}

/// A user whose connections must go.
#[derive(Clone, Debug)]
pub struct Terminate {
    /// The app of the connections.
    pub app: Arc<App>,
    /// The user.
    pub user_id: Box<str>,
}

/// A question of the API core, answered with one [`Answer`] by each shard that it is sent to.
#[derive(Debug)]
pub struct Query {
    /// Comes back in the answer.
    pub id: u64,
    /// What is asked.
    pub ask: Ask,
}

/// What can be asked of a shard.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are said with each variant")]
pub enum Ask {
    /// The occupied channels of an app whose names begin with the prefix; a list of more than `bytes_max` is of no use
    /// ([`listed_bytes`] each).
    Channels { app: Arc<App>, prefix: Box<str>, bytes_max: usize },
    /// The channels of the same kind that have subscribers on other nodes and live on this server of the cluster, by its place
    /// in the list.
    ChannelsElsewhere { server: u16, app: Arc<App>, prefix: Box<str>, bytes_max: usize },
    /// The counts of one channel, and what it remembers.
    Channel { topic: Arc<Topic> },
    /// The members of one presence channel.
    Users { topic: Arc<Topic> },
    /// Whether what was said of this topic reaches other nodes.
    IsJoined { topic: Arc<Topic> },
    /// How this shard stands.
    Reading,
    /// The first occupied channels of an app, in the order of their names, that come after a name and begin with the prefix.
    ChannelPage { app: Arc<App>, prefix: Box<str>, after: Box<str>, count: usize },
    /// The first members of one presence channel, so many at most.
    Members { topic: Arc<Topic>, count: usize },
    /// What is sent to a topic is told for so many milliseconds, under this name; 0 ends that.
    Tail { topic: Arc<Topic>, watch: u64, for_ms: u64 },
    /// The connections of this shard for whom most is waiting.
    Slowest,
    /// One connection of this shard.
    Connection { socket_id: SocketId },
    /// The messages of one connection are told for so many milliseconds, under this name; 0 ends that.
    Trace { socket_id: SocketId, watch: u64, for_ms: u64 },
    /// A connection must go.
    Disconnect { socket_id: SocketId, close: Close },
}

/// The answer to a [`Query`].
#[derive(Debug)]
pub struct Answer {
    /// The query's id.
    pub id: u64,
    /// What was found.
    pub found: Found,
}

/// What a shard has found.
#[derive(Debug)]
pub enum Found {
    /// The occupied channels of this home. Each is there once; those that were occupied all the time are there.
    Channels(Vec<(Arc<str>, Counts)>),
    /// Channels that have subscribers on other nodes, each once: with its subscriptions there, and its users on all nodes.
    ChannelsElsewhere(Vec<(Arc<str>, Counts)>),
    /// More channels than were asked for.
    ChannelsTooLong,
    /// Nothing: too many of its kind are being made already, or too much is asked of other nodes.
    Busy,
    /// Nothing of other nodes: they cannot be asked now. The counts are those of this node, if a channel was asked for.
    Alone(Counts),
    /// It reaches them.
    Joined,
    /// The counts of the channel asked for, zero when nobody is subscribed; and its last event, if it is a cache channel that
    /// remembers one.
    Channel(Counts, Option<Cached>),
    /// The ids of the members.
    Users(Vec<Box<str>>),
    /// How the shard stands.
    Reading(Box<Reading>),
    /// Members of a presence channel, and how many there are in all.
    Members(Vec<Member>, usize),
    /// The connections for whom most is waiting, the worst first.
    Slowest(Vec<ConnectionView>),
    /// A connection, if it is there.
    Connection(Option<Box<ConnectionView>>),
    /// Whether there was something to do it to.
    Done(bool),
}

/// An event that a cache channel remembers.
#[derive(Clone, Debug)]
pub struct Cached {
    /// The whole event.
    pub frame: Frame,
    /// How long it will be remembered, in seconds.
    pub ttl_s: u32,
}

/// How many are on a channel, over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Subscriptions, those that wait for their acknowledgement included.
    pub subscriptions: u64,
    /// Distinct users of a presence channel.
    pub users: u32,
}

/// What a channel counts for in a list, in bytes: its name, and about what is said of it.
pub fn listed_bytes(name: &str) -> usize {
    name.len() + 32
}

/// What a message counts for in its batch, in bytes.
pub trait Weigh {
    /// An estimate: the message itself and what it alone keeps alive.
    fn weight(&self) -> usize;
}

const MESSAGE_WEIGHT: usize = 64;

impl Weigh for Root {
    fn weight(&self) -> usize {
        MESSAGE_WEIGHT
            + match self {
                Self::Publish(publish) => publish.event.frame.len(),
                Self::Enter { member, .. } => {
                    member.user_id.len() + member.user_info.as_ref().map_or(0, |info| info.len())
                }
                Self::Terminate(terminate) => terminate.user_id.len(),
                Self::Relay(said) => match &**said {
                    ToHome::Offered(event, _) | ToHome::Heard(event) => event.frame.len(),
                    _ => 0,
                },
                _ => 0,
            }
    }
}

impl Weigh for Leaf {
    fn weight(&self) -> usize {
        MESSAGE_WEIGHT
            + match self {
                Self::Deliver { frame, .. } => frame.len(),
                Self::Granted(granted) => {
                    let Granted { subs, succeeded, replay, .. } = &**granted;
                    succeeded.len() + replay.as_ref().map_or(0, Frame::len) + size_of_val(&**subs)
                }
                Self::Answer(answer) => match &answer.found {
                    Found::Channel(_, Some(cached)) => cached.frame.len(),
                    _ => 0,
                },
                Self::Seen(seen) => seen.sight.as_ref().map_or(0, Sight::weight),
                Self::Relay(told) => match &**told {
                    FromHome::Offered(_, event) | FromHome::Decided(event, _) => event.frame.len(),
                    _ => 0,
                },
                _ => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_small() {
        assert!(size_of::<Root>() <= 40, "{}", size_of::<Root>());
        assert!(size_of::<Leaf>() <= 64, "{}", size_of::<Leaf>());
        assert!(size_of::<Publish>() <= 160, "{}", size_of::<Publish>());
    }
}
