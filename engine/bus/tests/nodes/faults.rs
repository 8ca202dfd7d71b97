//! What comes between nodes and their server.

use std::thread;
use std::time::{Duration, Instant};

use crate::node::{LEASE_MS, Node};
use crate::proxy::Proxy;
use crate::redis_server::RedisServer;

/// Two nodes with a channel, the first behind a proxy.
fn two_nodes(redis: &RedisServer, proxy: &Proxy) -> [Node; 2] {
    let nodes = [Node::start(&proxy.url()), Node::start(&redis.url())];
    for (node, user) in nodes.iter().zip(["ann", "bob"]) {
        node.await_heard("begun");
        node.join("presence-a", Some(user));
        node.await_that("a link", |node| node.heard().iter().any(|heard| heard.starts_with("joined ")));
    }
    nodes[0].await_heard("added presence-a bob");
    nodes
}

/// Waits until the home has heard this in a session after the first. Before it knows of a session, it publishes nothing.
fn await_anew(node: &Node, what: &str) {
    node.await_that(what, |node| {
        let heard = node.heard();
        heard.iter().filter(|it| *it == "begun").count() >= 2
            && heard.iter().rev().take_while(|it| *it != "begun").any(|it| it.starts_with(what))
    });
}

fn lost(node: &Node) -> u64 {
    node.reading().stats.lost.iter().sum()
}

#[test]
fn a_connection_that_is_cut_loses_nothing() {
    let redis = RedisServer::start(&[]);
    let proxy = Proxy::before(redis.port());
    let nodes = two_nodes(&redis, &proxy);
    let mut expected = Vec::new();
    for round in 0..5 {
        for number in 0..40 {
            let text = format!("{round} {number}");
            nodes[number % 2].publish("presence-a", &text);
            expected.push(text);
            if number == 20 {
                proxy.cut();
            }
        }
        nodes[0].await_that("the round", |node| node.events().len() == expected.len());
    }
    nodes[1].await_that("all", |node| node.events().len() == expected.len());
    assert_eq!(nodes[0].events(), nodes[1].events(), "one order");
    let mut heard = nodes[0].events();
    heard.sort_unstable();
    expected.sort_unstable();
    assert_eq!(heard, expected, "each once");
    assert!(nodes[0].reading().stats.resumed >= 3 && lost(&nodes[0]) == 0, "{:?}", nodes[0].reading());
    let members: Vec<String> =
        nodes.iter().flat_map(Node::heard).filter(|it| it.starts_with("removed")).collect();
    assert!(members.is_empty(), "nobody is seen leaving: {members:?}");
}

#[test]
fn a_link_that_carries_nothing_more_is_noticed_and_the_node_comes_back_as_a_new_one() {
    let redis = RedisServer::start(&[]);
    let proxy = Proxy::before(redis.port());
    let nodes = two_nodes(&redis, &proxy);
    let began = Instant::now();
    proxy.stall(true);
    nodes[0].await_heard("lost");
    assert!(began.elapsed() < Duration::from_millis(LEASE_MS + 1_000), "{:?}", began.elapsed());
    assert!(
        nodes[0].fault().contains("does not answer") || nodes[0].fault().is_empty(),
        "{}",
        nodes[0].fault()
    );
    // The other is not told before the lease is over, and then once.
    nodes[1].await_heard("removed presence-a ann");
    assert!(began.elapsed() > Duration::from_millis(LEASE_MS / 2), "{:?}", began.elapsed());
    proxy.cut();
    proxy.stall(false);
    await_anew(&nodes[0], "joined presence-a");
    nodes[1].await_heard("added presence-a ann");
    nodes[1].publish("presence-a", "after");
    nodes[0].await_heard("event after");
    assert_eq!(nodes[1].reading().stats.begun, 1, "the other has noticed nothing");
    assert_eq!(nodes[1].heard().iter().filter(|it| *it == "removed presence-a ann").count(), 1);
}

#[test]
fn a_server_that_is_away_and_back_with_its_data_makes_nobody_leave() {
    let mut redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let proxy = Proxy::before(redis.port());
    let nodes = two_nodes(&redis, &proxy);
    redis.kill();
    nodes.iter().for_each(|node| node.await_heard("lost"));
    redis.launch();
    nodes.iter().for_each(|node| await_anew(node, "joined presence-a ann,bob"));
    nodes[0].publish("presence-a", "after");
    nodes.iter().for_each(|node| node.await_heard("event after"));
    thread::sleep(Duration::from_millis(2 * LEASE_MS));
    for node in &nodes {
        assert!(!node.heard().iter().any(|it| it.starts_with("removed")), "{:?}", node.heard());
    }
}

