//! Watchlists: a connection that is signed in is told which of the users on its list are online, on whatever shards they are.

use std::thread;
use std::time::{Duration, Instant};

use crate::rig::client::{Client, data_of};
use crate::rig::server::{Server, shared};
use serde_json::{Value, json};

/// What a user must be gone for, and what changes are gathered for.
const OFFLINE: Duration = Duration::from_secs(3);

fn user(id: &str, watchlist: &[&str]) -> String {
    json!({"id": id, "watchlist": watchlist}).to_string()
}

/// The users of the next watchlist event: those online, and those offline, sorted.
fn hear_watchlist(client: &mut Client) -> (Vec<String>, Vec<String>) {
    let event = client.hear_event("pusher_internal:watchlist_events");
    assert!(event.get("channel").is_none(), "{event}");
    let data = data_of(&event);
    let ids = |name: &str| {
        let events = data["events"].as_array().unwrap();
        let of_name: Vec<&Value> = events.iter().filter(|event| event["name"] == name).collect();
        assert!(of_name.len() <= 1, "{data}");
        let ids = of_name.first().map_or(&[][..], |event| event["user_ids"].as_array().unwrap());
        let mut ids: Vec<String> = ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    (ids("online"), ids("offline"))
}

fn is(online: &[&str], offline: &[&str]) -> (Vec<String>, Vec<String>) {
    let own = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    (own(online), own(offline))
}

/// Whether a test holds on a server of three shards and on one of a single shard, at the same time.
fn on_both(test: fn(&Server)) {
    thread::scope(|scope| {
        let one = scope.spawn(|| test(&Server::start(&["--shards", "1"])));
        test(&shared());
        one.join().unwrap();
    });
}

fn watchers_hear_of_users(server: &Server) {
    let mut there = server.connect();
    there.sign_in(&user("there", &[]));
    let mut watchers: Vec<Client> = (0..6).map(|_| server.connect()).collect();
    for watcher in &mut watchers {
        watcher.sign_in(&user("watcher", &["there", "comes", "watcher", "never"]));
        // What is true now comes at once, and in one event.
        assert_eq!(hear_watchlist(watcher), is(&["there", "watcher"], &["comes", "never"]));
    }
    let (mut first, mut second) = (server.connect(), server.connect());
    first.sign_in(&user("comes", &[]));
    second.sign_in(&user("comes", &[]));
    for watcher in &mut watchers {
        assert_eq!(hear_watchlist(watcher), is(&["comes"], &[]));
    }
    // One of two connections goes, and nothing happens; both go, and it takes its time.
    drop(first);
    let since = Instant::now();
    drop(second);
    drop(there);
    for watcher in &mut watchers {
        let (online, mut offline) = hear_watchlist(watcher);
        assert!(since.elapsed() >= OFFLINE && online.is_empty());
        if offline.len() < 2 {
            offline.extend(hear_watchlist(watcher).1);
            offline.sort();
        }
        assert_eq!(offline, ["comes", "there"]);
        watcher.expect_pong();
    }
}

#[test]
fn who_watches_is_told_what_is_and_what_changes() {
    on_both(watchers_hear_of_users);
}

#[test]
fn a_user_who_is_back_in_time_was_never_gone() {
    let server = shared();
    let mut watcher = server.connect();
    let mut mark = server.connect();
    watcher.sign_in(&user("patient", &["reloads", "mark"]));
    assert_eq!(hear_watchlist(&mut watcher), is(&[], &["mark", "reloads"]));
    let mut page = server.connect();
    page.sign_in(&user("reloads", &[]));
    assert_eq!(hear_watchlist(&mut watcher), is(&["reloads"], &[]));
    for _ in 0..10 {
        drop(page);
        page = server.connect();
        page.sign_in(&user("reloads", &[]));
    }
    // Longer than it would take to be told of it.
    thread::sleep(OFFLINE + Duration::from_millis(1500));
    mark.sign_in(&user("mark", &[]));
    assert_eq!(hear_watchlist(&mut watcher), is(&["mark"], &[]));
}

#[test]
fn what_changes_in_a_second_is_told_together() {
    let server = shared();
    let names: Vec<String> = (0..20).map(|number| format!("crowd-{number:02}")).collect();
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut watcher = server.connect();
    watcher.sign_in(&user("gatherer", &ids));
    assert_eq!(hear_watchlist(&mut watcher), is(&[], &ids));
    let since = Instant::now();
    let _crowd: Vec<Client> = ids
        .iter()
        .map(|id| {
            let mut client = server.connect();
            client.sign_in(&user(id, &[]));
            client
        })
        .collect();
    let (mut online, mut events) = (Vec::new(), 0);
    while online.len() < ids.len() {
        online.extend(hear_watchlist(&mut watcher).0);
        events += 1;
    }
    online.sort();
    assert_eq!(online, names);
    assert!(events <= 1 + since.elapsed().as_secs(), "{events} events in {:?}", since.elapsed());
}

#[test]
fn of_a_hundred_and_one_users_a_hundred_are_watched_and_4302_says_so() {
    let server = shared();
    let ids: Vec<String> = (0..101).map(|number| format!("long-{number}")).collect();
    let user_data = json!({"id": "collector", "watchlist": ids}).to_string();
    let mut client = server.connect();
    client.sign_in(&user_data);
    let (code, text) = client.hear_error();
    assert_eq!(code, Some(4302));
    assert!(text.contains("long-99") && !text.contains("long-100"), "{text}");
    assert_eq!(hear_watchlist(&mut client).1.len(), 100);
    // The sign-in holds.
    client.subscribe("#server-to-user-collector");
}

#[test]
fn signing_in_again_replaces_the_list() {
    let server = shared();
    let mut client = server.connect();
    client.sign_in(&user("fickle", &["fickle", "one"]));
    assert_eq!(hear_watchlist(&mut client), is(&["fickle"], &["one"]));
    client.sign_in(&user("fickle", &["fickle", "two"]));
    assert_eq!(hear_watchlist(&mut client), is(&["fickle"], &["two"]));
    client.sign_in(&user("fickle", &[]));
    let mut one = server.connect();
    one.sign_in(&user("one", &["fickle"]));
    assert_eq!(hear_watchlist(&mut one), is(&["fickle"], &[]));
    client.expect_pong();
}

#[test]
fn users_of_another_app_are_others() {
    let server = shared();
    let mut watcher = server.connect();
    watcher.sign_in(&user("jealous", &["namesake"]));
    assert_eq!(hear_watchlist(&mut watcher), is(&[], &["namesake"]));
    let mut foreigner = Client::connect(server.tcp(), "/app/other-key?protocol=7");
    let data = user("namesake", &["jealous"]);
    let auth = protocol::auth::sign_signin(&crate::rig::other_app(), foreigner.socket_id, &data);
    foreigner.say(&json!({"event": "pusher:signin", "data": {"auth": auth, "user_data": data}}));
    foreigner.hear_event("pusher:signin_success");
    assert_eq!(hear_watchlist(&mut foreigner), is(&[], &["jealous"]));
    let mut mine = server.connect();
    mine.sign_in(&user("namesake", &[]));
    assert_eq!(hear_watchlist(&mut watcher), is(&["namesake"], &[]));
    watcher.expect_pong();
}
