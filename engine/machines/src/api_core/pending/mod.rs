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
mod metrics;
mod publish;
mod terminate;
mod users;

/// What is known so far of what a call has asked for.
#[derive(Debug)]
pub(super) enum Pending {
    Publish(publish::Pending),
    Channels(channels::Pending),
    Channel(channel::Pending),
    Users(users::Pending),
    Metrics(metrics::Pending),
    /// Nothing is asked.
    Terminate,
}

impl Pending {
    /// Takes what a home has answered to a question of the call. An error is what the caller gets, at once.
    pub(super) fn take(&mut self, question: usize, found: Found) -> Result<(), Refused> {
        match (self, found) {
            (Self::Publish(pending), Found::Channel(counts, _)) => pending.take(question, counts),
            (Self::Channels(pending), found) => return pending.take(found),
            (Self::Channel(pending), Found::Channel(counts, cached)) => pending.take(counts, cached),
            (Self::Users(pending), Found::Users(users)) => pending.take(users),
            (Self::Metrics(pending), Found::Reading(reading)) => pending.take(question, *reading),
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
            Self::Terminate => Answer::done(),
        }
    }
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
