//! Users: connections sign in, and what follows from that. The same on one shard and on three.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::rig::client::{Client, data_of};
use crate::rig::other_app;
use crate::rig::server::{Server, binary, free_port, shared, wait_for};
use protocol::auth::sign_signin;
use serde_json::{Value, json};

const OWN: &str = "#server-to-user-";

/// Three connections, on as many shards as there are.
fn devices(server: &Server) -> [Client; 3] {
    // The second of two shards gets one of forty newcomers, whatever decides.
    let spread = (0..40).any(|_| server.connect().shard() > 0);
    if spread { server.connect_to_each_shard() } else { std::array::from_fn(|_| server.connect()) }
}

fn user(id: &str) -> String {
    json!({"id": id}).to_string()
}

/// Signs in as this user and subscribes to its own channel, as SDKs do.
fn sign_in(client: &mut Client, id: &str) {
    client.sign_in(&user(id));
    client.subscribe(&format!("{OWN}{id}"));
}

fn post(server: &Server, path: &str, body: &Value) {
    let answer = server.post(path, &body.to_string());
    assert_eq!((answer.status, &*answer.body), (200, "{}"), "{body}");
}

/// Whether a test holds on a server of three shards and on one of a single shard.
fn on_both(test: fn(&Server)) {
    test(&shared());
    test(&Server::start(&["--shards", "1"]));
}

#[test]
fn a_connection_signs_in_and_gets_its_own_words_back() {
    let server = shared();
    for user_data in [
        r#"{"id":"7"}"#,
        r#"{"id":"Zoë \"ü\" 😀","user_info":{"name":"Zoë"}}"#,
        " { \"watchlist\" : [ ] , \"id\" : \"a\\u00e9\" }\n",
    ] {
        let mut client = server.connect();
        client.sign_in(user_data);
        client.expect_pong();
    }
}

