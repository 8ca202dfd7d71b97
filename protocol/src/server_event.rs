//! What the server says: each encoder appends one whole WebSocket text frame to a buffer.
//!
//! Server frames are not masked, so the same bytes serve every subscriber. `data` is a JSON string in every event but
//! `pusher:error`, whose data is an object; clients depend on both. Called by shards and by the API core.

use serde::Deserialize;

use crate::json::{self, EventData, Value, encode_string, encode_string_part};
use crate::presence::Member;
use crate::socket_id::SocketId;
use crate::ws::Frame;
use crate::ws::frame::{append_text_frame, text_frame_header_bytes};

/// `pusher:connection_established`, the first frame of every connection. pusher-js throws on a timeout of 0.
pub fn encode_connection_established(out: &mut Vec<u8>, socket_id: SocketId, activity_timeout_s: u32) {
    debug_assert!(activity_timeout_s > 0);
    append_text_frame(out, 125, |out| {
        out.extend_from_slice(br#"{"event":"pusher:connection_established","data":"{\"socket_id\":\""#);
        append_number(out, socket_id.first);
        out.push(b'.');
        append_number(out, socket_id.second);
        out.extend_from_slice(br#"\",\"activity_timeout\":"#);
        append_number(out, activity_timeout_s.into());
        out.extend_from_slice(br#"}"}"#);
    });
}

/// `pusher:pong`, the answer to a `pusher:ping`.
pub fn encode_pong(out: &mut Vec<u8>) {
    out.extend_from_slice(PONG);
}

const PONG: &[u8] = b"\x81\x23{\"event\":\"pusher:pong\",\"data\":\"{}\"}";

/// `pusher:error`. As the first frame of a connection it must have a code, pusher-js throws otherwise.
pub fn encode_error(out: &mut Vec<u8>, code: Option<u16>, message: &str) {
    append_text_frame(out, 56 + message.len(), |out| {
        out.extend_from_slice(br#"{"event":"pusher:error","data":{"code":"#);
        match code {
            Some(code) => append_number(out, code.into()),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(br#","message":"#);
        encode_string(out, message);
        out.extend_from_slice(b"}}");
    });
}

/// `pusher_internal:subscription_succeeded` of a channel without members.
pub fn encode_subscription_succeeded(out: &mut Vec<u8>, channel: &str) {
    append_channel_event(out, "pusher_internal:subscription_succeeded", channel, 2, |out| {
        out.extend_from_slice(b"{}");
    });
}

/// `pusher_internal:subscription_succeeded` of a presence channel, with its distinct users, the joiner among them.
pub fn encode_presence_succeeded<'m>(
    out: &mut Vec<u8>,
    channel: &str,
    members: impl Iterator<Item = &'m Member> + Clone,
) {
    let roster = encode_roster(members);
    append_channel_event(out, "pusher_internal:subscription_succeeded", channel, roster.len(), |out| {
        encode_string_part(out, &roster);
    });
}

/// `pusher_internal:unsubscription_succeeded`, which webman-push-server's clients wait for.
pub fn encode_unsubscription_succeeded(out: &mut Vec<u8>, channel: &str) {
    append_channel_event(out, "pusher_internal:unsubscription_succeeded", channel, 2, |out| {
        out.extend_from_slice(b"{}");
    });
}

/// `pusher:terminate_connection`, by which webman-push-server's clients know that their back end closes the connection.
pub fn encode_terminate_connection(out: &mut Vec<u8>) {
    append_user_event(out, "pusher:terminate_connection", r#"{"message":"Terminate connection by API"}"#);
}

/// How many bytes a member adds to a roster in [`encode_presence_succeeded`], with its two separators.
pub fn roster_bytes_of(member: &Member) -> usize {
    let one = presence_succeeded_payload("", [member].into_iter());
    one - presence_succeeded_payload("", [].into_iter()) + 2
}

/// The length of what [`encode_presence_succeeded`] appends for so many members, whose [`roster_bytes_of`] come to
/// `members_bytes` together: a roster need not be encoded to know whether it is too long.
pub fn presence_succeeded_bytes(channel: &str, members: usize, members_bytes: usize) -> usize {
    let empty = presence_succeeded_payload(channel, [].into_iter());
    let digits = itoa::Buffer::new().format(members).len();
    let payload = empty + digits - 1 + members_bytes - if members > 0 { 2 } else { 0 };
    payload + text_frame_header_bytes(payload)
}

fn presence_succeeded_payload<'m>(channel: &str, members: impl Iterator<Item = &'m Member> + Clone) -> usize {
    let mut frame = Vec::new();
    encode_presence_succeeded(&mut frame, channel, members);
    Frame::from(frame).payload().len()
}

/// `pusher:subscription_error`. `kind` is what pusher-js calls the type: `AuthError`, `LimitReached`; `status` an HTTP
/// status or a code of Pusher's that fits. The channel may be named as badly as the client has named it.
pub fn encode_subscription_error(out: &mut Vec<u8>, channel: &str, kind: &str, error: &str, status: u16) {
    let data = error_text(kind, error, status);
    append_channel_event(out, "pusher:subscription_error", channel, data.len(), |out| {
        encode_string_part(out, &data);
    });
}

// What pusher-js makes of an authorizer that fails, so that one callback serves both.
fn error_text(kind: &str, error: &str, status: u16) -> String {
    object_text(|json| {
        json.extend_from_slice(b"{\"type\":");
        encode_string(json, kind);
        json.extend_from_slice(b",\"error\":");
        encode_string(json, error);
        json.extend_from_slice(b",\"status\":");
        append_number(json, status.into());
        json.push(b'}');
    })
}

/// `pusher:cache_miss`: a cache channel remembers nothing.
pub fn encode_cache_miss(out: &mut Vec<u8>, channel: &str) {
    append_channel_event(out, "pusher:cache_miss", channel, 2, |out| out.extend_from_slice(b"{}"));
}

/// `pusher_internal:subscription_count`, for all subscribers of a channel.
pub fn encode_subscription_count(out: &mut Vec<u8>, channel: &str, subscriptions: u64) {
    append_channel_event(out, "pusher_internal:subscription_count", channel, 44, |out| {
        out.extend_from_slice(br#"{\"subscription_count\":"#);
        append_number(out, subscriptions);
        out.push(b'}');
    });
}

/// `pusher:signin_success`. `user_data` is the text that the client has sent; SDKs parse it once more.
pub fn encode_signin_success(out: &mut Vec<u8>, user_data: &str) {
    let data = object_text(|json| {
        json.extend_from_slice(b"{\"user_data\":");
        encode_string(json, user_data);
        json.push(b'}');
    });
    append_user_event(out, "pusher:signin_success", &data);
}

/// `pusher:signin_error`, beside the `pusher:error` that every SDK shows. The data is what pusher-js says itself when its
/// authenticator fails; it hands the event to what is bound on the connection.
pub fn encode_signin_error(out: &mut Vec<u8>, kind: &str, error: &str, status: u16) {
    append_user_event(out, "pusher:signin_error", &error_text(kind, error, status));
}

/// `pusher_internal:watchlist_events`: which of the users that a user watches are online, and which are offline. An empty
/// list is left out, and the caller makes sure that one of them is not empty.
pub fn encode_watchlist_events<'u>(
    out: &mut Vec<u8>,
    online: impl IntoIterator<Item = &'u str>,
    offline: impl IntoIterator<Item = &'u str>,
) {
    let (mut online, mut offline) = (online.into_iter().peekable(), offline.into_iter().peekable());
    let data = object_text(|json| {
        json.extend_from_slice(b"{\"events\":[");
        let has_online = online.peek().is_some();
        if has_online {
            append_users(json, "online", online);
        }
        if offline.peek().is_some() {
            json.extend_from_slice(if has_online { b"," } else { b"" });
            append_users(json, "offline", offline);
        }
        json.extend_from_slice(b"]}");
    });
    append_user_event(out, "pusher_internal:watchlist_events", &data);
}

fn append_users<'u>(json: &mut Vec<u8>, name: &str, ids: impl Iterator<Item = &'u str>) {
    json.extend_from_slice(b"{\"name\":");
    encode_string(json, name);
    json.extend_from_slice(b",\"user_ids\":[");
    append_list(json, ids, encode_string);
    json.extend_from_slice(b"]}");
}

/// `pusher_internal:member_added`, for all subscribers but the joiner. Without `user_info` the data has no such key.
pub fn encode_member_added(out: &mut Vec<u8>, channel: &str, member: &Member) {
    let data = object_text(|json| {
        json.extend_from_slice(b"{\"user_id\":");
        encode_string(json, &member.user_id);
        if let Some(user_info) = &member.user_info {
            json.extend_from_slice(b",\"user_info\":");
            json.extend_from_slice(user_info.as_bytes());
        }
        json.push(b'}');
    });
    append_channel_event(out, "pusher_internal:member_added", channel, data.len(), |out| {
        encode_string_part(out, &data);
    });
}

/// `pusher_internal:member_removed`.
pub fn encode_member_removed(out: &mut Vec<u8>, channel: &str, user_id: &str) {
    let data = object_text(|json| {
        json.extend_from_slice(b"{\"user_id\":");
        encode_string(json, user_id);
        json.push(b'}');
    });
    append_channel_event(out, "pusher_internal:member_removed", channel, data.len(), |out| {
        encode_string_part(out, &data);
    });
}

/// An event of a channel, which may be a user's own (`#server-to-user-ID`). `user_id` is the verified sender of a client event on a presence channel.
pub fn encode_event(
    out: &mut Vec<u8>,
    event: &str,
    channel: &str,
    data: &EventData<'_>,
    user_id: Option<&str>,
) {
    let user_bytes = user_id.map_or(0, |id| id.len() + 13);
    let estimate = 33 + event.len() + channel.len() + data.literal.len() + user_bytes;
    out.reserve(estimate + 16);
    append_text_frame(out, estimate, |out| {
        append_event_and_channel(out, event, channel);
        out.extend_from_slice(data.literal.as_bytes());
        if let Some(user_id) = user_id {
            out.extend_from_slice(b",\"user_id\":");
            encode_string(out, user_id);
        }
        out.push(b'}');
    });
}

/// The data of an event that [`encode_event`] has encoded, as the JSON string literal that it is. What a cache channel
/// remembers is the frame alone, and what it tells of it is this.
pub fn event_data_literal(frame: &Frame) -> Option<&str> {
    let event: EventFields<'_> = json::parse_object(frame.payload()).ok()?;
    Some(event.data?.raw())
}

#[derive(Deserialize)]
struct EventFields<'a> {
    #[serde(borrow)]
    data: Option<Value<'a>>,
}

// `{"presence":{"count":N,"ids":[..],"hash":{..}}}`; a user without info has `null` in the hash.
fn encode_roster<'m>(members: impl Iterator<Item = &'m Member> + Clone) -> String {
    object_text(|json| {
        json.extend_from_slice(b"{\"presence\":{\"count\":");
        append_number(json, members.clone().count() as u64);
        json.extend_from_slice(b",\"ids\":[");
        append_list(json, members.clone(), |json, member| encode_string(json, &member.user_id));
        json.extend_from_slice(b"],\"hash\":{");
        append_list(json, members, |json, member| {
            encode_string(json, &member.user_id);
            json.push(b':');
            json.extend_from_slice(member.user_info.as_deref().unwrap_or("null").as_bytes());
        });
        json.extend_from_slice(b"}}}");
    })
}

fn append_list<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, append: impl Fn(&mut Vec<u8>, T)) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        append(out, item);
    }
}

