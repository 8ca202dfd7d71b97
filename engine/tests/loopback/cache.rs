//! Cache channels: the last event of a back end comes right behind the acknowledgement, or the word that there is none. On one
//! shard and on three, whichever of them is home.

use crate::rig::client::{Client, data_of};
use crate::rig::server::{Server, shared, wait_for};
use serde_json::{Value, json};

const KINDS: [&str; 4] = ["cache-", "private-cache-", "presence-cache-", "private-encrypted-cache-"];

/// The same on three shards and on one.
fn on_three_and_one(test: impl Fn(&Server)) {
    test(&shared());
    test(&Server::start(&["--shards", "1"]));
}

/// Subscribes; returns the acknowledgement.
fn enter(client: &mut Client, channel: &str) -> Value {
    if channel.starts_with("presence-") {
        let user = format!(r#"{{"user_id":"{}"}}"#, client.socket_id);
        json!({ "presence": client.join(channel, &user) })
    } else {
        data_of(&client.subscribe(channel))
    }
}

fn expect_miss(client: &mut Client, channel: &str) {
    let missed = client.hear_event("pusher:cache_miss");
    assert_eq!(missed, json!({"event": "pusher:cache_miss", "channel": channel, "data": "{}"}));
}

/// A member came: what the others on a presence channel hear first.
fn pass_over_newcomer(client: &mut Client, channel: &str) {
    if channel.starts_with("presence-") {
        client.hear_event("pusher_internal:member_added");
    }
}

/// Clients, on three shards if there are as many.
fn three(server: &Server) -> [Client; 3] {
    std::array::from_fn(|_| server.connect())
}

#[test]
fn the_last_event_comes_behind_the_acknowledgement_and_an_empty_channel_misses() {
    on_three_and_one(|server| {
        for kind in KINDS {
            let channel = format!("{kind}order");
            let [mut first, mut second, mut third] = three(server);
            enter(&mut first, &channel);
            expect_miss(&mut first, &channel);
            server.publish(&channel, "price", "1");
            first.expect(&channel, "price", "1");
            enter(&mut second, &channel);
            second.expect(&channel, "price", "1");
            pass_over_newcomer(&mut first, &channel);
            server.publish(&channel, "other", r#"{"é":"\"2\""}"#);
            first.expect(&channel, "other", r#"{"é":"\"2\""}"#);
            second.expect(&channel, "other", r#"{"é":"\"2\""}"#);
            // Once more on a connection that had it before.
            second.unsubscribe(&channel);
            enter(&mut second, &channel);
            second.expect(&channel, "other", r#"{"é":"\"2\""}"#);
            enter(&mut third, &channel);
            third.expect(&channel, "other", r#"{"é":"\"2\""}"#);
            third.expect_pong();
        }
    });
}

#[test]
fn what_is_replayed_is_the_frame_that_was_delivered() {
    on_three_and_one(|server| {
        let channel = "private-encrypted-cache-frame";
        let sealed = r#"{"nonce":"bm9uY2U=","ciphertext":"c2VhbGVk"}"#;
        let [mut first, mut second, _] = three(server);
        enter(&mut first, channel);
        expect_miss(&mut first, channel);
        server.publish(channel, "sealed", sealed);
        let delivered = first.hear();
        assert_eq!(delivered["data"], sealed);
        enter(&mut second, channel);
        assert_eq!(second.hear(), delivered);
    });
}

#[test]
fn a_presence_cache_channel_tells_its_roster_and_then_its_last_event() {
    on_three_and_one(|server| {
        let channel = "presence-cache-roster";
        let [mut first, mut second, _] = three(server);
        assert_eq!(enter(&mut first, channel)["presence"]["count"], 1);
        expect_miss(&mut first, channel);
        server.publish(channel, "topic", "rules");
        first.expect(channel, "topic", "rules");
        let roster = enter(&mut second, channel);
        assert_eq!(roster["presence"]["count"], 2);
        second.expect(channel, "topic", "rules");
        // Members that come and go are no events of the back end.
        first.hear_event("pusher_internal:member_added");
        second.unsubscribe(channel);
        first.hear_event("pusher_internal:member_removed");
        enter(&mut second, channel);
        second.expect(channel, "topic", "rules");
    });
}

#[test]
fn client_events_are_not_cached() {
    on_three_and_one(|server| {
        for channel in ["private-cache-clients", "presence-cache-clients"] {
            let [mut sender, mut hearer, mut late] = three(server);
            for client in [&mut sender, &mut hearer] {
                enter(client, channel);
                expect_miss(client, channel);
            }
            pass_over_newcomer(&mut sender, channel);
            sender.trigger(channel, "client-typing", &json!("x"));
            hearer.expect(channel, "client-typing", "x");
            enter(&mut late, channel);
            expect_miss(&mut late, channel);
            pass_over_newcomer(&mut hearer, channel);
            server.publish(channel, "said", "y");
            hearer.expect(channel, "said", "y");
            sender.trigger(channel, "client-typing", &json!("z"));
            hearer.expect(channel, "client-typing", "z");
            late.expect(channel, "said", "y");
            late.expect(channel, "client-typing", "z");
            late.unsubscribe(channel);
            enter(&mut late, channel);
            late.expect(channel, "said", "y");
        }
    });
}

#[test]
fn names_that_only_contain_cache_are_plain_channels() {
    on_three_and_one(|server| {
        for channel in ["my-cache-x", "cachex", "private-my-cache-x"] {
            server.publish(channel, "before", "x");
            let mut client = server.connect();
            enter(&mut client, channel);
            client.expect_pong();
            let answer = server.get(&format!("/apps/7/channels/{channel}"), &[("info", "cache")]);
            assert_eq!(answer.status, 400, "{channel}");
        }
    });
}

#[test]
fn a_cached_event_outlives_the_last_subscriber_and_needs_none() {
    on_three_and_one(|server| {
        let channel = "cache-alone";
        server.publish(channel, "kept", "1");
        let mut client = server.connect();
        enter(&mut client, channel);
        client.expect(channel, "kept", "1");
        drop(client);
        wait_for("the channel to be vacated", || {
            let answer = server.get("/apps/7/channels/cache-alone", &[]);
            (answer.json()["occupied"] == false).then_some(())
        });
        let mut client = server.connect();
        enter(&mut client, channel);
        client.expect(channel, "kept", "1");
    });
}

#[test]
fn rest_tells_what_a_channel_remembers_and_for_how_long_it_will() {
    on_three_and_one(|server| {
        let ask = || server.get("/apps/7/channels/cache-asked", &[("info", "cache")]);
        assert_eq!(ask().body, r#"{"occupied":false,"cache":null}"#);
        server.publish("cache-asked", "e", r#"{"name":"Jürg"}"#);
        let answer = ask().json();
        assert_eq!(answer["cache"]["data"], r#"{"name":"Jürg"}"#);
        let ttl_s = answer["cache"]["ttl"].as_u64().unwrap();
        assert!((1790..=1800).contains(&ttl_s), "{answer}");
        for path in ["/apps/7/channels?", "/apps/7/channels/plain?"] {
            let answer = server.get(path.trim_end_matches('?'), &[("info", "cache")]);
            assert_eq!(answer.status, 400, "{path} {}", answer.body);
        }
    });
}

#[test]
fn the_sender_who_is_left_out_gets_the_event_when_it_comes_back() {
    let server = shared();
    let channel = "cache-excluded";
    let mut client = server.connect();
    enter(&mut client, channel);
    expect_miss(&mut client, channel);
    let body =
        json!({"name": "e", "channel": channel, "data": "1", "socket_id": client.socket_id.to_string()});
    assert_eq!(server.post("/apps/7/events", &body.to_string()).status, 200);
    client.expect_pong();
    client.unsubscribe(channel);
    enter(&mut client, channel);
    client.expect(channel, "e", "1");
}

#[test]
fn a_subscriber_who_comes_while_events_fly_misses_none_and_gets_none_twice() {
    on_three_and_one(|server| {
        const EVENTS: u64 = 600;
        for channel in ["cache-flight", "cache-flight-2", "private-cache-flight"] {
            server.publish(channel, "n", "0");
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut back_end = server.http();
                    (1..=EVENTS).for_each(|number| back_end.publish(channel, "n", &number.to_string()));
                });
                for client in three(server) {
                    scope.spawn(move || come_and_go(client, channel, EVENTS));
                }
            });
        }
    });
}

/// Comes again and again until the last event was replayed: behind each acknowledgement every number follows the one before.
fn come_and_go(mut client: Client, channel: &str, last: u64) {
    for round in 0.. {
        client.ask_to_subscribe(channel);
        while client.hear()["event"] != "pusher_internal:subscription_succeeded" {}
        let number = |heard: &Value| heard["data"].as_str().and_then(|data| data.parse::<u64>().ok());
        let first = client.hear();
        let mut seen = number(&first).unwrap_or_else(|| panic!("{first}"));
        if seen == last {
            return;
        }
        for _ in 0..round % 4 {
            if seen == last {
                return;
            }
            let heard = client.hear();
            let next = number(&heard).unwrap_or_else(|| panic!("{heard}"));
            assert_eq!(next, seen + 1, "in round {round}");
            seen = next;
        }
        client.unsubscribe(channel);
    }
}

#[test]
fn an_event_is_forgotten_after_the_time_that_its_app_gives_it() {
    let app = "[[apps]]\nid = \"7\"\nkey = \"loopback-key\"\nsecret = \"loopback-secret\"\ncache_ttl_s = 1\n";
    for shards in [1, 3] {
        let server = Server::with_apps("cache", shards, app);
        let next = || {
            let mut client = server.connect();
            client.subscribe("cache-short");
            client.hear()["event"].as_str().unwrap().to_owned()
        };
        // On a busy machine a second may be over before the client comes.
        wait_for("a replay", || {
            server.publish("cache-short", "price", "1");
            (next() == "price").then_some(())
        });
        wait_for("the end of its time", || (next() == "pusher:cache_miss").then_some(()));
        let described = server.get("/apps/7/channels/cache-short", &[("info", "cache")]);
        assert_eq!(serde_json::from_str::<Value>(&described.body).unwrap()["cache"], Value::Null);
    }
}
