//! What a client hears, and why something that it asked for did not happen.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::member::Member;

/// What a client hears.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The connection is there. It comes again after each reconnection.
    Connected {
        /// The id of the connection, which is another one each time.
        socket_id: String,
    },
    /// The connection is lost, or could not be made. What is published now is not heard.
    Disconnected {
        /// The close code, if the server has sent one.
        code: Option<u16>,
        /// What the server said, or what went wrong.
        reason: String,
        /// When the client tries again; never, if the close code forbids it or the client was told to stop.
        retry: Option<Duration>,
    },
    /// A subscription is there. It comes again after each reconnection.
    Subscribed {
        /// The channel.
        channel: String,
    },
    /// A subscription was refused.
    SubscriptionFailed {
        /// The channel.
        channel: String,
        /// Why.
        refusal: Refusal,
    },
    /// An event that was published, or sent by another client.
    Message(Message),
    /// A user has entered a presence channel.
    MemberAdded {
        /// The channel.
        channel: String,
        /// The user.
        member: Member,
    },
    /// A user has left a presence channel.
    MemberRemoved {
        /// The channel.
        channel: String,
        /// The user, as it was known.
        member: Member,
    },
    /// How many subscriptions a channel has now.
    SubscriptionCount {
        /// The channel.
        channel: String,
        /// How many.
        count: u64,
    },
    /// The cache channel that was subscribed to has no last event.
    CacheMiss {
        /// The channel.
        channel: String,
    },
    /// The connection is signed in.
    SignedIn {
        /// Who the user is: JSON with an `id`.
        user_data: String,
    },
    /// The connection was not signed in.
    SignInFailed {
        /// Why.
        refusal: Refusal,
    },
    /// Users on the watchlist of the signed-in user have come or gone.
    Watchlist {
        /// Who is online now.
        online: Vec<String>,
        /// Who is offline now.
        offline: Vec<String>,
    },
    /// The server reports an error, and the connection goes on.
    Error {
        /// Its code, if it has one.
        code: Option<u16>,
        /// What it says.
        message: String,
    },
}

impl Event {
    /// The name that `bind` knows an event by: that of a message, or the one that Pusher's clients use. What has no name there is
    /// `pusher:disconnected`, `pusher:signin_error` and `pusher:watchlist`.
    pub fn name(&self) -> &str {
        match self {
            Self::Connected { .. } => "pusher:connection_established",
            Self::Disconnected { .. } => "pusher:disconnected",
            Self::Subscribed { .. } => "pusher:subscription_succeeded",
            Self::SubscriptionFailed { .. } => "pusher:subscription_error",
            Self::Message(message) => &message.event,
            Self::MemberAdded { .. } => "pusher:member_added",
            Self::MemberRemoved { .. } => "pusher:member_removed",
            Self::SubscriptionCount { .. } => "pusher:subscription_count",
            Self::CacheMiss { .. } => "pusher:cache_miss",
            Self::SignedIn { .. } => "pusher:signin_success",
            Self::SignInFailed { .. } => "pusher:signin_error",
            Self::Watchlist { .. } => "pusher:watchlist",
            Self::Error { .. } => "pusher:error",
        }
    }

    /// The channel that it belongs to.
    pub fn channel(&self) -> Option<&str> {
        match self {
            Self::Message(message) => message.channel.as_deref(),
            Self::Subscribed { channel }
            | Self::SubscriptionFailed { channel, .. }
            | Self::MemberAdded { channel, .. }
            | Self::MemberRemoved { channel, .. }
            | Self::SubscriptionCount { channel, .. }
            | Self::CacheMiss { channel } => Some(channel),
            _ => None,
        }
    }
}

/// An event that was published, or sent by another client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its name.
    pub event: String,
    /// The channel. What a back end sends to a user comes on `#server-to-user-ID`.
    pub channel: Option<String>,
    /// Its data as a text. Where a server sends an object, it is the JSON of it.
    pub data: String,
    /// The user who has sent it, for events of clients on presence channels.
    pub user_id: Option<String>,
}

impl Message {
    /// The data as a value, if it is JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.data)
    }
}

/// Why a server, or an auth endpoint, refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A status as HTTP has them, such as 401, or a code of Pusher's; if there is one.
    pub status: Option<u16>,
    /// What is said.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(out, "{} ({status})", self.message),
            None => out.write_str(&self.message),
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server cannot be reached, or is none that speaks the protocol.
    Unreachable(String),
    /// The server has refused, with a close code.
    Refused {
        /// The close code.
        code: u16,
        /// What the server said.
        reason: String,
    },
    /// Nothing has come in time.
    TimedOut,
    /// The client was told to stop.
    Stopped,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => out.write_str(why),
            Self::Refused { code, reason } => write!(out, "{reason} ({code})"),
            Self::TimedOut => out.write_str("no answer in time"),
            Self::Stopped => out.write_str("the client was told to stop"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Why there is no subscription, or no sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// It was refused.
    Refused(Refusal),
    /// No answer has come in time. It may still come.
    TimedOut,
    /// It was not asked for, or was given up meanwhile.
    NotAsked,
    /// The client has as many channels as one connection can have.
    TooMany,
    /// The client has stopped.
    Stopped,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(out),
            Self::TimedOut => out.write_str("no answer in time"),
            Self::NotAsked => out.write_str("it was not asked for"),
            Self::TooMany => out.write_str("too many channels on one connection"),
            Self::Stopped => out.write_str("the client has stopped"),
        }
    }
}

impl std::error::Error for SubscribeError {}

/// Why an event of a client was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TriggerError {
    /// Names of clients' events begin with `client-`.
    BadName,
    /// Clients send events on private and presence channels only.
    BadChannel,
    /// The data cannot be written as JSON.
    BadData,
    /// There is no subscription to the channel now.
    NotSubscribed,
    /// The server does not take what was sent before.
    Full,
}

impl fmt::Display for TriggerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::BadName => "the name of a client's event begins with client-",
            Self::BadChannel => "clients send events on private and presence channels only",
            Self::BadData => "the data cannot be written as JSON",
            Self::NotSubscribed => "there is no subscription to the channel now",
            Self::Full => "the server does not take what was sent before",
        })
    }
}

impl std::error::Error for TriggerError {}
