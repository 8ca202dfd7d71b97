//! A row's event as text: the JSON object that lies in the journal's `data` column and in a stream entry's `data` field.
//!
//! It is webman-push-server's payload with ours on top, so that consumers of its stream can read it. Owns both
//! directions. What must never happen here: an event that reads back as another one than was written.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use protocol::app::{App, Apps};
use protocol::hook_event::HookEvent;
use protocol::hook_kind::HookKind;
use protocol::json::{self, Value, encode_string};
use protocol::socket_id::SocketId;
use serde::Deserialize;

use crate::row::Row;

/// Appends the event as one JSON object. `time_ms` is in milliseconds here and seconds with a fraction in the text, as
/// webman's is.
pub fn encode_row_data(out: &mut Vec<u8>, id: u64, time_ms: u64, event: &HookEvent) {
    out.extend_from_slice(b"{\"id\":\"");
    encode_integer(out, id);
    out.extend_from_slice(b"\",\"app_key\":");
    encode_string(out, &event.app().signer().name);
    encode_field(out, "channel", event.channel());
    out.extend_from_slice(b",\"time_ms\":");
    encode_seconds(out, time_ms);
    match event {
        HookEvent::ChannelOccupied { .. }
        | HookEvent::ChannelVacated { .. }
        | HookEvent::CacheMiss { .. } => {}
        HookEvent::UserOnline { .. } | HookEvent::UserOffline { .. } => {
            encode_field(out, "user_id", event.online_user().unwrap_or_default());
        }
        HookEvent::SubscriptionCount { subscriptions, .. } => {
            out.extend_from_slice(b",\"subscription_count\":");
            encode_integer(out, *subscriptions);
        }
        HookEvent::MemberAdded { user_id, user_info, .. } => {
            encode_field(out, "user_id", user_id);
            if let Some(user_info) = user_info {
                out.extend_from_slice(b",\"user_info\":");
                out.extend_from_slice(user_info.as_bytes());
            }
        }
        HookEvent::MemberRemoved { user_id, .. } => encode_field(out, "user_id", user_id),
        HookEvent::ClientEvent { event, data_literal, socket_id, user_id, .. } => {
            encode_field(out, "event", event);
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data_literal.as_bytes());
            out.extend_from_slice(b",\"socket_id\":\"");
            encode_integer(out, socket_id.first);
            out.push(b'.');
            encode_integer(out, socket_id.second);
            out.push(b'"');
            if let Some(user_id) = user_id {
                encode_field(out, "user_id", user_id);
            }
        }
        HookEvent::ServerEvent { event, recipients, .. } => {
            encode_field(out, "event", event);
            out.extend_from_slice(b",\"recipients\":");
            encode_integer(out, *recipients);
        }
    }
    out.push(b'}');
}

/// Appends a time as webman writes it: seconds with a fraction.
pub fn encode_seconds(out: &mut Vec<u8>, time_ms: u64) {
    encode_integer(out, time_ms / 1_000);
    let fraction = time_ms % 1_000;
    out.extend_from_slice(&[b'.', digit(fraction / 100), digit(fraction / 10), digit(fraction)]);
}

/// Reads a row back. `data` is what `encode_row_data` wrote.
pub fn decode_row(
    id: u64,
    time_ms: u64,
    app_id: &str,
    name: &str,
    data: &str,
    apps: &Apps,
) -> Result<Row, UndecodableRow> {
    let app = apps.by_id(app_id).ok_or_else(|| UndecodableRow::App(app_id.to_owned()))?;
    let kind = HookKind::parse(name).ok_or_else(|| UndecodableRow::Kind(name.to_owned()))?;
    let event = decode_event(Arc::clone(app), kind, data).ok_or(UndecodableRow::Data(id))?;
    Ok(Row { id, time_ms, event })
}

/// The channel of an event from its text, whatever app and kind it is of.
pub fn channel_of(data: &str) -> Option<Box<str>> {
    let data: Data<'_> = json::parse_object(data.as_bytes()).ok()?;
    text(data.channel)
}

/// A row that this server cannot read: written by another version, or for an app that is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UndecodableRow {
    /// No app has this id.
    App(String),
    /// There is no such kind of event.
    Kind(String),
    /// The data of the row of this id is not what it should be.
    Data(u64),
}

