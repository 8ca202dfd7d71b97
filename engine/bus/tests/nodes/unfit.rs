//! Servers that cannot be the bus: the operator is told why, and the node goes on alone.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::node::Node;
use crate::redis_server::{RedisServer, free_port};

fn await_fault(url: &str, words: &[&str]) -> Node {
    let node = Node::start(url);
    node.await_that(words[0], |node| words.iter().all(|word| node.fault().contains(word)));
    assert!(!node.fault().contains("secret"), "{}", node.fault());
    node
}

#[test]
fn a_server_that_is_not_there_refuses() {
    await_fault(&format!("redis://user:secret@127.0.0.1:{}", free_port()), &["no connection"]);
}

#[test]
fn a_server_that_evicts_is_refused_until_it_does_not() {
    let redis = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
    let node = await_fault(&redis.url(), &["maxmemory-policy is allkeys-lru", "noeviction"]);
    let () = redis.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).unwrap();
    node.await_up();
    assert_eq!(node.fault(), "");
}

#[test]
fn a_password_that_is_missing_or_wrong_is_named_and_not_shown() {
    let mut redis = RedisServer::start(&[]);
    let bare = redis.url();
    redis.password_is("right");
    await_fault(&bare, &["NOAUTH", "redis://USER:PASSWORD"]);
    await_fault(&bare.replace("redis://", "redis://:secret@"), &["WRONGPASS", "redis://USER:PASSWORD"]);
    Node::start(&redis.url()).await_up();
}

#[test]
fn a_server_of_an_old_version_is_told_what_is_missing() {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().take(64) {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut bytes = [0; 4096];
                while let Ok(count) = stream.read(&mut bytes)
                    && count > 0
                {
                    let asked = String::from_utf8_lossy(&bytes[..count]).into_owned();
                    let info = "redis_version:6.2.14\r\n";
                    let answer = match asked.contains("\r\nINFO\r\n") {
                        true => format!("${}\r\n{info}\r\n", info.len()),
                        false => "+OK\r\n".repeat(asked.matches('*').count()),
                    };
                    let _ = stream.write_all(answer.as_bytes());
                }
            });
        }
    });
    await_fault(&format!("redis://127.0.0.1:{port}"), &["Redis 6.2.14", "Redis 7.0 or newer"]);
}

#[test]
fn a_replica_is_refused() {
    let primary = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    let node = await_fault(&replica.url(), &["READONLY", "primary"]);
    let () = replica.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    node.await_up();
}
