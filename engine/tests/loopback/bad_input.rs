//! Bad input never hurts anyone but its sender: the sender is answered or closed, and another connection goes on.
//!
//! The server under test is the one that cargo has built, or that CORECAST_BIN names: what overflows a stack may differ
//! between debug and release.

use crate::rig::client::Client;
use crate::rig::http::{encode_request, signed};
use crate::rig::raw::{CLOSE, PING, Raw, TEXT, UNFINISHED, encode_frame, encode_header, encode_upgrade};
use crate::rig::server::{Server, shared};
use crate::rig::{KEY, app};
use protocol::auth::sign_subscription;
use protocol::socket_id::SocketId;
use serde_json::json;

/// The longest message and the largest body that are read, in bytes.
const MESSAGE_BYTES_MAX: usize = 128 << 10;
const BODY_BYTES_MAX: usize = 2 << 20;

const DEPTHS: [usize; 3] = [500, 10_000, 1_000_000];

/// A connection that has done nothing wrong.
struct Witness {
    client: Client,
    channel: String,
    events: usize,
}

impl Witness {
    fn new(server: &Server, channel: &str) -> Self {
        let mut client = server.connect();
        client.subscribe(channel);
        Self { client, channel: channel.to_owned(), events: 0 }
    }

    /// The server goes on for the witness, and nothing of anybody else has reached it.
    fn goes_on(&mut self, server: &Server, after: &str) {
        self.events += 1;
        let data = format!("{} after {}", self.events, after.get(..60).unwrap_or(after));
        server.publish(&self.channel, "still-here", &data);
        self.client.expect(&self.channel, "still-here", &data);
    }
}

/// Nested so deep, closed and unclosed, as arrays and as objects; as many as fit.
fn nested(bytes_max: usize) -> Vec<String> {
    let closings: [&dyn Fn(usize) -> String; 4] = [
        &|depth| "[".repeat(depth) + &"]".repeat(depth),
        &|depth| "[".repeat(depth),
        &|depth| r#"{"a":"#.repeat(depth) + "1" + &"}".repeat(depth),
        &|depth| r#"{"a":"#.repeat(depth),
    ];
    let all = DEPTHS.iter().flat_map(|depth| closings.iter().map(move |close| close(*depth)));
    all.filter(|text| text.len() <= bytes_max).collect()
}

/// The sender hears an error that does not close, or a close with one of these codes.
fn answered_or_closed(raw: &mut Raw, codes: &[u16], what: &str) -> bool {
    let (first, payload) = raw.read_frame();
    let what = what.get(..100).unwrap_or(what);
    if first == CLOSE {
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        assert!(codes.contains(&code), "{code} for {what}");
        return false;
    }
    let event: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((first, &event["event"]), (TEXT, &json!("pusher:error")), "{event} for {what}");
    true
}

/// Each message is answered with an error, after which its sender still may speak.
fn expect_errors(server: &Server, channel: &str, messages: impl IntoIterator<Item = Vec<u8>>) {
    let mut witness = Witness::new(server, channel);
    for message in messages {
        let what = String::from_utf8_lossy(&message).into_owned();
        let mut raw = Raw::connect(server);
        raw.write_in_vain(&encode_frame(TEXT, &message));
        if answered_or_closed(&mut raw, &[1009], &what) {
            raw.say(r#"{"event":"pusher:ping","data":{}}"#);
            raw.hear_event("pusher:pong");
        } else {
            assert!(message.len() > MESSAGE_BYTES_MAX, "closed for {} bytes", message.len());
        }
        witness.goes_on(server, &what);
    }
}

#[test]
fn deep_messages_are_errors() {
    let server = shared();
    let forms: [&dyn Fn(&str) -> String; 5] = [
        &|deep| deep.to_owned(),
        &|deep| format!(r#"{{"event":"pusher:ping","data":{deep}}}"#),
        &|deep| format!(r#"{{"event":"client-a","channel":"private-deep","data":{deep}}}"#),
        &|deep| format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"deep","x":{deep}}}}}"#),
        &|deep| json!({"event": "pusher:subscribe", "data": deep}).to_string(),
    ];
    let deep = nested(BODY_BYTES_MAX);
    assert_eq!(deep.len(), 10, "two of the deepest objects do not fit into any body");
    let messages = forms.iter().flat_map(|form| deep.iter().map(move |deep| form(deep).into_bytes()));
    expect_errors(&server, "witness-deep", messages.collect::<Vec<_>>());
}

