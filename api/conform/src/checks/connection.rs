//! Connecting: the path, the first message, and how a server refuses.

use std::collections::HashSet;

use serde_json::Value;

use crate::check::Check;
use crate::client::Client;
use crate::ground::Ground;
use crate::rest::Ask;
use crate::socket::{Heard, Socket};
use crate::verdict::{Verdict, deviates, hold, same};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "connection.query_of_pusher_js", breaks: "every client", play: query_of_pusher_js },
    Check {
        name: "connection.without_query",
        breaks: "webman's push.js, which sends none",
        play: without_query,
    },
    Check {
        name: "connection.unknown_query",
        breaks: "clients that add parameters of their own",
        play: unknown_query,
    },
    Check { name: "connection.protocol_5", breaks: "older Java and .NET clients", play: protocol_5 },
    Check {
        name: "connection.odd_version",
        breaks: "clients with a version that is no number",
        play: odd_version,
    },
    Check {
        name: "connection.established_is_a_string",
        breaks: "Swift gets no socket id, push.js throws",
        play: established_is_a_string,
    },
    Check {
        name: "connection.socket_id_is_two_numbers",
        breaks: "auth in all official server SDKs, which refuse any other",
        play: socket_id_is_two_numbers,
    },
    Check {
        name: "connection.socket_ids_differ",
        breaks: "exclusion by socket_id and signatures",
        play: socket_ids_differ,
    },
    Check {
        name: "connection.activity_timeout",
        breaks: "pusher-js throws in the handshake if it is 0 or absent",
        play: activity_timeout,
    },
    Check {
        name: "connection.no_subprotocol",
        breaks: "browsers fail a connection with a subprotocol that they did not ask for",
        play: no_subprotocol,
    },
    Check {
        name: "connection.unknown_key_is_told",
        breaks: "browsers see 1006 alone, and pusher-js tries for ever",
        play: unknown_key_is_told,
    },
    Check {
        name: "connection.unknown_key_closes_with_4001",
        breaks: "pusher-js, Java and Swift go on trying",
        play: unknown_key_closes_with_4001,
    },
    Check {
        name: "connection.unsupported_protocol_closes_with_4007",
        breaks: "old clients go on trying",
        play: unsupported_protocol,
    },
    Check {
        name: "connection.wrong_path_is_refused",
        breaks: "a mistyped path looks like a network fault",
        play: wrong_path_is_refused,
    },
    Check {
        name: "connection.app_path_without_upgrade_is_answered",
        breaks: "fallbacks of pusher-js wait for their timeout",
        play: without_upgrade,
    },
];

fn query_of_pusher_js(ground: &Ground<'_>) -> Verdict {
    ground.client()?.is_alive()
}

fn connects(ground: &Ground<'_>, query: &str) -> Verdict {
    let socket = ground.socket(&format!("/app/{}{query}", ground.app().key()))?;
    Client::greeted(socket, ground.app().clone())?.is_alive()
}

fn without_query(ground: &Ground<'_>) -> Verdict {
    connects(ground, "")
}

fn unknown_query(ground: &Ground<'_>) -> Verdict {
    connects(ground, "?protocol=7&colour=blue&flag&x=%20")
}

fn protocol_5(ground: &Ground<'_>) -> Verdict {
    connects(ground, "?protocol=5&client=java-client&version=1.8.0")
}

fn odd_version(ground: &Ground<'_>) -> Verdict {
    connects(ground, "?protocol=7&client=js&version=8.4.0-beta%2Bx")
}

/// What is said first, as it came.
fn greeting(ground: &Ground<'_>) -> Result<Value, crate::verdict::Deviation> {
    let mut socket = ground.socket(&format!("/app/{}?protocol=7", ground.app().key()))?;
    match socket.hear() {
        Heard::Text(text) => match serde_json::from_str(&text) {
            Ok(whole) => Ok(whole),
            Err(error) => deviates(format!("the greeting is no JSON ({error}): {text}")),
        },
        other => deviates(format!("the first that came was {other:?}")),
    }
}

