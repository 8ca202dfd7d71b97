//! What happens when the process may open no descriptor more: who holds one and asks nothing makes room.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::rig::http::Http;
use crate::rig::server::Server;

const LIVE: &[u8] = b"GET /live HTTP/1.1\r\nHost: h\r\n\r\n";

/// A back end that has asked something, and keeps its connection.
fn idle(server: &Server) -> Http {
    let mut http = server.http();
    assert_eq!(http.ask(LIVE).status, 200);
    http
}

/// From now on the server may open none but those that it has.
fn take_free_descriptors(server: &Server) {
    let folder = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let taken: Vec<u32> =
        folder.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    let free = (0..).find(|number| !taken.contains(number)).unwrap();
    let (pid, limit) = (format!("--pid={}", server.pid()), format!("--nofile={free}"));
    assert!(Command::new("prlimit").args([pid, limit]).status().unwrap().success());
}

/// True when the server has closed the connection.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    matches!(stream.peek(&mut [0]), Ok(0))
}

#[test]
fn idle_back_ends_make_room_for_clients_and_a_busy_one_stays() {
    const NEWCOMERS: usize = 10;
    let server = Server::start(&["--shards", "1"]);
    let back_ends: Vec<Http> = (0..100).map(|_| idle(&server)).collect();
    let mut publisher = idle(&server);
    take_free_descriptors(&server);
    let begun = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..NEWCOMERS {
        let mut client = server.connect();
        client.subscribe("news");
        publisher.publish("news", "e", "to all who got in");
        client.expect("news", "e", "to all who got in");
        clients.push(client);
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{NEWCOMERS} newcomers got in after {took:?}");
    let closed: Vec<bool> = back_ends.iter().map(|it| is_closed(it.tcp())).collect();
    let given_up = closed.iter().filter(|closed| **closed).count();
    assert!((NEWCOMERS..2 * NEWCOMERS).contains(&given_up), "{given_up} were given up");
    println!("{NEWCOMERS} got in after {took:?}, {given_up} back ends were given up");
    assert!(closed[..given_up].iter().all(|closed| *closed), "the longest idle go first: {closed:?}");
}