#[test]
fn the_deepest_message_that_is_not_too_long_is_an_error() {
    let server = shared();
    let open = "[".repeat(MESSAGE_BYTES_MAX - 1);
    let closed = "[".repeat(MESSAGE_BYTES_MAX / 2) + &"]".repeat(MESSAGE_BYTES_MAX / 2);
    let object = r#"{"a":"#.repeat(MESSAGE_BYTES_MAX / 5);
    let mut witness = Witness::new(&server, "witness-deepest");
    for text in [open, closed, object] {
        let mut raw = Raw::connect(&server);
        raw.say(&text);
        assert!(answered_or_closed(&mut raw, &[], &text));
        witness.goes_on(&server, &text);
    }
}

#[test]
fn deep_channel_data_is_refused() {
    let server = shared();
    let mut witness = Witness::new(&server, "witness-channel-data");
    let mut client = server.connect();
    let channel = "presence-deep";
    for deep in nested(MESSAGE_BYTES_MAX / 2) {
        let in_info = format!(r#"{{"user_id":"1","user_info":{deep}}}"#);
        for data in [deep.clone(), in_info, format!(r#"{{"user_id":{deep}}}"#)] {
            client.ask_to_join(channel, &data);
            let told = client.hear_refusal(channel);
            assert!(told.contains("Invalid channel_data"), "{told}");
        }
        // As a value and not as a text it is refused before its signature is looked at.
        let auth = sign_subscription(&app(), client.socket_id, channel, None);
        let message = format!(
            r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}","auth":"{auth}","channel_data":{deep}}}}}"#
        );
        client.say_text(&message);
        client.hear_error();
        witness.goes_on(&server, &deep);
    }
    client.join(channel, r#"{"user_id":"1"}"#);
}

#[test]
fn deep_bodies_are_400() {
    let server = shared();
    let mut witness = Witness::new(&server, "witness-bodies");
    let forms: [&dyn Fn(&str) -> String; 5] = [
        &|deep| deep.to_owned(),
        &|deep| format!(r#"{{"name":"e","channel":"c","data":{deep}}}"#),
        &|deep| format!(r#"{{"name":"e","data":"x","channels":{deep}}}"#),
        &|deep| format!(r#"{{"batch":{deep}}}"#),
        &|deep| format!(r#"{{"batch":[{{"name":"e","channel":"c","data":{deep}}}]}}"#),
    ];
    let mut http = server.http();
    for deep in nested(BODY_BYTES_MAX - 100) {
        for form in forms {
            let body = form(&deep);
            for path in ["/apps/7/events", "/apps/7/batch_events"] {
                let answer = http.post(path, &body);
                assert_eq!(answer.status, 400, "{path} {}: {}", &body[..60], answer.body);
            }
        }
        witness.goes_on(&server, &deep);
    }
}

#[test]
fn data_of_every_type_is_understood_or_told_to_be_wrong() {
    let server = shared();
    let mut witness = Witness::new(&server, "witness-types");
    let mut client = server.connect();
    let values = ["null", "true", "7", "-1.5e3", "\"\"", "\"text\"", "[]", "[1]", "{}", r#"{"a":1}"#];
    for value in values {
        for event in ["pusher:subscribe", "pusher:unsubscribe", "pusher:signin", "no-such-event"] {
            client.say_text(&format!(r#"{{"event":"{event}","data":{value}}}"#));
            client.hear_error();
            if event == "pusher:signin" {
                client.hear_event("pusher:signin_error");
            }
        }
        client.say_text(&format!(r#"{{"event":{value},"data":{{}}}}"#));
        client.hear_error();
        client.say_text(value);
        client.hear_error();
        client.say_text(&format!(r#"{{"event":"pusher:ping","data":{value}}}"#));
        client.hear_event("pusher:pong");
        witness.goes_on(&server, value);
    }
    for event in ["pusher:subscribe", "pusher:unsubscribe", "client-a"] {
        client.say_text(&format!(r#"{{"event":"{event}"}}"#));
        client.hear_error();
    }
}

#[test]
fn what_is_no_json_is_an_error() {
    let server = shared();
    let texts: [&[u8]; 18] = [
        b"",
        b" ",
        b"nonsense",
        b"{",
        b"}",
        b"{}",
        b"{}{}",
        b"{\"event\"",
        b"{\"event\":}",
        b"{\"event\":\"pusher:ping\"}x",
        b"{\"event\":\"pusher:ping\",}",
        b"{event:\"pusher:ping\"}",
        b"{'event':'pusher:ping'}",
        b"{\"event\":\"pusher:ping\",\"event\":\"pusher:ping\"}",
        b"{\"event\":\"pusher:ping\n\"}",
        b"{\"event\":\"a\0b\"}",
        b"\0",
        b"\xef\xbb\xbf{}",
    ];
    expect_errors(&server, "witness-no-json", texts.map(<[u8]>::to_vec));
}

#[test]
fn long_numbers_are_never_calculated() {
    let server = shared();
    let mut witness = Witness::new(&server, "witness-numbers");
    let digits = "9".repeat(400);
    for number in [digits.clone(), format!("-{digits}"), format!("0.{digits}"), format!("1e{digits}")] {
        let body = format!(r#"{{"name":"e","channel":"witness-numbers","data":{number}}}"#);
        assert_eq!(server.post("/apps/7/events", &body).status, 200, "{number}");
        witness.client.expect("witness-numbers", "e", &number);
        let body = format!(r#"{{"name":{number},"channel":"c","data":"x"}}"#);
        assert_eq!(server.post("/apps/7/events", &body).status, 400, "{number}");
        let mut client = server.connect();
        client.ask_to_join("presence-numbers", &format!(r#"{{"user_id":{number}}}"#));
        assert!(client.hear_refusal("presence-numbers").contains("user_id"));
        client.say_text(&format!(r#"{{"event":"pusher:subscribe","data":{{"channel":{number}}}}}"#));
        client.hear_error();
        client.say_text(&format!(r#"{{"event":{number}}}"#));
        client.hear_error();
        let body =
            json!({"name": "e", "channel": "c", "data": "x", "socket_id": format!("{digits}.{digits}")});
        assert_eq!(server.post("/apps/7/events", &body.to_string()).status, 400);
        witness.goes_on(&server, &number);
    }
}

#[test]
fn half_a_surrogate_pair_reaches_nobody() {
    let server = shared();
    let channel = "private-surrogates";
    let mut witness = Witness::new(&server, channel);
    let mut client = server.connect();
    client.subscribe(channel);
    for lone in [r"\ud800", r"\udc00", r"\udc00\ud800", r"\ud800x", r"\ud800\u0041", r"\ud800\n", r"\uD8"] {
        for field in ["name", "channel", "data"] {
            let mut fields = [("name", "e"), ("channel", channel), ("data", "x")];
            fields.iter_mut().filter(|(name, _)| *name == field).for_each(|(_, value)| *value = lone);
            let pairs = fields.map(|(name, value)| format!(r#""{name}":"{value}""#)).join(",");
            assert_eq!(server.post("/apps/7/events", &format!("{{{pairs}}}")).status, 400, "{pairs}");
        }
        for message in [
            format!(r#"{{"event":"client-a","channel":"{channel}","data":"{lone}"}}"#),
            format!(r#"{{"event":"client-a","channel":"{channel}","data":{{"a":"{lone}"}}}}"#),
            format!(r#"{{"event":"client-{lone}","channel":"{channel}","data":"x"}}"#),
            format!(r#"{{"event":"client-a","channel":"{lone}","data":"x"}}"#),
            format!(r#"{{"event":"{lone}"}}"#),
            format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{lone}"}}}}"#),
        ] {
            client.say_text(&message);
            client.hear_error();
        }
        witness.goes_on(&server, lone);
        client.hear_event("still-here");
    }
}

#[test]
fn nul_is_a_character_in_escapes_and_nowhere_else() {
    let server = shared();
    let channel = "private-nul";
    let mut witness = Witness::new(&server, channel);
    let mut client = server.connect();
    client.subscribe(channel);
    client.say_text(&format!(r#"{{"event":"client-\u0000","channel":"{channel}","data":"a\u0000b"}}"#));
    witness.client.expect(channel, "client-\0", "a\0b");
    server.publish(channel, "e\0", "\0");
    for client in [&mut client, &mut witness.client] {
        client.expect(channel, "e\0", "\0");
    }
    client.say_text(&format!("{{\"event\":\"client-a\",\"channel\":\"{channel}\",\"data\":\"\0\"}}"));
    client.hear_error();
    client.say_text(r#"{"event":"pusher:subscribe","data":{"channel":"a\u0000"}}"#);
    client.hear_error();
    let body = format!("{{\"name\":\"e\",\"channel\":\"{channel}\",\"data\":\"\0\"}}");
    assert_eq!(server.post("/apps/7/events", &body).status, 400);
    assert_eq!(server.http().ask(b"GET /\0 HTTP/1.1\r\n\r\n").status, 400);
    witness.goes_on(&server, "NUL");
}

/// Numbers that look random and are the same in each run.
fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(step).collect()
}

#[test]
fn random_bytes_close_or_are_answered() {
    let server = shared();
    let mut witness = Witness::new(&server, "witness-random");
    for seed in 0..60 {
        let bytes = random_bytes(seed, 1 + seed as usize * 7);
        // In the place of a head, of frames, of a text, and of a body.
        let mut raw = Raw::open(&server);
        raw.write_in_vain(&bytes);
        raw.write_in_vain(b"\r\n\r\n\0\r\n\r\n");
        raw.read_to_end();
        let mut raw = Raw::connect(&server);
        raw.write_in_vain(&bytes);
        // Whatever frame that began, this cannot be its continuation for long.
        raw.write_in_vain(&[0xff; 300]);
        raw.tcp().shutdown(std::net::Shutdown::Write).unwrap_or_default();
        raw.read_to_end();
        let mut raw = Raw::connect(&server);
        raw.frame(TEXT, &bytes);
        answered_or_closed(&mut raw, &[1007], "random text");
        let target = signed("POST", "/apps/7/events", &[], "");
        let mut request = encode_request("POST", &target, &"x".repeat(bytes.len()));
        let body_at = request.len() - bytes.len();
        request.splice(body_at.., bytes);
        assert_eq!(server.http().ask(&request).status, 401);
        witness.goes_on(&server, "random bytes");
    }
}

#[test]
fn printable_nonsense_is_an_error() {
    let server = shared();
    let alphabet = br#"{}[]":,\u0123 eventdachl-pusr"#;
    let pick = |byte: u8| alphabet[usize::from(byte) % alphabet.len()];
    let texts = (100..300).map(|seed| random_bytes(seed, 80).into_iter().map(pick).collect());
    expect_errors(&server, "witness-nonsense", texts);
}

#[test]
fn a_peer_may_vanish_anywhere() {
    let server = shared();
    let mut witness = Witness::new(&server, "witness-vanish");
    let upgrade = encode_upgrade(&format!("/app/{KEY}"));
    let subscribe =
        encode_frame(TEXT, br#"{"event":"pusher:subscribe","data":{"channel":"witness-vanish"}}"#);
    let request = crate::rig::http::encode_post("/apps/7/events", &"x".repeat(5000));
    let before: [&[u8]; 4] =
        [b"", b"GET /app/", &upgrade.as_bytes()[..upgrade.len() - 1], &request[..request.len() - 1]];
    for bytes in before {
        for end in [Raw::abort, drop::<Raw>] {
            let mut raw = Raw::open(&server);
            raw.write(bytes);
            end(raw);
            witness.goes_on(&server, "an end before the connection");
        }
    }
    let within = [
        vec![],
        vec![TEXT],
        encode_header(TEXT, 0x80, 70_000),
        subscribe[..subscribe.len() - 1].to_vec(),
        subscribe.clone(),
        encode_frame(TEXT & UNFINISHED, b"{"),
        encode_frame(PING, b"x")[..3].to_vec(),
        [subscribe.clone(), encode_frame(CLOSE, b"")].concat(),
    ];
    for bytes in within {
        for end in [Raw::abort, drop::<Raw>] {
            let mut raw = Raw::connect(&server);
            raw.write(&bytes);
            end(raw);
            witness.goes_on(&server, "an end within the connection");
        }
    }
}

#[test]
fn a_guessed_socket_id_does_no_harm() {
    let server = shared();
    let mut witness = Witness::new(&server, "witness-socket-ids");
    let id = witness.client.socket_id;
    for first in [id.first, 0, 3, 65_535, 1 << 16, u64::MAX] {
        for second in [0, id.second ^ 1, id.second ^ (1 << 52), (1 << 20) - 1, u64::MAX] {
            let socket_id = SocketId { first, second }.to_string();
            let channel = "witness-socket-ids";
            let body = json!({"name": "e", "channel": channel, "data": "x", "socket_id": socket_id});
            let answer = server.post("/apps/7/events", &body.to_string());
            if answer.status == 200 {
                witness.client.expect(channel, "e", "x");
            } else {
                assert_eq!(answer.status, 400, "{socket_id}");
            }
        }
    }
    witness.goes_on(&server, "socket ids of nobody");
}
