//! Subscribing to public and private channels, and unsubscribing.

use crate::rig::client::{Client, data_of};
use crate::rig::server::{Server, shared};
use crate::rig::{OTHER_KEY, app, other_app};
use protocol::auth::sign_subscription;
use serde_json::{Value, json};

fn subscribe_with(client: &mut Client, channel: &str, auth: &str) {
    client.say(&json!({"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth}}));
}

#[test]
fn a_public_channel_needs_no_auth() {
    let server = shared();
    let mut client = server.connect();
    let channel = "public-channel";
    let succeeded = client.subscribe(channel);
    assert_eq!(succeeded["data"], "{}", "{succeeded}");
    server.publish(channel, "news", r#"{"a":1}"#);
    client.expect(channel, "news", r#"{"a":1}"#);
}

#[test]
fn every_way_to_write_a_subscribe_is_understood() {
    let server = shared();
    let table = [
        r#"{"event":"pusher:subscribe","data":{"channel":"way"}}"#,
        r#"{"event":"pusher:subscribe","data":{"auth":"","channel":"way"}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"way","auth":null,"channel_data":null}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"way","channel_data":[]}}"#,
        r#"{"data":"{\"channel\":\"way\"}","event":"pusher:subscribe"}"#,
        r#" { "event" : "pusher\u003asubscribe" , "data" : { "channel" : "\u0077ay" , "more" : [ 1 ] } } "#,
    ];
    for written in table {
        let mut client = server.connect();
        client.say_text(written);
        let succeeded = client.hear_event("pusher_internal:subscription_succeeded");
        assert_eq!((&succeeded["channel"], &succeeded["data"]), (&json!("way"), &json!("{}")), "{written}");
    }
}

#[test]
fn subscribers_on_every_shard_hear_what_is_published() {
    let server = shared();
    let mut clients = server.connect_to_each_shard();
    // One of these names is at home on each shard, whatever the seed of this run.
    for number in 0..30 {
        let channel = format!("homed-{number}");
        for client in &mut clients {
            client.subscribe(&channel);
        }
        server.publish(&channel, "news", "x");
        for client in &mut clients {
            client.expect(&channel, "news", "x");
        }
    }
}

#[test]
fn a_right_signature_opens_a_private_channel() {
    let server = shared();
    for channel in ["private-good", "private-encrypted-good", "private-a,b.c;d@e=f_g"] {
        let mut client = server.connect();
        client.subscribe(channel);
        server.publish(channel, "news", "x");
        client.expect(channel, "news", "x");
    }
}

#[test]
fn signed_channel_data_is_part_of_what_a_private_channel_signs() {
    let server = shared();
    let mut client = server.connect();
    let (channel, data) = ("private-with-data", r#"{"user_id":"1"}"#);
    let auth = sign_subscription(&app(), client.socket_id, channel, Some(data));
    let data = json!({"channel": channel, "auth": auth, "channel_data": data});
    client.say(&json!({"event": "pusher:subscribe", "data": data}));
    assert_eq!(client.hear_event("pusher_internal:subscription_succeeded")["channel"], channel);
}

#[test]
fn a_wrong_signature_opens_nothing_and_the_connection_stays() {
    let server = shared();
    let mut client = server.connect();
    let other_connection = server.connect();
    let channel = "private-bad";
    let sign = |channel| sign_subscription(&app(), client.socket_id, channel, None);
    let good = sign(channel);
    let hex = good.split_once(':').unwrap().1.to_owned();
    let socket_id = client.socket_id;
    let expected =
        format!("Invalid signature: Expected HMAC SHA256 hex digest of {socket_id}:{channel}, but got ");
    let table = [
        (String::new(), "Invalid format".to_owned()),
        ("no colon".to_owned(), "Invalid format".to_owned()),
        (format!("{OTHER_KEY}:{hex}"), format!("Invalid key in subscription auth data: '{OTHER_KEY}'")),
        (sign_subscription(&other_app(), socket_id, channel, None), "Invalid key".to_owned()),
        (format!("loopback-key:{}", "0".repeat(64)), expected.clone() + "0000"),
        (format!("loopback-key:{}", &hex[..63]), expected.clone()),
        ("loopback-key:".to_owned(), expected.clone()),
        (sign("private-other"), expected.clone()),
        (sign_subscription(&app(), other_connection.socket_id, channel, None), expected),
    ];
    for (auth, text) in &table {
        subscribe_with(&mut client, channel, auth);
        let told = client.hear_refusal(channel);
        assert!(told.contains(text) && !told.contains(&hex), "{told} for {auth}");
    }
    server.publish(channel, "news", "not for the refused");
    client.expect_pong();
    subscribe_with(&mut client, channel, &good);
    client.hear_event("pusher_internal:subscription_succeeded");
    server.publish(channel, "end", "");
    client.expect(channel, "end", "");
}

#[test]
fn a_missing_auth_is_an_error() {
    let server = shared();
    let mut client = server.connect();
    client.say(&json!({"event": "pusher:subscribe", "data": {"channel": "private-none"}}));
    assert!(client.hear_refusal("private-none").contains("key:signature"));
    for auth in [json!(7), json!({}), json!([]), json!(true)] {
        client.say(&json!({"event": "pusher:subscribe", "data": {"channel": "private-none", "auth": auth}}));
        let text = client.hear_refusal("private-none");
        assert_eq!(text, "Invalid message: auth must be a string", "{auth}");
    }
    client.expect_pong();
}

#[test]
fn refusals_are_told_as_an_error_and_on_the_channel() {
    let server = shared();
    let mut client = server.connect();
    subscribe_with(&mut client, "private-told", "loopback-key:00");
    let error = client.hear_event("pusher:error");
    assert_eq!(error["data"]["code"], Value::Null, "{error}");
    let on_channel = data_of(&client.hear_event("pusher:subscription_error"));
    assert_eq!((&on_channel["type"], &on_channel["status"]), (&json!("AuthError"), &json!(401)));
}

#[test]
fn every_refusal_of_a_subscription_says_its_type_and_status_on_the_channel() {
    let server = shared();
    let mut client = server.connect();
    let too_long = "x".repeat(201);
    let signed_as = |data: &Value, channel: &str, socket_id| {
        let data = data.to_string();
        let auth = sign_subscription(&app(), socket_id, channel, Some(&data));
        json!({"channel": channel, "auth": auth, "channel_data": data})
    };
    let id = client.socket_id;
    let table = [
        (json!({"channel": "private-r", "auth": "loopback-key:00"}), "AuthError", 401),
        (json!({"channel": "private-r", "auth": 5}), "AuthError", 401),
        (json!({"channel": "presence-r", "auth": "", "channel_data": {"user_id": "1"}}), "AuthError", 401),
        (signed_as(&json!({"user_id": ""}), "presence-r", id), "AuthError", 401),
        (signed_as(&json!({"user_id": too_long}), "presence-r", id), "LimitReached", 4301),
        (
            signed_as(&json!({"user_id": "u", "user_info": "y".repeat(3000)}), "presence-r", id),
            "LimitReached",
            4301,
        ),
        (json!({"channel": too_long}), "LimitReached", 4009),
        (json!({"channel": "a b"}), "InvalidChannel", 400),
        (json!({"channel": ""}), "InvalidChannel", 400),
    ];
    for (data, kind, status) in table {
        client.say(&json!({"event": "pusher:subscribe", "data": data}));
        let (code, text) = client.hear_error();
        assert_eq!(code, None, "{text}");
        let event = client.hear_event("pusher:subscription_error");
        assert_eq!(event["channel"], data["channel"], "{event}");
        assert_eq!(data_of(&event), json!({"type": kind, "error": text, "status": status}), "{data}");
    }
}

#[test]
fn bad_channel_names_are_refused() {
    let server = shared();
    let mut client = server.connect();
    let long = "a".repeat(201);
    for name in ["", "a b", "a:b", "a/b", "é", "a\u{0}", "#", "#x", "a#b", "\"", "\\", &long] {
        subscribe_with(&mut client, name, "");
        let text = client.hear_refusal(name);
        assert!(text.contains("Invalid channel name"), "{name:?}: {text}");
    }
    for name in [json!(null), json!(7), json!(["a"]), json!({})] {
        client.say(&json!({"event": "pusher:subscribe", "data": {"channel": name}}));
        assert_eq!(client.hear_error().1, "Bad channel", "{name}");
    }
    client.subscribe(&long[..200]);
    client.subscribe("private");
    client.subscribe("privatefoo");
    client.subscribe("my-cache-x");
}

#[test]
fn the_channel_of_a_user_is_not_open_to_others() {
    let server = shared();
    let mut client = server.connect();
    subscribe_with(&mut client, "#server-to-user-7", "");
    let text = client.hear_refusal("#server-to-user-7");
    assert!(text.contains("signed in"), "{text}");
}

#[test]
fn a_second_subscription_to_a_channel_is_an_error_and_the_first_stays() {
    let server = shared();
    let mut client = server.connect();
    let channel = "twice";
    client.subscribe(channel);
    subscribe_with(&mut client, channel, "");
    assert_eq!(client.hear_error(), (None, "Existing subscription to channel twice".to_owned()));
    let info = [("info", "subscription_count")];
    let counted = server.get("/apps/7/channels/twice", &info).json();
    assert_eq!(counted, json!({"occupied": true, "subscription_count": 1}));
    server.publish(channel, "once", "x");
    server.publish(channel, "end", "");
    client.expect(channel, "once", "x");
    client.expect(channel, "end", "");
}

#[test]
fn unsubscribing_is_not_answered_and_ends_the_events() {
    let server = shared();
    let (mut client, mut witness) = (server.connect(), server.connect());
    let channel = "unsubscribed";
    client.subscribe(channel);
    witness.subscribe(channel);
    client.unsubscribe(channel);
    client.expect_pong();
    server.publish(channel, "news", "x");
    witness.expect(channel, "news", "x");
    client.subscribe(channel);
    server.publish(channel, "end", "");
    client.expect(channel, "end", "");
}

#[test]
fn unsubscribing_from_an_unknown_channel_is_an_error() {
    let server = shared();
    let (mut client, mut other) = (server.connect(), server.connect());
    other.subscribe("somebody-elses");
    for channel in ["nobody-is-here", "somebody-elses"] {
        client.unsubscribe(channel);
        let text = format!("No current subscription to channel {channel}, or subscription in progress");
        assert_eq!(client.hear_error(), (None, text));
    }
    client.subscribe("somebody-elses");
    client.unsubscribe("somebody-elses");
    client.unsubscribe("somebody-elses");
    assert!(client.hear_error().1.starts_with("No current subscription"));
}

#[test]
fn subscribing_and_leaving_in_one_breath_ends_as_it_was_said() {
    let server = shared();
    for round in 0..10 {
        for client in &mut server.connect_to_each_shard() {
            let channel = format!("breath-{round}-{}", client.shard());
            let subscribe = json!({"event": "pusher:subscribe", "data": {"channel": channel}});
            client.say(&subscribe);
            client.unsubscribe(&channel);
            client.say(&subscribe);
            expect_one_subscription(&server, client, &channel);
        }
    }
}

/// The first of two subscriptions may be acknowledged before it is given up; the second is acknowledged once.
fn expect_one_subscription(server: &Server, client: &mut Client, channel: &str) {
    let mut acknowledged = 0;
    loop {
        let event = client.hear();
        assert_eq!(event["channel"], channel, "{event}");
        match event["event"].as_str().unwrap() {
            // After the last acknowledgement a mark is heard; after the first perhaps not.
            "pusher_internal:subscription_succeeded" => server.publish(channel, "mark", ""),
            name => break assert_eq!(name, "mark"),
        }
        acknowledged += 1;
    }
    assert!(acknowledged <= 2, "{acknowledged}");
    let path = format!("/apps/7/channels/{channel}");
    let counted = server.get(&path, &[("info", "subscription_count")]).json();
    assert_eq!(counted["subscription_count"], 1, "{counted}");
}

#[test]
fn apps_do_not_hear_each_other() {
    let server = shared();
    let channel = "same-name";
    let mut ours = server.connect();
    let mut theirs = Client::connect(server.tcp(), &format!("/app/{OTHER_KEY}?protocol=7"));
    ours.subscribe(channel);
    theirs.subscribe(channel);
    server.publish(channel, "of-app-7", "x");
    ours.expect(channel, "of-app-7", "x");
    let body = crate::rig::http::encode_event(channel, "of-app-8", "y");
    let path = "/apps/8/events";
    let now = crate::rig::http::now_unix_s();
    let query = protocol::auth::sign_request(&other_app(), "POST", path, &[], body.as_bytes(), now);
    let request = crate::rig::http::encode_request("POST", &format!("{path}?{query}"), &body);
    assert_eq!(server.http().ask(&request).status, 200);
    theirs.expect(channel, "of-app-8", "y");
    server.publish(channel, "end", "");
    ours.expect(channel, "end", "");
}

#[test]
fn whoever_is_acknowledged_is_counted() {
    let server = shared();
    let channel = "counted";
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.subscribe(channel);
        let counted = server.get("/apps/7/channels/counted", &[("info", "subscription_count")]).json();
        assert_eq!(counted["subscription_count"], number + 1);
    }
}
