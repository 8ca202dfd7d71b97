//! Cache channels: the last event, for those who come later.

use serde_json::json;

use crate::check::Check;
use crate::ground::Ground;
use crate::rest::Ask;
use crate::verdict::{Verdict, hold, same};

const MISS: &str = "pusher:cache_miss";

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "cache.miss_is_told",
        breaks: "pages that ask their back end after a miss",
        play: miss_is_told,
    },
    Check {
        name: "cache.last_event_comes_behind_the_acknowledgement",
        breaks: "pages that show the last value at once",
        play: last_event,
    },
    Check {
        name: "cache.the_last_of_several",
        breaks: "pages that show the last value at once",
        play: last_of_several,
    },
    Check { name: "cache.private", breaks: "private-cache- channels", play: private },
    Check { name: "cache.presence_has_members", breaks: "presence-cache- channels", play: presence },
    Check { name: "cache.encrypted", breaks: "private-encrypted-cache- channels", play: encrypted },
    Check {
        name: "cache.prefix_alone_counts",
        breaks: "channels with -cache- in the middle get events that they did not ask for",
        play: prefix_alone,
    },
    Check {
        name: "cache.client_events_are_not_kept",
        breaks: "one client decides what newcomers see",
        play: client_events,
    },
    Check { name: "cache.rest_tells_it", breaks: "back ends that ask with info=cache", play: rest_tells_it },
];

fn miss_is_told(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("cache-"));
    client.subscribe(&channel)?;
    client.expect_on(&channel, MISS).map(drop)
}

/// Publishes, and waits until the channel has it: the answer to a publish says only that the event was accepted.
fn keep(ground: &Ground<'_>, channel: &str, data: &str) -> Verdict {
    ground.publish(channel, "value", data)?;
    // Whatever the answer is, it comes from where the channel lives.
    ground.rest.ask(&Ask::get(&format!("/channels/{channel}"), &[]))?;
    Ok(())
}

/// Whoever subscribes later gets the event.
fn is_kept(ground: &Ground<'_>, channel: &str, data: &str) -> Verdict {
    keep(ground, channel, data)?;
    let mut client = ground.client()?;
    client.subscribe(channel)?;
    same("the data", &client.expect_on(channel, "value")?.text()?, &data)?;
    ground.publish(channel, "later", "x")?;
    client.expect_on(channel, "later").map(drop)
}

fn last_event(ground: &Ground<'_>) -> Verdict {
    is_kept(ground, &ground.name("cache-"), "1")
}

fn last_of_several(ground: &Ground<'_>) -> Verdict {
    let channel = ground.name("cache-");
    ground.publish(&channel, "old", "1")?;
    is_kept(ground, &channel, "2")
}

fn private(ground: &Ground<'_>) -> Verdict {
    is_kept(ground, &ground.name("private-cache-"), "1")
}

fn presence(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("presence-cache-"));
    keep(ground, &channel, "1")?;
    let list = client.enter(&channel, &json!({"user_id": "ann", "user_info": {}}))?;
    same("the members", &list, &json!({"count": 1, "ids": ["ann"], "hash": {"ann": {}}}))?;
    client.expect_on(&channel, "value").map(drop)
}

fn encrypted(ground: &Ground<'_>) -> Verdict {
    is_kept(ground, &ground.name("private-encrypted-cache-"), r#"{"nonce":"x","ciphertext":"y"}"#)
}

fn prefix_alone(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("my-cache-"));
    keep(ground, &channel, "1")?;
    client.subscribe(&channel)?;
    client.hears_nothing_more()
}

fn client_events(ground: &Ground<'_>) -> Verdict {
    let (mut sender, mut other, channel) =
        (ground.client()?, ground.client()?, ground.name("private-cache-"));
    sender.subscribe(&channel)?;
    sender.expect_on(&channel, MISS)?;
    sender.say_on(&channel, "client-x", &json!({}))?;
    sender.is_alive()?;
    other.subscribe(&channel)?;
    other.expect_on(&channel, MISS).map(drop)
}

fn rest_tells_it(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("cache-"));
    client.subscribe(&channel)?;
    let path = format!("/channels/{channel}");
    let before = ground.question(&path, &[("info", "cache")])?;
    hold(before.get("cache").is_some_and(serde_json::Value::is_null), || {
        format!("before: expected \"cache\": null, got {before}")
    })?;
    keep(ground, &channel, "17")?;
    let after = ground.question(&path, &[("info", "cache")])?;
    same("the cached data", &after["cache"]["data"], &json!("17"))?;
    hold(after["cache"]["ttl"].is_u64(), || format!("expected a ttl in seconds, got {after}"))
}
