//! WebSocket framing: what may be cut, mixed and repeated, and which code closes a connection that breaks a rule.

use crate::rig::KEY;
use crate::rig::raw::{
    BINARY, CLOSE, CONTINUATION, PING, PONG, Raw, TEXT, UNFINISHED, encode_frame, encode_header,
    encode_upgrade,
};
use crate::rig::server::shared;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

const PUSHER_PING: &[u8] = br#"{"event":"pusher:ping","data":{}}"#;

/// The longest message that a client may send, in bytes.
const MESSAGE_BYTES_MAX: usize = 128 << 10;

#[test]
fn fragments_join_and_control_frames_come_between_them() {
    let server = shared();
    let mut raw = Raw::connect(&server);
    raw.frame(TEXT & UNFINISHED, &PUSHER_PING[..5]);
    raw.frame(PING, b"one");
    raw.frame(CONTINUATION & UNFINISHED, &PUSHER_PING[5..5]);
    raw.frame(CONTINUATION & UNFINISHED, &PUSHER_PING[5..20]);
    raw.frame(PING, b"two");
    raw.frame(PONG, b"unasked");
    raw.frame(CONTINUATION, &PUSHER_PING[20..]);
    assert_eq!(raw.read_frame(), (PONG, b"one".to_vec()));
    assert_eq!(raw.read_frame(), (PONG, b"two".to_vec()));
    raw.hear_event("pusher:pong");
}

#[test]
fn a_character_may_be_cut_between_fragments() {
    let server = shared();
    let mut raw = Raw::connect(&server);
    let message = r#"{"event":"pusher:ping","data":{"x":"€🙂"}}"#.as_bytes();
    let cuts: Vec<&[u8]> = message.chunks(1).collect();
    raw.frame(TEXT & UNFINISHED, cuts[0]);
    for cut in &cuts[1..cuts.len() - 1] {
        raw.frame(CONTINUATION & UNFINISHED, cut);
    }
    raw.frame(CONTINUATION, cuts[cuts.len() - 1]);
    raw.hear_event("pusher:pong");
}

