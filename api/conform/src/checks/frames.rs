//! WebSocket itself, and messages that are none: nothing of it may hurt more than the connection that said it.

use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::check::Check;
use crate::ground::Ground;
use crate::limits::SILENCE;
use crate::socket::Heard;
use crate::verdict::{Verdict, deviates, hold, same};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "frames.ping_with_object",
        breaks: "pusher-js, .NET and Java believe that the connection is dead",
        play: ping_with_object,
    },
    Check {
        name: "frames.ping_without_data",
        breaks: "clients that ping without data",
        play: ping_without_data,
    },
    Check {
        name: "frames.ping_with_string",
        breaks: "clients that ping with \"{}\"",
        play: ping_with_string,
    },
    Check {
        name: "frames.pong_can_be_parsed",
        breaks: "push.js parses the data of every message",
        play: pong_can_be_parsed,
    },
    Check {
        name: "frames.websocket_ping",
        breaks: "proxies and clients that ping below the protocol",
        play: websocket_ping,
    },
    Check {
        name: "frames.fragmented_message",
        breaks: "WebSocket libraries that split messages",
        play: fragmented_message,
    },
    Check { name: "frames.ping_between_fragments", breaks: "RFC 6455 5.4", play: ping_between_fragments },
    Check {
        name: "frames.close_is_answered",
        breaks: "browsers wait for their timeout",
        play: close_is_answered,
    },
    Check { name: "frames.unmasked_frame_ends_the_connection", breaks: "RFC 6455 5.1", play: unmasked_frame },
    Check { name: "frames.reserved_bits_end_the_connection", breaks: "RFC 6455 5.2", play: reserved_bits },
    Check {
        name: "frames.invalid_utf8_ends_the_connection",
        breaks: "RFC 6455 8.1: others would be sent what they cannot read",
        play: invalid_utf8,
    },
    Check {
        name: "frames.binary_hurts_nobody_else",
        breaks: "everybody, if it ends the server",
        play: binary,
    },
    Check {
        name: "frames.what_is_no_json_keeps_the_connection",
        breaks: "pages with one bad message",
        play: no_json,
    },
    Check {
        name: "frames.json_of_another_shape_keeps_the_connection",
        breaks: "pages with one bad message",
        play: other_shape,
    },
    Check {
        name: "frames.unknown_event_keeps_the_connection",
        breaks: "newer clients with messages that the server does not know",
        play: unknown_event,
    },
    Check {
        name: "frames.error_is_an_object_with_a_number_or_null",
        breaks: ".NET and Swift lose code and text; Java fails on a code as text",
        play: error_is_an_object,
    },
];

fn pong(ground: &Ground<'_>, ping: &str) -> Result<Value, crate::verdict::Deviation> {
    let mut client = ground.client()?;
    client.socket.say(ping)?;
    Ok(client.expect("pusher:pong")?.whole)
}

