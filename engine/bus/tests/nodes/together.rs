//! While all goes well.

use crate::node::Node;
use crate::redis_server::RedisServer;

#[test]
fn three_nodes_hear_one_order_of_events_and_one_roster() {
    let redis = RedisServer::start(&[]);
    let nodes = [(); 3].map(|()| Node::start(&redis.url()));
    nodes.iter().for_each(Node::await_up);
    for (node, user) in nodes.iter().zip(["ann", "bob", "ann"]) {
        node.await_heard("begun");
        node.join("presence-a", Some(user));
        node.await_that("a link", |node| node.heard().iter().any(|heard| heard.starts_with("joined ")));
    }
    assert!(nodes[2].heard().contains(&"joined presence-a ann,bob".to_owned()));
    for number in 0..300 {
        nodes[number % 3].publish("presence-a", &number.to_string());
    }
    for node in &nodes {
        node.await_that("all events", |node| node.events().len() == 300);
    }
    let order = nodes[0].events();
    assert!(nodes.iter().all(|node| node.events() == order), "one order");
    for publisher in 0..3 {
        let of_publisher = |events: &[String]| -> Vec<usize> {
            events
                .iter()
                .map(|event| event.parse().unwrap())
                .filter(|number| number % 3 == publisher)
                .collect()
        };
        assert!(of_publisher(&order).is_sorted(), "and each publisher's own");
    }
    nodes[0].leave("presence-a", Some("ann"));
    nodes[1].leave("presence-a", Some("bob"));
    nodes[2].await_heard("removed presence-a bob");
    let changes = |node: &Node| -> Vec<String> {
        let heard = node.heard();
        heard.into_iter().filter(|it| it.starts_with("added") || it.starts_with("removed")).collect()
    };
    assert_eq!(changes(&nodes[2]), ["removed presence-a bob"], "ann has another connection");
    assert_eq!(changes(&nodes[0]), ["added presence-a bob"]);
}

#[test]
fn only_interested_nodes_hear_of_a_channel() {
    let redis = RedisServer::start(&[]);
    let nodes = [(); 2].map(|()| Node::start(&redis.url()));
    nodes.iter().for_each(|node| node.await_heard("begun"));
    nodes[0].join("a", None);
    nodes[1].join("b", None);
    nodes[0].await_heard("joined a ");
    nodes[1].await_heard("joined b ");
    nodes[0].publish("b", "of b");
    nodes[0].publish("a", "of a");
    nodes[0].await_heard("event of a");
    nodes[1].await_heard("event of b");
    assert_eq!((nodes[0].events().len(), nodes[1].events().len()), (1, 1));
}

#[test]
fn nodes_hear_of_the_connections_of_the_others() {
    let redis = RedisServer::start(&[]);
    let nodes = [(); 3].map(|()| Node::start(&redis.url()));
    nodes.iter().for_each(Node::await_up);
    nodes[0].has_connections("1", 5);
    nodes[1].has_connections("1", 7);
    nodes[2].await_that("twelve", |node| node.elsewhere() == [("1".into(), 12)]);
    nodes[1].await_that("five", |node| node.elsewhere() == [("1".into(), 5)]);
}
