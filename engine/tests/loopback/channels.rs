//! The list of channels when there are many: whole by its prefix, and refused with a hint when it is too long.

use std::collections::BTreeSet;

use crate::rig::client::Client;
use crate::rig::server::{Server, wait_for};
use serde_json::json;

/// Channels of a prefix.
const EACH: usize = 10_000;
/// What one connection may be subscribed to.
const ON_ONE: usize = 2000;
/// Acknowledgements that may be on their way to a client.
const UNHEARD: usize = 200;

/// Names as long as they may be: 40,000 of them are more than one answer holds.
fn names(prefix: &str) -> Vec<String> {
    (0..EACH).map(|number| format!("{prefix}{number:0>width$}", width = 200 - prefix.len())).collect()
}

/// Clients on all channels of this prefix.
fn occupy(server: &Server, prefix: &str) -> Vec<Client> {
    names(prefix).chunks(ON_ONE).map(|some| on_all(server, some)).collect()
}

fn on_all(server: &Server, names: &[String]) -> Client {
    let mut client = server.connect();
    for some in names.chunks(UNHEARD) {
        for channel in some {
            client.say(&json!({"event": "pusher:subscribe", "data": {"channel": channel}}));
        }
        for _ in some {
            client.hear_event("pusher_internal:subscription_succeeded");
        }
    }
    client
}

fn listed(server: &Server, params: &[(&str, &str)]) -> BTreeSet<String> {
    let answer = server.get("/apps/7/channels", params);
    assert_eq!(answer.status, 200, "{params:?}");
    answer.json()["channels"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn twenty_thousand_channels_are_listed_whole_and_forty_thousand_are_413_with_a_hint() {
    // The list has all channels of the app, so nobody else may be on the server.
    let server = Server::start(&["--shards", "3"]);
    let mut clients = vec![occupy(&server, "left-a-"), occupy(&server, "left-b-")];
    let left: BTreeSet<String> = ["left-a-", "left-b-"].into_iter().flat_map(names).collect();
    assert!(listed(&server, &[]) == left, "the whole list");
    assert!(listed(&server, &[("info", "subscription_count")]) == left, "the whole list with counts");
    clients.extend([occupy(&server, "right-a-"), occupy(&server, "right-b-")]);
    let (status, error) = server.get("/apps/7/channels", &[]).refusal();
    assert!(status == 413 && error.contains("filter_by_prefix"), "{status} {error}");
    assert!(listed(&server, &[("filter_by_prefix", "left-")]) == left, "the half");
    assert_eq!(listed(&server, &[("filter_by_prefix", "right-b-")]).len(), EACH);
    assert!(listed(&server, &[("filter_by_prefix", "presence-")]).is_empty());
    drop(clients);
    let emptied = || (server.get("/apps/7/channels", &[]).body == r#"{"channels":{}}"#).then_some(());
    wait_for("the channels to be vacated", emptied);
}
