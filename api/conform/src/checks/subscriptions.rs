//! Subscribing and unsubscribing, and events of the server on plain channels.

use serde_json::json;

use crate::check::Check;
use crate::ground::Ground;
use crate::verdict::{Verdict, hold, same};

const SUCCEEDED: &str = "pusher_internal:subscription_succeeded";

pub(super) const CHECKS: &[Check] = &[
    Check { name: "subscriptions.acknowledged", breaks: "every client", play: acknowledged },
    Check {
        name: "subscriptions.acknowledgement_is_a_string",
        breaks: "Swift calls no success callback and sends no client events",
        play: acknowledgement_is_a_string,
    },
    Check {
        name: "subscriptions.without_auth",
        breaks: "clients that send no auth for plain channels",
        play: without_auth,
    },
    Check {
        name: "subscriptions.null_auth",
        breaks: "clients that send null for what is not there",
        play: null_auth,
    },
    Check { name: "subscriptions.event_arrives", breaks: "every client", play: event_arrives },
    Check {
        name: "subscriptions.event_data_is_verbatim",
        breaks: "data that is no JSON, or whose text is signed or encrypted",
        play: data_is_verbatim,
    },
    Check { name: "subscriptions.every_script", breaks: "every language but English", play: every_script },
    Check {
        name: "subscriptions.nothing_before_the_acknowledgement",
        breaks: "clients that ignore channels which they are not on yet",
        play: nothing_before,
    },
    Check {
        name: "subscriptions.order_of_one_publisher",
        breaks: "dashboards that show the last value",
        play: order,
    },
    Check {
        name: "subscriptions.all_allowed_characters",
        breaks: "names with _-=@,.;",
        play: allowed_characters,
    },
    Check {
        name: "subscriptions.longest_name",
        breaks: "names of 164 characters, which the documentation allows",
        play: longest_name,
    },
    Check {
        name: "subscriptions.bad_names_are_refused",
        breaks: "names that the REST API refuses later",
        play: bad_names,
    },
    Check { name: "subscriptions.twice_is_delivered_once", breaks: "pages that count events", play: twice },
    Check { name: "subscriptions.unsubscribe_ends_events", breaks: "every client", play: unsubscribe },
    Check {
        name: "subscriptions.again_after_unsubscribe",
        breaks: "pages that come back to a channel",
        play: again,
    },
    Check {
        name: "subscriptions.unknown_unsubscribe_keeps_the_connection",
        breaks: "clients that unsubscribe twice",
        play: unknown_unsubscribe,
    },
    Check {
        name: "subscriptions.prefix_without_hyphen_is_plain",
        breaks: "plain channels whose names begin with private or presence",
        play: no_hyphen,
    },
    Check {
        name: "subscriptions.channels_do_not_mix",
        breaks: "every client with two channels",
        play: no_mixing,
    },
    Check {
        name: "subscriptions.names_have_case",
        breaks: "two channels whose names differ in case",
        play: case,
    },
];

fn acknowledged(ground: &Ground<'_>) -> Verdict {
    ground.client()?.subscribe(&ground.name("")).map(drop)
}

fn acknowledgement_is_a_string(ground: &Ground<'_>) -> Verdict {
    let said = ground.client()?.subscribe(&ground.name(""))?;
    said.text().map(drop)
}

fn subscribes_with(ground: &Ground<'_>, data: &serde_json::Value) -> Verdict {
    let mut client = ground.client()?;
    client.say("pusher:subscribe", data)?;
    client.expect(SUCCEEDED).map(drop)
}

fn without_auth(ground: &Ground<'_>) -> Verdict {
    subscribes_with(ground, &json!({"channel": ground.name("")}))
}

fn null_auth(ground: &Ground<'_>) -> Verdict {
    subscribes_with(ground, &json!({"channel": ground.name(""), "auth": null, "channel_data": null}))
}

