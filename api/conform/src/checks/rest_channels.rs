//! Questions about channels and their users.

use serde_json::json;

use crate::check::Check;
use crate::ground::Ground;
use crate::rest::Ask;
use crate::verdict::{Verdict, hold, same};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "rest_channels.none_is_an_empty_object", breaks: "PHP and Go fail on a list", play: none },
    Check {
        name: "rest_channels.occupied_ones_are_listed",
        breaks: "getChannels of all server SDKs",
        play: occupied,
    },
    Check {
        name: "rest_channels.user_count_by_prefix",
        breaks: "getChannels with info=user_count",
        play: user_count_by_prefix,
    },
    Check {
        name: "rest_channels.user_count_of_all_is_400",
        breaks: "server SDKs map the status to an error",
        play: user_count_of_all,
    },
    Check {
        name: "rest_channels.unknown_channel_is_not_occupied",
        breaks: "getChannelInfo, which expects 200",
        play: unknown_channel,
    },
    Check { name: "rest_channels.occupied_channel", breaks: "getChannelInfo", play: occupied_channel },
    Check { name: "rest_channels.user_count_counts_users", breaks: "users with two tabs", play: user_count },
    Check {
        name: "rest_channels.subscription_count",
        breaks: "getChannelInfo with info=subscription_count",
        play: subscription_count,
    },
    Check {
        name: "rest_channels.user_count_of_a_plain_channel_is_400",
        breaks: "server SDKs map the status to an error",
        play: user_count_of_plain,
    },
    Check {
        name: "rest_channels.escaped_name",
        breaks: "names with @ and , in SDKs that escape paths",
        play: escaped_name,
    },
    Check {
        name: "rest_channels.users_are_objects_with_string_ids",
        breaks: "Go cannot decode numbers or bare strings",
        play: users,
    },
    Check { name: "rest_channels.no_users_is_an_empty_list", breaks: "Go and PHP", play: no_users },
    Check {
        name: "rest_channels.users_of_a_plain_channel_is_400",
        breaks: "server SDKs map the status to an error",
        play: users_of_plain,
    },
    Check {
        name: "rest_channels.vacated_ones_go",
        breaks: "back ends that publish only where somebody listens",
        play: vacated,
    },
];

fn none(ground: &Ground<'_>) -> Verdict {
    let answer = ground.question("/channels", &[("filter_by_prefix", "conform-nobody-")])?;
    same("the channels", &answer["channels"], &json!({}))
}

fn occupied(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    let answer = ground.question("/channels", &[("filter_by_prefix", &channel)])?;
    hold(answer["channels"].get(&channel).is_some_and(serde_json::Value::is_object), || {
        format!("expected {channel}, got {answer}")
    })
}

fn user_count_by_prefix(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("presence-"));
    client.enter(&channel, &json!({"user_id": "ann"}))?;
    let answer = ground.question("/channels", &[("filter_by_prefix", &channel), ("info", "user_count")])?;
    same("the count", &answer["channels"][&channel]["user_count"], &json!(1))
}

fn user_count_of_all(ground: &Ground<'_>) -> Verdict {
    ground.rest.ask(&Ask::get("/channels", &[("info", "user_count")]))?.has_status(400)
}

fn unknown_channel(ground: &Ground<'_>) -> Verdict {
    let answer = ground.question(&format!("/channels/{}", ground.name("")), &[])?;
    same("occupied", &answer["occupied"], &json!(false))
}

fn occupied_channel(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    same("occupied", &ground.question(&format!("/channels/{channel}"), &[])?["occupied"], &json!(true))
}

fn user_count(ground: &Ground<'_>) -> Verdict {
    let channel = ground.name("presence-");
    let (mut first, mut tab, mut other) = (ground.client()?, ground.client()?, ground.client()?);
    first.enter(&channel, &json!({"user_id": "ann"}))?;
    tab.enter(&channel, &json!({"user_id": "ann"}))?;
    other.enter(&channel, &json!({"user_id": "bob"}))?;
    let answer = ground.question(&format!("/channels/{channel}"), &[("info", "user_count")])?;
    same("the count", &answer["user_count"], &json!(2))
}

fn subscription_count(ground: &Ground<'_>) -> Verdict {
    let (mut first, mut second, channel) = (ground.client()?, ground.client()?, ground.name(""));
    first.subscribe(&channel)?;
    second.subscribe(&channel)?;
    let answer = ground.question(&format!("/channels/{channel}"), &[("info", "subscription_count")])?;
    same("the count", &answer["subscription_count"], &json!(2))
}

fn user_count_of_plain(ground: &Ground<'_>) -> Verdict {
    let path = format!("/channels/{}", ground.name(""));
    ground.rest.ask(&Ask::get(&path, &[("info", "user_count")]))?.has_status(400)
}

fn escaped_name(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("a@b,c;d-"));
    client.subscribe(&channel)?;
    let escaped = channel.replace('@', "%40").replace(',', "%2C").replace(';', "%3B");
    same("occupied", &ground.question(&format!("/channels/{escaped}"), &[])?["occupied"], &json!(true))
}

fn users(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("presence-"));
    client.enter(&channel, &json!({"user_id": "17"}))?;
    let answer = ground.question(&format!("/channels/{channel}/users"), &[])?;
    same("the users", &answer["users"], &json!([{"id": "17"}]))
}

fn no_users(ground: &Ground<'_>) -> Verdict {
    let answer = ground.question(&format!("/channels/{}/users", ground.name("presence-")), &[])?;
    same("the users", &answer["users"], &json!([]))
}

fn users_of_plain(ground: &Ground<'_>) -> Verdict {
    let path = format!("/channels/{}/users", ground.name(""));
    ground.rest.ask(&Ask::get(&path, &[]))?.has_status(400)
}

fn vacated(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name(""));
    client.subscribe(&channel)?;
    client.unsubscribe(&channel)?;
    client.is_alive()?;
    same("occupied", &ground.question(&format!("/channels/{channel}"), &[])?["occupied"], &json!(false))
}
