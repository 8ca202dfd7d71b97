//! Text messages of the protocol: what a server says, read leniently, and what a client says.
//!
//! Servers differ in whether `data` is a text with JSON in it or the JSON itself; here it is always a text.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::member::id_of;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) event: String,
    pub(super) channel: Option<String>,
    pub(super) data: String,
    pub(super) user_id: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    event: Value,
    #[serde(default)]
    channel: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    user_id: Value,
}

impl Frame {
    /// Nothing, if it is no message of the protocol.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let envelope: Envelope<'_> = serde_json::from_str(text).ok()?;
        Some(Self {
            event: id_of(&envelope.event)?,
            channel: envelope.channel,
            data: envelope.data.map(|data| text_of(data.get())).unwrap_or_default(),
            user_id: id_of(&envelope.user_id),
        })
    }

    /// The data as JSON; null, if it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_default()
    }
}

/// A text as it is, nothing for null, and JSON for the rest.
fn text_of(raw: &str) -> String {
    if raw == "null" {
        return String::new();
    }
    serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())
}

/// A whole number that may be written as a text.
pub(super) fn number_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A code, if it is one.
pub(super) fn code_of(value: &Value) -> Option<u16> {
    number_of(value).and_then(|code| u16::try_from(code).ok())
}

pub(super) fn subscribe(channel: &str, auth: &str, channel_data: Option<&str>) -> String {
    let mut data = json!({ "channel": channel, "auth": auth });
    if let Some(channel_data) = channel_data {
        data["channel_data"] = json!(channel_data);
    }
    json!({ "event": "pusher:subscribe", "data": data }).to_string()
}

pub(super) fn unsubscribe(channel: &str) -> String {
    json!({ "event": "pusher:unsubscribe", "data": { "channel": channel } }).to_string()
}

pub(super) fn sign_in(auth: &str, user_data: &str) -> String {
    json!({ "event": "pusher:signin", "data": { "auth": auth, "user_data": user_data } }).to_string()
}

pub(super) fn client_event(channel: &str, event: &str, data: &Value) -> String {
    json!({ "event": event, "channel": channel, "data": data }).to_string()
}

pub(super) fn ping() -> String {
    json!({ "event": "pusher:ping", "data": {} }).to_string()
}

pub(super) fn pong() -> String {
    json!({ "event": "pusher:pong", "data": {} }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_a_text_however_it_is_written() {
        let table = [
            (r#"{"event":"e","channel":"c","data":"{\"a\":1}"}"#, "e", r#"{"a":1}"#),
            (r#"{"event":"e","channel":"c","data":{"a":1}}"#, "e", r#"{"a":1}"#),
            (r#"{"event":"e","channel":"c","data":[1, 2]}"#, "e", "[1, 2]"),
            (r#"{"event":"e","channel":"c","data":"plain \u00e9"}"#, "e", "plain é"),
            (r#"{"event":"e","channel":"c","data":null}"#, "e", ""),
            (r#"{"event":"e","channel":"c"}"#, "e", ""),
            (r#"{"event":7,"channel":"c","data":7,"appKey":"k"}"#, "7", "7"),
        ];
        for (text, event, data) in table {
            let frame = Frame::parse(text).unwrap();
            assert_eq!(
                (&*frame.event, &*frame.data, frame.channel.as_deref()),
                (event, data, Some("c")),
                "{text}"
            );
        }
        let from_user = |text: &str| Frame::parse(text).unwrap().user_id;
        assert_eq!(from_user(r#"{"event":"client-e","data":"","user_id":"u"}"#).as_deref(), Some("u"));
        assert_eq!(from_user(r#"{"event":"client-e","data":"","user_id":7}"#).as_deref(), Some("7"));
        assert_eq!(from_user(r#"{"event":"client-e","data":"","user_id":null}"#), None);
        for text in ["", "x", "[]", "{}", r#"{"event":null}"#, r#"{"event":{}}"#] {
            assert_eq!(Frame::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_client_says_what_the_protocol_has_it_say() {
        let is = |text: &str, wanted: Value| assert_eq!(serde_json::from_str::<Value>(text).unwrap(), wanted);
        is(
            &subscribe("c", "", None),
            json!({"event": "pusher:subscribe", "data": {"channel": "c", "auth": ""}}),
        );
        let presence = json!({"event": "pusher:subscribe", "data": {"channel": "c", "auth": "k:s", "channel_data": "{}"}});
        is(&subscribe("c", "k:s", Some("{}")), presence);
        is(&unsubscribe("c"), json!({"event": "pusher:unsubscribe", "data": {"channel": "c"}}));
        is(
            &sign_in("k:s", "{}"),
            json!({"event": "pusher:signin", "data": {"auth": "k:s", "user_data": "{}"}}),
        );
        is(
            &client_event("c", "client-e", &json!([1])),
            json!({"event": "client-e", "channel": "c", "data": [1]}),
        );
        is(&ping(), json!({"event": "pusher:ping", "data": {}}));
        is(&pong(), json!({"event": "pusher:pong", "data": {}}));
    }
}