/// What the greeting says within its data.
fn greeting_data(ground: &Ground<'_>) -> Result<Value, crate::verdict::Deviation> {
    let whole = greeting(ground)?;
    Ok(match &whole["data"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    })
}

fn established_is_a_string(ground: &Ground<'_>) -> Verdict {
    let whole = greeting(ground)?;
    hold(whole["data"].is_string(), || format!("expected data as a string, got {whole}"))
}

fn socket_id_is_two_numbers(ground: &Ground<'_>) -> Verdict {
    let data = greeting_data(ground)?;
    let id = data["socket_id"].as_str().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_right = id.split_once('.').is_some_and(|(left, right)| is_number(left) && is_number(right));
    hold(is_right, || format!("expected digits, a dot and digits, got {id:?}"))
}

fn socket_ids_differ(ground: &Ground<'_>) -> Verdict {
    let clients: Vec<Client> = (0..8).map(|_| ground.client()).collect::<Result<_, _>>()?;
    let ids: HashSet<&str> = clients.iter().map(|client| &*client.socket_id).collect();
    same("different socket ids of 8 connections", &ids.len(), &8)
}

fn activity_timeout(ground: &Ground<'_>) -> Verdict {
    let data = greeting_data(ground)?;
    hold(data["activity_timeout"].as_u64().is_some_and(|seconds| seconds > 0), || {
        format!("expected activity_timeout as a positive number, got {data}")
    })
}

fn no_subprotocol(ground: &Ground<'_>) -> Verdict {
    let socket = ground.socket(&format!("/app/{}?protocol=7", ground.app().key()))?;
    let named = socket.headers.iter().find(|(name, _)| name == "sec-websocket-protocol");
    hold(named.is_none(), || format!("got the header {named:?}"))
}

/// A socket of an app that is not there.
fn stranger(ground: &Ground<'_>) -> Result<Socket, crate::verdict::Deviation> {
    ground.socket(&format!("/app/{}?protocol=7&client=js&version=8.4.0", ground.name("no-such-key-")))
}

fn unknown_key_is_told(ground: &Ground<'_>) -> Verdict {
    match stranger(ground)?.hear() {
        Heard::Text(text) => {
            let said: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            same("the event", &said["event"].as_str(), &Some("pusher:error"))?;
            same("the code, a number in an object", &said["data"]["code"].as_u64(), &Some(4001))
        }
        // The documentation of protocol 7 asks for no more than this.
        Heard::Close(Some((4001, _))) => Ok(()),
        other => deviates(format!("expected pusher:error with code 4001, got {other:?}")),
    }
}

fn unknown_key_closes_with_4001(ground: &Ground<'_>) -> Verdict {
    closes_with(stranger(ground)?, 4001)
}

/// The server closes this with a code, whatever it says before.
fn closes_with(mut socket: Socket, code: u16) -> Verdict {
    loop {
        match socket.hear() {
            Heard::Text(_) | Heard::Ping => {}
            Heard::Close(Some((came, _))) => return same("the close code", &came, &code),
            other => return deviates(format!("expected a close with {code}, got {other:?}")),
        }
    }
}

fn unsupported_protocol(ground: &Ground<'_>) -> Verdict {
    let socket = ground.socket(&format!("/app/{}?protocol=3&client=js&version=1.0", ground.app().key()))?;
    closes_with(socket, 4007)
}

fn wrong_path_is_refused(ground: &Ground<'_>) -> Verdict {
    match ground.socket("/no/such/path") {
        // An answer of HTTP is as good to a program, though browsers do not show it.
        Err(_) => Ok(()),
        Ok(mut socket) => hold(socket.is_ended(), || "the connection stays open".to_owned()),
    }
}

fn without_upgrade(ground: &Ground<'_>) -> Verdict {
    let place = &ground.target.place;
    let url =
        format!("{}{}/app/{}?protocol=7", place.origin("http", "https"), place.path, ground.app().key());
    let answer = ground.rest.ask_at(Ask::get("", &[]).method, &url, "")?;
    hold((400..500).contains(&answer.status), || format!("expected a status of 4xx, got {}", answer.status))
}
