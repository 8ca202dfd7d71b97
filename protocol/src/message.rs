//! What a client says: one WebSocket text message to a typed value.
//!
//! The commonest messages (ping and subscribe as pusher-js writes them) are recognised by their bytes; all others go
//! through the JSON parser with the same result. Nothing here knows channels or rights: the shard decides. An error's
//! text is what `pusher:error` tells the sender.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

use crate::event_name::is_client_event;
use crate::json::{self, EventData, JsonError, Value, php};

/// One message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// `pusher:ping`
    Ping,
    /// `pusher:pong`
    Pong,
    /// `pusher:subscribe`
    Subscribe {
        /// Not yet checked to be a channel's name.
        channel: Cow<'a, str>,
        /// Empty if there is none.
        auth: Cow<'a, str>,
        /// The text that was signed: what was sent as a string, or what PHP makes of what was sent as an object.
        channel_data: Option<Cow<'a, str>>,
    },
    /// A `pusher:subscribe` that names its channel and is wrong in the rest.
    BadSubscribe {
        /// Not yet checked to be a channel's name.
        channel: Cow<'a, str>,
        /// What is wrong.
        error: MessageError,
    },
    /// `pusher:unsubscribe`
    Unsubscribe {
        /// Not yet checked to be a channel's name.
        channel: Cow<'a, str>,
    },
    /// `pusher:signin`
    Signin {
        /// Empty if there is none.
        auth: Cow<'a, str>,
        /// The exact text that was signed.
        user_data: Cow<'a, str>,
    },
    /// A `pusher:signin` whose parts are not what they should be.
    BadSignin {
        /// What is wrong.
        error: MessageError,
    },
    /// An event whose name begins with `client-`.
    ClientEvent {
        /// Not yet checked for its length.
        event: Cow<'a, str>,
        /// Not yet checked to be a channel's name.
        channel: Cow<'a, str>,
        /// Not yet checked for its length.
        data: EventData<'a>,
    },
    /// Any other event.
    Unknown {
        /// Its name.
        event: Cow<'a, str>,
    },
}

/// Reads one text message of a client.
pub fn parse_client_message(bytes: &[u8]) -> Result<ClientMessage<'_>, MessageError> {
    match parse_usual(bytes) {
        Some(message) => Ok(message),
        None => parse_any(bytes),
    }
}

/// Why a message means nothing. The text goes to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// It is no JSON object.
    Json(JsonError),
    /// There is no `event`, or it is no string.
    Event,
    /// `data` is neither an object nor a string that holds one, or a client event has none.
    Data,
    /// There is no `channel`, or it is no string.
    Channel,
    /// `auth` is no string.
    Auth,
    /// `channel_data` is neither a string nor an object.
    ChannelData,
    /// There is no `user_data`, or it is no string.
    UserData,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "Invalid message: {error}"),
            Self::Event => write!(f, "Invalid message: event must be a string"),
            Self::Data => write!(f, "Bad data"),
            Self::Channel => write!(f, "Bad channel"),
            Self::Auth => write!(f, "Invalid message: auth must be a string"),
            Self::ChannelData => write!(f, "Invalid message: channel_data must be a string that holds JSON"),
            Self::UserData => write!(f, "Invalid message: user_data must be a string that holds JSON"),
        }
    }
}

impl std::error::Error for MessageError {}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    event: Option<Value<'a>>,
    #[serde(borrow)]
    channel: Option<Value<'a>>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    data: Option<Value<'a>>,
}

// The data of the messages that are about a channel or a user.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    channel: Option<Value<'a>>,
    #[serde(borrow)]
    auth: Option<Value<'a>>,
    #[serde(borrow)]
    channel_data: Option<Value<'a>>,
    #[serde(borrow)]
    user_data: Option<Value<'a>>,
}

fn parse_any(bytes: &[u8]) -> Result<ClientMessage<'_>, MessageError> {
    let message: Message<'_> = json::parse_object(bytes).map_err(MessageError::Json)?;
    let event = parse_text(message.event, MessageError::Event)?;
    match &*event {
        "pusher:ping" => Ok(ClientMessage::Ping),
        "pusher:pong" => Ok(ClientMessage::Pong),
        "pusher:subscribe" => with_fields(message.data, parse_subscribe),
        "pusher:unsubscribe" => with_fields(message.data, parse_unsubscribe),
        "pusher:signin" => {
            let parsed = with_fields(message.data, parse_signin);
            Ok(parsed.unwrap_or_else(|error| ClientMessage::BadSignin { error }))
        }
        name if is_client_event(name) => {
            let channel = parse_text(message.channel, MessageError::Channel)?;
            let data = message.data.ok_or(MessageError::Data)?;
            let data = data.event_data().map_err(MessageError::Json)?;
            Ok(ClientMessage::ClientEvent { event, channel, data })
        }
        _ => Ok(ClientMessage::Unknown { event }),
    }
}