impl fmt::Display for UndecodableRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(app_id) => write!(f, "there is no app {app_id:?}"),
            Self::Kind(name) => write!(f, "unknown kind of event {name:?}"),
            Self::Data(id) => write!(f, "the data of event {id} cannot be read"),
        }
    }
}

impl Error for UndecodableRow {}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    channel: Option<Value<'a>>,
    #[serde(borrow)]
    user_id: Option<Value<'a>>,
    #[serde(borrow)]
    user_info: Option<Value<'a>>,
    #[serde(borrow)]
    event: Option<Value<'a>>,
    #[serde(borrow)]
    data: Option<Value<'a>>,
    #[serde(borrow)]
    socket_id: Option<Value<'a>>,
    #[serde(borrow)]
    recipients: Option<Value<'a>>,
    #[serde(borrow)]
    subscription_count: Option<Value<'a>>,
}

fn decode_event(app: Arc<App>, kind: HookKind, data: &str) -> Option<HookEvent> {
    let data: Data<'_> = json::parse_object(data.as_bytes()).ok()?;
    let channel: Arc<str> = text(data.channel)?.into();
    Some(match kind {
        HookKind::ChannelOccupied => HookEvent::ChannelOccupied { app, channel },
        HookKind::ChannelVacated => HookEvent::ChannelVacated { app, channel },
        HookKind::MemberAdded => {
            let user_info = data.user_info.map(|info| info.raw().into());
            HookEvent::MemberAdded { app, channel, user_id: text(data.user_id)?, user_info }
        }
        HookKind::MemberRemoved => HookEvent::MemberRemoved { app, channel, user_id: text(data.user_id)? },
        HookKind::ClientEvent => HookEvent::ClientEvent {
            app,
            channel,
            event: text(data.event)?,
            data_literal: data.data.filter(Value::is_string)?.raw().into(),
            socket_id: SocketId::parse(&text(data.socket_id)?)?,
            user_id: match data.user_id {
                None => None,
                user_id => Some(text(user_id)?),
            },
        },
        HookKind::ServerEvent => HookEvent::ServerEvent {
            app,
            channel,
            event: text(data.event)?,
            recipients: data.recipients?.integer()?.parse().ok()?,
        },
        HookKind::CacheMiss => HookEvent::CacheMiss { app, channel },
        HookKind::SubscriptionCount => {
            let subscriptions = data.subscription_count?.integer()?.parse().ok()?;
            HookEvent::SubscriptionCount { app, channel, subscriptions }
        }
        HookKind::UserOnline => HookEvent::UserOnline { app, channel },
        HookKind::UserOffline => HookEvent::UserOffline { app, channel },
    })
}

fn text(value: Option<Value<'_>>) -> Option<Box<str>> {
    Some(value?.text().ok()?.into())
}

fn encode_field(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    encode_string(out, value);
}

fn encode_integer(out: &mut Vec<u8>, integer: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
}

