//! Publishing: one event, many channels, batches, and what is refused.

use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::Ground;
use crate::rest::Ask;
use crate::verdict::{Verdict, hold, same};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "rest_events.answer_is_an_object",
        breaks: "Go and PHP decode an object",
        play: answer_is_an_object,
    },
    Check {
        name: "rest_events.one_channel",
        breaks: "SDKs and scripts that send channel",
        play: one_channel,
    },
    Check { name: "rest_events.many_channels", breaks: "trigger with several channels", play: many_channels },
    Check {
        name: "rest_events.hundred_channels",
        breaks: "trigger with the 100 channels that are documented",
        play: hundred_channels,
    },
    Check {
        name: "rest_events.too_many_channels_are_400",
        breaks: "server SDKs map the status to an error",
        play: too_many_channels,
    },
    Check { name: "rest_events.excludes_a_socket", breaks: "toOthers() of Laravel", play: excludes_a_socket },
    Check {
        name: "rest_events.null_socket_id",
        breaks: "webman's ApiClient, which sends null",
        play: null_socket_id,
    },
    Check {
        name: "rest_events.bad_socket_id_is_400",
        breaks: "events that come back to their sender unnoticed",
        play: bad_socket_id,
    },
    Check {
        name: "rest_events.data_as_object",
        breaks: "webman's ApiClient, which posts objects",
        play: data_as_object,
    },
    Check { name: "rest_events.missing_fields_are_400", breaks: "events that vanish", play: missing_fields },
    Check { name: "rest_events.no_json_is_400", breaks: "events that vanish", play: no_json },
    Check { name: "rest_events.bad_channel_is_400", breaks: "events that vanish", play: bad_channel },
    Check { name: "rest_events.long_event_name_is_400", breaks: "events that vanish", play: long_event_name },
    Check {
        name: "rest_events.large_data_arrives",
        breaks: "the 10 KB that are documented",
        play: large_data,
    },
    Check {
        name: "rest_events.too_large_data_is_413",
        breaks: "server SDKs map the status to an error",
        play: too_large,
    },
    Check {
        name: "rest_events.info_of_channels",
        breaks: "trigger with info in Go and Node",
        play: info_of_channels,
    },
    Check { name: "rest_events.batch", breaks: "triggerBatch of all server SDKs", play: batch },
    Check {
        name: "rest_events.batch_without_info_is_an_object",
        breaks: "Go cannot decode {\"batch\":{}}",
        play: batch_answer,
    },
    Check {
        name: "rest_events.batch_with_info_is_a_list",
        breaks: "Go and Node read infos by place",
        play: batch_with_info,
    },
    Check {
        name: "rest_events.too_many_in_a_batch_are_400",
        breaks: "batches that differ from Pusher's",
        play: too_many_in_a_batch,
    },
    Check {
        name: "rest_events.batch_is_all_or_nothing",
        breaks: "retries that publish some events twice",
        play: all_or_nothing,
    },
];

fn answer_is_an_object(ground: &Ground<'_>) -> Verdict {
    let body = json!({"name": "x", "channels": [ground.name("")], "data": "y"});
    let answer = ground.events(&body)?;
    let is_json = answer.content_type.starts_with("application/json");
    hold(is_json, || format!("expected application/json, got {:?}", answer.content_type))?;
    let json = answer.json()?;
    hold(json.is_object(), || format!("expected an object, got {json}"))
}

fn one_channel(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    ground.events(&json!({"name": "x", "channel": channel, "data": "y"}))?.has_status(200)?;
    client.expect_on(&channel, "x").map(drop)
}

fn many_channels(ground: &Ground<'_>) -> Verdict {
    let (mut client, left, right) = (ground.client()?, ground.name(""), ground.name(""));
    client.subscribe(&left)?;
    client.subscribe(&right)?;
    ground.events(&json!({"name": "x", "channels": [left, right], "data": "y"}))?.has_status(200)?;
    let mut came = [client.expect("x")?.channel().to_owned(), client.expect("x")?.channel().to_owned()];
    let mut wanted = [left, right];
    came.sort_unstable();
    wanted.sort_unstable();
    same("the channels", &came, &wanted)
}

fn to_channels(ground: &Ground<'_>, count: usize) -> Value {
    let channels: Vec<String> = (0..count).map(|_| ground.name("")).collect();
    json!({"name": "x", "channels": channels, "data": "y"})
}

fn hundred_channels(ground: &Ground<'_>) -> Verdict {
    ground.events(&to_channels(ground, 100))?.has_status(200)
}

fn too_many_channels(ground: &Ground<'_>) -> Verdict {
    ground.events(&to_channels(ground, 101))?.has_status(400)
}

fn excludes_a_socket(ground: &Ground<'_>) -> Verdict {
    let (mut sender, mut other, channel) = (ground.client()?, ground.client()?, ground.name(""));
    sender.subscribe(&channel)?;
    other.subscribe(&channel)?;
    let body = json!({"name": "x", "channels": [channel], "data": "y", "socket_id": sender.socket_id});
    ground.events(&body)?.has_status(200)?;
    ground.publish(&channel, "end", "y")?;
    other.expect_on(&channel, "x")?;
    other.expect_on(&channel, "end")?;
    sender.expect_on(&channel, "end").map(drop)
}

fn null_socket_id(ground: &Ground<'_>) -> Verdict {
    ground
        .events(&json!({"name": "x", "channels": [ground.name("")], "data": "y", "socket_id": null}))?
        .has_status(200)
}

