//! The object form of frames, for connections that take data as JSON and not as a string that holds it.
//!
//! It is made of the string form, here alone, so an event is encoded once whoever gets it, and what is remembered or told
//! to other processes has one form. A frame in its object form is never longer than it was.

use serde::Deserialize;

use crate::dialect::DataForm;
use crate::json::{self, Value};
use crate::ws::Frame;
use crate::ws::frame::{FINAL_TEXT, append_text_frame, split_frame};

/// Appends a frame in its object form. One whose data is text stays what it is.
pub fn append_object_form(out: &mut Vec<u8>, frame: &Frame) {
    if frame.holds_json() {
        append_payload(out, frame.payload(), frame.as_bytes());
    } else {
        out.extend_from_slice(frame.as_bytes());
    }
}

/// Frames that the server says of its own, whose data all is JSON, in this form. They were encoded with strings.
pub fn in_form(frames: Vec<u8>, form: DataForm) -> Vec<u8> {
    match form {
        DataForm::String => frames,
        DataForm::Object => object_form_of(&frames),
    }
}

// Control frames stay what they are.
fn object_form_of(mut frames: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(frames.len());
    while let Some((whole, payload, rest)) = split_frame(frames) {
        if whole.starts_with(&[FINAL_TEXT]) {
            append_payload(&mut out, payload, whole);
        } else {
            out.extend_from_slice(whole);
        }
        frames = rest;
    }
    out.extend_from_slice(frames);
    out
}

#[derive(Deserialize)]
struct EventFields<'a> {
    #[serde(borrow)]
    event: Option<Value<'a>>,
    #[serde(borrow)]
    channel: Option<Value<'a>>,
    #[serde(borrow)]
    data: Option<Value<'a>>,
    #[serde(borrow)]
    user_id: Option<Value<'a>>,
}

// The event that a payload is, or the frame as it was if its data is no string.
fn append_payload(out: &mut Vec<u8>, payload: &[u8], whole: &[u8]) {
    let parsed = json::parse_object(payload);
    let Ok(EventFields { event: Some(event), channel, data: Some(data), user_id }) = parsed else {
        return out.extend_from_slice(whole);
    };
    if !data.is_string() {
        return out.extend_from_slice(whole);
    }
    append_text_frame(out, payload.len(), |out| {
        out.extend_from_slice(b"{\"event\":");
        out.extend_from_slice(event.raw().as_bytes());
        append_field(out, ",\"channel\":", channel);
        out.extend_from_slice(b",\"data\":");
        append_json_of(out, &data);
        append_field(out, ",\"user_id\":", user_id);
        out.push(b'}');
    });
}

fn append_field(out: &mut Vec<u8>, key: &str, value: Option<Value<'_>>) {
    if let Some(value) = value {
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(value.raw().as_bytes());
    }
}

