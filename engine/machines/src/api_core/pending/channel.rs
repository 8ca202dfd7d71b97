//! How many are on one channel, and what it remembers: its home is asked.

use api::answer::{Answer, Manner};
use api::endpoints::channels::{Channel, answer_channel};
use api::info::{CachedEvent, Row};
use protocol::server_event::event_data_literal;

use super::{ChannelRow, counts_of};
use crate::api_core::ApiCore;
use crate::api_core::open_call::OpenCall;
use crate::machine::{Now, Token};
use crate::mesh::{Ask, Cached, Counts};
use crate::topic::TopicKey;

/// The channel asked for.
#[derive(Debug)]
pub(in crate::api_core) struct Pending {
    row: ChannelRow,
    cached: Option<Cached>,
}

impl Pending {
    pub(super) fn take(&mut self, counts: Counts, cached: Option<Cached>) {
        self.row.counts = counts_of(counts);
        self.cached = cached;
    }

    pub(super) fn respond(self) -> Answer<'static> {
        let cache = self.cached.as_ref().and_then(|Cached { frame, ttl_s }| {
            Some(CachedEvent { data_literal: event_data_literal(frame)?, ttl_s: *ttl_s })
        });
        answer_channel(&Row { cache, ..self.row.view() })
    }
}

impl ApiCore {
    /// Asks a channel's home for its counts, and for what it remembers.
    pub(in crate::api_core) fn ask_channel(
        &mut self,
        token: Token,
        manner: Manner,
        channel: &Channel<'_>,
        now: Now,
    ) {
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        let topic = self.topics.topic(channel.app, TopicKey::of_kind(&channel.name, channel.kind));
        let row = ChannelRow::of(&topic, channel.kind, channel.info);
        let pending = Pending { row, cached: None };
        self.ask(id, &mut call, self.topics.home(topic.hash), 0, Ask::Channel { topic });
        self.answer_now_or_later(id, call, super::Pending::Channel(pending), now);
    }
}