// A string, or the error that the lack of one means.
fn parse_text(value: Option<Value<'_>>, missing: MessageError) -> Result<Cow<'_, str>, MessageError> {
    let value = value.filter(Value::is_string).ok_or(missing)?;
    value.text().map_err(MessageError::Json)
}

type ParseFields = for<'b> fn(&Fields<'b>) -> Result<ClientMessage<'b>, MessageError>;

// The data is an object; some clients send it as a string that holds one.
fn with_fields<'a>(data: Option<Value<'a>>, parse: ParseFields) -> Result<ClientMessage<'a>, MessageError> {
    let data = data.ok_or(MessageError::Data)?;
    if data.is_object() {
        return parse(&data.object().map_err(MessageError::Json)?);
    }
    match parse_text(Some(data), MessageError::Data)? {
        Cow::Borrowed(text) => parse(&json::parse_object(text.as_bytes()).map_err(MessageError::Json)?),
        Cow::Owned(text) => {
            let inner = json::parse_object(text.as_bytes()).map_err(MessageError::Json)?;
            parse(&inner).map(into_owned)
        }
    }
}

fn parse_subscribe<'a>(data: &Fields<'a>) -> Result<ClientMessage<'a>, MessageError> {
    let channel = parse_text(data.channel, MessageError::Channel)?;
    Ok(match parse_credentials(data) {
        Ok((auth, channel_data)) => ClientMessage::Subscribe { channel, auth, channel_data },
        Err(error) => ClientMessage::BadSubscribe { channel, error },
    })
}

type Credentials<'a> = (Cow<'a, str>, Option<Cow<'a, str>>);

fn parse_credentials<'a>(data: &Fields<'a>) -> Result<Credentials<'a>, MessageError> {
    Ok((parse_auth(data)?, parse_channel_data_text(data.channel_data)?))
}

fn parse_auth<'a>(data: &Fields<'a>) -> Result<Cow<'a, str>, MessageError> {
    match data.auth {
        Some(auth) => parse_text(Some(auth), MessageError::Auth),
        None => Ok(Cow::Borrowed("")),
    }
}

// PHP has an empty list for "nothing", and its clients send as an object what their back end has signed as PHP writes it.
fn parse_channel_data_text(value: Option<Value<'_>>) -> Result<Option<Cow<'_, str>>, MessageError> {
    let Some(value) = value.filter(|value| !value.is_empty_container()) else {
        return Ok(None);
    };
    if value.is_object() || value.is_array() {
        return php::encode_sorted(&value).map(|text| Some(Cow::Owned(text))).map_err(MessageError::Json);
    }
    let text = parse_text(Some(value), MessageError::ChannelData)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn parse_unsubscribe<'a>(data: &Fields<'a>) -> Result<ClientMessage<'a>, MessageError> {
    Ok(ClientMessage::Unsubscribe { channel: parse_text(data.channel, MessageError::Channel)? })
}

fn parse_signin<'a>(data: &Fields<'a>) -> Result<ClientMessage<'a>, MessageError> {
    let user_data = parse_text(data.user_data, MessageError::UserData)?;
    Ok(ClientMessage::Signin { auth: parse_auth(data)?, user_data })
}

