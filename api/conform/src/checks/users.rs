//! Users who sign in: events to them, whom they watch, and how they are ended.

use serde_json::{Value, json};

use crate::check::Check;
use crate::client::Client;
use crate::ground::Ground;
use crate::limits::LONG_PATIENCE;
use crate::rest::Ask;
use crate::socket::Heard;
use crate::verdict::{Deviation, Verdict, deviates, hold, same};

const WATCHLIST: &str = "pusher_internal:watchlist_events";

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "users.signin_success_has_the_user_as_text",
        breaks: "pusher-js cannot parse the user and forgets it",
        play: signin_success,
    },
    Check { name: "users.signin_data_is_a_string", breaks: "Swift", play: signin_data_is_a_string },
    Check {
        name: "users.wrong_signature_is_refused",
        breaks: "anybody can be anybody",
        play: wrong_signature,
    },
    Check { name: "users.without_id_is_refused", breaks: "users without an id", play: without_id },
    Check { name: "users.another_id_is_refused", breaks: "one connection with two users", play: another_id },
    Check {
        name: "users.events_reach_every_connection",
        breaks: "sendToUser of all server SDKs",
        play: events_reach,
    },
    Check {
        name: "users.channel_of_another_user_is_refused",
        breaks: "secrecy of events to users",
        play: another_user,
    },
    Check {
        name: "users.channel_without_signin_is_refused",
        breaks: "secrecy of events to users",
        play: without_signin,
    },
    Check {
        name: "users.presence_by_signin",
        breaks: "pusher-js after signin, which sends no channel_data",
        play: presence_by_signin,
    },
    Check {
        name: "users.watchlist_tells_who_is_there",
        breaks: "watchlists of pusher-js",
        play: watchlist_now,
    },
    Check {
        name: "users.watchlist_tells_coming_and_going",
        breaks: "watchlists of pusher-js",
        play: watchlist_changes,
    },
    Check {
        name: "users.long_watchlist_is_told_with_4302",
        breaks: "pages whose watchlist is cut without a word",
        play: long_watchlist,
    },
    Check {
        name: "users.terminate_closes_with_4009",
        breaks: "users who should be out come back",
        play: terminate,
    },
];

fn signed_in(ground: &Ground<'_>, id: &str) -> Result<Client, Deviation> {
    let mut client = ground.client()?;
    client.sign_in(&json!({"id": id, "user_info": {"name": "N"}}))?;
    Ok(client)
}

fn signin_success(ground: &Ground<'_>) -> Verdict {
    let id = ground.name("user-");
    let said = ground.client()?.sign_in(&json!({"id": id}))?;
    let data = said.json()?;
    let Some(text) = data["user_data"].as_str() else {
        return deviates(format!("expected user_data as a string, got {data}"));
    };
    let user: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    same("the id", &user["id"], &json!(id))
}

fn signin_data_is_a_string(ground: &Ground<'_>) -> Verdict {
    ground.client()?.sign_in(&json!({"id": ground.name("user-")}))?.text().map(drop)
}

fn wrong_signature(ground: &Ground<'_>) -> Verdict {
    let mut client = ground.client()?;
    let auth = format!("{}:{}", ground.app().key(), "0".repeat(64));
    client.say("pusher:signin", &json!({"auth": auth, "user_data": json!({"id": "ann"}).to_string()}))?;
    is_refused(&mut client)
}

/// A refusal comes, or the end.
fn is_refused(client: &mut Client) -> Verdict {
    match client.socket.hear() {
        Heard::Close(_) => Ok(()),
        Heard::Text(text) if text.contains("pusher:error") => Ok(()),
        other => deviates(format!("expected pusher:error, got {other:?}")),
    }
}

fn without_id(ground: &Ground<'_>) -> Verdict {
    for user in [json!({}), json!({"id": ""}), json!({"id": null})] {
        let mut client = ground.client()?;
        client.ask_to_sign_in(&user)?;
        is_refused(&mut client)?;
    }
    Ok(())
}

fn another_id(ground: &Ground<'_>) -> Verdict {
    let mut client = signed_in(ground, &ground.name("user-"))?;
    client.ask_to_sign_in(&json!({"id": ground.name("user-")}))?;
    is_refused(&mut client)
}