fn digit(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps() -> Apps {
        Apps::new(vec![App::new("1", "key", "secret")]).unwrap()
    }

    fn encoded(event: &HookEvent) -> String {
        let mut out = Vec::new();
        encode_row_data(&mut out, 17, 1_712_000_000_042, event);
        String::from_utf8(out).unwrap()
    }

    fn each_kind() -> Vec<(HookEvent, &'static str)> {
        let app = Arc::clone(apps().by_id("1").unwrap());
        let place = || (Arc::clone(&app), Arc::<str>::from("presence-\"a"));
        let member = |(app, channel), user_info: Option<&str>| HookEvent::MemberAdded {
            app,
            channel,
            user_id: "u\n1".into(),
            user_info: user_info.map(Into::into),
        };
        let client = |(app, channel), user_id: Option<&str>| HookEvent::ClientEvent {
            app,
            channel,
            event: "client-x".into(),
            data_literal: r#""{\"a\":\"\u00fc\"}""#.into(),
            socket_id: SocketId { first: 65_537, second: 1 << 53 },
            user_id: user_id.map(Into::into),
        };
        let (app, channel) = place();
        let occupied = HookEvent::ChannelOccupied { app, channel };
        let (app, channel) = place();
        let vacated = HookEvent::ChannelVacated { app, channel };
        let (app, channel) = place();
        let removed = HookEvent::MemberRemoved { app, channel, user_id: "2".into() };
        let (app, channel) = place();
        let server = HookEvent::ServerEvent { app, channel, event: "e".into(), recipients: 3 };
        let (app, channel) = place();
        let missed = HookEvent::CacheMiss { app, channel };
        let (app, channel) = place();
        let counted = HookEvent::SubscriptionCount { app, channel, subscriptions: u64::MAX };
        vec![
            (occupied, ""),
            (vacated, ""),
            (member(place(), None), r#","user_id":"u\n1""#),
            (member(place(), Some(r#"{"n":[1,"é"]}"#)), r#","user_id":"u\n1","user_info":{"n":[1,"é"]}"#),
            (removed, r#","user_id":"2""#),
            (
                client(place(), None),
                r#","event":"client-x","data":"{\"a\":\"\u00fc\"}","socket_id":"65537.9007199254740992""#,
            ),
            (
                client(place(), Some("u")),
                r#","event":"client-x","data":"{\"a\":\"\u00fc\"}","socket_id":"65537.9007199254740992","user_id":"u""#,
            ),
            (server, r#","event":"e","recipients":3"#),
            (missed, ""),
            (counted, r#","subscription_count":18446744073709551615"#),
        ]
    }

    #[test]
    fn events_are_written_as_webman_writes_them() {
        for (event, fields) in each_kind() {
            let head = r#"{"id":"17","app_key":"key","channel":"presence-\"a","time_ms":1712000000.042"#;
            assert_eq!(encoded(&event), format!("{head}{fields}}}"));
        }
    }

    #[test]
    fn who_is_online_reads_back_with_the_channel_that_keeps_the_order() {
        let apps = apps();
        let (app, channel) = (apps.by_id("1").unwrap(), Arc::<str>::from("#server-to-user-a\n\"b"));
        let online = HookEvent::UserOnline { app: Arc::clone(app), channel: Arc::clone(&channel) };
        let offline = HookEvent::UserOffline { app: Arc::clone(app), channel };
        for event in [online, offline] {
            let data = encoded(&event);
            assert!(data.ends_with(r#","user_id":"a\n\"b"}"#), "{data}");
            assert_eq!(channel_of(&data).as_deref(), Some("#server-to-user-a\n\"b"));
            let row = decode_row(17, 1, "1", event.name(), &data, &apps).unwrap();
            assert_eq!(encoded(&row.event), data);
            assert_eq!(row.event.kind(), event.kind());
        }
    }

    #[test]
    fn every_kind_reads_back_as_it_was() {
        for (event, _) in each_kind() {
            let row = decode_row(17, 5, "1", event.name(), &encoded(&event), &apps()).unwrap();
            assert_eq!((row.id, row.time_ms), (17, 5));
            assert_eq!(channel_of(&encoded(&event)).as_deref(), Some("presence-\"a"));
            assert_eq!(format!("{:?}", row.event), format!("{event:?}"));
        }
    }

    #[test]
    fn foreign_rows_are_told_from_broken_ones() {
        let decode = |app, name, data| decode_row(3, 0, app, name, data, &apps()).unwrap_err();
        let good = r#"{"channel":"a"}"#;
        assert_eq!(decode("2", "channel_occupied", good), UndecodableRow::App("2".to_owned()));
        assert_eq!(decode("1", "cache_hit", good), UndecodableRow::Kind("cache_hit".to_owned()));
        for (name, data) in [
            ("channel_occupied", "{}"),
            ("channel_occupied", "[]"),
            ("member_added", good),
            ("server_event", r#"{"channel":"a","event":"e","recipients":-1}"#),
            ("subscription_count", r#"{"channel":"a","subscription_count":"1"}"#),
            ("client_event", r#"{"channel":"a","event":"e","data":{},"socket_id":"1.2"}"#),
            ("client_event", r#"{"channel":"a","event":"e","data":"","socket_id":"1"}"#),
        ] {
            assert_eq!(decode("1", name, data), UndecodableRow::Data(3), "{name} {data}");
        }
    }
}
