//! What a client says: read like a second JSON parser reads it, and harmless in the frames that come of it.
//!
//! An input is one text message. Called by the fuzz target and by the test that replays the seeds.

use std::collections::BTreeMap;

use protocol::channel::parse_channel_name;
use protocol::json::EventData;
use protocol::message::{ClientMessage, MessageError, parse_client_message};
use protocol::server_event::{encode_error, encode_event, encode_subscription_error};
use protocol::ws::Frame;
use serde_json::Value;
use serde_json::value::RawValue;

/// `taken` or `refused`.
pub(crate) fn check(input: &[u8]) -> &'static str {
    let message = match parse_client_message(input) {
        Ok(message) => message,
        Err(error) => {
            check_error(error);
            return "refused";
        }
    };
    let event = match &message {
        ClientMessage::Ping => "pusher:ping",
        ClientMessage::Pong => "pusher:pong",
        ClientMessage::Subscribe { channel, auth, channel_data } => {
            check_subscribe(channel, auth, channel_data.as_deref());
            "pusher:subscribe"
        }
        ClientMessage::BadSubscribe { channel, error } => {
            check_error(*error);
            check_refusal(channel, &error.to_string());
            "pusher:subscribe"
        }
        ClientMessage::Unsubscribe { .. } => "pusher:unsubscribe",
        ClientMessage::Signin { .. } => "pusher:signin",
        ClientMessage::BadSignin { error } => {
            check_error(*error);
            "pusher:signin"
        }
        ClientMessage::ClientEvent { event, channel, data } => {
            check_client_event(event, channel, data);
            event
        }
        ClientMessage::Unknown { event } => event,
    };
    let members = serde_json::from_slice::<BTreeMap<String, &RawValue>>(input);
    assert!(
        members.as_ref().err().is_none_or(is_about_escapes),
        "no object for the second parser: {members:?}"
    );
    // A number that is too large for the second parser is all that may be wrong with its values.
    if let Ok(value) = serde_json::from_slice::<Value>(input) {
        assert_eq!(value["event"], event);
        check_fields(&value, &message);
    }
    "taken"
}

// In a member that nobody reads, the digits of an escape are not looked at.
fn is_about_escapes(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    ["invalid escape", "hex escape", "surrogate"].iter().any(|words| text.contains(words))
}

fn check_error(error: MessageError) {
    let text = error.to_string();
    let mut out = Vec::new();
    encode_error(&mut out, None, &text);
    assert_eq!(frame(&out)["data"]["message"], text.as_str());
}

// The data of a subscribe may be an object or a string that holds one.
fn check_fields(value: &Value, message: &ClientMessage<'_>) {
    let inner = match &value["data"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        data => data.clone(),
    };
    match message {
        ClientMessage::Subscribe { channel, auth, channel_data } if inner.is_object() => {
            assert_eq!(inner["channel"], **channel);
            assert_eq!(inner["auth"].as_str().unwrap_or_default(), auth);
            check_channel_data(&inner["channel_data"], channel_data.as_deref());
        }
        ClientMessage::BadSubscribe { channel, .. } | ClientMessage::Unsubscribe { channel }
            if inner.is_object() =>
        {
            assert_eq!(inner["channel"], **channel);
        }
        ClientMessage::Signin { auth, user_data } if inner.is_object() => {
            assert_eq!(inner["auth"].as_str().unwrap_or_default(), auth);
            assert_eq!(inner["user_data"], **user_data);
        }
        ClientMessage::ClientEvent { channel, data, .. } => {
            assert_eq!(value["channel"], **channel);
            match &value["data"] {
                Value::String(text) => assert_eq!(*text, text_of(data)),
                other => assert_eq!(serde_json::from_str::<Value>(&text_of(data)).unwrap(), *other),
            }
        }
        _ => {}
    }
}

// A string is what was signed; of an object it is what PHP makes of it, in which some objects are lists.
fn check_channel_data(sent: &Value, signed: Option<&str>) {
    match sent {
        Value::Object(entries) if entries.is_empty() => assert_eq!(signed, None),
        Value::Array(elements) if elements.is_empty() => assert_eq!(signed, None),
        Value::Object(_) | Value::Array(_) => {
            let signed = signed.expect("what is sent as an object was signed");
            let written: Value = serde_json::from_str(signed).expect("PHP writes JSON");
            assert_eq!(with_lists(written), with_lists(sent.clone()));
        }
        other => assert_eq!(other.as_str().filter(|text| !text.is_empty()), signed),
    }
}

fn with_lists(value: Value) -> Value {
    match value {
        Value::Array(elements) => elements.into_iter().map(with_lists).collect(),
        Value::Object(entries) => {
            let in_order: Option<Vec<Value>> =
                (0..entries.len()).map(|index| entries.get(&index.to_string()).cloned()).collect();
            match in_order {
                Some(elements) => elements.into_iter().map(with_lists).collect(),
                None => {
                    Value::Object(entries.into_iter().map(|(key, value)| (key, with_lists(value))).collect())
                }
            }
        }
        other => other,
    }
}

fn check_subscribe(channel: &str, auth: &str, channel_data: Option<&str>) {
    assert!(channel_data != Some(""));
    check_refusal(channel, auth);
}

// A refusal names whatever channel was asked for, even what can be none.
fn check_refusal(channel: &str, text: &str) {
    let mut out = Vec::new();
    encode_subscription_error(&mut out, channel, "AuthError", text, 401);
    assert_eq!(frame(&out)["channel"], channel);
}

fn check_client_event(event: &str, channel: &str, data: &EventData<'_>) {
    assert!(event.starts_with("client-"));
    let text = text_of(data);
    if parse_channel_name(channel, 200).is_ok() {
        let mut out = Vec::new();
        encode_event(&mut out, event, channel, data, Some(event));
        let frame = frame(&out);
        assert_eq!(frame["event"], event);
        assert_eq!(frame["user_id"], event);
        assert_eq!((&frame["channel"], &frame["data"]), (&channel.into(), &text.as_str().into()));
    }
}

// What the literal stands for. Limits count its bytes.
fn text_of(data: &EventData<'_>) -> String {
    let text: String = serde_json::from_str(&data.literal).expect("the data of an event is a JSON string");
    assert_eq!(text.len(), data.decoded_bytes);
    text
}

// A frame of ours as JSON.
fn frame(bytes: &[u8]) -> Value {
    serde_json::from_slice(Frame::from(bytes.to_vec()).payload()).expect("a frame is JSON")
}
