//! Refusing a subscription: the client is told twice. Every SDK shows `pusher:error`, which belongs to the connection;
//! `pusher:subscription_error` belongs to the channel, so that code that waits for this one subscription hears of it.
//!
//! A second subscription to a channel is an error, but no refusal: the channel has its subscription, and its
//! listeners must not hear that it failed.

use protocol::auth::ClientAuthError;
use protocol::channel::ChannelNameError;
use protocol::close::TOO_FAST;
use protocol::presence::ChannelDataError;
use protocol::server_event;

use crate::machine::Token;
use crate::notices::What;
use crate::shard::Shard;

/// Why a subscription is refused, as far as programs tell it apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::shard) enum Grounds {
    /// The signature, or what it signs.
    Auth,
    /// The name can be no channel's.
    Name,
    /// The name is too long.
    NameLength,
    /// Nobody may have more of these just now.
    Full,
    /// What the client says of itself is too long.
    Size,
    /// It changes its subscriptions too fast.
    Rate,
}

impl Grounds {
    /// The type and the status of a subscription_error. `AuthError` is what pusher-js itself says when its authorizer
    /// fails; the other types and the numbers follow soketi where it has them.
    fn kind_and_status(self) -> (&'static str, u16) {
        match self {
            Self::Auth => ("AuthError", 401),
            Self::Name => ("InvalidChannel", 400),
            Self::NameLength => ("LimitReached", 4009),
            Self::Full => ("LimitReached", 4100),
            Self::Size | Self::Rate => ("LimitReached", 4301),
        }
    }

    /// The code of the error frame.
    fn code(self) -> Option<u16> {
        (self == Self::Rate).then_some(TOO_FAST)
    }
}

impl Shard {
    /// Tells the client, on the connection and on the channel, that it is not subscribed and why.
    pub(in crate::shard) fn refuse_subscription(
        &mut self,
        id: Token,
        channel: &str,
        grounds: Grounds,
        text: &str,
    ) {
        self.tell_refused(id, What::Subscription, Some(channel), text);
        self.answer_refused(id, channel, grounds, text);
    }

    fn answer_refused(&mut self, id: Token, channel: &str, grounds: Grounds, text: &str) {
        self.inbound.stats.subscribe_refused += 1;
        let (kind, status) = grounds.kind_and_status();
        let mut bytes = Vec::new();
        server_event::encode_error(&mut bytes, grounds.code(), text);
        server_event::encode_subscription_error(&mut bytes, channel, kind, text, status);
        self.fanout.reply(id, bytes);
    }

    pub(in crate::shard) fn refuse_auth(
        &mut self,
        id: Token,
        channel: &str,
        has_data: bool,
        error: &ClientAuthError,
    ) {
        if self.notices.ends() {
            let data = if has_data { ":CHANNEL_DATA" } else { "" };
            let why = self.explain(id, error, &format!("{channel}{data}"));
            self.tell_explained(id, What::Subscription, Some(channel), why);
        }
        self.answer_refused(id, channel, Grounds::Auth, &error.to_string());
    }

    pub(in crate::shard) fn refuse_name(&mut self, id: Token, channel: &str, error: &ChannelNameError) {
        let grounds = match error {
            ChannelNameError::TooLong { .. } => Grounds::NameLength,
            ChannelNameError::Empty | ChannelNameError::Character(_) => Grounds::Name,
        };
        self.refuse_subscription(id, channel, grounds, &error.to_string());
    }

    pub(in crate::shard) fn refuse_member(&mut self, id: Token, channel: &str, error: &ChannelDataError) {
        let grounds = match error {
            ChannelDataError::UserIdTooLong { .. } | ChannelDataError::UserInfoTooLong { .. } => {
                Grounds::Size
            }
            ChannelDataError::Missing
            | ChannelDataError::Json(_)
            | ChannelDataError::UserIdMissing
            | ChannelDataError::UserIdType => Grounds::Auth,
        };
        self.refuse_subscription(id, channel, grounds, &error.to_string());
    }
}
