//! Client events: who may send them, who hears them, and how many.

use crate::rig::client::Client;
use crate::rig::server::shared;
use serde_json::{Value, json};

/// Client events of one connection per second, and their data in bytes.
const PER_SECOND: usize = 10;
const DATA_BYTES_MAX: usize = 10 << 10;

/// A word that all subscribers of the channel hear after everything that was sent there before.
fn mark(sender: &mut Client, channel: &str) {
    sender.trigger(channel, "client-mark", &json!("mark"));
}

#[test]
fn sender_does_not_receive_its_own_event() {
    let server = shared();
    let channel = "private-own";
    let [mut sender, mut near, mut far] = server.connect_to_each_shard();
    for client in [&mut sender, &mut near, &mut far] {
        client.subscribe(channel);
    }
    sender.trigger(channel, "client-a", &json!("of the sender"));
    near.expect(channel, "client-a", "of the sender");
    // All subscribers hear one order, so what the sender hears next is this and not its own event.
    mark(&mut near, channel);
    far.expect(channel, "client-a", "of the sender");
    far.expect(channel, "client-mark", "mark");
    sender.expect(channel, "client-mark", "mark");
}

#[test]
fn receivers_on_the_senders_own_shard_hear_it_too() {
    let server = shared();
    let channel = "private-one-shard";
    let mut sender = server.connect();
    let mut receiver = loop {
        let client = server.connect();
        if client.shard() == sender.shard() {
            break client;
        }
    };
    sender.subscribe(channel);
    receiver.subscribe(channel);
    sender.trigger(channel, "client-a", &json!("x"));
    receiver.expect(channel, "client-a", "x");
}

#[test]
fn each_broken_rule_is_told_and_nobody_hears_the_event() {
    let server = shared();
    let channel = "private-rules";
    let mut sender = server.connect();
    let mut receiver = server.connect();
    sender.subscribe(channel);
    sender.subscribe("rules");
    for heard in [channel, "rules", "private-rules-foreign"] {
        receiver.subscribe(heard);
    }
    let too_long = "x".repeat(DATA_BYTES_MAX + 1);
    let table = [
        (json!({"event": "client-a", "channel": "rules", "data": "x"}), "private and presence channels"),
        (
            json!({"event": "client-a", "channel": "private-rules-foreign", "data": "x"}),
            "you didn't subscribe",
        ),
        (
            json!({"event": "client-a", "channel": "private-rules-nobody", "data": "x"}),
            "you didn't subscribe",
        ),
        (json!({"event": "client-a", "channel": channel, "data": too_long}), "exceeds the allowed maximum"),
        (
            json!({"event": format!("client-{}", "a".repeat(194)), "channel": channel, "data": "x"}),
            "longer than",
        ),
        (json!({"event": "client-a", "channel": channel}), "Bad data"),
        (json!({"event": "client-a", "data": "x"}), "Bad channel"),
        (json!({"event": "client-a", "channel": 7, "data": "x"}), "Bad channel"),
        (json!({"event": "client-a", "channel": "private-a b", "data": "x"}), "Invalid channel name"),
        (json!({"event": "a", "channel": channel, "data": "x"}), "Unknown event 'a'"),
        (json!({"event": "x-client-a", "channel": channel, "data": "x"}), "Unknown event"),
        (json!({"event": "pusher_internal:member_added", "channel": channel, "data": "x"}), "Unknown event"),
    ];
    for (message, text) in &table {
        sender.say(message);
        let (code, told) = sender.hear_error();
        assert_eq!(code, None, "{told}");
        assert!(told.contains(text), "{told} for {text}");
    }
    mark(&mut sender, channel);
    receiver.expect(channel, "client-mark", "mark");
    server.publish("rules", "end", "");
    receiver.expect("rules", "end", "");
}

#[test]
fn the_longest_name_and_data_are_taken() {
    let server = shared();
    let channel = "private-longest";
    let (mut sender, mut receiver) = (server.connect(), server.connect());
    sender.subscribe(channel);
    receiver.subscribe(channel);
    let (name, data) = (format!("client-{}", "a".repeat(193)), "é".repeat(DATA_BYTES_MAX / 2));
    sender.trigger(channel, &name, &json!(data));
    receiver.expect(channel, &name, &data);
}

