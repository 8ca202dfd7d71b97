//! Events that clients send to each other.

use serde_json::{Value, json};

use crate::check::Check;
use crate::client::Client;
use crate::ground::Ground;
use crate::verdict::{Deviation, Verdict, hold, same};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "client_events.reach_the_others", breaks: "whispers of Echo", play: reach_the_others },
    Check {
        name: "client_events.not_the_sender",
        breaks: "chats that show each line twice",
        play: not_the_sender,
    },
    Check {
        name: "client_events.keep_their_names",
        breaks: "pages with two kinds of client events",
        play: keep_their_names,
    },
    Check {
        name: "client_events.object_as_data",
        breaks: "pusher-js, which sends objects",
        play: object_as_data,
    },
    Check { name: "client_events.string_as_data", breaks: "clients that send strings", play: string_as_data },
    Check {
        name: "client_events.user_id_on_presence",
        breaks: "pages that show who it was",
        play: user_id_on_presence,
    },
    Check {
        name: "client_events.refused_on_plain_channels",
        breaks: "anybody can send to everybody",
        play: refused_on_plain,
    },
    Check {
        name: "client_events.refused_without_subscription",
        breaks: "anybody can send to private channels",
        play: refused_without_subscription,
    },
    Check {
        name: "client_events.refused_without_prefix",
        breaks: "clients can forge events of the server",
        play: refused_without_prefix,
    },
    Check {
        name: "client_events.refusal_keeps_the_connection",
        breaks: "all channels of the page",
        play: refusal_keeps,
    },
];

/// Two clients on one private channel.
fn pair(ground: &Ground<'_>) -> Result<(Client, Client, String), Deviation> {
    let (mut sender, mut other, channel) = (ground.client()?, ground.client()?, ground.name("private-"));
    sender.subscribe(&channel)?;
    other.subscribe(&channel)?;
    Ok((sender, other, channel))
}

fn reach_the_others(ground: &Ground<'_>) -> Verdict {
    let (mut sender, mut other, channel) = pair(ground)?;
    sender.say_on(&channel, "client-typing", &json!({"who": "ann"}))?;
    let said = other.expect_on(&channel, "client-typing")?;
    same("the data", &said.json()?, &json!({"who": "ann"}))
}

fn not_the_sender(ground: &Ground<'_>) -> Verdict {
    let (mut sender, mut other, channel) = pair(ground)?;
    sender.say_on(&channel, "client-typing", &json!({}))?;
    other.expect_on(&channel, "client-typing")?;
    sender.hears_nothing_more()
}

fn keep_their_names(ground: &Ground<'_>) -> Verdict {
    let (mut sender, mut other, channel) = pair(ground)?;
    sender.say_on(&channel, "client-first", &json!({"n": 1}))?;
    sender.say_on(&channel, "client-second", &json!({"n": 2}))?;
    other.expect_on(&channel, "client-first")?;
    other.expect_on(&channel, "client-second").map(drop)
}

fn arrives(ground: &Ground<'_>, data: &Value) -> Verdict {
    let (mut sender, mut other, channel) = pair(ground)?;
    sender.say_on(&channel, "client-data", data)?;
    let said = other.expect_on(&channel, "client-data")?;
    // As it was sent, or as JSON in a string: every SDK reads both.
    let as_text = said.whole["data"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    hold(said.whole["data"] == *data || as_text.as_ref() == Some(data), || {
        format!("expected {data}, got {}", said.whole)
    })
}

fn object_as_data(ground: &Ground<'_>) -> Verdict {
    arrives(ground, &json!({"a": [1, "two", null], "b": {"c": 1.5}}))
}

fn string_as_data(ground: &Ground<'_>) -> Verdict {
    arrives(ground, &json!("a text"))
}

fn user_id_on_presence(ground: &Ground<'_>) -> Verdict {
    let (mut sender, mut other, channel) = (ground.client()?, ground.client()?, ground.name("presence-"));
    other.enter(&channel, &json!({"user_id": "bob"}))?;
    sender.enter(&channel, &json!({"user_id": "ann"}))?;
    other.expect_on(&channel, "pusher_internal:member_added")?;
    sender.say_on(&channel, "client-hi", &json!({}))?;
    let said = other.expect_on(&channel, "client-hi")?;
    same("the user_id", &said.whole["user_id"], &json!("ann"))
}

/// Nobody on the channel hears an event that this client should not be able to send.
fn reaches_nobody(ground: &Ground<'_>, channel: &str, sender: &mut Client, event: &str) -> Verdict {
    let mut other = ground.client()?;
    other.subscribe(channel)?;
    sender.say_on(channel, event, &json!({"forged": true}))?;
    sender.is_alive()?;
    ground.publish(channel, "end", "x")?;
    other.expect_on(channel, "end").map(drop)
}

fn refused_on_plain(ground: &Ground<'_>) -> Verdict {
    let (mut sender, channel) = (ground.client()?, ground.name(""));
    sender.subscribe(&channel)?;
    let mut other = ground.client()?;
    other.subscribe(&channel)?;
    sender.say_on(&channel, "client-x", &json!({}))?;
    sender.expect_refusal()?;
    ground.publish(&channel, "end", "x")?;
    other.expect_on(&channel, "end").map(drop)
}

fn refused_without_subscription(ground: &Ground<'_>) -> Verdict {
    reaches_nobody(ground, &ground.name("private-"), &mut ground.client()?, "client-x")
}

fn refused_without_prefix(ground: &Ground<'_>) -> Verdict {
    for event in ["news", "xclient-y", "pusher:forged", "pusher_internal:member_added"] {
        let (mut sender, channel) = (ground.client()?, ground.name("private-"));
        sender.subscribe(&channel)?;
        reaches_nobody(ground, &channel, &mut sender, event)?;
    }
    Ok(())
}

fn refusal_keeps(ground: &Ground<'_>) -> Verdict {
    let (mut sender, channel) = (ground.client()?, ground.name(""));
    sender.subscribe(&channel)?;
    sender.say_on(&channel, "client-x", &json!({}))?;
    sender.is_alive()
}