#[test]
fn a_refused_sign_in_is_told_twice_and_the_connection_stays_as_it_was() {
    let server = shared();
    let mut client = server.connect();
    let id = client.socket_id;
    let auth = |user_data: &str| sign_signin(&crate::rig::app(), id, user_data);
    let long = user(&"x".repeat(129));
    let foreign = sign_signin(&other_app(), id, &user("7"));
    let table = [
        (json!({"auth": auth(&user("7")), "user_data": user("8")}), "AuthError", 401, "Invalid signature"),
        (json!({"auth": foreign, "user_data": user("7")}), "AuthError", 401, "key"),
        (json!({"auth": "", "user_data": user("7")}), "AuthError", 401, "key:signature"),
        (json!({"user_data": user("7")}), "AuthError", 401, "key:signature"),
        (json!({"auth": auth(&user("7"))}), "AuthError", 401, "user_data"),
        (json!({"auth": auth("{}"), "user_data": "{}"}), "AuthError", 401, "id is missing"),
        (
            json!({"auth": auth(r#"{"id":7}"#), "user_data": r#"{"id":7}"#}),
            "AuthError",
            401,
            "must be a string",
        ),
        (json!({"auth": auth("no"), "user_data": "no"}), "AuthError", 401, "user_data"),
        (json!({"auth": auth(&long), "user_data": long}), "LimitReached", 4301, "user_id_characters_max"),
        (json!(["no", "object"]), "AuthError", 401, ""),
    ];
    for (data, kind, status, text) in table {
        client.say(&json!({"event": "pusher:signin", "data": data}));
        let told = client.hear_signin_refusal();
        assert_eq!((&told["type"], &told["status"]), (&json!(kind), &json!(status)), "{told} for {data}");
        assert!(told["error"].as_str().unwrap().contains(text), "{told} for {data}");
    }
    client.say(&json!({"event": "pusher:subscribe", "data": {"auth": "", "channel": format!("{OWN}7")}}));
    assert!(client.hear_refusal(&format!("{OWN}7")).contains("signed in"));
    sign_in(&mut client, "7");
}

#[test]
fn a_connection_signs_in_again_as_its_user_and_as_nobody_else() {
    let server = shared();
    let mut client = server.connect();
    sign_in(&mut client, "7");
    client.ask_to_sign_in(&user("8"));
    let told = client.hear_signin_refusal();
    assert_eq!(told["error"], "Connection is already signed in as another user");
    client.sign_in(r#"{"id":"7","user_info":{"name":"again"}}"#);
    server.publish(&format!("{OWN}7"), "still-here", "");
    client.expect(&format!("{OWN}7"), "still-here", "");
    // What it says of itself now is what presence channels show.
    let auth =
        protocol::auth::sign_subscription(&crate::rig::app(), client.socket_id, "presence-again", None);
    client.say(&json!({"event": "pusher:subscribe", "data": {"auth": auth, "channel": "presence-again"}}));
    let event = client.hear_event("pusher_internal:subscription_succeeded");
    assert_eq!(data_of(&event)["presence"]["hash"], json!({"7": {"name": "again"}}));
}

fn a_user_is_a_member(server: &Server) {
    let channel = "presence-signed-in";
    let mut watcher = server.connect();
    watcher.join(channel, r#"{"user_id":"watcher"}"#);
    for (number, mut device) in devices(server).into_iter().enumerate() {
        let ask = |client: &mut Client| {
            let auth = protocol::auth::sign_subscription(&crate::rig::app(), client.socket_id, channel, None);
            client.say(&json!({"event": "pusher:subscribe", "data": {"auth": auth, "channel": channel}}));
        };
        ask(&mut device);
        assert!(device.hear_refusal(channel).contains("unless a user is signed in"));
        let id = format!("device-{number}");
        device.sign_in(&json!({"id": id, "user_info": {"number": number}}).to_string());
        ask(&mut device);
        let event = device.hear_event("pusher_internal:subscription_succeeded");
        let presence = &data_of(&event)["presence"];
        assert_eq!(presence["hash"], json!({"watcher": null, &id: {"number": number}}));
        let added = watcher.hear_event("pusher_internal:member_added");
        assert_eq!(data_of(&added), json!({"user_id": id, "user_info": {"number": number}}));
        // What is signed for this channel wins over the sign-in.
        device.unsubscribe(channel);
        watcher.hear_event("pusher_internal:member_removed");
        assert_eq!(device.join(channel, r#"{"user_id":"named"}"#)["count"], 2);
        watcher.hear_event("pusher_internal:member_added");
        drop(device);
        watcher.hear_event("pusher_internal:member_removed");
    }
}

#[test]
fn a_signed_in_user_is_a_member_without_channel_data() {
    on_both(a_user_is_a_member);
}

fn events_reach_a_user(server: &Server) {
    for id in ["7", "ann@example.com", "a,b;c=d"] {
        let own = format!("{OWN}{id}");
        let mut devices = devices(server);
        devices.iter_mut().for_each(|device| sign_in(device, id));
        let mut stranger = server.connect();
        sign_in(&mut stranger, "somebody-else");
        // To one, with others in one call, in a batch, and without the device that caused it.
        server.publish(&own, "one", "1");
        post(server, "/apps/7/events", &json!({"name": "many", "channels": [&own, "other"], "data": "2"}));
        let batch = json!({"batch": [
            {"name": "first", "channel": &own, "data": "3"},
            {"name": "second", "channel": &own, "data": "{\"a\":4}"},
        ]});
        assert_eq!(server.post("/apps/7/batch_events", &batch.to_string()).status, 200);
        let causer = devices[1].socket_id.to_string();
        let excluding = json!({"name": "excluding", "channel": &own, "data": "5", "socket_id": causer});
        post(server, "/apps/7/events", &excluding);
        server.publish(&own, "mark", "");
        for (number, device) in devices.iter_mut().enumerate() {
            for (name, data) in [("one", "1"), ("many", "2"), ("first", "3"), ("second", "{\"a\":4}")] {
                device.expect(&own, name, data);
            }
            if number != 1 {
                device.expect(&own, "excluding", "5");
            }
            device.expect(&own, "mark", "");
        }
        stranger.expect_pong();
    }
}

#[test]
fn events_for_a_user_reach_all_of_its_connections_and_nobody_else() {
    on_both(events_reach_a_user);
}

fn own_channels_are_closed(server: &Server) {
    for mut client in devices(server) {
        let ask = |client: &mut Client, channel: &str| {
            client.say(&json!({"event": "pusher:subscribe", "data": {"auth": "", "channel": channel}}));
            client.hear_refusal(channel)
        };
        assert!(ask(&mut client, "#server-to-user-7").contains("a user who is signed in"));
        sign_in(&mut client, "7");
        for foreign in ["#server-to-user-8", "#server-to-user-77", "#server-to-user-"] {
            assert!(!ask(&mut client, foreign).is_empty());
        }
        // Nobody but back ends speaks there.
        client.trigger("#server-to-user-7", "client-hello", &json!({}));
        assert!(client.hear_error().1.contains("only supported on private and presence channels"));
        client.unsubscribe("#server-to-user-7");
        server.publish("#server-to-user-7", "gone", "");
        client.expect_pong();
    }
}

#[test]
fn the_own_channel_of_a_user_is_open_to_that_user_alone() {
    on_both(own_channels_are_closed);
}

#[test]
fn own_channels_of_users_are_not_shown() {
    let server = shared();
    let mut devices = server.connect_to_each_shard();
    devices.iter_mut().for_each(|device| sign_in(device, "hidden"));
    devices[0].subscribe("shown-beside-it");
    for prefix in ["", "#", OWN] {
        let answer = server.get("/apps/7/channels", &[("filter_by_prefix", prefix)]);
        assert!(!answer.body.contains("server-to-user"), "{}", answer.body);
    }
    let answer = server.get("/apps/7/channels/%23server-to-user-hidden", &[("info", "subscription_count")]);
    assert_eq!(answer.json()["occupied"], false, "{}", answer.body);
}

#[test]
fn a_user_who_comes_back_signs_in_anew() {
    let server = shared();
    let own = format!("{OWN}returning");
    for _ in 0..5 {
        let mut client = server.connect();
        let ask = json!({"event": "pusher:subscribe", "data": {"auth": "", "channel": own}});
        client.say(&ask);
        client.hear_refusal(&own);
        sign_in(&mut client, "returning");
        server.publish(&own, "welcome", "");
        client.expect(&own, "welcome", "");
    }
}

fn a_user_is_terminated(server: &Server) {
    let (mut users, mut others) = (devices(server), devices(server));
    users.iter_mut().for_each(|client| client.sign_in(&user("goner")));
    others.iter_mut().for_each(|client| sign_in(client, "stays"));
    // A member under that id is no signed-in user, and this app does not ask for more.
    others[0].join("presence-goner", r#"{"user_id":"goner"}"#);
    post(server, "/apps/7/users/goner/terminate_connections", &json!({}));
    for mut client in users {
        assert_eq!(client.hear_error(), (Some(4009), "You got disconnected by the app".to_owned()));
        assert_eq!(client.hear_close(), (4009, "You got disconnected by the app".to_owned()));
    }
    others.iter_mut().for_each(Client::expect_pong);
    // Another app's user of that name stays, and the user may come back.
    let mut back = server.connect();
    sign_in(&mut back, "goner");
    back.expect_pong();
}

#[test]
fn all_signed_in_connections_of_a_terminated_user_are_closed() {
    on_both(a_user_is_terminated);
}

#[test]
fn hooks_that_name_it_are_told_who_is_online() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("users_hooks");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    let (told, path, port) = (folder.join("told.jsonl"), folder.join("corecast.toml"), free_port());
    let app = "[[apps]]\nid = \"7\"\nkey = \"loopback-key\"\nsecret = \"loopback-secret\"\n";
    let hooks = format!("[hooks]\ndata_dir = {:?}\ngrace_ms = 500\n", folder.join("data"));
    let endpoint = format!("[[apps.hooks]]\nfile = {told:?}\nevents = [\"user_online\", \"user_offline\"]\n");
    fs::write(&path, format!("shards = 3\nadmin = \"off\"\n{hooks}{app}{endpoint}")).unwrap();
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&path);
    command.stdin(Stdio::null());
    let server = Server::start_command(command, port);
    // Two connections of one user, one of which comes back; and channels, which are not told of.
    let mut first = server.connect();
    sign_in(&mut first, "seen");
    first.subscribe("a-channel");
    let mut second = server.connect();
    sign_in(&mut second, "seen");
    drop(first);
    drop(second);
    let mut back = server.connect();
    sign_in(&mut back, "seen");
    drop(back);
    let lines = wait_for("the end of the user to be told", || {
        let text = fs::read_to_string(&told).unwrap_or_default();
        text.contains("user_offline").then_some(text)
    });
    let names: Vec<(Value, Value)> = lines
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            assert!(event.get("channel").is_none(), "{event}");
            (event["name"].clone(), event["user_id"].clone())
        })
        .collect();
    assert_eq!(names, [(json!("user_online"), json!("seen")), (json!("user_offline"), json!("seen"))]);
    drop(server);
    fs::remove_dir_all(folder).unwrap();
}
