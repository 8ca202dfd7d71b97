//! What happened, for the operator's own backend: the events of Pusher webhooks, and published events beside them.
//!
//! Shards and the API core make them and put them into the queue of the hooks core; hooks writes them as JSON. An event
//! owns all that it says, since it outlives the turn that made it.

use std::sync::Arc;

use crate::app::App;
use crate::channel::user_of_channel;
use crate::hook_kind::HookKind;
use crate::json::encode_string;
use crate::socket_id::SocketId;

/// One thing that happened on a channel of an app.
#[derive(Clone, Debug)]
pub enum HookEvent {
    /// The first subscriber came.
    ChannelOccupied {
        /// The app of the channel.
        app: Arc<App>,
        /// The name of the channel.
        channel: Arc<str>,
    },
    /// The last subscriber left.
    ChannelVacated {
        /// The app of the channel.
        app: Arc<App>,
        /// The name of the channel.
        channel: Arc<str>,
    },
    /// A user's first connection joined a presence channel.
    MemberAdded {
        /// The app of the channel.
        app: Arc<App>,
        /// The name of the channel.
        channel: Arc<str>,
        /// The user.
        user_id: Box<str>,
        /// What the app's back end says of the user, as compact JSON. Not in Pusher's webhooks.
        user_info: Option<Box<str>>,
    },
    /// A user's last connection left a presence channel.
    MemberRemoved {
        /// The app of the channel.
        app: Arc<App>,
        /// The name of the channel.
        channel: Arc<str>,
        /// The user.
        user_id: Box<str>,
    },
    /// A client sent an event to the others of its channel.
    ClientEvent {
        /// The app of the channel.
        app: Arc<App>,
        /// The name of the channel.
        channel: Arc<str>,
        /// The name of the event.
        event: Box<str>,
        /// The data as a JSON string literal, quotes included.
        data_literal: Box<str>,
        /// Who sent it.
        socket_id: SocketId,
        /// The sender's user, on presence channels.
        user_id: Option<Box<str>>,
    },
    /// A publisher's event was accepted.
    ServerEvent {
        /// The app of the channel.
        app: Arc<App>,
        /// The name of the channel.
        channel: Arc<str>,
        /// The name of the event.
        event: Box<str>,
        /// How many subscriptions it was sent to.
        recipients: u64,
    },
    /// Somebody subscribed to a cache channel that remembers nothing.
    CacheMiss {
        /// The app of the channel.
        app: Arc<App>,
        /// The name of the channel.
        channel: Arc<str>,
    },
    /// A channel has more or fewer subscriptions than it had.
    SubscriptionCount {
        /// The app of the channel.
        app: Arc<App>,
        /// The name of the channel.
        channel: Arc<str>,
        /// How many it has.
        subscriptions: u64,
    },
    /// A user's first connection signed in.
    UserOnline {
        /// The app of the user.
        app: Arc<App>,
        /// The user's own channel, `#server-to-user-ID`: it names the user, and events about the user keep their order by it.
        channel: Arc<str>,
    },
    /// A user's last connection that was signed in has gone.
    UserOffline {
        /// The app of the user.
        app: Arc<App>,
        /// The user's own channel, `#server-to-user-ID`.
        channel: Arc<str>,
    },
}

impl HookEvent {
    /// What kind of thing happened.
    pub fn kind(&self) -> HookKind {
        match self {
            Self::ChannelOccupied { .. } => HookKind::ChannelOccupied,
            Self::ChannelVacated { .. } => HookKind::ChannelVacated,
            Self::MemberAdded { .. } => HookKind::MemberAdded,
            Self::MemberRemoved { .. } => HookKind::MemberRemoved,
            Self::ClientEvent { .. } => HookKind::ClientEvent,
            Self::ServerEvent { .. } => HookKind::ServerEvent,
            Self::CacheMiss { .. } => HookKind::CacheMiss,
            Self::SubscriptionCount { .. } => HookKind::SubscriptionCount,
            Self::UserOnline { .. } => HookKind::UserOnline,
            Self::UserOffline { .. } => HookKind::UserOffline,
        }
    }

