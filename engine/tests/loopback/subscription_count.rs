//! Subscribers are told how many they are: each time while they are few, now and then when they are many.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::client::Client;
use crate::rig::server::{Server, binary, free_port, wait_for};
use serde_json::{Value, json};

/// The number of subscribers up to which each change is told, and how often one is told beyond it.
const FEW: u64 = 100;
const INTERVAL: Duration = Duration::from_secs(5);

/// What a reader that is late may make of that.
const LATE: Duration = Duration::from_millis(500);

/// The test on a server of one shard and on one of three, at the same time.
fn with_shards(test: impl Fn(&Server) + Sync) {
    thread::scope(|scope| {
        let one = scope.spawn(|| test(&Server::start(&["--shards", "1"])));
        test(&Server::start(&["--shards", "3"]));
        one.join().unwrap();
    });
}

/// A client that has heard that it is the only subscriber.
fn first_on(server: &Server, channel: &str) -> Client {
    let mut client = server.connect();
    client.subscribe(channel);
    assert_eq!(client.hear_count(channel), 1);
    client
}

#[test]
fn each_subscriber_is_told_of_every_coming_and_going() {
    with_shards(|server| {
        for channel in ["counted", "private-counted", "private-encrypted-counted"] {
            let mut staying = first_on(server, channel);
            let others: Vec<Client> = (2..=12)
                .map(|number| {
                    let mut client = server.connect();
                    client.subscribe(channel);
                    assert_eq!((client.hear_count(channel), staying.hear_count(channel)), (number, number));
                    client
                })
                .collect();
            for (number, mut client) in (1..=11).rev().zip(others) {
                if number % 3 == 0 {
                    client.unsubscribe(channel);
                    client.expect_pong();
                }
                client.abort();
                assert_eq!(staying.hear_count(channel), number);
            }
        }
    });
}

#[test]
fn the_number_is_an_event_of_the_channel_in_data_that_is_a_string() {
    with_shards(|server| {
        let mut client = server.connect();
        client.subscribe("shape");
        let expected = json!({
            "event": "pusher_internal:subscription_count",
            "channel": "shape",
            "data": r#"{"subscription_count":1}"#,
        });
        assert_eq!(client.hear_any(), expected);
    });
}

#[test]
fn members_of_presence_channels_are_told_no_number() {
    with_shards(|server| {
        let channel = "presence-uncounted";
        let mut clients = [server.connect(), server.connect()];
        for (number, client) in clients.iter_mut().enumerate() {
            client.join(channel, &json!({"user_id": number.to_string()}).to_string());
        }
        let [mut staying, leaving] = clients;
        assert_eq!(staying.hear_any()["event"], "pusher_internal:member_added");
        leaving.abort();
        assert_eq!(staying.hear_any()["event"], "pusher_internal:member_removed");
        server.publish(channel, "end", "");
        assert_eq!(staying.hear_any()["event"], "end");
    });
}

#[test]
fn back_ends_are_told_the_number_wherever_they_may_ask_for_it() {
    with_shards(|server| {
        let mut clients = [(); 3].map(|()| server.connect());
        for (number, client) in clients.iter_mut().enumerate() {
            client.subscribe("asked");
            client.join("presence-asked", &json!({"user_id": (number % 2).to_string()}).to_string());
        }
        let get = |path: &str, params: &[(&str, &str)]| server.get(&format!("/apps/7{path}"), params);
        let (alone, both) = (("info", "subscription_count"), ("info", "user_count,subscription_count"));
        let (public, presence) =
            (json!({"subscription_count": 3}), json!({"user_count": 2, "subscription_count": 3}));
        let of_all = json!({"channels": {"asked": public, "presence-asked": public}});
        assert_eq!(get("/channels", &[alone]).json(), of_all);
        let of_members = json!({"channels": {"presence-asked": presence}});
        assert_eq!(get("/channels", &[("filter_by_prefix", "presence-"), both]).json(), of_members);
        assert_eq!(get("/channels", &[both]).status, 400);
        let told = [
            ("asked", alone, json!({"occupied": true, "subscription_count": 3})),
            ("presence-asked", alone, json!({"occupied": true, "subscription_count": 3})),
            ("presence-asked", both, json!({"occupied": true, "user_count": 2, "subscription_count": 3})),
            ("nobody", alone, json!({"occupied": false, "subscription_count": 0})),
        ];
        for (channel, info, expected) in told {
            assert_eq!(get(&format!("/channels/{channel}"), &[info]).json(), expected, "{channel} {info:?}");
        }
        let post = |path: &str, body: Value| server.post(&format!("/apps/7{path}"), &body.to_string()).json();
        let event = |to: &str, info: &str| json!({"name": "e", "data": "x", "channel": to, "info": info});
        let to_both =
            json!({"name": "e", "data": "x", "channels": ["asked", "presence-asked"], "info": both.1});
        let expected = json!({"channels": {"asked": public, "presence-asked": presence}});
        assert_eq!(post("/events", to_both), expected);
        assert_eq!(post("/events", event("asked", alone.1)), json!({"channels": {"asked": public}}));
        let batch = json!({"batch": [event("asked", both.1), event("presence-asked", both.1), event("nobody", alone.1)]});
        let expected = json!({"batch": [public, presence, {"subscription_count": 0}]});
        assert_eq!(post("/batch_events", batch), expected);
    });
}

