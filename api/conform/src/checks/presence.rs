//! Presence channels: who is there, and who is told of whom.

use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::Ground;
use crate::limits::LONG_PATIENCE;
use crate::verdict::{Deviation, Verdict, hold, same};

const SUCCEEDED: &str = "pusher_internal:subscription_succeeded";
const ADDED: &str = "pusher_internal:member_added";
const REMOVED: &str = "pusher_internal:member_removed";

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "presence.list_has_the_joiner",
        breaks: "pusher-js and Echo: members.me, here()",
        play: list_has_the_joiner,
    },
    Check {
        name: "presence.list_is_in_a_string",
        breaks: "Swift and Java read no members",
        play: list_is_in_a_string,
    },
    Check { name: "presence.list_has_the_others", breaks: "here() of Echo", play: list_has_the_others },
    Check {
        name: "presence.ids_are_strings",
        breaks: "clients in Go, Swift and Java on numeric ids",
        play: ids_are_strings,
    },
    Check {
        name: "presence.hash_is_an_object_for_0_and_1",
        breaks: "PHP servers make a list of it",
        play: hash_is_an_object,
    },
    Check {
        name: "presence.info_of_any_shape",
        breaks: "users without info, or with a text or a list",
        play: info_of_any_shape,
    },
    Check {
        name: "presence.others_are_told",
        breaks: "joining() of Echo, member_added",
        play: others_are_told,
    },
    Check {
        name: "presence.member_events_are_strings",
        breaks: "push.js and Swift",
        play: member_events_are_strings,
    },
    Check {
        name: "presence.joiner_is_not_told_of_itself",
        breaks: "pages that count members",
        play: joiner_is_not_told,
    },
    Check {
        name: "presence.second_connection_is_no_second_member",
        breaks: "users with two tabs",
        play: second_connection,
    },
    Check {
        name: "presence.last_connection_leaves",
        breaks: "users with two tabs, who leave when one is closed",
        play: last_connection_leaves,
    },
    Check {
        name: "presence.cut_connection_leaves",
        breaks: "leaving() of Echo when a network fails",
        play: cut_connection_leaves,
    },
    Check {
        name: "presence.without_channel_data_is_refused",
        breaks: "members without an id",
        play: without_channel_data,
    },
    Check {
        name: "presence.without_user_id_is_refused",
        breaks: "members without an id",
        play: without_user_id,
    },
    Check {
        name: "presence.wrong_signature_is_refused",
        breaks: "anybody can be anybody",
        play: wrong_signature,
    },
    Check {
        name: "presence.changed_channel_data_is_refused",
        breaks: "anybody can be anybody",
        play: changed_channel_data,
    },
];

fn member(id: &str) -> Value {
    json!({"user_id": id, "user_info": {"name": format!("User {id}")}})
}

fn list_has_the_joiner(ground: &Ground<'_>) -> Verdict {
    let list = ground.client()?.enter(&ground.name("presence-"), &member("ann"))?;
    same("the members", &list, &json!({"count": 1, "ids": ["ann"], "hash": {"ann": {"name": "User ann"}}}))
}

fn list_is_in_a_string(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("presence-"));
    client.ask_as(&channel, &member("ann"))?;
    client.expect_on(&channel, SUCCEEDED)?.text().map(drop)
}