    /// The `name` of the event in webhooks.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The app it happened in.
    pub fn app(&self) -> &Arc<App> {
        match self {
            Self::ChannelOccupied { app, .. }
            | Self::ChannelVacated { app, .. }
            | Self::MemberAdded { app, .. }
            | Self::MemberRemoved { app, .. }
            | Self::ClientEvent { app, .. }
            | Self::ServerEvent { app, .. }
            | Self::CacheMiss { app, .. }
            | Self::SubscriptionCount { app, .. }
            | Self::UserOnline { app, .. }
            | Self::UserOffline { app, .. } => app,
        }
    }

    /// The channel it happened on. Of what happened to a user it is the user's own.
    pub fn channel(&self) -> &Arc<str> {
        match self {
            Self::ChannelOccupied { channel, .. }
            | Self::ChannelVacated { channel, .. }
            | Self::MemberAdded { channel, .. }
            | Self::MemberRemoved { channel, .. }
            | Self::ClientEvent { channel, .. }
            | Self::ServerEvent { channel, .. }
            | Self::CacheMiss { channel, .. }
            | Self::SubscriptionCount { channel, .. }
            | Self::UserOnline { channel, .. }
            | Self::UserOffline { channel, .. } => channel,
        }
    }
}

impl HookEvent {
    /// The user that came online or went offline.
    pub fn online_user(&self) -> Option<&str> {
        match self {
            Self::UserOnline { channel, .. } | Self::UserOffline { channel, .. } => user_of_channel(channel),
            _ => None,
        }
    }
}

/// Appends the event as an object of a webhook's `events`, with its id in decimal as one more member. The data of a client
/// event is a string, as Pusher's are.
pub fn encode_hook_event(out: &mut Vec<u8>, event: &HookEvent, id: u64) {
    out.extend_from_slice(b"{\"name\":\"");
    out.extend_from_slice(event.name().as_bytes());
    out.push(b'"');
    match event.online_user() {
        Some(user_id) => encode_field(out, "user_id", user_id),
        None => encode_field(out, "channel", event.channel()),
    }
    match event {
        HookEvent::ChannelOccupied { .. }
        | HookEvent::ChannelVacated { .. }
        | HookEvent::CacheMiss { .. }
        | HookEvent::UserOnline { .. }
        | HookEvent::UserOffline { .. } => {}
        HookEvent::SubscriptionCount { subscriptions, .. } => {
            out.extend_from_slice(b",\"subscription_count\":");
            out.extend_from_slice(itoa::Buffer::new().format(*subscriptions).as_bytes());
        }
        HookEvent::MemberAdded { user_id, .. } | HookEvent::MemberRemoved { user_id, .. } => {
            encode_field(out, "user_id", user_id);
        }
        HookEvent::ServerEvent { event, recipients, .. } => {
            encode_field(out, "event", event);
            out.extend_from_slice(b",\"recipients\":");
            out.extend_from_slice(itoa::Buffer::new().format(*recipients).as_bytes());
        }
        HookEvent::ClientEvent { event, data_literal, socket_id, user_id, .. } => {
            encode_field(out, "event", event);
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data_literal.as_bytes());
            encode_field(out, "socket_id", &socket_id.to_string());
            if let Some(user_id) = user_id {
                encode_field(out, "user_id", user_id);
            }
        }
    }
    out.extend_from_slice(b",\"id\":\"");
    out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    out.extend_from_slice(b"\"}");
}

fn encode_field(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    encode_string(out, value);
}

/// An event that has no id yet.
#[derive(Clone, Debug)]
pub struct Happened {
    /// What happened.
    pub event: HookEvent,
    /// When, in milliseconds of Unix time.
    pub time_ms: u64,
}

