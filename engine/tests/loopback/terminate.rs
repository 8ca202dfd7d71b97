//! Terminating a user on a server of three shards: where the app asks for it, connections in a presence channel
//! under that id are closed, and no others.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::rig::client::{Client, data_of};
use crate::rig::http::now_unix_s;
use crate::rig::other_app;
use crate::rig::server::{Server, binary, free_port, shared};
use protocol::auth::{sign_request, sign_subscription};
use serde_json::json;

const FILE: &str = r#"
shards = 3

[[apps]]
id = "7"
key = "loopback-key"
secret = "loopback-secret"
terminate_by_presence = true

[[apps]]
id = "8"
key = "other-key"
secret = "other-secret"
terminate_by_presence = true
"#;

const ROOM: &str = "presence-room";

/// A server whose apps terminate by presence. The name of its file must be the test's own.
fn serve(name: &str) -> Server {
    let (port, path) = (free_port(), PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
    fs::write(&path, FILE).unwrap();
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&path);
    let server = Server::start_command(
        {
            command.stdin(Stdio::null());
            command
        },
        port,
    );
    fs::remove_file(path).unwrap();
    server
}

fn terminate(server: &Server, user: &str) {
    let answer = server.post(&format!("/apps/7/users/{user}/terminate_connections"), "{}");
    assert_eq!((answer.status, &*answer.body), (200, "{}"), "{user}");
}

fn join(client: &mut Client, channel: &str, user: &str) {
    client.join(channel, &json!({"user_id": user}).to_string());
}

/// Hears whatever was on its way.
fn catch_up<'a>(server: &Server, clients: impl IntoIterator<Item = &'a mut Client>) {
    server.publish(ROOM, "mark", "");
    for client in clients {
        while client.hear()["event"] != "mark" {}
    }
}

fn expect_terminated(mut client: Client) {
    assert_eq!(client.hear_error(), (Some(4009), "You got disconnected by the app".to_owned()));
    assert_eq!(client.hear_close(), (4009, "You got disconnected by the app".to_owned()));
}

/// Hears that this user has left the room, once, and is well.
fn expect_removed(server: &Server, watchers: &mut [Client], user: &str) {
    for client in watchers.iter_mut() {
        let heard = client.hear_event("pusher_internal:member_removed");
        assert_eq!((&heard["channel"], data_of(&heard)), (&json!(ROOM), json!({"user_id": user})));
    }
    server.publish(ROOM, "mark", "");
    for client in watchers {
        client.expect(ROOM, "mark", "");
    }
}

#[test]
fn every_connection_of_a_user_is_closed_on_every_shard_and_no_other() {
    let server = serve("terminate_all.toml");
    let (mut watchers, mut devices) = (server.connect_to_each_shard(), server.connect_to_each_shard());
    for (number, client) in watchers.iter_mut().enumerate() {
        // One whose id begins with the user's.
        join(client, ROOM, &format!("u{number}"));
    }
    devices.iter_mut().for_each(|client| join(client, ROOM, "u"));
    catch_up(&server, watchers.iter_mut().chain(&mut devices));
    // Two that are not in the room: one in several others, one that is the user only in its own words.
    let (mut elsewhere, mut stranger) = (server.connect(), server.connect());
    for number in 0..40 {
        join(&mut elsewhere, &format!("presence-other-{number}"), if number == 20 { "u" } else { "v" });
    }
    stranger.subscribe("u");
    let mut foreigner = Client::connect(server.tcp(), "/app/other-key?protocol=7");
    let data = r#"{"user_id":"u"}"#;
    let auth = sign_subscription(&other_app(), foreigner.socket_id, ROOM, Some(data));
    let data = json!({"auth": auth, "channel": ROOM, "channel_data": data});
    foreigner.say(&json!({"event": "pusher:subscribe", "data": data}));
    foreigner.hear_event("pusher_internal:subscription_succeeded");

    terminate(&server, "u");
    devices.into_iter().chain([elsewhere]).for_each(expect_terminated);
    expect_removed(&server, &mut watchers, "u");
    stranger.expect_pong();
    foreigner.expect_pong();
    let users = server.get(&format!("/apps/7/channels/{ROOM}/users"), &[]).json();
    assert_eq!(users["users"].as_array().unwrap().len(), 3, "{users}");

    // It may come back, and a call for nobody is answered like any other.
    terminate(&server, "nobody");
    let mut back = server.connect();
    join(&mut back, ROOM, "u");
    back.expect_pong();
}

#[test]
fn nobody_is_closed_by_presence_where_the_app_did_not_ask_for_it() {
    let server = shared();
    let mut clients = server.connect_to_each_shard();
    clients.iter_mut().for_each(|client| join(client, ROOM, "u"));
    terminate(&server, "u");
    catch_up(&server, &mut clients);
    clients.iter_mut().for_each(Client::expect_pong);
}

#[test]
fn an_id_may_hold_anything_and_the_path_may_leave_the_app_out() {
    let server = serve("terminate_ids.toml");
    let (mut first, mut second) = (server.connect(), server.connect());
    join(&mut first, ROOM, "Zoë/1");
    join(&mut second, ROOM, "+ %");
    catch_up(&server, [&mut first, &mut second]);
    terminate(&server, "Zo%C3%AB%2F1");
    expect_terminated(first);
    second.hear_event("pusher_internal:member_removed");
    let path = "/users/+%20%25/terminate_connections";
    let query = sign_request(&crate::rig::app(), "POST", path, &[], b"", now_unix_s());
    let request = crate::rig::http::encode_request("POST", &format!("{path}?{query}"), "");
    assert_eq!(server.http().ask(&request).status, 200);
    expect_terminated(second);
}

#[test]
fn a_user_with_many_connections_goes_and_the_others_are_served() {
    let server = serve("terminate_many.toml");
    let mut watcher = server.connect();
    join(&mut watcher, ROOM, "watcher");
    let mut devices: Vec<Client> = (0..300).map(|_| server.connect()).collect();
    devices.iter_mut().for_each(|client| join(client, ROOM, "u"));
    catch_up(&server, devices.iter_mut().chain([&mut watcher]));
    for _ in 0..20 {
        terminate(&server, "u");
    }
    devices.into_iter().for_each(expect_terminated);
    expect_removed(&server, std::slice::from_mut(&mut watcher), "u");
}
