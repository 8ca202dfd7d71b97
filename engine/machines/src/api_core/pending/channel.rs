//! How many are on one channel: its home is asked.

use api::answer::{Answer, Manner};
use api::endpoints::channels::{Channel, answer_channel};

use super::{ChannelRow, counts_of};
use crate::api_core::ApiCore;
use crate::api_core::open_call::OpenCall;
use crate::machine::{Now, Token};
use crate::mesh::{Ask, Counts};
use crate::topic::TopicKey;

/// The channel asked for.
#[derive(Debug)]
pub(in crate::api_core) struct Pending {
    row: ChannelRow,
}

impl Pending {
    pub(super) fn take(&mut self, counts: Counts) {
        self.row.counts = counts_of(counts);
    }

    pub(super) fn respond(self) -> Answer<'static> {
        answer_channel(&self.row.view())
    }
}

impl ApiCore {
    /// Asks a channel's home for its counts.
    pub(in crate::api_core) fn ask_channel(
        &mut self,
        token: Token,
        manner: Manner,
        channel: &Channel<'_>,
        now: Now,
    ) {
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        let topic = self.topics.topic(channel.app, TopicKey::of_kind(&channel.name, channel.kind));
        let pending = Pending { row: ChannelRow::of(&topic, channel.kind, channel.info) };
        self.ask(id, &mut call, self.topics.home(topic.hash), 0, Ask::Channel { topic });
        self.answer_now_or_later(id, call, super::Pending::Channel(pending), now);
    }
}
