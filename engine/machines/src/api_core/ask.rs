//! Questions: which channels are occupied (every shard is asked, each for those that it is home to), and how many or
//! who is on one channel (its home is asked). An answer is given when all have come, never a part of it. A list of channels
//! is made by each home in steps and merged here; one that is too long, or that a home has no place for, is refused at
//! once.

use std::sync::Arc;

use api::answer::Manner;
use api::endpoints::channels::{Channel, Channels};
use api::endpoints::users::Users;
use api::info::Counts;
use protocol::channel::ChannelKind;

use super::calls::{CallId, CallRow, Form, PendingCall};
use super::gate::{Part, Waiting};
use super::{ApiCore, CHANNELS_BYTES_MAX};
use crate::machine::{Now, Token};
use crate::mesh::{Ask, Query};

impl ApiCore {
    /// Asks every shard for its occupied channels.
    pub(super) fn ask_channels(&mut self, token: Token, manner: Manner, channels: &Channels<'_>, now: Now) {
        let id = self.calls.name();
        let mut call = PendingCall::new(token, manner, Form::Channels(channels.info));
        for home in 0..self.shards() {
            let (app, prefix) = (Arc::clone(channels.app), channels.prefix.clone());
            let ask = Ask::Channels { app, prefix, bytes_max: CHANNELS_BYTES_MAX };
            self.ask(id, &mut call, home, home as u32, ask);
        }
        self.answer_now_or_later(id, call, now);
    }

    /// Asks a channel's home for its counts.
    pub(super) fn ask_channel(&mut self, token: Token, manner: Manner, channel: &Channel<'_>, now: Now) {
        let id = self.calls.name();
        let mut call = PendingCall::new(token, manner, Form::Channel);
        let topic = self.topics.topic(channel.app, &channel.name, channel.kind);
        call.rows.push(CallRow {
            name: Arc::clone(&topic.name),
            kind: topic.kind,
            info: channel.info,
            counts: Counts::default(),
        });
        self.ask(id, &mut call, self.topics.home(topic.hash), 0, Ask::Channel { topic });
        self.answer_now_or_later(id, call, now);
    }

    /// Asks a presence channel's home for its members.
    pub(super) fn ask_users(&mut self, token: Token, manner: Manner, users: &Users<'_>, now: Now) {
        let id = self.calls.name();
        let mut call = PendingCall::new(token, manner, Form::Users);
        let topic = self.topics.topic(users.app, &users.name, ChannelKind::of(&users.name));
        self.ask(id, &mut call, self.topics.home(topic.hash), 0, Ask::Users { topic });
        self.answer_now_or_later(id, call, now);
    }

    pub(super) fn ask(&mut self, id: CallId, call: &mut PendingCall, home: usize, index: u32, ask: Ask) {
        let query = Query { id: id.question(index), ask };
        call.answers_missing += 1;
        if self.gate_is_open(home) {
            return self.send_query(home, query);
        }
        self.park(home, call, Waiting { call: id, part: Part::Ask(query) });
    }
}