fn event_arrives(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    ground.publish(&channel, "greeting", r#"{"text":"hello"}"#)?;
    let said = client.expect_on(&channel, "greeting")?;
    same("the data", &said.text()?, &r#"{"text":"hello"}"#)
}

fn arrives_as_it_is(ground: &Ground<'_>, texts: &[&str]) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    for text in texts {
        ground.publish(&channel, "text", text)?;
        same("the data", &client.expect_on(&channel, "text")?.text()?, text)?;
    }
    Ok(())
}

fn data_is_verbatim(ground: &Ground<'_>) -> Verdict {
    arrives_as_it_is(
        ground,
        &["plain words", r#"{ "b" : 1.0 , "a":[ ] }"#, "17", "\"x\"", "{broken", "\\ \" / \n \t"],
    )
}

fn every_script(ground: &Ground<'_>) -> Verdict {
    arrives_as_it_is(
        ground,
        &[
            "你好,世界",
            "مرحبا",
            "Žluťoučký kůň",
            "\u{1f469}\u{200d}\u{1f680} \u{1f600}",
            "\u{2028}\u{0}\u{7f}",
        ],
    )
}

fn nothing_before(ground: &Ground<'_>) -> Verdict {
    // Of many tries one may show it. `hear` in `subscribe` fails if an event comes first.
    for _ in 0..10 {
        let (mut client, channel) = (ground.client()?, ground.name(""));
        client.ask_for(&channel)?;
        ground.publish(&channel, "early", "x")?;
        client.expect_on(&channel, SUCCEEDED)?;
    }
    Ok(())
}

fn order(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    for number in 0..30 {
        ground.publish(&channel, "number", &number.to_string())?;
    }
    for number in 0..30 {
        same("the data", &client.expect_on(&channel, "number")?.text()?, &&*number.to_string())?;
    }
    Ok(())
}

/// An event on this channel arrives.
fn works(ground: &Ground<'_>, channel: &str) -> Verdict {
    let mut client = ground.client()?;
    client.subscribe(channel)?;
    ground.publish(channel, "x", "y")?;
    client.expect_on(channel, "x").map(drop)
}

fn allowed_characters(ground: &Ground<'_>) -> Verdict {
    works(ground, &ground.name("aZ09_-=@,.;"))
}

fn longest_name(ground: &Ground<'_>) -> Verdict {
    let name = ground.name("long-");
    works(ground, &format!("{name}{}", "x".repeat(164 - name.len())))
}

fn bad_names(ground: &Ground<'_>) -> Verdict {
    for name in ["with space", "slash/", "hash#", "umlaut-ü", "<b>", ""] {
        let mut client = ground.client()?;
        client.say("pusher:subscribe", &json!({"channel": name, "auth": ""}))?;
        let said = client.hear()?;
        hold(said.is_refusal(), || format!("expected {name:?} to be refused, got {}", said.whole))?;
    }
    Ok(())
}

fn twice(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    client.ask_for(&channel)?;
    // Some refuse it, some acknowledge it anew.
    client.say("pusher:ping", &json!({}))?;
    while client.hear()?.event != "pusher:pong" {}
    ground.publish(&channel, "once", "x")?;
    ground.publish(&channel, "end", "x")?;
    client.expect_on(&channel, "once")?;
    client.expect_on(&channel, "end").map(drop)
}

fn unsubscribe(ground: &Ground<'_>) -> Verdict {
    let (mut client, gone, stays) = (ground.client()?, ground.name(""), ground.name(""));
    client.subscribe(&gone)?;
    client.subscribe(&stays)?;
    client.unsubscribe(&gone)?;
    client.say("pusher:ping", &json!({}))?;
    // An acknowledgement of it is webman's, and harms nobody.
    while client.hear()?.event != "pusher:pong" {}
    ground.publish(&gone, "x", "y")?;
    ground.publish(&stays, "end", "y")?;
    client.expect_on(&stays, "end").map(drop)
}

fn again(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    client.unsubscribe(&channel)?;
    client.ask_for(&channel)?;
    while client.hear()?.event != SUCCEEDED {}
    ground.publish(&channel, "x", "y")?;
    client.expect_on(&channel, "x").map(drop)
}

fn unknown_unsubscribe(ground: &Ground<'_>) -> Verdict {
    let mut client = ground.client()?;
    client.unsubscribe(&ground.name(""))?;
    client.is_alive()
}

fn no_hyphen(ground: &Ground<'_>) -> Verdict {
    for prefix in ["private", "presence", "Private-", "my-private-"] {
        let (mut client, channel) = (ground.client()?, ground.name(prefix).replacen("conform-", "", 1));
        client.say("pusher:subscribe", &json!({"channel": channel, "auth": ""}))?;
        client.expect_on(&channel, SUCCEEDED)?;
    }
    Ok(())
}

fn no_mixing(ground: &Ground<'_>) -> Verdict {
    let (mut first, mut second) = (ground.client()?, ground.client()?);
    let (left, right) = (ground.name(""), ground.name(""));
    first.subscribe(&left)?;
    second.subscribe(&right)?;
    ground.publish(&left, "left", "x")?;
    ground.publish(&right, "right", "x")?;
    first.expect_on(&left, "left")?;
    second.expect_on(&right, "right")?;
    first.hears_nothing_more()
}

fn case(ground: &Ground<'_>) -> Verdict {
    let (mut client, lower) = (ground.client()?, ground.name("case-"));
    let upper = lower.to_uppercase();
    client.subscribe(&lower)?;
    ground.publish(&upper, "upper", "x")?;
    ground.publish(&lower, "lower", "x")?;
    client.expect_on(&lower, "lower").map(drop)
}
