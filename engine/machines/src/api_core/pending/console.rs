//! What the console asks of shards: channels, connections, and whether something may be watched.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::answer::Answer;
use api::console::answer_json;
use api::console::excerpts::EventExcerpt;
use api::console::object::{Object, list, string};
use api::refused::Refused;
use protocol::channel::ChannelKind;
use protocol::presence::Member;
use protocol::socket_id::SocketId;

use crate::cores::CoreId;
use crate::invariant;
use crate::limits::{CONSOLE_CHANNELS_PER_PAGE, SLOW_SHOWN_MAX};
use crate::mesh::{Cached, Counts, Found};
use crate::topic::Topic;
use crate::watching::ConnectionView;

/// What is known so far.
#[derive(Debug)]
pub(in crate::api_core) enum Pending {
    /// A page of channels, in the order of their names.
    Page(BTreeMap<Arc<str>, Counts>),
    /// One channel.
    Channel(Channel),
    /// The slowest connections.
    Slowest(Vec<ConnectionView>),
    /// One connection.
    Connection(SocketId, Option<Box<ConnectionView>>),
    /// Something is done to one connection.
    Done(SocketId),
    /// Something is to be watched.
    Watch(Wish),
}

/// What is to be watched.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::api_core) enum Wanted {
    /// What is sent to a channel.
    Tail(Arc<Topic>),
    /// The messages of a connection.
    Trace(SocketId),
}

/// A watch that a shard is asked for.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::api_core) struct Wish {
    /// What it will be called.
    pub(in crate::api_core) name: u64,
    /// What is to be watched.
    pub(in crate::api_core) wanted: Wanted,
    /// The shard.
    pub(in crate::api_core) shard: CoreId,
    /// The session that has asked, if it was no token.
    pub(in crate::api_core) session: Option<u64>,
    /// For so many milliseconds its messages go to the log; None: they are for a stream.
    pub(in crate::api_core) logged_ms: Option<u64>,
}

/// What is known of a channel.
#[derive(Debug)]
pub(in crate::api_core) struct Channel {
    pub(in crate::api_core) name: Box<str>,
    pub(in crate::api_core) kind: ChannelKind,
    pub(in crate::api_core) counts: Counts,
    pub(in crate::api_core) cached: Option<Cached>,
    pub(in crate::api_core) members: Vec<Member>,
    pub(in crate::api_core) members_in_all: usize,
}

impl Pending {
    pub(super) fn take(&mut self, found: Found) -> Result<(), Refused> {
        match (self, found) {
            (_, Found::Busy) => {
                return Err(Refused::retry_later(
                    "Over capacity: too much of this kind is asked for already",
                ));
            }
            (Self::Page(page), Found::Channels(channels)) => page.extend(channels),
            (Self::Channel(channel), Found::Channel(counts, cached)) => {
                (channel.counts, channel.cached) = (counts, cached);
            }
            // The other nodes cannot be asked: these are counts of this one.
            (Self::Channel(channel), Found::Alone(counts)) => channel.counts = counts,
            (Self::Channel(channel), Found::Members(members, in_all)) => {
                (channel.members, channel.members_in_all) = (members, in_all);
            }
            (Self::Slowest(slowest), Found::Slowest(found)) => slowest.extend(found),
            (Self::Connection(socket_id, view), Found::Connection(found)) => {
                *view = Some(found.ok_or_else(|| gone(*socket_id))?);
            }
            (Self::Done(socket_id), Found::Done(done)) if !done => return Err(gone(*socket_id)),
            (Self::Watch(Wish { wanted: Wanted::Trace(socket_id), .. }), Found::Done(done)) if !done => {
                return Err(gone(*socket_id));
            }
            (Self::Done(_) | Self::Watch(..), Found::Done(_)) => {}
            _ => invariant::violated("an answer is of the kind that was asked for"),
        }
        Ok(())
    }

    pub(super) fn respond(self) -> Answer<'static> {
        answer_json(match self {
            Self::Page(page) => encode_page(page),
            Self::Channel(channel) => channel.encode(),
            Self::Slowest(mut slowest) => {
                slowest.sort_by_key(|view| usize::MAX - view.waiting_bytes);
                let slowest = slowest.iter().take(SLOW_SHOWN_MAX).map(|view| encode_view(view).end());
                Object::default().raw("connections", &list(slowest)).end()
            }
            Self::Connection(_, view) => {
                view.map_or_else(|| "null".to_owned(), |view| encode_connection(&view))
            }
            Self::Done(_) | Self::Watch(..) => "{}".to_owned(),
        })
    }
}

fn gone(socket_id: SocketId) -> Refused {
    Refused::new(
        404,
        format!("There is no connection {socket_id} here: it has gone, or lives on another node"),
    )
}

fn encode_page(mut page: BTreeMap<Arc<str>, Counts>) -> String {
    let mut has_more = false;
    while page.len() > CONSOLE_CHANNELS_PER_PAGE {
        has_more = page.pop_last().is_some();
    }
    let last = page.last_key_value().map(|(name, _)| Arc::clone(name)).filter(|_| has_more);
    let channels =
        page.iter().map(|(name, counts)| encode_counts(name, ChannelKind::of(name), *counts).end());
    Object::default().raw("channels", &list(channels)).maybe_text("next", last.as_deref()).end()
}

fn encode_counts(name: &str, kind: ChannelKind, counts: Counts) -> Object {
    Object::default()
        .text("name", name)
        .plain("subscriptions", counts.subscriptions)
        .maybe("users", kind.is_presence().then_some(counts.users))
}

impl Channel {
    fn encode(&self) -> String {
        let members = self.members.iter().map(|member| {
            let info = member.user_info.as_deref().unwrap_or("null");
            Object::default().text("id", &member.user_id).raw("info", info).end()
        });
        let cached = self.cached.as_ref().map(|Cached { frame, ttl_s }| {
            let EventExcerpt { event, data, .. } = EventExcerpt::of(frame.payload());
            Object::default()
                .text("event", &event)
                .text("data", &data)
                .raw("at", "null")
                .plain("ttl_s", ttl_s)
                .end()
        });
        encode_counts(&self.name, self.kind, self.counts)
            .raw("members", &list(members))
            .plain("members_left_out", self.members_in_all - self.members.len())
            .raw("cached", cached.as_deref().unwrap_or("null"))
            .end()
    }
}

fn encode_view(view: &ConnectionView) -> Object {
    Object::default()
        .text("socket_id", &view.socket_id.to_string())
        .text("app", &view.app.id)
        .maybe_text("user_id", view.user_id.as_deref())
        .plain("waiting_bytes", view.waiting_bytes)
        .plain("waiting_ms", view.waiting_ms)
        .maybe_text("address", view.met.address.as_deref())
        .maybe_text("agent", view.met.agent.as_deref())
        .maybe("age_ms", view.met.age_ms)
}

fn encode_connection(view: &ConnectionView) -> String {
    let channels = view.channels.iter().map(|name| string(name));
    encode_view(view)
        .maybe("bytes_in", view.met.bytes.map(|(came, _)| came))
        .maybe("bytes_out", view.met.bytes.map(|(_, went)| went))
        .raw("subscriptions", &list(channels))
        .plain("subscriptions_left_out", view.subscriptions - view.channels.len())
        .end()
}