#[test]
fn data_of_any_type_arrives_as_a_string() {
    let server = shared();
    let channel = "private-data";
    let (mut sender, mut receiver) = (server.connect(), server.connect());
    sender.subscribe(channel);
    receiver.subscribe(channel);
    let table = [
        (r#""text""#, "text"),
        (r#""""#, ""),
        (r#""{\"a\":1}""#, r#"{"a":1}"#),
        (r#"{"a":[1,"\u00e9 x",{}]}"#, r#"{"a":[1,"\u00e9 x",{}]}"#),
        ("{ \"a\" : [ 1 , 2 ] }", r#"{"a":[1,2]}"#),
        ("[1,null]", "[1,null]"),
        ("null", "null"),
        ("7.50", "7.50"),
        ("true", "true"),
    ];
    for (written, heard) in table {
        let message = format!(r#"{{"event":"client-a","channel":"{channel}","data":{written}}}"#);
        sender.say_text(&message);
        receiver.expect(channel, "client-a", heard);
        // Each second has ten, and there are fewer here.
    }
}

#[test]
fn two_events_keep_their_own_names() {
    let server = shared();
    let channel = "private-names";
    let (mut one, mut other, mut receiver) = (server.connect(), server.connect(), server.connect());
    for client in [&mut one, &mut other, &mut receiver] {
        client.subscribe(channel);
    }
    one.trigger(channel, "client-first", &json!("1"));
    one.trigger(channel, "client-second", &json!("2"));
    receiver.expect(channel, "client-first", "1");
    receiver.expect(channel, "client-second", "2");
    other.expect(channel, "client-first", "1");
    other.expect(channel, "client-second", "2");
    other.trigger(channel, "client-third", &json!("3"));
    receiver.expect(channel, "client-third", "3");
}

#[test]
fn presence_channels_name_the_sender() {
    let server = shared();
    let channel = "presence-sender";
    let mut receiver = server.connect();
    receiver.join(channel, r#"{"user_id":"r"}"#);
    let mut sender = server.connect();
    sender.join(channel, r#"{"user_id":12}"#);
    receiver.hear_event("pusher_internal:member_added");
    let forged = json!({"event": "client-a", "channel": channel, "data": "x", "user_id": "somebody else"});
    sender.say(&forged);
    let event = receiver.hear_event("client-a");
    assert_eq!(event["user_id"], "12", "{event}");
    server.publish(channel, "of-the-server", "x");
    assert_eq!(receiver.hear_event("of-the-server").get("user_id"), None);
}

#[test]
fn private_channels_name_nobody() {
    let server = shared();
    let channel = "private-nobody";
    let (mut sender, mut receiver) = (server.connect(), server.connect());
    sender.subscribe(channel);
    receiver.subscribe(channel);
    sender.trigger(channel, "client-a", &json!("x"));
    assert_eq!(receiver.hear_event("client-a").get("user_id"), None);
}

#[test]
fn too_many_in_a_second_are_dropped_with_4301_and_the_connection_stays() {
    let server = shared();
    let channel = "private-rate";
    let (mut sender, mut receiver, mut other) = (server.connect(), server.connect(), server.connect());
    for client in [&mut sender, &mut receiver, &mut other] {
        client.subscribe(channel);
    }
    // All in one piece: however slow the machine is, they are read within a second of each other.
    let count = PER_SECOND + 1;
    let frames: Vec<u8> = (0..count)
        .flat_map(|number| {
            let message = json!({"event": "client-a", "channel": channel, "data": number.to_string()});
            crate::rig::raw::encode_frame(crate::rig::raw::TEXT, crate::rig::text(&message).as_bytes())
        })
        .collect();
    std::io::Write::write_all(&mut sender.tcp(), &frames).unwrap();
    let (code, text) = sender.hear_error();
    assert_eq!(code, Some(4301), "{text}");
    sender.expect_pong();
    mark(&mut other, channel);
    sender.expect(channel, "client-mark", "mark");
    let heard: Vec<Value> = (0..count).map(|_| receiver.hear()).collect();
    let data: Vec<&Value> = heard.iter().map(|event| &event["data"]).collect();
    let expected: Vec<String> =
        (0..PER_SECOND).map(|number| number.to_string()).chain(["mark".to_owned()]).collect();
    assert_eq!(data, expected.iter().collect::<Vec<_>>());
}

#[test]
fn after_unsubscribing_nothing_may_be_sent() {
    let server = shared();
    let channel = "private-left";
    let (mut sender, mut receiver) = (server.connect(), server.connect());
    sender.subscribe(channel);
    receiver.subscribe(channel);
    sender.unsubscribe(channel);
    sender.trigger(channel, "client-a", &json!("x"));
    assert!(sender.hear_error().1.contains("you didn't subscribe this channel"));
    server.publish(channel, "end", "");
    receiver.expect(channel, "end", "");
}