#[test]
fn an_app_may_do_without_numbers() {
    let port = free_port();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("uncounted.toml");
    let app =
        "[[apps]]\nid = \"1\"\nkey = \"uncounted\"\nsecret = \"secret\"\nsubscription_count_events = false\n";
    fs::write(&path, app).unwrap();
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(path);
    command.stdin(Stdio::null());
    let server = Server::start_command(command, port);
    let mut clients = [(); 2].map(|()| {
        let mut client = Client::connect(server.tcp(), "/app/uncounted?protocol=7");
        client.subscribe("news");
        client
    });
    for client in &mut clients {
        client.say_text(r#"{"event":"pusher:ping","data":{}}"#);
        assert_eq!(client.hear_any()["event"], "pusher:pong");
    }
}

/// The numbers that this client hears, with their times, until one is `last`.
fn numbers_until(client: &mut Client, channel: &str, last: u64) -> Vec<(u64, Instant)> {
    let mut numbers = Vec::new();
    while numbers.last().is_none_or(|(number, _)| *number != last) {
        numbers.push((client.hear_count(channel), Instant::now()));
    }
    numbers
}

/// No two numbers beyond the few came within the interval.
fn check_pace(numbers: &[(u64, Instant)]) {
    let many: Vec<_> = numbers.iter().filter(|(number, _)| *number > FEW).collect();
    for pair in many.windows(2) {
        assert!(pair[1].1 - pair[0].1 > INTERVAL - LATE, "{numbers:?}");
    }
}

#[test]
fn more_than_a_hundred_are_told_every_five_seconds_and_the_last_number_always_comes() {
    with_shards(|server| {
        let channel = "crowd";
        let mut staying = first_on(server, channel);
        let mut crowd: Vec<Client> = (0..160).map(|_| server.connect()).collect();
        let subscribe = json!({"event": "pusher:subscribe", "data": {"channel": channel}});
        crowd.iter_mut().for_each(|client| client.say(&subscribe));
        let numbers = numbers_until(&mut staying, channel, 161);
        assert!(numbers.is_sorted_by_key(|(number, _)| *number), "{numbers:?}");
        check_pace(&numbers);
        // Each of them has heard the last number, whenever it came.
        for client in &mut crowd {
            client.hear_event("pusher_internal:subscription_succeeded");
            numbers_until(client, channel, 161);
        }
        // Some go within the interval, and the number comes at its end.
        let left = crowd.split_off(120);
        left.into_iter().for_each(Client::abort);
        check_pace(&[vec![*numbers.last().unwrap()], numbers_until(&mut staying, channel, 121)].concat());
        // Few of them go on hearing of everybody, at once.
        crowd.into_iter().for_each(Client::abort);
        let numbers = numbers_until(&mut staying, channel, 1);
        assert!(numbers.is_sorted_by(|(one, _), (other, _)| one > other), "{numbers:?}");
        server.publish(channel, "end", "");
        assert_eq!(staying.hear_any()["event"], "end");
    });
}

#[test]
fn whoever_comes_back_is_told_although_the_number_is_the_same() {
    with_shards(|server| {
        let channel = "restless";
        let mut client = first_on(server, channel);
        for _ in 0..50 {
            client.unsubscribe(channel);
            client.subscribe(channel);
            assert_eq!(client.hear_count(channel), 1);
        }
        wait_for("REST to agree", || {
            let answer = server.get("/apps/7/channels/restless", &[("info", "subscription_count")]).json();
            (answer == json!({"occupied": true, "subscription_count": 1})).then_some(())
        });
    });
}