// An event whose data is a string that `data` appends escaped.
fn append_channel_event(
    out: &mut Vec<u8>,
    event: &str,
    channel: &str,
    data_bytes: usize,
    data: impl FnOnce(&mut Vec<u8>),
) {
    let estimate = 35 + event.len() + channel.len() + data_bytes;
    append_text_frame(out, estimate, |out| {
        append_event_and_channel(out, event, channel);
        out.push(b'"');
        data(out);
        out.extend_from_slice(b"\"}");
    });
}

// An event of no channel, whose data is a string.
fn append_user_event(out: &mut Vec<u8>, event: &str, data: &str) {
    append_text_frame(out, 24 + event.len() + data.len(), |out| {
        out.extend_from_slice(b"{\"event\":");
        encode_string(out, event);
        out.extend_from_slice(b",\"data\":");
        encode_string(out, data);
        out.push(b'}');
    });
}

fn append_event_and_channel(out: &mut Vec<u8>, event: &str, channel: &str) {
    out.extend_from_slice(b"{\"event\":");
    encode_string(out, event);
    out.extend_from_slice(b",\"channel\":");
    encode_string(out, channel);
    out.extend_from_slice(b",\"data\":");
}

fn append_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn object_text(append: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut json = Vec::with_capacity(128);
    append(&mut json);
    // Only UTF-8 was appended, so nothing is ever replaced here.
    String::from_utf8(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    // The whole frame with a header of two or four bytes in front of this payload.
    fn golden(payload: &str) -> Vec<u8> {
        let length = payload.len() as u16;
        let header = match length {
            0..=125 => vec![0x81, length as u8],
            _ => [&[0x81, 126][..], &length.to_be_bytes()].concat(),
        };
        [header.as_slice(), payload.as_bytes()].concat()
    }

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out);
        out
    }

    fn member(user_id: &str, user_info: Option<&str>) -> Member {
        Member { user_id: user_id.into(), user_info: user_info.map(Into::into) }
    }

    #[test]
    fn established_says_the_id_and_the_timeout() {
        let id = SocketId { first: 123, second: 456 };
        let frame = encoded(|out| encode_connection_established(out, id, 55));
        let payload = r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"123.456\",\"activity_timeout\":55}"}"#;
        assert_eq!(frame, golden(payload));
        let longest = SocketId { first: 1 << 53, second: 1 << 53 };
        let frame = encoded(|out| encode_connection_established(out, longest, u32::MAX));
        let payload =
            payload.replace("123.456", "9007199254740992.9007199254740992").replace("55}", "4294967295}");
        assert_eq!(frame, golden(&payload));
    }

    #[test]
    fn pong_has_empty_data_as_a_string() {
        assert_eq!(encoded(encode_pong), golden(r#"{"event":"pusher:pong","data":"{}"}"#));
    }

    #[test]
    fn the_data_of_an_error_is_an_object_with_a_number_or_null() {
        let frame = encoded(|out| encode_error(out, Some(4001), "no \"app\""));
        assert_eq!(frame, golden(r#"{"event":"pusher:error","data":{"code":4001,"message":"no \"app\""}}"#));
        let frame = encoded(|out| encode_error(out, None, "x"));
        assert_eq!(frame, golden(r#"{"event":"pusher:error","data":{"code":null,"message":"x"}}"#));
    }

    #[test]
    fn success_without_members_has_empty_data() {
        let frame = encoded(|out| encode_subscription_succeeded(out, "a"));
        let payload = r#"{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}"}"#;
        assert_eq!(frame, golden(payload));
    }

    #[test]
    fn success_with_members_lists_them() {
        let members = [member("1", Some(r#"{"name":"a \"b\""}"#)), member("é\"", None)];
        let frame = encoded(|out| encode_presence_succeeded(out, "presence-a", members.iter()));
        let payload = r#"{"event":"pusher_internal:subscription_succeeded","channel":"presence-a","data":"{\"presence\":{\"count\":2,\"ids\":[\"1\",\"é\\\"\"],\"hash\":{\"1\":{\"name\":\"a \\\"b\\\"\"},\"é\\\"\":null}}}"}"#;
        assert_eq!(frame, golden(payload));
        let frame = encoded(|out| encode_presence_succeeded(out, "presence-a", [].iter()));
        let payload = r#"{"event":"pusher_internal:subscription_succeeded","channel":"presence-a","data":"{\"presence\":{\"count\":0,\"ids\":[],\"hash\":{}}}"}"#;
        assert_eq!(frame, golden(payload));
    }

    #[test]
    fn a_refused_subscription_says_why() {
        let frame =
            encoded(|out| encode_subscription_error(out, "private-a", "AuthError", "bad \"sig\"", 401));
        let payload = r#"{"event":"pusher:subscription_error","channel":"private-a","data":"{\"type\":\"AuthError\",\"error\":\"bad \\\"sig\\\"\",\"status\":401}"}"#;
        assert_eq!(frame, golden(payload));
        let bad_name = "a \"b\"\n";
        let frame =
            encoded(|out| encode_subscription_error(out, bad_name, "LimitReached", "x (y_max)", 4009));
        let payload = r#"{"event":"pusher:subscription_error","channel":"a \"b\"\n","data":"{\"type\":\"LimitReached\",\"error\":\"x (y_max)\",\"status\":4009}"}"#;
        assert_eq!(frame, golden(payload));
    }

    #[test]
    fn a_cache_without_an_event_is_a_miss_with_empty_data() {
        let frame = encoded(|out| encode_cache_miss(out, "cache-a"));
        assert_eq!(frame, golden(r#"{"event":"pusher:cache_miss","channel":"cache-a","data":"{}"}"#));
    }

    #[test]
    fn subscriptions_are_counted_in_data_that_is_a_string() {
        for count in [1, u64::MAX] {
            let frame = encoded(|out| encode_subscription_count(out, "a", count));
            let payload = r#"{"event":"pusher_internal:subscription_count","channel":"a","data":"{\"subscription_count\":COUNT}"}"#;
            assert_eq!(frame, golden(&payload.replace("COUNT", &count.to_string())));
        }
    }

    #[test]
    fn a_sign_in_is_answered_with_the_text_that_was_signed() {
        let frame = encoded(|out| encode_signin_success(out, r#"{"id":"a \"b\""}"#));
        let payload = r#"{"event":"pusher:signin_success","data":"{\"user_data\":\"{\\\"id\\\":\\\"a \\\\\\\"b\\\\\\\"\\\"}\"}"}"#;
        assert_eq!(frame, golden(payload));
        let frame = encoded(|out| encode_signin_error(out, "AuthError", "bad \"sig\"", 401));
        let payload = r#"{"event":"pusher:signin_error","data":"{\"type\":\"AuthError\",\"error\":\"bad \\\"sig\\\"\",\"status\":401}"}"#;
        assert_eq!(frame, golden(payload));
    }

    #[test]
    fn a_watcher_is_told_who_is_online_and_who_is_not() {
        let table = [
            (
                &["a", "b\""][..],
                &["c"][..],
                r#"{\"name\":\"online\",\"user_ids\":[\"a\",\"b\\\"\"]},{\"name\":\"offline\",\"user_ids\":[\"c\"]}"#,
            ),
            (&["a"], &[], r#"{\"name\":\"online\",\"user_ids\":[\"a\"]}"#),
            (&[], &["c"], r#"{\"name\":\"offline\",\"user_ids\":[\"c\"]}"#),
        ];
        for (online, offline, events) in table {
            let ids = |ids: &[&'static str]| ids.to_vec();
            let frame = encoded(|out| encode_watchlist_events(out, ids(online), ids(offline)));
            let payload = r#"{"event":"pusher_internal:watchlist_events","data":"{\"events\":[EVENTS]}"}"#;
            assert_eq!(frame, golden(&payload.replace("EVENTS", events)), "{events}");
        }
    }

    #[test]
    fn an_event_for_a_user_is_one_of_the_users_channel() {
        let data = EventData::of_text("x");
        let frame = encoded(|out| encode_event(out, "my-event", "#server-to-user-7", &data, None));
        assert_eq!(frame, golden(r##"{"event":"my-event","channel":"#server-to-user-7","data":"x"}"##));
    }

    #[test]
    fn members_come_and_go_with_their_id() {
        let frame = encoded(|out| encode_member_added(out, "presence-a", &member("u", Some(r#"{"n":1}"#))));
        let payload = r#"{"event":"pusher_internal:member_added","channel":"presence-a","data":"{\"user_id\":\"u\",\"user_info\":{\"n\":1}}"}"#;
        assert_eq!(frame, golden(payload));
        let frame = encoded(|out| encode_member_added(out, "presence-a", &member("u", None)));
        let payload =
            r#"{"event":"pusher_internal:member_added","channel":"presence-a","data":"{\"user_id\":\"u\"}"}"#;
        assert_eq!(frame, golden(payload));
        let frame = encoded(|out| encode_member_removed(out, "presence-a", "u"));
        let payload = r#"{"event":"pusher_internal:member_removed","channel":"presence-a","data":"{\"user_id\":\"u\"}"}"#;
        assert_eq!(frame, golden(payload));
    }

    #[test]
    fn an_event_copies_its_data_as_it_is() {
        let data = EventData::of_text(r#"{"some":"data"}"#);
        let frame = encoded(|out| encode_event(out, "my-event", "a", &data, None));
        let payload = r#"{"event":"my-event","channel":"a","data":"{\"some\":\"data\"}"}"#;
        assert_eq!(frame, golden(payload));
        let frame = encoded(|out| encode_event(out, "client-\"x\"", "presence-a", &data, Some("u\\1")));
        let payload = r#"{"event":"client-\"x\"","channel":"presence-a","data":"{\"some\":\"data\"}","user_id":"u\\1"}"#;
        assert_eq!(frame, golden(payload));
    }

    #[test]
    fn the_data_of_an_event_is_found_in_its_frame() {
        for text in ["x", r#"{"data":"\"\\"}"#, "", &"é".repeat(40_000)] {
            let data = EventData::of_text(text);
            let frame = Frame::from(encoded(|out| encode_event(out, "data\":", "cache-a", &data, None)));
            assert_eq!(event_data_literal(&frame), Some(&*data.literal));
        }
        assert_eq!(event_data_literal(&Frame::from(golden("{}"))), None);
    }

    #[test]
    fn frames_follow_each_other_in_one_buffer() {
        let frames = encoded(|out| {
            encode_pong(out);
            encode_member_removed(out, "presence-a", "u");
            encode_pong(out);
        });
        let pong = golden(r#"{"event":"pusher:pong","data":"{}"}"#);
        assert!(frames.starts_with(&pong) && frames.ends_with(&pong));
        let between = Frame::from(&frames[pong.len()..frames.len() - pong.len()]);
        assert!(between.payload().starts_with(b"{\"event\":\"pusher_internal:member_removed\""));
    }

    proptest! {
        #[test]
        fn the_length_of_a_roster_is_known_before_it_is_encoded(
            members in prop::collection::vec((".{1,30}", prop::option::of("\\{\"a\":\"[a-z\\\\\"é]{0,60}\"\\}")), 0..120),
            channel in ".{0,20}",
        ) {
            let members: Vec<Member> = members.iter().map(|(id, info)| member(id, info.as_deref())).collect();
            let bytes = members.iter().map(roster_bytes_of).sum();
            let frame = encoded(|out| encode_presence_succeeded(out, &channel, members.iter()));
            prop_assert_eq!(presence_succeeded_bytes(&channel, members.len(), bytes), frame.len());
        }

        #[test]
        fn whatever_is_said_can_be_read(
            event in ".{0,40}",
            text in any::<String>(),
            more in 0..70_000_usize,
            user_id in proptest::option::of(any::<String>()),
        ) {
            let text = text + &"x".repeat(more);
            let data = EventData::of_text(&text);
            let frame = Frame::from(encoded(|out| encode_event(out, &event, "a", &data, user_id.as_deref())));
            let mut expected = json!({ "event": event, "channel": "a", "data": text });
            if let Some(user_id) = &user_id {
                expected["user_id"] = json!(user_id);
            }
            prop_assert_eq!(serde_json::from_slice::<Value>(frame.payload()).unwrap(), expected);

            let frame = Frame::from(encoded(|out| encode_error(out, None, &text)));
            let expected = json!({ "event": "pusher:error", "data": { "code": null, "message": text } });
            prop_assert_eq!(serde_json::from_slice::<Value>(frame.payload()).unwrap(), expected);
        }

        #[test]
        fn what_a_user_is_told_can_be_read(
            user_data in any::<String>(),
            online in prop::collection::vec(any::<String>(), 0..5),
            offline in prop::collection::vec(any::<String>(), 0..5),
        ) {
            let data = |frame: Vec<u8>| {
                let event: Value = serde_json::from_slice(Frame::from(frame).payload()).unwrap();
                serde_json::from_str::<Value>(event["data"].as_str().unwrap()).unwrap()
            };
            let success = data(encoded(|out| encode_signin_success(out, &user_data)));
            prop_assert_eq!(success, json!({ "user_data": user_data }));
            let ids = |ids: &[String]| ids.to_vec();
            let events = data(encoded(|out| {
                encode_watchlist_events(out, online.iter().map(String::as_str), offline.iter().map(String::as_str));
            }));
            let of = |name: &str| {
                let list = events["events"].as_array().unwrap().iter().find(|event| event["name"] == name);
                list.map_or(json!([]), |event| event["user_ids"].clone())
            };
            prop_assert_eq!((of("online"), of("offline")), (json!(ids(&online)), json!(ids(&offline))));
        }

        #[test]
        fn rosters_can_be_read(ids in proptest::collection::hash_set(any::<String>(), 0..20)) {
            let members: Vec<_> = ids.iter().map(|id| member(id, Some(r#"{"a":"\n"}"#))).collect();
            let frame = Frame::from(encoded(|out| encode_presence_succeeded(out, "presence-a", members.iter())));
            let event: Value = serde_json::from_slice(frame.payload()).unwrap();
            let data: Value = serde_json::from_str(event["data"].as_str().unwrap()).unwrap();
            prop_assert_eq!(&data["presence"]["count"], &json!(ids.len()));
            prop_assert_eq!(data["presence"]["ids"].as_array().unwrap().len(), ids.len());
            for id in &ids {
                prop_assert_eq!(&data["presence"]["hash"][id], &json!({ "a": "\n" }));
            }
        }
    }
}