#[test]
fn a_server_that_comes_back_empty_is_told_everything_anew() {
    let mut redis = RedisServer::start(&[]);
    let proxy = Proxy::before(redis.port());
    let nodes = two_nodes(&redis, &proxy);
    redis.kill();
    redis.launch();
    nodes.iter().for_each(|node| await_anew(node, "joined presence-a"));
    nodes[1].publish("presence-a", "after");
    nodes.iter().for_each(|node| node.await_heard("event after"));
    assert_eq!(redis.ask::<u64>(&["HLEN", "{test}:u:1/cpresence-a"]).unwrap(), 2);
}

#[test]
fn a_server_that_hangs_for_a_moment_loses_nothing_and_longer_a_session() {
    let redis = RedisServer::start(&[]);
    let proxy = Proxy::before(redis.port());
    let nodes = two_nodes(&redis, &proxy);
    redis.pause();
    nodes[0].publish("presence-a", "while it hangs");
    thread::sleep(Duration::from_millis(LEASE_MS / 4));
    redis.resume();
    nodes.iter().for_each(|node| node.await_heard("event while it hangs"));
    assert_eq!((lost(&nodes[0]), lost(&nodes[1])), (0, 0));
    redis.pause();
    nodes.iter().for_each(|node| node.await_heard("lost"));
    redis.resume();
    nodes.iter().for_each(|node| await_anew(node, "joined presence-a"));
    nodes[0].publish("presence-a", "after");
    nodes.iter().for_each(|node| node.await_heard("event after"));
    assert_eq!(nodes[0].events().len(), 2, "{:?}", nodes[0].events());
}

#[test]
fn a_server_that_forgets_its_scripts_is_given_them_again() {
    let redis = RedisServer::start(&[]);
    let proxy = Proxy::before(redis.port());
    let nodes = two_nodes(&redis, &proxy);
    for number in 0..20 {
        nodes[0].publish("presence-a", &number.to_string());
        if number % 5 == 0 {
            let () = redis.ask(&["SCRIPT", "FLUSH"]).unwrap();
        }
    }
    nodes[1].await_that("all", |node| node.events().len() == 20);
    assert_eq!(nodes[1].events(), (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(nodes[0].reading().stats.resumed + nodes[1].reading().stats.resumed, 0);
}

#[test]
fn the_members_of_a_killed_node_leave_within_its_lease_and_a_sweep() {
    let redis = RedisServer::start(&[]);
    let proxy = Proxy::before(redis.port());
    let [first, second] = two_nodes(&redis, &proxy);
    let began = Instant::now();
    first.kill();
    second.await_heard("removed presence-a ann");
    let took = began.elapsed();
    assert!(took > Duration::from_millis(LEASE_MS * 3 / 4), "{took:?}");
    assert!(took < Duration::from_millis(LEASE_MS * 2 + 1_000), "{took:?}");
    second.await_that("it is forgotten", |_| redis.ask::<u64>(&["SCARD", "{test}:nodes"]).unwrap() == 1);
    assert!(!second.heard().contains(&"removed presence-a bob".to_owned()));
}

#[test]
fn garbage_in_an_inbox_costs_its_node_a_session_and_nobody_else() {
    let redis = RedisServer::start(&[]);
    let proxy = Proxy::before(redis.port());
    let nodes = two_nodes(&redis, &proxy);
    let inbox = || format!("{{test}}:in:{}", nodes[0].reading().epoch.unwrap());
    // What comes before the answers of a session have been read may be cleared away with them.
    let settled_after = |sessions: u64| {
        nodes[0].await_that("a link in another session", |node| {
            let links = node.heard().iter().filter(|it| it.starts_with("joined ")).count() as u64;
            let begun = node.reading().stats.begun;
            begun > sessions && links == begun
        });
        nodes[0].reading().stats.begun
    };
    let first = settled_after(0);
    let () = redis.ask(&["XADD", &inbox(), "*", "who", "me"]).unwrap();
    let second = settled_after(first);
    let () = redis.ask(&["SET", &inbox(), "garbage"]).unwrap();
    settled_after(second);
    nodes[1].publish("presence-a", "after");
    nodes.iter().for_each(|node| node.await_heard("event after"));
    assert_eq!(lost(&nodes[1]), 0);
    let seen = nodes[1].heard();
    assert!(!seen.iter().any(|it| it.starts_with("removed")), "nobody is seen leaving: {seen:?}");
}
