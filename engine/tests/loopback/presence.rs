//! Presence channels: members are users, however many connections and shards each has.

use std::io::Write;
use std::thread;

use crate::rig::client::{Client, data_of};
use crate::rig::raw::encode_frame;
use crate::rig::server::{Server, shared, wait_for};
use protocol::auth::sign_subscription;
use serde_json::{Value, json};

const MEMBERS_MAX: usize = 100;
const USER_INFO_BYTES_MAX: usize = 2 << 10;
const USER_ID_CHARACTERS_MAX: usize = 128;

/// The next message tells of this user, and of nothing else.
fn expect_member(client: &mut Client, channel: &str, event: &str, data: &Value) {
    let heard = client.hear_event(&format!("pusher_internal:{event}"));
    assert_eq!(heard["channel"], channel, "{heard}");
    assert_eq!(data_of(&heard), *data, "{heard}");
}

/// Nothing about members was on its way: the next that the client hears is a word of the server on the channel.
fn expect_nothing(server: &Server, client: &mut Client, channel: &str) {
    server.publish(channel, "mark", "");
    client.expect(channel, "mark", "");
}

fn users(server: &Server, channel: &str) -> Vec<String> {
    let answer = server.get(&format!("/apps/7/channels/{channel}/users"), &[]).json();
    let list = answer["users"].as_array().unwrap();
    let mut ids: Vec<String> = list.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn the_joiner_is_in_its_own_roster_and_the_others_are_told() {
    let server = shared();
    let channel = "presence-roster";
    let mut first = server.connect();
    let roster = first.join(channel, r#"{"user_id":"1","user_info":{"name":"Ada"}}"#);
    assert_eq!(roster, json!({"count": 1, "ids": ["1"], "hash": {"1": {"name": "Ada"}}}));
    let mut second = server.connect();
    let roster = second.join(channel, r#"{"user_id":"2","user_info":"plain"}"#);
    assert_eq!(roster["count"], 2);
    assert_eq!(roster["hash"], json!({"1": {"name": "Ada"}, "2": "plain"}));
    let mut ids: Vec<&str> =
        roster["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["1", "2"]);
    expect_member(&mut first, channel, "member_added", &json!({"user_id": "2", "user_info": "plain"}));
    expect_nothing(&server, &mut second, channel);
}

#[test]
fn a_user_is_added_by_its_first_connection_and_removed_by_its_last() {
    let server = shared();
    let channel = "presence-edges";
    // The watcher and both connections of the user are on three shards.
    let [mut watcher, mut first, mut second] = server.connect_to_each_shard();
    watcher.join(channel, r#"{"user_id":"watcher"}"#);
    first.join(channel, r#"{"user_id":"u","user_info":{"from":"first"}}"#);
    expect_member(
        &mut watcher,
        channel,
        "member_added",
        &json!({"user_id": "u", "user_info": {"from": "first"}}),
    );
    let roster = second.join(channel, r#"{"user_id":"u","user_info":{"from":"second"}}"#);
    assert_eq!(roster["count"], 2);
    assert_eq!(roster["hash"]["u"], json!({"from": "first"}), "the first info holds until the user leaves");
    expect_nothing(&server, &mut watcher, channel);
    first.expect(channel, "mark", "");
    second.expect(channel, "mark", "");
    assert_eq!(users(&server, channel), ["u", "watcher"]);
    first.unsubscribe(channel);
    first.expect_pong();
    expect_nothing(&server, &mut watcher, channel);
    second.expect(channel, "mark", "");
    second.unsubscribe(channel);
    expect_member(&mut watcher, channel, "member_removed", &json!({"user_id": "u"}));
    expect_nothing(&server, &mut watcher, channel);
    assert_eq!(users(&server, channel), ["watcher"]);
}

#[test]
fn every_member_on_every_shard_is_told_once() {
    let server = shared();
    for channel in ["presence-a", "presence-b", "presence-c", "presence-d", "presence-e"] {
        let mut watchers = server.connect_to_each_shard();
        let joined = ["w0", "w1", "w2"].into_iter().zip(&mut watchers);
        joined.for_each(|(id, client)| drop(client.join(channel, &json!({"user_id": id}).to_string())));
        let [w0, w1, _] = &mut watchers;
        expect_member(w0, channel, "member_added", &json!({"user_id": "w1"}));
        expect_member(w0, channel, "member_added", &json!({"user_id": "w2"}));
        expect_member(w1, channel, "member_added", &json!({"user_id": "w2"}));
        let mut guest = server.connect();
        guest.join(channel, r#"{"user_id":"guest"}"#);
        for watcher in &mut watchers {
            expect_member(watcher, channel, "member_added", &json!({"user_id": "guest"}));
        }
        guest.unsubscribe(channel);
        for watcher in &mut watchers {
            expect_member(watcher, channel, "member_removed", &json!({"user_id": "guest"}));
        }
    }
}

/// A way to end a connection.
type End = fn(Client);

#[test]
fn a_connection_that_ends_in_any_way_is_removed() {
    let server = shared();
    let channel = "presence-ends";
    let mut watcher = server.connect();
    watcher.join(channel, r#"{"user_id":"watcher"}"#);
    let ends: [(&str, End); 4] = [
        ("a reset", Client::abort),
        ("a FIN", drop),
        ("a close frame", |mut client| client.socket().close(None).unwrap()),
        ("a violation", |mut client| {
            client.socket().send(tungstenite::Message::binary(vec![1])).unwrap();
            assert_eq!(client.hear_close().0, 1003);
        }),
    ];
    for (how, end) in ends {
        let mut client = server.connect();
        client.join(channel, r#"{"user_id":"u"}"#);
        expect_member(&mut watcher, channel, "member_added", &json!({"user_id": "u"}));
        end(client);
        let heard = watcher.hear_event("pusher_internal:member_removed");
        assert_eq!(data_of(&heard), json!({"user_id": "u"}), "{how}");
    }
    assert_eq!(users(&server, channel), ["watcher"]);
}

#[test]
fn integer_ids_are_strings_everywhere() {
    let server = shared();
    let channel = "presence-integers";
    let mut watcher = server.connect();
    let roster = watcher.join(channel, r#"{"user_id":0}"#);
    assert_eq!(roster, json!({"count": 1, "ids": ["0"], "hash": {"0": null}}));
    let mut client = server.connect();
    client.join(channel, r#"{"user_id":10,"user_info":null}"#);
    expect_member(&mut watcher, channel, "member_added", &json!({"user_id": "10"}));
    // The same user, written as a string.
    let mut again = server.connect();
    again.join(channel, r#"{"user_id":"10"}"#);
    expect_nothing(&server, &mut watcher, channel);
    assert_eq!(users(&server, channel), ["0", "10"]);
    drop((client, again));
    expect_member(&mut watcher, channel, "member_removed", &json!({"user_id": "10"}));
}

#[test]
fn user_info_of_any_type_is_passed_on_as_json() {
    let server = shared();
    let channel = "presence-info";
    let mut watcher = server.connect();
    watcher.join(channel, r#"{"user_id":"watcher"}"#);
    for info in ["{}", "[]", "[1, 2]", "\"\\u00e9\"", "true", "1.5", r#"{"a": {"b": ["\"", "\\"]}}"#] {
        let mut client = server.connect();
        let roster = client.join(channel, &format!(r#"{{"user_id":"u","user_info":{info}}}"#));
        let info: Value = serde_json::from_str(info).unwrap();
        assert_eq!(roster["hash"]["u"], info);
        expect_member(&mut watcher, channel, "member_added", &json!({"user_id": "u", "user_info": info}));
        drop(client);
        expect_member(&mut watcher, channel, "member_removed", &json!({"user_id": "u"}));
    }
}

#[test]
fn the_hundred_and_first_user_is_refused_but_not_another_connection_of_one() {
    let server = shared();
    let channel = "presence-full";
    let mut members: Vec<Client> = (0..MEMBERS_MAX)
        .map(|number| {
            let mut client = server.connect();
            let roster = client.join(channel, &json!({"user_id": number.to_string()}).to_string());
            assert_eq!(roster["count"], number + 1);
            client
        })
        .collect();
    let mut late = server.connect();
    late.ask_to_join(channel, r#"{"user_id":"late"}"#);
    let text = late.hear_refusal(channel);
    assert!(text.contains("100"), "{text}");
    late.join(channel, r#"{"user_id":"7"}"#);
    let mut other = server.connect();
    other.ask_to_join(channel, r#"{"user_id":"other"}"#);
    other.hear_refusal(channel);
    assert_eq!(users(&server, channel).len(), MEMBERS_MAX);
    drop(members.pop());
    wait_for("a place", || (users(&server, channel).len() < MEMBERS_MAX).then_some(()));
    other.join(channel, r#"{"user_id":"other"}"#);
}

#[test]
fn bad_channel_data_is_refused_and_the_connection_stays() {
    let server = shared();
    let channel = "presence-bad";
    let mut client = server.connect();
    let long_id = json!({"user_id": "😀".repeat(USER_ID_CHARACTERS_MAX + 1)}).to_string();
    let long_info = json!({"user_id": "x", "user_info": "y".repeat(USER_INFO_BYTES_MAX - 1)}).to_string();
    let table = [
        (r"{}", "user_id is missing"),
        (r#"{"user_id":""}"#, "user_id is missing"),
        (r#"{"user_id":null}"#, "user_id is missing"),
        (r#"{"user_id":1.5}"#, "must be a string or an integer"),
        (r#"{"user_id":true}"#, "must be a string or an integer"),
        (r#"{"user_id":["1"]}"#, "must be a string or an integer"),
        (r#"{"user_id":"\ud800"}"#, "surrogate"),
        (&long_id, "user_id_characters_max"),
        (&long_info, "presence_user_bytes_max"),
        ("[]", "Invalid channel_data"),
        ("7", "Invalid channel_data"),
        ("nonsense", "Invalid channel_data"),
        (r#"{"user_id":"1"}x"#, "Invalid channel_data"),
    ];
    for (data, text) in table {
        client.ask_to_join(channel, data);
        let told = client.hear_refusal(channel);
        assert!(told.contains(text), "{told} for {data}");
    }
    assert_eq!(users(&server, channel), Vec::<String>::new());
    let longest = json!({"user_id": "😀".repeat(USER_ID_CHARACTERS_MAX), "user_info": "y".repeat(USER_INFO_BYTES_MAX - 2)});
    assert_eq!(client.join(channel, &longest.to_string())["count"], 1);
}

#[test]
fn channel_data_is_needed_and_must_be_what_was_signed() {
    let server = shared();
    let channel = "presence-signed";
    let mut client = server.connect();
    let signed = r#"{"user_id":"1"}"#;
    let auth = |data| sign_subscription(&crate::rig::app(), client.socket_id, channel, data);
    let (with, without) = (auth(Some(signed)), auth(None));
    let table = [
        (json!({"channel": channel, "auth": with}), "Invalid signature"),
        (
            json!({"channel": channel, "auth": without}),
            "a presence channel needs it, unless a user is signed in",
        ),
        (
            json!({"channel": channel, "auth": with, "channel_data": r#"{"user_id":"2"}"#}),
            "Invalid signature",
        ),
        (
            json!({"channel": channel, "auth": with, "channel_data": r#"{"user_id": "1"}"#}),
            "Invalid signature",
        ),
        (json!({"channel": channel, "auth": without, "channel_data": signed}), "Invalid signature"),
        (json!({"channel": channel, "channel_data": signed}), "key:signature"),
    ];
    for (data, text) in table {
        client.say(&json!({"event": "pusher:subscribe", "data": data}));
        let told = client.hear_refusal(channel);
        assert!(told.contains(text), "{told} for {data}");
    }
    client.join(channel, signed);
}

#[test]
fn users_of_one_channel_are_not_members_of_another() {
    let server = shared();
    let mut client = server.connect();
    client.join("presence-one", r#"{"user_id":"a"}"#);
    let roster = client.join("presence-two", r#"{"user_id":"b"}"#);
    assert_eq!(roster, json!({"count": 1, "ids": ["b"], "hash": {"b": null}}));
    assert_eq!(users(&server, "presence-one"), ["a"]);
}

#[test]
fn who_enters_and_leaves_without_end_is_slowed_and_hardly_heard() {
    const ROUNDS: usize = 5000;
    let server = shared();
    for channel in ["presence-churn-a", "presence-churn-b", "presence-churn-c"] {
        let mut member = server.connect();
        member.join(channel, r#"{"user_id":"stays"}"#);
        let mut restless = server.connect();
        let data = r#"{"user_id":"restless"}"#;
        let auth = sign_subscription(&crate::rig::app(), restless.socket_id, channel, Some(data));
        let subscribe = json!({"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth, "channel_data": data}});
        let unsubscribe = json!({"event": "pusher:unsubscribe", "data": {"channel": channel}});
        let text = |message: &Value| encode_frame(0x81, message.to_string().as_bytes());
        let mut bytes = [text(&subscribe), text(&unsubscribe)].concat().repeat(ROUNDS);
        bytes.extend(text(&json!({"event": "pusher:ping", "data": {}})));
        let mut writer = restless.tcp().try_clone().unwrap();
        let writes = thread::spawn(move || writer.write_all(&bytes).unwrap());
        let (mut refused, mut slowed) = (0, 0);
        loop {
            let event = restless.hear();
            match event["event"].as_str().unwrap() {
                "pusher:pong" => break,
                "pusher:subscription_error" => {
                    assert_eq!(data_of(&event)["status"], 4301, "{event}");
                    refused += 1;
                }
                "pusher:error" if event["data"]["code"] == 4301 => {
                    let text = event["data"]["message"].as_str().unwrap();
                    assert!(text.contains("subscription_changes_per_second"), "{text}");
                    slowed += 1;
                }
                _ => {}
            }
        }
        writes.join().unwrap();
        // A burst of two thousand, and fifty a second.
        assert!(refused == slowed && refused > 2000, "{refused} and {slowed} of {ROUNDS} were refused");
        server.publish(channel, "end", "");
        let mut heard = 0;
        while member.hear()["event"] != "end" {
            heard += 1;
        }
        // Only where one read of the server ends within a round that one is told.
        assert!(heard < 2000, "{heard} comings and goings were told");
    }
}