fn into_owned(message: ClientMessage<'_>) -> ClientMessage<'static> {
    let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    match message {
        ClientMessage::Ping => ClientMessage::Ping,
        ClientMessage::Pong => ClientMessage::Pong,
        ClientMessage::Subscribe { channel, auth, channel_data } => ClientMessage::Subscribe {
            channel: own(channel),
            auth: own(auth),
            channel_data: channel_data.map(own),
        },
        ClientMessage::BadSubscribe { channel, error } => {
            ClientMessage::BadSubscribe { channel: own(channel), error }
        }
        ClientMessage::Unsubscribe { channel } => ClientMessage::Unsubscribe { channel: own(channel) },
        ClientMessage::Signin { auth, user_data } => {
            ClientMessage::Signin { auth: own(auth), user_data: own(user_data) }
        }
        ClientMessage::BadSignin { error } => ClientMessage::BadSignin { error },
        ClientMessage::ClientEvent { event, channel, data } => {
            ClientMessage::ClientEvent { event: own(event), channel: own(channel), data: data.into_owned() }
        }
        ClientMessage::Unknown { event } => ClientMessage::Unknown { event: own(event) },
    }
}

// The bytes that pusher-js and its siblings write for ping and for a subscribe without escapes. Anything else, however
// small the difference, is left to the JSON parser.
fn parse_usual(bytes: &[u8]) -> Option<ClientMessage<'_>> {
    match bytes {
        br#"{"event":"pusher:ping","data":{}}"# => return Some(ClientMessage::Ping),
        br#"{"event":"pusher:pong","data":{}}"# => return Some(ClientMessage::Pong),
        _ => {}
    }
    let members = bytes.strip_prefix(br#"{"event":"pusher:subscribe","data":{"#)?.strip_suffix(b"}}")?;
    let members = std::str::from_utf8(members).ok()?;
    let (mut channel, mut auth) = (None, None);
    let mut rest = members;
    loop {
        let field = match rest.strip_prefix(r#""channel":""#) {
            Some(value) => (&mut channel, value),
            None => (&mut auth, rest.strip_prefix(r#""auth":""#)?),
        };
        let (value, after) = split_plain_string(field.1)?;
        if field.0.replace(value).is_some() {
            return None;
        }
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => break,
            None => return None,
        }
    }
    let auth = Cow::Borrowed(auth.unwrap_or_default());
    Some(ClientMessage::Subscribe { channel: Cow::Borrowed(channel?), auth, channel_data: None })
}

// Up to the next quote, if nothing on the way is an escape or a control character.
fn split_plain_string(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\'))?;
    let (value, rest) = text.split_at_checked(end)?;
    Some((value, rest.strip_prefix('"')?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MESSAGE_BYTES_MAX;
    use proptest::prelude::*;

    fn subscribe<'a>(channel: &'a str, auth: &'a str, channel_data: Option<&'a str>) -> ClientMessage<'a> {
        let (channel, auth) = (Cow::Borrowed(channel), Cow::Borrowed(auth));
        ClientMessage::Subscribe { channel, auth, channel_data: channel_data.map(Cow::Borrowed) }
    }

    fn parse(text: &str) -> Result<ClientMessage<'_>, MessageError> {
        parse_client_message(text.as_bytes())
    }

    #[test]
    fn pings_and_pongs_need_no_data() {
        for name in ["ping", "pong"] {
            for rest in ["", r#","data":{}"#, r#","data":"{}""#, r#","data":null"#, r#","data":[1],"x":{}"#] {
                let expected = if name == "ping" { ClientMessage::Ping } else { ClientMessage::Pong };
                assert_eq!(
                    parse(&format!(r#"{{"event":"pusher:{name}"{rest}}}"#)),
                    Ok(expected),
                    "{name} {rest}"
                );
            }
        }
    }

    #[test]
    fn subscriptions_are_read_as_every_client_writes_them() {
        let channel_data = r#"{\"user_id\":\"1\",\"user_info\":{\"name\":\"a\"}}"#;
        let signed = r#"{"user_id":"1","user_info":{"name":"a"}}"#;
        let inner = r#"{"channel":"presence-a","auth":"k:s","channel_data":"{\"user_id\":1}"}"#;
        let as_string = serde_json::to_string(inner).unwrap();
        let table = [
            (r#"{"auth":"","channel":"a"}"#, subscribe("a", "", None)),
            (r#"{"channel":"a"}"#, subscribe("a", "", None)),
            (r#"{"channel":"a","auth":null,"channel_data":null}"#, subscribe("a", "", None)),
            (r#"{"channel":"private-a","auth":"k:s"}"#, subscribe("private-a", "k:s", None)),
            (r#" { "channel" : "a\u0062" , "auth" : "k:s" , "x" : 1 } "#, subscribe("ab", "k:s", None)),
            (
                &format!(r#"{{"auth":"k:s","channel_data":"{channel_data}","channel":"presence-a"}}"#),
                subscribe("presence-a", "k:s", Some(signed)),
            ),
            (&as_string, subscribe("presence-a", "k:s", Some(r#"{"user_id":1}"#))),
            (r#""{\"channel\":\"a\"}""#, subscribe("a", "", None)),
            (r#"{"channel":""}"#, subscribe("", "", None)),
            (r#"{"channel":"a","channel_data":[]}"#, subscribe("a", "", None)),
            (r#"{"channel":"a","channel_data":{ }}"#, subscribe("a", "", None)),
            (r#"{"channel":"a","channel_data":""}"#, subscribe("a", "", None)),
            (
                r#"{"channel":"a","channel_data":{ "user_info":"/é", "user_id":"1" },"auth":"k:s"}"#,
                subscribe("a", "k:s", Some(r#"{"user_id":"1","user_info":"\/é"}"#)),
            ),
        ];
        for (data, expected) in table {
            let text = format!(r#"{{"event":"pusher:subscribe","data":{data}}}"#);
            assert_eq!(parse(&text), Ok(expected), "{text}");
        }
        let other_order = r#"{"data":{"channel":"a"},"event":"pusher:unsubscribe"}"#;
        assert_eq!(parse(other_order), Ok(ClientMessage::Unsubscribe { channel: "a".into() }));
    }

    #[test]
    fn sign_ins_are_read_as_every_client_writes_them() {
        let user_data = r#"{"id":"a","watchlist":["b"]}"#;
        let quoted = serde_json::to_string(user_data).unwrap();
        let inner = format!(r#"{{"auth":"k:s","user_data":{quoted}}}"#);
        let signin =
            |auth: &'static str| ClientMessage::Signin { auth: auth.into(), user_data: user_data.into() };
        let table = [
            (inner.clone(), signin("k:s")),
            (format!(r#"{{ "user_data" : {quoted} , "x" : 1, "auth" : "k:\u0073" }}"#), signin("k:s")),
            (serde_json::to_string(&inner).unwrap(), signin("k:s")),
            (format!(r#"{{"user_data":{quoted}}}"#), signin("")),
            (format!(r#"{{"user_data":{quoted},"auth":null}}"#), signin("")),
            (
                r#"{"user_data":"","auth":""}"#.to_owned(),
                ClientMessage::Signin { auth: "".into(), user_data: "".into() },
            ),
        ];
        for (data, expected) in table {
            let text = format!(r#"{{"event":"pusher:signin","data":{data}}}"#);
            assert_eq!(parse(&text), Ok(expected), "{text}");
        }
    }

    // A client that signs in waits for an answer, so each of these has one of its own.
    #[test]
    fn a_sign_in_that_means_nothing_is_still_one() {
        use MessageError as E;
        let table = [
            ("", E::Data),
            (r#","data":null"#, E::Data),
            (r#","data":5"#, E::Data),
            (r#","data":"x""#, E::Json(JsonError::NotAnObject)),
            (r#","data":{}"#, E::UserData),
            (r#","data":{"auth":"k:s","user_data":{"id":"a"}}"#, E::UserData),
            (r#","data":{"auth":5,"user_data":"{}"}"#, E::Auth),
            (r#","data":{"auth":"k:s","user_data":"\ud800"}"#, E::Json(JsonError::LoneSurrogate)),
        ];
        for (rest, error) in table {
            let text = format!(r#"{{"event":"pusher:signin"{rest}}}"#);
            assert_eq!(parse(&text), Ok(ClientMessage::BadSignin { error }), "{text}");
        }
    }

    #[test]
    fn client_events_carry_any_data_as_a_string() {
        let digits = "7".repeat(400);
        let table = [
            (r#""text""#, r#""text""#),
            (r#""{\"a\":1}""#, r#""{\"a\":1}""#),
            (r#"{ "a" : [ 1 ] }"#, r#""{\"a\":[1]}""#),
            ("null", r#""null""#),
            ("false", r#""false""#),
            ("0", r#""0""#),
            ("[]", r#""[]""#),
            (r#""""#, r#""""#),
            (&digits, &format!("\"{digits}\"")),
        ];
        for (data, literal) in table {
            let text = format!(r#"{{"event":"client-x","channel":"private-a","data":{data}}}"#);
            let Ok(ClientMessage::ClientEvent { event, channel, data }) = parse(&text) else {
                panic!("{text}")
            };
            assert_eq!((&*event, &*channel, &*data.literal), ("client-x", "private-a", literal));
        }
    }

    #[test]
    fn any_other_event_is_unknown_and_keeps_its_name() {
        for event in ["pusher:sign", "x-client-y", "", "pusher:subscription_succeeded", "Client-x"] {
            let text = format!(r#"{{"event":"{event}","data":5}}"#);
            assert_eq!(parse(&text), Ok(ClientMessage::Unknown { event: event.into() }), "{event}");
        }
    }

    #[test]
    fn what_means_nothing_has_its_error() {
        use MessageError as E;
        let syntax = E::Json(JsonError::Syntax);
        let no_object = E::Json(JsonError::NotAnObject);
        let lone = E::Json(JsonError::LoneSurrogate);
        let table = [
            ("", no_object),
            ("hello", no_object),
            ("[]", no_object),
            ("{}", E::Event),
            (r#"{"x":1}"#, E::Event),
            (r#"{"event":null}"#, E::Event),
            (r#"{"event":5}"#, E::Event),
            (r#"{"event":{"a":1}}"#, E::Event),
            (r#"{"event":"\ud800"}"#, lone),
            (r#"{"event":"pusher:ping"}x"#, syntax),
            (r#"{"event":"pusher:ping","data":{}}{}"#, syntax),
            (r#"{"event":"pusher:ping","event":"pusher:ping"}"#, syntax),
            (r#"{"event":"pusher:ping""#, syntax),
            (r#"{"event":"pusher:subscribe"}"#, E::Data),
            (r#"{"event":"pusher:subscribe","data":null}"#, E::Data),
            (r#"{"event":"pusher:subscribe","data":5}"#, E::Data),
            (r#"{"event":"pusher:subscribe","data":[]}"#, E::Data),
            (r#"{"event":"pusher:subscribe","data":true}"#, E::Data),
            (r#"{"event":"pusher:subscribe","data":""}"#, no_object),
            (r#"{"event":"pusher:subscribe","data":"a"}"#, no_object),
            (r#"{"event":"pusher:subscribe","data":"{\"channel\":\"a\"} x"}"#, syntax),
            (r#"{"event":"pusher:subscribe","data":{}}"#, E::Channel),
            (r#"{"event":"pusher:subscribe","channel":"a","data":{}}"#, E::Channel),
            (r#"{"event":"pusher:subscribe","data":{"channel":null}}"#, E::Channel),
            (r#"{"event":"pusher:subscribe","data":{"channel":["a"]}}"#, E::Channel),
            (r#"{"event":"pusher:subscribe","data":{"channel":"a","channel":"b"}}"#, syntax),
            (r#"{"event":"pusher:subscribe","data":{"channel":"a\ud800"}}"#, lone),
            (r#"{"event":"pusher:unsubscribe","data":{}}"#, E::Channel),
            (r#"{"event":"client-x","data":1}"#, E::Channel),
            (r#"{"event":"client-x","channel":5,"data":1}"#, E::Channel),
            (r#"{"event":"client-x","channel":"private-a"}"#, E::Data),
            (r#"{"event":"client-x","channel":"private-a","data":"\udc00"}"#, lone),
        ];
        for (text, error) in table {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert_eq!(E::Data.to_string(), "Bad data");
        assert_eq!(parse_client_message(b"{\"event\":\"\xff\"}"), Err(E::Json(JsonError::NotUtf8)));
    }

    #[test]
    fn a_bad_subscribe_names_the_channel_that_it_can() {
        use MessageError as E;
        let lone = E::Json(JsonError::LoneSurrogate);
        let table = [
            (r#"{"channel":"a b","auth":5}"#, E::Auth),
            (r#"{"channel":"a b","auth":{}}"#, E::Auth),
            (r#"{"channel":"a b","auth":"\udc00"}"#, lone),
            (r#"{"channel":"a b","channel_data":5}"#, E::ChannelData),
            (r#"{"channel":"a b","channel_data":true}"#, E::ChannelData),
            (r#"{"channel":"a b","channel_data":{"user_id":"\ud800"}}"#, lone),
        ];
        for (data, error) in table {
            let expected = Ok(ClientMessage::BadSubscribe { channel: "a b".into(), error });
            assert_eq!(
                parse(&format!(r#"{{"event":"pusher:subscribe","data":{data}}}"#)),
                expected,
                "{data}"
            );
            let in_text = serde_json::to_string(data).unwrap();
            let message = format!(r#"{{"event":"pusher:subscribe","data":{in_text}}}"#);
            assert_eq!(parse(&message), expected, "{message}");
        }
    }

    #[test]
    fn nesting_is_refused_at_any_depth_in_any_place() {
        let too_deep = Err(MessageError::Json(JsonError::TooDeep));
        for levels in [500, 10_000, 1_000_000] {
            for nested in
                ["[".repeat(levels) + &"]".repeat(levels), "[".repeat(levels), "{\"a\":".repeat(levels)]
            {
                for event in ["client-x", "pusher:subscribe", "pusher:ping", "x"] {
                    let text = format!(r#"{{"event":"{event}","channel":"private-a","data":{nested}}}"#);
                    assert_eq!(parse(&text), too_deep, "{event} {levels}");
                }
                let nested = format!("{{\"channel\":{nested}}}");
                let in_string = serde_json::to_string(&nested).unwrap();
                let text = format!(r#"{{"event":"pusher:subscribe","data":{in_string}}}"#);
                assert_eq!(parse(&text), too_deep, "in a string, {levels}");
            }
        }
    }

    #[test]
    fn the_usual_messages_take_the_short_way() {
        let usual = |text: &str| parse_usual(text.as_bytes()).is_some();
        assert!(usual(r#"{"event":"pusher:ping","data":{}}"#));
        assert!(usual(r#"{"event":"pusher:subscribe","data":{"auth":"","channel":"a"}}"#));
        assert!(usual(r#"{"event":"pusher:subscribe","data":{"channel":"é","auth":"k:s"}}"#));
        for text in [
            r#"{"event":"pusher:subscribe","data":{"auth":"k:s"}}"#,
            r#"{"event":"pusher:subscribe","data":{"channel":"a","channel":"a"}}"#,
            r#"{"event":"pusher:subscribe","data":{"channel":"a\u0062"}}"#,
            r#"{"event":"pusher:subscribe","data":{"channel":"a",}}"#,
            r#"{"event":"pusher:subscribe","data":{"channel":"a"}"auth":"b"}}"#,
            r#"{"event":"pusher:subscribe","data":{}}"#,
            "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"a\n\"}}",
        ] {
            assert!(!usual(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_short_way_says_what_the_parser_says(
            names in proptest::collection::vec(prop_oneof!["channel", "auth", "channel_data", "x"], 0..4),
            value in r#"[ -~é\n]{0,8}"#,
            damage in proptest::option::of((any::<usize>(), r#"[\[\]{}",:\\ ]?"#)),
        ) {
            let members = names.iter().map(|name| format!("\"{name}\":\"{value}\"")).collect::<Vec<_>>().join(",");
            let mut text = format!(r#"{{"event":"pusher:subscribe","data":{{{members}}}}}"#);
            if let Some((at, with)) = damage {
                let at = text.floor_char_boundary(at % text.len());
                let end = text.ceil_char_boundary(at + 1);
                text.replace_range(at..end, &with);
            }
            if let Some(message) = parse_usual(text.as_bytes()) {
                prop_assert_eq!(parse_any(text.as_bytes()), Ok(message));
            }
        }

        #[test]
        fn subscriptions_come_back(channel in any::<String>(), auth in any::<String>(), data in ".{1,20}") {
            let inner = serde_json::json!({ "channel": channel, "auth": auth, "channel_data": data });
            let text = serde_json::json!({ "event": "pusher:subscribe", "data": inner }).to_string();
            prop_assert_eq!(parse(&text), Ok(subscribe(&channel, &auth, Some(&data))));
            let text = serde_json::json!({ "event": "pusher:subscribe", "data": inner.to_string() }).to_string();
            prop_assert_eq!(parse(&text), Ok(subscribe(&channel, &auth, Some(&data))));
        }

        #[test]
        fn any_bytes_mean_something_or_give_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = parse_client_message(&bytes);
        }

        #[test]
        fn decoded_data_is_never_longer_than_the_message(data in any::<String>()) {
            let text = serde_json::json!({ "event": "client-x", "channel": "private-a", "data": data }).to_string();
            prop_assert!(text.len() <= MESSAGE_BYTES_MAX);
            let Ok(ClientMessage::ClientEvent { data: parsed, .. }) = parse(&text) else { panic!("{text}") };
            prop_assert_eq!(parsed.decoded_bytes, data.len());
            prop_assert_eq!(serde_json::from_str::<String>(&parsed.literal).unwrap(), data);
        }
    }
}