/// A channel of which something was reported as there when the last server ended. A user's own channel is occupied while
/// the user was reported as online.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenEdges {
    /// The app of the channel.
    pub app_id: Box<str>,
    /// The name of the channel.
    pub channel: Box<str>,
    /// Whether the channel was reported as occupied. Where only members are reported, it was not.
    pub occupied: bool,
    /// The users that were reported as members.
    pub members: Vec<Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(event: &HookEvent) -> String {
        let mut out = Vec::new();
        encode_hook_event(&mut out, event, 7);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events_are_written_as_pusher_writes_them() {
        let app = Arc::new(App::new("1", "k", "s"));
        let channel: Arc<str> = "presence-a".into();
        let place = || (Arc::clone(&app), Arc::clone(&channel));
        let occupied = |(app, channel)| HookEvent::ChannelOccupied { app, channel };
        assert_eq!(
            text(&occupied(place())),
            r#"{"name":"channel_occupied","channel":"presence-a","id":"7"}"#
        );
        let vacated = |(app, channel)| HookEvent::ChannelVacated { app, channel };
        assert_eq!(text(&vacated(place())), r#"{"name":"channel_vacated","channel":"presence-a","id":"7"}"#);
        let added =
            |(app, channel)| HookEvent::MemberAdded { app, channel, user_id: "u\"1".into(), user_info: None };
        let expected = r#"{"name":"member_added","channel":"presence-a","user_id":"u\"1","id":"7"}"#;
        assert_eq!(text(&added(place())), expected);
        let removed = |(app, channel)| HookEvent::MemberRemoved { app, channel, user_id: "2".into() };
        assert_eq!(
            text(&removed(place())),
            r#"{"name":"member_removed","channel":"presence-a","user_id":"2","id":"7"}"#
        );
        let server =
            |(app, channel)| HookEvent::ServerEvent { app, channel, event: "e".into(), recipients: 3 };
        assert_eq!(
            text(&server(place())),
            r#"{"name":"server_event","channel":"presence-a","event":"e","recipients":3,"id":"7"}"#
        );
        let missed = |(app, channel)| HookEvent::CacheMiss { app, channel };
        assert_eq!(text(&missed(place())), r#"{"name":"cache_miss","channel":"presence-a","id":"7"}"#);
        let counted = |(app, channel)| HookEvent::SubscriptionCount { app, channel, subscriptions: 12 };
        assert_eq!(
            text(&counted(place())),
            r#"{"name":"subscription_count","channel":"presence-a","subscription_count":12,"id":"7"}"#
        );
    }

    #[test]
    fn a_user_who_comes_or_goes_is_named_without_a_channel() {
        let app = Arc::new(App::new("1", "k", "s"));
        let channel: Arc<str> = "#server-to-user-u\"1".into();
        let online = HookEvent::UserOnline { app: Arc::clone(&app), channel: Arc::clone(&channel) };
        assert_eq!(text(&online), r#"{"name":"user_online","user_id":"u\"1","id":"7"}"#);
        assert_eq!(online.channel(), &channel);
        let offline = HookEvent::UserOffline { app, channel };
        assert_eq!(text(&offline), r#"{"name":"user_offline","user_id":"u\"1","id":"7"}"#);
    }

    #[test]
    fn a_client_event_carries_its_data_as_a_string() {
        let event = |user_id: Option<&str>| HookEvent::ClientEvent {
            app: Arc::new(App::new("1", "k", "s")),
            channel: "private-a".into(),
            event: "client-x".into(),
            data_literal: r#""{\"a\":1}""#.into(),
            socket_id: SocketId { first: 12, second: 34 },
            user_id: user_id.map(Into::into),
        };
        let plain = r#"{"name":"client_event","channel":"private-a","event":"client-x","data":"{\"a\":1}","socket_id":"12.34","id":"7"}"#;
        assert_eq!(text(&event(None)), plain);
        let with_user = plain.replace(r#""12.34","#, r#""12.34","user_id":"u","#);
        assert_eq!(text(&event(Some("u"))), with_user);
    }
}