fn events_reach(ground: &Ground<'_>) -> Verdict {
    let id = ground.name("user-");
    let channel = format!("#server-to-user-{id}");
    let (mut first, mut second) = (signed_in(ground, &id)?, signed_in(ground, &id)?);
    for client in [&mut first, &mut second] {
        client.subscribe(&channel)?;
    }
    ground.publish(&channel, "for-you", "x")?;
    for client in [&mut first, &mut second] {
        client.expect_on(&channel, "for-you")?;
    }
    Ok(())
}

fn another_user(ground: &Ground<'_>) -> Verdict {
    let (mut client, other) = (signed_in(ground, &ground.name("user-"))?, ground.name("user-"));
    client.ask_for(&format!("#server-to-user-{other}"))?;
    client.expect_refusal().map(drop)
}

fn without_signin(ground: &Ground<'_>) -> Verdict {
    let mut client = ground.client()?;
    client.ask_for(&format!("#server-to-user-{}", ground.name("user-")))?;
    client.expect_refusal().map(drop)
}

fn presence_by_signin(ground: &Ground<'_>) -> Verdict {
    let (id, channel) = (ground.name("user-"), ground.name("presence-"));
    let mut client = signed_in(ground, &id)?;
    let auth = client.auth(&channel, None);
    client.say("pusher:subscribe", &json!({"channel": channel, "auth": auth}))?;
    let said = client.expect_on(&channel, "pusher_internal:subscription_succeeded")?;
    same("the ids", &said.json()?["presence"]["ids"], &json!([id]))
}

/// Who is said to be online or offline, until somebody is.
fn told(client: &mut Client, name: &str) -> Result<Vec<String>, Deviation> {
    loop {
        let said = client.hear_within(LONG_PATIENCE)?;
        same("the event", &&*said.event, &WATCHLIST)?;
        let data = said.json()?;
        let events = data["events"].as_array().cloned().unwrap_or_default();
        let ids = events
            .iter()
            .filter(|event| event["name"] == name)
            .flat_map(|event| event["user_ids"].as_array().cloned());
        let ids: Vec<String> = ids.flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect();
        if !ids.is_empty() {
            return Ok(ids);
        }
    }
}

fn watchlist_now(ground: &Ground<'_>) -> Verdict {
    let (there, absent) = (ground.name("user-"), ground.name("user-"));
    let _there = signed_in(ground, &there)?;
    let mut client = ground.client()?;
    client.sign_in(&json!({"id": ground.name("user-"), "watchlist": [there, absent]}))?;
    same("who is online", &told(&mut client, "online")?, &vec![there])
}

fn watchlist_changes(ground: &Ground<'_>) -> Verdict {
    let friend = ground.name("user-");
    let mut client = ground.client()?;
    client.sign_in(&json!({"id": ground.name("user-"), "watchlist": [friend]}))?;
    let other = signed_in(ground, &friend)?;
    same("who came", &told(&mut client, "online")?, &vec![friend.clone()])?;
    other.socket.cut();
    same("who went", &told(&mut client, "offline")?, &vec![friend])
}

fn long_watchlist(ground: &Ground<'_>) -> Verdict {
    let list: Vec<String> = (0..101).map(|number| format!("friend-{number}")).collect();
    let mut client = ground.client()?;
    client.ask_to_sign_in(&json!({"id": ground.name("user-"), "watchlist": list}))?;
    let (mut is_in, mut code) = (false, None);
    while !is_in || code.is_none() {
        let said = client.hear()?;
        is_in |= said.event == "pusher:signin_success";
        if said.event == "pusher:error" {
            code = said.whole["data"]["code"].as_u64();
        }
    }
    same("the code", &code, &Some(4302))
}

fn terminate(ground: &Ground<'_>) -> Verdict {
    let id = ground.name("user-");
    let mut client = signed_in(ground, &id)?;
    let path = format!("/users/{id}/terminate_connections");
    ground.rest.ask(&Ask::post(&path, "{}"))?.has_status(200)?;
    loop {
        match client.socket.hear() {
            Heard::Text(_) | Heard::Ping => {}
            Heard::Close(Some((code, _))) => return same("the close code", &code, &4009),
            other => return hold(false, || format!("expected a close with 4009, got {other:?}")),
        }
    }
}
