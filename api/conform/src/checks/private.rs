//! Private and encrypted channels: who is let in, and how a refusal is told.

use serde_json::json;

use crate::check::Check;
use crate::client::Client;
use crate::ground::Ground;
use crate::verdict::{Deviation, Verdict, hold, same};

const SUCCEEDED: &str = "pusher_internal:subscription_succeeded";

pub(super) const CHECKS: &[Check] = &[
    Check { name: "private.right_signature", breaks: "every client", play: right_signature },
    Check {
        name: "private.channel_data_in_the_signature",
        breaks: "Java, which sends channel_data whenever it has it",
        play: with_channel_data,
    },
    Check {
        name: "private.missing_auth_is_refused",
        breaks: "secrecy of every private channel",
        play: missing_auth,
    },
    Check {
        name: "private.wrong_signature_is_refused",
        breaks: "secrecy of every private channel",
        play: wrong_signature,
    },
    Check { name: "private.foreign_key_is_refused", breaks: "secrecy between apps", play: foreign_key },
    Check {
        name: "private.another_socket_id_is_refused",
        breaks: "a signature that was overheard lets others in",
        play: another_socket_id,
    },
    Check {
        name: "private.another_channel_is_refused",
        breaks: "a signature for one channel opens all",
        play: another_channel,
    },
    Check {
        name: "private.refusal_keeps_the_connection",
        breaks: "all other channels of the page",
        play: refusal_keeps,
    },
    Check {
        name: "private.refused_hear_nothing",
        breaks: "secrecy of every private channel",
        play: refused_hear_nothing,
    },
    Check {
        name: "private.encrypted_is_passed_on_untouched",
        breaks: "clients that decrypt",
        play: encrypted,
    },
];

fn right_signature(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("private-"));
    client.subscribe(&channel)?;
    ground.publish(&channel, "x", "y")?;
    client.expect_on(&channel, "x").map(drop)
}

fn with_channel_data(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("private-"));
    client.ask_as(&channel, &json!({"user_id": "7"}))?;
    client.expect_on(&channel, SUCCEEDED).map(drop)
}

/// A client that asked with this auth and was refused.
fn refused(
    ground: &Ground<'_>,
    channel: &str,
    auth: impl Fn(&Client) -> Option<String>,
) -> Result<Client, Deviation> {
    let mut client = ground.client()?;
    let auth = auth(&client);
    client.say("pusher:subscribe", &json!({"channel": channel, "auth": auth}))?;
    client.expect_refusal()?;
    Ok(client)
}

fn missing_auth(ground: &Ground<'_>) -> Verdict {
    refused(ground, &ground.name("private-"), |_| None)?;
    refused(ground, &ground.name("private-"), |_| Some(String::new())).map(drop)
}

fn wrong_signature(ground: &Ground<'_>) -> Verdict {
    let key = ground.app().key();
    refused(ground, &ground.name("private-"), |_| Some(format!("{key}:{}", "0".repeat(64)))).map(drop)
}

fn foreign_key(ground: &Ground<'_>) -> Verdict {
    let channel = ground.name("private-");
    refused(ground, &channel, |client| {
        Some(client.auth(&channel, None).replacen(ground.app().key(), "other-key", 1))
    })
    .map(drop)
}

fn another_socket_id(ground: &Ground<'_>) -> Verdict {
    let (other, channel) = (ground.client()?, ground.name("private-"));
    refused(ground, &channel, |_| Some(other.auth(&channel, None))).map(drop)
}

fn another_channel(ground: &Ground<'_>) -> Verdict {
    let (channel, other) = (ground.name("private-"), ground.name("private-"));
    refused(ground, &channel, |client| Some(client.auth(&other, None))).map(drop)
}

fn refusal_keeps(ground: &Ground<'_>) -> Verdict {
    let mut client = refused(ground, &ground.name("private-"), |_| Some("nonsense".to_owned()))?;
    client.is_alive()?;
    client.subscribe(&ground.name("")).map(drop)
}

fn refused_hear_nothing(ground: &Ground<'_>) -> Verdict {
    let channel = ground.name("private-");
    let mut client = refused(ground, &channel, |_| None)?;
    let plain = ground.name("");
    client.ask_for(&plain)?;
    while client.hear()?.event != SUCCEEDED {}
    ground.publish(&channel, "secret", "x")?;
    ground.publish(&plain, "end", "x")?;
    let said = client.hear()?;
    hold(said.event == "end", || format!("expected nothing of the channel, got {}", said.whole))
}

fn encrypted(ground: &Ground<'_>) -> Verdict {
    let (mut client, channel) = (ground.client()?, ground.name("private-encrypted-"));
    client.subscribe(&channel)?;
    let data = r#"{"nonce":"4sVYwy4j/8dCcjyxtPCWyk19GaaViaW9","ciphertext":"/GMESnFGlbNn01BuBjp31XYa3i9vZsGKR8fgR9EDhXKx3lzGiUD501A="}"#;
    ground.publish(&channel, "secret", data)?;
    same("the data", &client.expect_on(&channel, "secret")?.text()?, &data)
}