fn ping_with_object(ground: &Ground<'_>) -> Verdict {
    pong(ground, r#"{"event":"pusher:ping","data":{}}"#).map(drop)
}

fn ping_without_data(ground: &Ground<'_>) -> Verdict {
    pong(ground, r#"{"event":"pusher:ping"}"#).map(drop)
}

fn ping_with_string(ground: &Ground<'_>) -> Verdict {
    pong(ground, r#"{"event":"pusher:ping","data":"{}"}"#).map(drop)
}

fn pong_can_be_parsed(ground: &Ground<'_>) -> Verdict {
    let whole = pong(ground, r#"{"event":"pusher:ping","data":{}}"#)?;
    match &whole["data"] {
        Value::Null | Value::Object(_) => Ok(()),
        Value::String(text) if serde_json::from_str::<Value>(text).is_ok() => Ok(()),
        other => deviates(format!("expected no data, an object, or JSON in a string, got {other}")),
    }
}

fn websocket_ping(ground: &Ground<'_>) -> Verdict {
    let mut client = ground.client()?;
    client.socket.send(Message::Ping(b"conform".to_vec().into()))?;
    same("the answer", &client.socket.hear(), &Heard::Pong(b"conform".to_vec()))
}

fn fragmented_message(ground: &Ground<'_>) -> Verdict {
    let mut client = ground.client()?;
    client.socket.send_part(r#"{"event":"pus"#, OpCode::Data(Data::Text), false)?;
    client.socket.send_part(r#"her:pi"#, OpCode::Data(Data::Continue), false)?;
    client.socket.send_part(r#"ng","data":{}}"#, OpCode::Data(Data::Continue), true)?;
    client.expect("pusher:pong").map(drop)
}

fn ping_between_fragments(ground: &Ground<'_>) -> Verdict {
    let mut client = ground.client()?;
    client.socket.send_part(r#"{"event":"pusher:"#, OpCode::Data(Data::Text), false)?;
    client.socket.send(Message::Ping(b"between".to_vec().into()))?;
    client.socket.send_part(r#"ping","data":{}}"#, OpCode::Data(Data::Continue), true)?;
    same("the answer to the ping", &client.socket.hear(), &Heard::Pong(b"between".to_vec()))?;
    client.expect("pusher:pong").map(drop)
}

fn close_is_answered(ground: &Ground<'_>) -> Verdict {
    let mut client = ground.client()?;
    client.socket.send(Message::Close(None))?;
    hold(client.socket.is_ended(), || "the connection stays open".to_owned())
}

/// These bytes end the connection that sent them, and no other.
fn ends_this_one_alone(ground: &Ground<'_>, bytes: &[u8]) -> Verdict {
    let mut other = ground.client()?;
    let mut client = ground.client()?;
    client.socket.send_bytes(bytes);
    hold(client.socket.is_ended(), || "the connection stays open".to_owned())?;
    other.is_alive()
}

fn unmasked_frame(ground: &Ground<'_>) -> Verdict {
    ends_this_one_alone(ground, &[0x81, 2, b'{', b'}'])
}

fn reserved_bits(ground: &Ground<'_>) -> Verdict {
    ends_this_one_alone(ground, &[0xf1, 0x82, 0, 0, 0, 0, b'{', b'}'])
}

fn invalid_utf8(ground: &Ground<'_>) -> Verdict {
    ends_this_one_alone(ground, &[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28])
}

fn binary(ground: &Ground<'_>) -> Verdict {
    let mut other = ground.client()?;
    let mut client = ground.client()?;
    client.socket.send(Message::binary(vec![0, 159, 146, 150]))?;
    let _ = client.socket.hear_within(SILENCE);
    other.is_alive()
}

/// After each of these the connection still answers.
fn stays(ground: &Ground<'_>, messages: &[&str]) -> Verdict {
    for message in messages {
        let mut client = ground.client()?;
        client.socket.say(*message)?;
        client.is_alive().or_else(|why| deviates(format!("after {message:?}: {why}")))?;
    }
    Ok(())
}

fn no_json(ground: &Ground<'_>) -> Verdict {
    stays(ground, &["hello", "{", "{\"event\":", "\u{1f600}"])
}

fn other_shape(ground: &Ground<'_>) -> Verdict {
    stays(ground, &["[]", "17", "null", "{}", r#"{"event":17}"#, r#"{"event":"pusher:subscribe"}"#])
}

fn unknown_event(ground: &Ground<'_>) -> Verdict {
    stays(ground, &[r#"{"event":"pusher:no-such-event","data":{}}"#, r#"{"event":"something","data":"x"}"#])
}

fn error_is_an_object(ground: &Ground<'_>) -> Verdict {
    let mut client = ground.client()?;
    let channel = ground.name("private-");
    client.say("pusher:subscribe", &json!({"channel": channel, "auth": "nonsense"}))?;
    while let Some(said) = client.hear_or_nothing(SILENCE)? {
        if said.event == "pusher:error" {
            let data = &said.whole["data"];
            let is_right = data.is_object()
                && (data["code"].is_u64() || data["code"].is_null())
                && data["message"].is_string();
            return hold(is_right, || {
                format!("expected {{\"code\": number or null, \"message\": text}}, got {data}")
            });
        }
    }
    // A server that tells it on the channel alone sends no such message.
    Ok(())
}