fn bad_socket_id(ground: &Ground<'_>) -> Verdict {
    let body =
        json!({"name": "x", "channels": [ground.name("")], "data": "y", "socket_id": "not a socket id"});
    ground.events(&body)?.has_status(400)
}

fn data_as_object(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    ground.events(&json!({"name": "x", "channels": [channel], "data": {"a": [1, 2]}}))?.has_status(200)?;
    let text = client.expect_on(&channel, "x")?.text()?.to_owned();
    same("the data", &serde_json::from_str::<Value>(&text).unwrap_or(Value::Null), &json!({"a": [1, 2]}))
}

/// Each of these is refused with 400.
fn refused(ground: &Ground<'_>, bodies: &[String]) -> Verdict {
    for body in bodies {
        let status = ground.rest.ask(&Ask::post("/events", body))?.status;
        hold(status == 400, || {
            format!("expected 400 for {}, got {status}", body.get(..200).unwrap_or(body))
        })?;
    }
    Ok(())
}

fn missing_fields(ground: &Ground<'_>) -> Verdict {
    let channel = ground.name("");
    let bodies = [
        json!({"channels": [channel], "data": "y"}),
        json!({"name": "x", "data": "y"}),
        json!({"name": "x", "channels": [channel]}),
        json!({"name": "x", "channels": [], "data": "y"}),
        json!({"name": 17, "channels": [channel], "data": "y"}),
    ];
    refused(ground, &bodies.map(|body| body.to_string()))
}

fn no_json(ground: &Ground<'_>) -> Verdict {
    refused(ground, &["{".to_owned(), "hello".to_owned(), "[]".to_owned()])
}

fn bad_channel(ground: &Ground<'_>) -> Verdict {
    let bodies =
        ["with space", "slash/", "<b>", ""].map(|name| json!({"name": "x", "channels": [name], "data": "y"}));
    refused(ground, &bodies.map(|body| body.to_string()))
}

fn long_event_name(ground: &Ground<'_>) -> Verdict {
    refused(
        ground,
        &[json!({"name": "x".repeat(201), "channels": [ground.name("")], "data": "y"}).to_string()],
    )
}

fn large_data(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    let data = "ü".repeat(5120);
    ground.publish(&channel, "large", &data)?;
    same("the bytes of the data", &client.expect_on(&channel, "large")?.text()?.len(), &data.len())
}

fn too_large(ground: &Ground<'_>) -> Verdict {
    let body = json!({"name": "x", "channels": [ground.name("")], "data": "y".repeat(300_000)});
    ground.events(&body)?.has_status(413)
}

fn info_of_channels(ground: &Ground<'_>) -> Verdict {
    let (mut client, presence, plain) = (ground.client()?, ground.name("presence-"), ground.name(""));
    client.enter(&presence, &json!({"user_id": "ann"}))?;
    client.subscribe(&plain)?;
    let info = "user_count,subscription_count";
    let answer = ground
        .events(&json!({"name": "x", "channels": [presence, plain], "data": "y", "info": info}))?
        .json()?;
    same("the members", &answer["channels"][&presence]["user_count"], &json!(1))?;
    same("the subscriptions", &answer["channels"][&plain]["subscription_count"], &json!(1))
}

fn in_batch(ground: &Ground<'_>, batch: &Value) -> Result<crate::rest::Answer, crate::verdict::Deviation> {
    ground.rest.ask(&Ask::post("/batch_events", &json!({"batch": batch}).to_string()))
}

fn batch(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    let event = |number: u32| json!({"name": "x", "channel": channel, "data": number.to_string()});
    in_batch(ground, &json!([event(1), event(2), event(3)]))?.has_status(200)?;
    for number in 1..=3 {
        same("the data", &client.expect_on(&channel, "x")?.text()?, &&*number.to_string())?;
    }
    Ok(())
}

fn batch_answer(ground: &Ground<'_>) -> Verdict {
    let answer =
        in_batch(ground, &json!([{"name": "x", "channel": ground.name(""), "data": "y"}]))?.json()?;
    let is_right = answer.is_object() && (answer.get("batch").is_none() || answer["batch"].is_array());
    hold(is_right, || format!("expected {{}} or a list of infos, got {answer}"))
}

fn batch_with_info(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("presence-"));
    client.enter(&channel, &json!({"user_id": "ann"}))?;
    let plain = json!({"name": "x", "channel": ground.name(""), "data": "y"});
    let asked = json!({"name": "x", "channel": channel, "data": "y", "info": "user_count"});
    let answer = in_batch(ground, &json!([plain, asked]))?.json()?;
    same("the second info", &answer["batch"][1]["user_count"], &json!(1))
}

fn too_many_in_a_batch(ground: &Ground<'_>) -> Verdict {
    let events: Vec<Value> =
        (0..11).map(|_| json!({"name": "x", "channel": ground.name(""), "data": "y"})).collect();
    in_batch(ground, &json!(events))?.has_status(400)
}

fn all_or_nothing(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    let good = json!({"name": "good", "channel": channel, "data": "y"});
    in_batch(ground, &json!([good, {"name": "x", "channel": "bad channel", "data": "y"}]))?
        .has_status(400)?;
    ground.publish(&channel, "end", "y")?;
    client.expect_on(&channel, "end").map(drop)
}