// What the string holds. Its escapes were checked when it was made.
fn append_json_of(out: &mut Vec<u8>, data: &Value<'_>) {
    let start = out.len();
    if data.append_text(out).is_err() {
        out.truncate(start);
        out.extend_from_slice(data.raw().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::EventData;
    use crate::presence::Member;
    use crate::server_event::*;
    use crate::socket_id::SocketId;
    use crate::ws::{encode_close_frame, encode_pong_frame};
    use proptest::prelude::*;
    use serde_json::json;

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out);
        out
    }

    fn payload(frame: &[u8]) -> String {
        String::from_utf8(Frame::from(frame).payload().to_vec()).unwrap()
    }

    /// The payload of what the server says of its own, in its object form.
    fn own(encode: impl FnOnce(&mut Vec<u8>)) -> String {
        payload(&object_form_of(&encoded(encode)))
    }

    // The frames of webman-push-server 2.x, all with objects: that it has strings in some of them is a fault.
    #[test]
    fn each_frame_of_the_server_has_its_object_form() {
        let id = SocketId { first: 1, second: 2 };
        let member = Member { user_id: "100".into(), user_info: Some(r#"{"name":"a/\"b\""}"#.into()) };
        let without_info = Member { user_id: "7".into(), user_info: None };
        let members = [member.clone(), without_info];
        let table = [
            (
                own(|out| encode_connection_established(out, id, 55)),
                r#"{"event":"pusher:connection_established","data":{"socket_id":"1.2","activity_timeout":55}}"#,
            ),
            (own(encode_pong), r#"{"event":"pusher:pong","data":{}}"#),
            (
                own(|out| encode_error(out, None, "x")),
                r#"{"event":"pusher:error","data":{"code":null,"message":"x"}}"#,
            ),
            (
                own(|out| encode_subscription_succeeded(out, "é\"")),
                r#"{"event":"pusher_internal:subscription_succeeded","channel":"é\"","data":{}}"#,
            ),
            (
                own(|out| encode_presence_succeeded(out, "presence-a", members.iter())),
                r#"{"event":"pusher_internal:subscription_succeeded","channel":"presence-a","data":{"presence":{"count":2,"ids":["100","7"],"hash":{"100":{"name":"a/\"b\""},"7":null}}}}"#,
            ),
            (
                own(|out| encode_unsubscription_succeeded(out, "a")),
                r#"{"event":"pusher_internal:unsubscription_succeeded","channel":"a","data":{}}"#,
            ),
            (
                own(|out| encode_subscription_error(out, "a", "AuthError", "no", 401)),
                r#"{"event":"pusher:subscription_error","channel":"a","data":{"type":"AuthError","error":"no","status":401}}"#,
            ),
            (
                own(|out| encode_cache_miss(out, "cache-a")),
                r#"{"event":"pusher:cache_miss","channel":"cache-a","data":{}}"#,
            ),
            (
                own(|out| encode_subscription_count(out, "a", 3)),
                r#"{"event":"pusher_internal:subscription_count","channel":"a","data":{"subscription_count":3}}"#,
            ),
            (
                own(|out| encode_member_added(out, "presence-a", &member)),
                r#"{"event":"pusher_internal:member_added","channel":"presence-a","data":{"user_id":"100","user_info":{"name":"a/\"b\""}}}"#,
            ),
            (
                own(|out| encode_member_removed(out, "presence-a", "100")),
                r#"{"event":"pusher_internal:member_removed","channel":"presence-a","data":{"user_id":"100"}}"#,
            ),
            (
                own(|out| encode_signin_success(out, r#"{"id":"7"}"#)),
                r#"{"event":"pusher:signin_success","data":{"user_data":"{\"id\":\"7\"}"}}"#,
            ),
            (
                own(|out| encode_watchlist_events(out, ["a"], ["b"])),
                r#"{"event":"pusher_internal:watchlist_events","data":{"events":[{"name":"online","user_ids":["a"]},{"name":"offline","user_ids":["b"]}]}}"#,
            ),
            (
                own(encode_terminate_connection),
                r#"{"event":"pusher:terminate_connection","data":{"message":"Terminate connection by API"}}"#,
            ),
        ];
        for (object, expected) in table {
            assert_eq!(object, expected);
        }
    }

    #[test]
    fn frames_that_stand_together_are_told_apart() {
        let mut frames = encoded(|out| encode_error(out, Some(4009), &"long ".repeat(100)));
        encode_subscription_error(&mut frames, "a", "AuthError", "no", 401);
        encode_pong_frame(&mut frames, b"{\"event\":\"x\",\"data\":\"{}\"}");
        encode_close_frame(&mut frames, 4009, "no");
        let error = encoded(|out| encode_error(out, Some(4009), &"long ".repeat(100)));
        let object = object_form_of(&frames);
        assert!(object.starts_with(&error));
        let behind = String::from_utf8_lossy(&object[error.len()..]).into_owned();
        assert!(behind.contains(r#""data":{"type":"AuthError","error":"no","status":401}"#), "{behind}");
        let control = frames.len() - (2 + 25 + 2 + 4);
        assert!(object.ends_with(&frames[control..]), "control frames stay what they are");
    }

    fn event(data: &EventData<'_>, user_id: Option<&str>) -> Frame {
        let bytes = encoded(|out| encode_event(out, "e\"", "presence-a", data, user_id));
        Frame::from(bytes).holding_json(data.is_json)
    }

    fn object_form(frame: &Frame) -> Vec<u8> {
        encoded(|out| append_object_form(out, frame))
    }

    #[test]
    fn text_stays_text_even_if_it_looks_like_json() {
        for text in ["hello", "", r#"{"a":1}"#, "[1]", "7", "null", "é\n"] {
            let frame = event(&EventData::of_text(text), None);
            assert_eq!(object_form(&frame), frame.as_bytes(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn json_comes_as_it_was_published_and_never_longer_than_as_a_string(
            key in ".{0,20}",
            value in ".{0,200}",
            number in any::<i64>(),
            user_id in proptest::option::of("[a-z\"]{1,5}"),
        ) {
            let published = json!({ key: { "v": value, "n": [number, null, true, {}] } });
            let text = published.to_string();
            let mut data = EventData::of_text(&text);
            data.is_json = true;
            let frame = event(&data, user_id.as_deref());
            let object = object_form(&frame);
            prop_assert!(object.len() <= frame.len());
            let mut expected = json!({ "event": "e\"", "channel": "presence-a", "data": published });
            if let Some(user_id) = user_id {
                expected["user_id"] = user_id.into();
            }
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&payload(&object)).unwrap(), expected);
            prop_assert_eq!(object_form_of(frame.as_bytes()), object);
        }

        #[test]
        fn any_bytes_give_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = object_form_of(&bytes);
            let _ = object_form(&Frame::from(bytes).holding_json(true));
        }
    }
}