fn list_has_the_others(ground: &Ground<'_>) -> Verdict {
    let (mut first, mut second, channel) = (ground.client()?, ground.client()?, ground.name("presence-"));
    first.enter(&channel, &member("ann"))?;
    let list = second.enter(&channel, &member("bob"))?;
    same("the count", &list["count"], &json!(2))?;
    same("the hash", &list["hash"], &json!({"ann": {"name": "User ann"}, "bob": {"name": "User bob"}}))?;
    let mut ids: Vec<&str> = list["ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    ids.sort_unstable();
    same("the ids", &ids, &vec!["ann", "bob"])
}

fn ids_are_strings(ground: &Ground<'_>) -> Verdict {
    let list = ground.client()?.enter(&ground.name("presence-"), &json!({"user_id": 17, "user_info": {}}))?;
    same("the ids", &list["ids"], &json!(["17"]))?;
    same("the hash", &list["hash"], &json!({"17": {}}))
}

fn hash_is_an_object(ground: &Ground<'_>) -> Verdict {
    let (mut first, mut second, channel) = (ground.client()?, ground.client()?, ground.name("presence-"));
    first.enter(&channel, &member("0"))?;
    let list = second.enter(&channel, &member("1"))?;
    same("the hash", &list["hash"], &json!({"0": {"name": "User 0"}, "1": {"name": "User 1"}}))
}

fn info_of_any_shape(ground: &Ground<'_>) -> Verdict {
    for info in [Value::Null, json!("a text"), json!(["a", 1]), json!(17)] {
        let data = json!({"user_id": "ann", "user_info": info});
        let list = ground.client()?.enter(&ground.name("presence-"), &data)?;
        same("the info", &list["hash"]["ann"], &info)?;
    }
    let list = ground.client()?.enter(&ground.name("presence-"), &json!({"user_id": "ann"}))?;
    let info = &list["hash"]["ann"];
    hold(info.is_null() || *info == json!({}), || {
        format!("the info of a user without: expected null, got {info}")
    })
}

fn others_are_told(ground: &Ground<'_>) -> Verdict {
    let (mut first, mut second, channel) = (ground.client()?, ground.client()?, ground.name("presence-"));
    first.enter(&channel, &member("ann"))?;
    second.enter(&channel, &member("bob"))?;
    same("the member", &first.expect_on(&channel, ADDED)?.json()?, &member("bob"))
}

fn member_events_are_strings(ground: &Ground<'_>) -> Verdict {
    let (mut first, mut second, channel) = (ground.client()?, ground.client()?, ground.name("presence-"));
    first.enter(&channel, &member("ann"))?;
    second.enter(&channel, &member("bob"))?;
    first.expect_on(&channel, ADDED)?.text()?;
    second.unsubscribe(&channel)?;
    let said = first.hear_within(LONG_PATIENCE)?;
    same("the event", &&*said.event, &REMOVED)?;
    said.text().map(drop)
}

fn joiner_is_not_told(ground: &Ground<'_>) -> Verdict {
    let mut client = ground.client()?;
    client.enter(&ground.name("presence-"), &member("ann"))?;
    client.hears_nothing_more()
}

fn second_connection(ground: &Ground<'_>) -> Verdict {
    let (mut first, mut again, channel) = (ground.client()?, ground.client()?, ground.name("presence-"));
    first.enter(&channel, &member("ann"))?;
    let list = again.enter(&channel, &member("ann"))?;
    same("the count", &list["count"], &json!(1))?;
    ground.publish(&channel, "end", "x")?;
    first.expect_on(&channel, "end").map(drop)
}

fn last_connection_leaves(ground: &Ground<'_>) -> Verdict {
    let (mut watcher, mut tab, mut other) = (ground.client()?, ground.client()?, ground.client()?);
    let channel = ground.name("presence-");
    watcher.enter(&channel, &member("ann"))?;
    tab.enter(&channel, &member("bob"))?;
    other.enter(&channel, &member("bob"))?;
    watcher.expect_on(&channel, ADDED)?;
    tab.unsubscribe(&channel)?;
    tab.is_alive()?;
    ground.publish(&channel, "still-there", "x")?;
    watcher.expect_on(&channel, "still-there")?;
    other.unsubscribe(&channel)?;
    is_told_of_leaving(&mut watcher, "bob")
}

fn is_told_of_leaving(watcher: &mut crate::client::Client, id: &str) -> Result<(), Deviation> {
    let said = watcher.hear_within(LONG_PATIENCE)?;
    same("the event", &&*said.event, &REMOVED)?;
    same("the user", &said.json()?["user_id"], &json!(id))
}

fn cut_connection_leaves(ground: &Ground<'_>) -> Verdict {
    let (mut watcher, mut other, channel) = (ground.client()?, ground.client()?, ground.name("presence-"));
    watcher.enter(&channel, &member("ann"))?;
    other.enter(&channel, &member("bob"))?;
    watcher.expect_on(&channel, ADDED)?;
    other.socket.cut();
    is_told_of_leaving(&mut watcher, "bob")
}

fn without_channel_data(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("presence-"));
    let auth = client.auth(&channel, None);
    client.say("pusher:subscribe", &json!({"channel": channel, "auth": auth}))?;
    client.expect_refusal().map(drop)
}

fn without_user_id(ground: &Ground<'_>) -> Verdict {
    for data in [json!({"user_info": {}}), json!({"user_id": ""}), json!({"user_id": null}), json!(["ann"])] {
        let mut client = ground.client()?;
        client.ask_as(&ground.name("presence-"), &data)?;
        let said = client.hear()?;
        hold(said.is_refusal(), || format!("expected {data} to be refused, got {}", said.whole))?;
    }
    Ok(())
}

fn wrong_signature(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("presence-"));
    let auth = format!("{}:{}", ground.app().key(), "0".repeat(64));
    let data = member("ann").to_string();
    client.say("pusher:subscribe", &json!({"channel": channel, "auth": auth, "channel_data": data}))?;
    client.expect_refusal().map(drop)
}

fn changed_channel_data(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("presence-"));
    let auth = client.auth(&channel, Some(&member("ann").to_string()));
    let data = member("bob").to_string();
    client.say("pusher:subscribe", &json!({"channel": channel, "auth": auth, "channel_data": data}))?;
    client.expect_refusal().map(drop)
}