#[test]
fn head_and_frames_may_come_byte_by_byte() {
    let server = shared();
    let mut raw = Raw::open(&server);
    let long = format!(r#"{{"event":"pusher:ping","data":"{}"}}"#, "x".repeat(200));
    let frames = [encode_frame(PING, b"abc"), encode_frame(TEXT, long.as_bytes())].concat();
    for byte in encode_upgrade(&format!("/app/{KEY}")).as_bytes().iter().chain(&frames) {
        raw.write(&[*byte]);
    }
    assert_eq!(raw.read_head().status, 101);
    raw.hear_event("pusher:connection_established");
    assert_eq!(raw.read_frame(), (PONG, b"abc".to_vec()));
    raw.hear_event("pusher:pong");
}

#[test]
fn a_websocket_ping_is_answered_with_its_payload() {
    let server = shared();
    let mut raw = Raw::connect(&server);
    for payload in [&b""[..], b"x", &[0xff; 125]] {
        raw.frame(PING, payload);
        assert_eq!(raw.read_frame(), (PONG, payload.to_vec()));
    }
}

#[test]
fn a_pusher_ping_is_answered_whatever_its_data() {
    let server = shared();
    let mut client = server.connect();
    for ping in [
        r#"{"event":"pusher:ping","data":{}}"#,
        r#"{"event":"pusher:ping","data":"{}"}"#,
        r#"{"event":"pusher:ping","data":""}"#,
        r#"{"event":"pusher:ping","data":null}"#,
        r#"{"event":"pusher:ping"}"#,
        r#" { "data" : [ ] , "event" : "pusher:ping" } "#,
    ] {
        client.say_text(ping);
        assert_eq!(client.hear_event("pusher:pong")["data"], "{}", "{ping}");
    }
    client.say_text(r#"{"event":"pusher:pong","data":{}}"#);
    client.expect_pong();
}

#[test]
fn broken_framing_is_closed_with_its_code() {
    let server = shared();
    let cut = |frame: Vec<u8>, bytes: usize| frame[..bytes].to_vec();
    let unmasked = |first| [encode_header(first, 0, 2), b"{}".to_vec()].concat();
    let overlong = vec![TEXT, 0x80 | 126, 0, 5, 1, 2, 3, 4, 0, 0, 0, 0, 0];
    let table = [
        ("a frame without mask", unmasked(TEXT), 1002),
        ("a ping without mask", unmasked(PING), 1002),
        ("RSV1", encode_frame(TEXT | 0x40, PUSHER_PING), 1002),
        ("RSV2", encode_frame(TEXT | 0x20, PUSHER_PING), 1002),
        ("RSV3", encode_frame(PING | 0x10, b""), 1002),
        ("an opcode of nobody", encode_frame(0x83, b""), 1002),
        ("a control opcode of nobody", encode_frame(0x8b, b""), 1002),
        ("a continuation of nothing", encode_frame(CONTINUATION, b"x"), 1002),
        ("a ping in fragments", encode_frame(PING & UNFINISHED, b""), 1002),
        ("a ping of 126 bytes", encode_header(PING, 0x80, 126), 1002),
        ("a length in the longer form", overlong, 1002),
        ("a length with its highest bit", encode_header(TEXT, 0x80, 1 << 63), 1002),
        ("a close of one byte", encode_frame(CLOSE, b"x"), 1002),
        ("a close code of nobody", encode_frame(CLOSE, &1005_u16.to_be_bytes()), 1002),
        ("a reason that is not UTF-8", encode_frame(CLOSE, &[0x03, 0xe8, 0xff]), 1007),
        ("text that is not UTF-8", encode_frame(TEXT, b"{\"event\":\"\xff\"}"), 1007),
        ("half a character", encode_frame(TEXT, "€".as_bytes().get(..2).unwrap()), 1007),
        ("a surrogate in UTF-8", encode_frame(TEXT, b"\xed\xa0\x80"), 1007),
        ("a binary message", encode_frame(BINARY, PUSHER_PING), 1003),
        ("an empty binary message", encode_frame(BINARY, b""), 1003),
        ("a frame that is too big", cut(encode_frame(TEXT, &vec![b' '; MESSAGE_BYTES_MAX + 1]), 14), 1009),
        ("a frame of 2^62 bytes", encode_header(TEXT, 0x80, 1 << 62), 1009),
    ];
    for (what, bytes, code) in table {
        let mut raw = Raw::connect(&server);
        let mask: &[u8] = if bytes.len() > 10 || bytes[1] & 0x80 == 0 { &[] } else { &[1, 2, 3, 4] };
        raw.write(&[&bytes, mask].concat());
        let (first, payload) = raw.read_frame();
        assert_eq!((first, u16::from_be_bytes([payload[0], payload[1]])), (CLOSE, code), "{what}");
        assert!(raw.read_to_end().is_empty(), "{what}");
    }
}

#[test]
fn fragments_that_break_a_rule_are_closed_with_its_code() {
    let server = shared();
    let open = encode_frame(TEXT & UNFINISHED, b"{");
    let half = encode_frame(TEXT & UNFINISHED, &vec![b' '; MESSAGE_BYTES_MAX / 2]);
    let table = [
        ("a message within a message", encode_frame(TEXT, b"{}"), &open, 1002),
        ("a binary message within a message", encode_frame(BINARY, b"{}"), &open, 1002),
        ("a bad character in a later fragment", encode_frame(CONTINUATION, b"\x80"), &open, 1007),
        ("half a character at the end", encode_frame(CONTINUATION, b"\xe2\x82"), &open, 1007),
        (
            "too much in fragments",
            encode_frame(CONTINUATION, &vec![b' '; MESSAGE_BYTES_MAX / 2 + 1]),
            &half,
            1009,
        ),
    ];
    for (what, second, first, code) in table {
        let mut raw = Raw::connect(&server);
        raw.write(first);
        raw.write_in_vain(&second);
        let (first, payload) = raw.read_frame();
        assert_eq!((first, u16::from_be_bytes([payload[0], payload[1]])), (CLOSE, code), "{what}");
    }
}

#[test]
fn a_message_may_be_as_long_as_the_limit() {
    let server = shared();
    let mut raw = Raw::connect(&server);
    let mut message = PUSHER_PING.to_vec();
    message.resize(MESSAGE_BYTES_MAX, b' ');
    raw.frame(TEXT, &message);
    raw.hear_event("pusher:pong");
    raw.frame(TEXT & UNFINISHED, &message[..MESSAGE_BYTES_MAX / 2]);
    raw.frame(CONTINUATION, &message[MESSAGE_BYTES_MAX / 2..]);
    raw.hear_event("pusher:pong");
}

#[test]
fn a_close_is_answered_with_its_code() {
    let server = shared();
    let mut client = server.connect();
    let frame = CloseFrame { code: CloseCode::from(1001), reason: "leaving".into() };
    client.socket().close(Some(frame)).unwrap();
    assert_eq!(client.hear_close().0, 1001);
    let mut raw = Raw::connect(&server);
    raw.frame(CLOSE, b"");
    assert_eq!(raw.hear_close(), 1000);
}

#[test]
fn what_follows_a_violation_means_nothing() {
    let server = shared();
    let mut raw = Raw::connect(&server);
    raw.write(&[encode_frame(BINARY, b""), encode_frame(TEXT, PUSHER_PING)].concat());
    assert_eq!(raw.hear_close(), 1003);
}

#[test]
fn messages_in_one_piece_are_answered_in_order() {
    let server = shared();
    let mut raw = Raw::connect(&server);
    // More than a connection may have handled in a turn.
    let names: Vec<String> = (0..200).map(|number| format!("event-{number}")).collect();
    let frames = names.iter().map(|name| encode_frame(TEXT, format!(r#"{{"event":"{name}"}}"#).as_bytes()));
    raw.write(&frames.collect::<Vec<_>>().concat());
    for name in &names {
        let error = raw.hear_event("pusher:error");
        assert_eq!(error["data"]["message"], format!("Unknown event '{name}'"));
    }
}
