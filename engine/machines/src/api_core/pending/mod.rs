//! Calls that ask something of home shards, a file for each endpoint: how it is split into parts, what becomes of an
//! answer's part, and what the caller gets when all have come.

use std::sync::Arc;

use api::answer::Answer;
use api::info::{Counts, Info, Row};
use api::refused::Refused;
use protocol::channel::ChannelKind;

use super::ApiCore;
use crate::invariant;
use crate::machine::Now;
use crate::mesh::{self, Found};
use crate::topic::Topic;

mod channel;
mod channels;
pub(super) mod console;
mod metrics;
mod publish;
mod terminate;
mod users;

pub(super) use metrics::Pending as Readings;

/// What is known so far of what a call has asked for.
#[derive(Debug)]
pub(super) enum Pending {
    Publish(publish::Pending),
    Channels(channels::Pending),
    Channel(channel::Pending),
    Users(users::Pending),
    Metrics(Readings),
    /// The same, for a sample of the console.
    Sample(Readings),
    /// What the console asks of shards.
    Console(console::Pending),
    /// What the console asks of hooks: their answer.
    Json(String),
    /// Whether all nodes hear of it, if there are others.
    Terminate,
}

impl Pending {
    /// Takes what a home has answered to a question of the call. An error is what the caller gets, at once.
    pub(super) fn take(&mut self, question: usize, found: Found) -> Result<(), Refused> {
        match (self, found) {
            // The event is published: the caller must not take it for one that was not.
            (Self::Publish(pending), Found::Channel(counts, _) | Found::Alone(counts)) => {
                pending.take(question, counts);
            }
            (Self::Publish(_), Found::Busy) => {}
            (_, Found::Alone(_)) => return Err(alone()),
            (Self::Channels(pending), found) => return pending.take(found),
            (Self::Channel(pending), Found::Channel(counts, cached)) => pending.take(counts, cached),
            (Self::Users(pending), Found::Users(users)) => pending.take(users),
            (Self::Channel(_) | Self::Users(_), Found::Busy) => {
                return Err(Refused::retry_later(
                    "Over capacity: too many questions wait for the other nodes already",
                ));
            }
            (Self::Terminate, Found::Joined) => {}
            (Self::Metrics(pending) | Self::Sample(pending), Found::Reading(reading)) => {
                pending.take(question, *reading);
            }
            (Self::Console(pending), found) => return pending.take(found),
            _ => invariant::violated("an answer is of the kind that was asked for"),
        }
        Ok(())
    }

    /// What the caller gets, when nothing is missing.
    pub(super) fn respond(self, core: &ApiCore, now: Now) -> Answer<'static> {
        match self {
            Self::Publish(pending) => pending.respond(),
            Self::Channels(pending) => pending.respond(),
            Self::Channel(pending) => pending.respond(),
            Self::Users(pending) => pending.respond(),
            Self::Metrics(pending) => pending.respond(core, now),
            Self::Console(pending) => pending.respond(),
            Self::Json(json) => api::console::answer_json(json),
            Self::Terminate | Self::Sample(_) => Answer::done(),
        }
    }
}

fn alone() -> Refused {
    Refused::retry_later(
        "The other nodes of the cluster cannot be asked or told: this one has no session with its Redis server \
         (GET /ready says which, since when and why)",
    )
}

/// A channel in an answer.
#[derive(Debug)]
struct ChannelRow {
    name: Arc<str>,
    kind: ChannelKind,
    info: Info,
    counts: Counts,
}

impl ChannelRow {
    /// A channel of which nothing is known yet.
    fn of(topic: &Topic, kind: ChannelKind, info: Info) -> Self {
        Self { name: topic.shared_name(), kind, info, counts: Counts::default() }
    }

    fn view(&self) -> Row<'_> {
        Row { name: &self.name, kind: self.kind, info: self.info, counts: self.counts, cache: None }
    }
}

fn counts_of(counts: mesh::Counts) -> Counts {
    Counts { subscriptions: counts.subscriptions, users: counts.users }
}
