//! Two servers on one port: what is published at either reaches the clients of both, once and in one order.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::client::Client;
use crate::rig::http::{Http, encode_event, encode_post, signed};
use crate::rig::server::{Server, free_port, wait_for};
use crate::rig::{KEY, PATIENCE, text};

const CHANNEL: &str = "private-news";
const LAST: &str = "last";

/// An old server with clients, and a new one on its port.
struct Pair {
    old: Server,
    new: Server,
    /// Clients of the old one.
    early: Vec<Client>,
}

impl Pair {
    fn start(shards: [&str; 2], early: usize) -> Self {
        let port = free_port();
        let old = Server::start_on(port, &["--shards", shards[0], "--takeover", "--drain-rate", "100"]);
        let early = (0..early).map(|_| subscriber(&old)).collect();
        Self { new: successor(port, shards[1]), old, early }
    }

    /// Clients of either, as the kernel likes.
    fn late(&self, count: usize) -> Vec<Client> {
        (0..count).map(|_| subscriber(&self.new)).collect()
    }

    /// Connections of back ends to the old one and to the new one.
    fn publishers(&self, of_each: usize) -> [Vec<Http>; 2] {
        let mut found = [Vec::new(), Vec::new()];
        while found.iter().any(|publishers| publishers.len() < of_each) {
            let mut http = self.new.http();
            let place = usize::from(is_new(&mut http));
            found[place].push(http);
        }
        found.map(|publishers| publishers.into_iter().take(of_each).collect())
    }
}

/// Starts a server that takes over and has an app of its own, by which it is known.
fn successor(port: u16, shards: &str) -> Server {
    let new = Server::start_on(port, &["--shards", shards, "--takeover", "--app", "9:successor:secret"]);
    wait_for("the successor", || Client::try_connect(new.tcp(), "/app/successor").ok());
    new
}

fn subscriber(server: &Server) -> Client {
    let mut client = server.connect();
    client.subscribe(CHANNEL);
    client
}

fn is_new(http: &mut Http) -> bool {
    let app = protocol::app::App::parse("9:successor:secret").unwrap();
    let path = "/apps/9/channels";
    let query = protocol::auth::sign_request(&app, "GET", path, &[], b"", crate::rig::http::now_unix_s());
    let request = format!("GET {path}?{query} HTTP/1.1\r\nHost: h\r\n\r\n");
    http.ask(request.as_bytes()).status == 200
}

/// The data of all events up to so many that are the last ones of their publishers.
fn hear_all(client: &mut Client, lasts: usize) -> Vec<String> {
    let (mut heard, mut left) = (Vec::new(), lasts);
    while left > 0 {
        let event = client.hear();
        assert_eq!(event["channel"], CHANNEL, "{event}");
        match event["data"].as_str().unwrap() {
            LAST => left -= 1,
            data => heard.push(data.to_owned()),
        }
    }
    heard
}

/// Numbers of each publisher, which must be `0..count` in this order.
fn check_order(heard: &[String], publishers: usize, count: usize) {
    let mut by_publisher = BTreeMap::<&str, Vec<usize>>::new();
    for data in heard {
        let (publisher, number) = data.split_once(' ').unwrap();
        by_publisher.entry(publisher).or_default().push(number.parse().unwrap());
    }
    assert_eq!(by_publisher.len(), publishers);
    for (publisher, numbers) in by_publisher {
        assert!(numbers.iter().copied().eq(0..count), "of publisher {publisher}: {numbers:?}");
    }
}

fn hear_in_threads(clients: Vec<Client>, lasts: usize) -> Vec<Vec<String>> {
    let hear = |mut it: Client| thread::spawn(move || hear_all(&mut it, lasts));
    let threads: Vec<_> = clients.into_iter().map(hear).collect();
    threads.into_iter().map(|one| one.join().unwrap()).collect()
}

#[test]
fn twenty_publishes_reach_a_client_of_the_old_server() {
    let mut pair = Pair::start(["1", "1"], 1);
    for number in 0..20 {
        pair.new.http().publish(CHANNEL, "e", &number.to_string());
    }
    // Each by a connection of its own, so their order is not known.
    let mut heard: Vec<usize> =
        (0..20).map(|_| pair.early[0].hear_event("e")["data"].as_str().unwrap().parse().unwrap()).collect();
    heard.sort_unstable();
    assert!(heard.iter().copied().eq(0..20), "{heard:?}");
    pair.early[0].expect_pong();
}

#[test]
fn json_comes_as_an_object_to_a_client_that_takes_objects_from_either_server() {
    let port = free_port();
    let old = Server::start_on(port, &["--shards", "1", "--takeover", "--drain-rate", "100"]);
    let mut php = Client::connect(old.tcp(), &format!("/app/{KEY}?X-Push-WS-Client=push-server+2.0.0"));
    php.subscribe(CHANNEL);
    let mut pair = Pair { new: successor(port, "3"), old, early: vec![php] };
    for mut http in pair.publishers(1).into_iter().flatten() {
        for (data, expected) in [(r#"{"a":1}"#, json!({"a": 1})), (r#""{\"a\":1}""#, json!(r#"{"a":1}"#))] {
            let body = format!(r#"{{"name":"e","channel":"{CHANNEL}","data":{data}}}"#);
            assert_eq!(http.post("/apps/7/events", &body).status, 200);
            assert_eq!(pair.early[0].hear_event("e")["data"], expected);
        }
    }
}

#[test]
fn both_servers_remember_the_last_event_of_either_and_none_of_a_client() {
    const CACHED: &str = "private-cache-news";
    for shards in [["1", "1"], ["3", "1"]] {
        let mut pair = Pair::start(shards, 2);
        let mut clients = std::mem::take(&mut pair.early);
        clients.extend(pair.late(6));
        for client in &mut clients {
            client.subscribe(CACHED);
            client.hear_event("pusher:cache_miss");
        }
        for (number, publishers) in pair.publishers(1).iter_mut().enumerate() {
            publishers[0].publish(CACHED, "e", &number.to_string());
            clients.iter_mut().for_each(|client| client.expect(CACHED, "e", &number.to_string()));
        }
        // One on the old server, and one that is on the new one in most runs.
        for sender in [0, clients.len() - 1] {
            clients[sender].trigger(CACHED, "client-e", &json!("x"));
            let others = clients.iter_mut().enumerate().filter(|(place, _)| *place != sender);
            others.for_each(|(_, client)| client.expect(CACHED, "client-e", "x"));
        }
        for mut client in pair.late(8) {
            client.subscribe(CACHED);
            client.expect(CACHED, "e", "1");
        }
    }
}

#[test]
fn all_clients_of_both_servers_hear_one_order() {
    const EVENTS: usize = 200;
    for shards in [["1", "1"], ["3", "3"], ["1", "3"], ["3", "1"]] {
        let mut pair = Pair::start(shards, 4);
        let mut clients = std::mem::take(&mut pair.early);
        clients.extend(pair.late(8));
        let publishers: Vec<Http> = pair.publishers(3).into_iter().flatten().collect();
        let threads: Vec<_> = publishers
            .into_iter()
            .enumerate()
            .map(|(place, mut http)| {
                thread::spawn(move || {
                    for number in 0..EVENTS {
                        http.publish(CHANNEL, "e", &format!("{place} {number}"));
                    }
                    http.publish(CHANNEL, "e", LAST);
                })
            })
            .collect();
        let heard = thread::spawn(|| hear_in_threads(clients, 6));
        threads.into_iter().for_each(|one| one.join().unwrap());
        let heard = heard.join().unwrap();
        check_order(&heard[0], 6, EVENTS);
        assert!(heard.iter().all(|it| *it == heard[0]), "not all have heard the same: {shards:?}");
    }
}

#[test]
fn batches_and_answers_about_channels_are_as_ever() {
    let mut pair = Pair::start(["2", "2"], 1);
    for mut http in pair.publishers(1).into_iter().flatten() {
        let event =
            |data: &str| json!({"name": "e", "channel": CHANNEL, "data": data, "info": "subscription_count"});
        let answer = http.post("/apps/7/batch_events", &text(&json!({"batch": [event("a"), event("b")]})));
        assert_eq!(answer.status, 200, "{answer:?}");
        pair.early[0].expect(CHANNEL, "e", "a");
        pair.early[0].expect(CHANNEL, "e", "b");
    }
}

#[test]
fn whoever_is_left_out_is_left_out_in_both_servers() {
    let mut pair = Pair::start(["2", "2"], 2);
    let mut clients = std::mem::take(&mut pair.early);
    clients.extend(pair.late(6));
    let [old, new] = pair.publishers(1);
    let mut publishers = [old, new].map(|mut it| it.remove(0));
    for sender in 0..clients.len() {
        let id = clients[sender].socket_id.to_string();
        for http in &mut publishers {
            let body = json!({"name": "e", "channels": [CHANNEL], "data": "left out", "socket_id": id});
            assert_eq!(http.post("/apps/7/events", &text(&body)).status, 200);
        }
        clients[sender].trigger(CHANNEL, "client-word", &json!({"from": sender}));
        for (place, client) in clients.iter_mut().enumerate().filter(|(place, _)| *place != sender) {
            let mut heard: Vec<Value> = (0..3).map(|_| client.hear()["event"].clone()).collect();
            heard.sort_by_key(Value::to_string);
            assert_eq!(heard, ["client-word", "e", "e"], "{place}");
        }
        clients[sender].expect_pong();
    }
}

#[test]
fn the_connections_of_a_user_are_closed_in_both_servers() {
    let port = free_port();
    let file = std::env::temp_dir().join(format!("corecast-takeover-{}.toml", std::process::id()));
    let alone = "[[apps]]\nid = \"7\"\nkey = \"loopback-key\"\nsecret = \"loopback-secret\"\nterminate_by_presence = true\n";
    let both = format!("{alone}[[apps]]\nid = \"9\"\nkey = \"successor\"\nsecret = \"secret\"\n");
    std::fs::write(&file, alone).unwrap();
    let start = || {
        let mut command = Command::new(crate::rig::server::binary());
        command.args([
            "serve",
            "--takeover",
            "--shards",
            "2",
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--config",
        ]);
        Server::start_command(
            {
                command.arg(&file);
                command
            },
            port,
        )
    };
    let member = |server: &Server| {
        let mut client = server.connect();
        client.join("presence-room", r#"{"user_id":"u"}"#);
        client
    };
    let old = start();
    let mut members: Vec<Client> = (0..2).map(|_| member(&old)).collect();
    std::fs::write(&file, both).unwrap();
    let new = start();
    wait_for("the successor", || Client::try_connect(new.tcp(), "/app/successor").ok());
    members.extend((0..8).map(|_| member(&new)));
    assert_eq!(new.post("/apps/7/users/u/terminate_connections", "").status, 200);
    for mut member in members {
        assert_eq!(member.hear_error().0, Some(4009));
    }
    drop(std::fs::remove_file(file));
}

#[test]
fn nothing_accepted_is_lost_while_the_old_server_ends() {
    let mut pair = Pair::start(["2", "2"], 30);
    let mut staying = subscriber_of_the_new(&pair.new);
    let mut publishers = pair.publishers(2);
    let begun = Instant::now();
    let (mut accepted, mut unknown) = (Vec::new(), Vec::new());
    let mut number = 0;
    pair.old.signal_end();
    while pair.old.is_running() {
        assert!(begun.elapsed() < 3 * PATIENCE, "the old server does not end");
        for http in publishers.iter().flatten() {
            number += 1;
            match try_publish(http, &number.to_string()) {
                Some(200) => accepted.push(number.to_string()),
                Some(_) => {}
                None => unknown.push(number.to_string()),
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
    // What the old one took last may still be on its way.
    let (mut heard, mut missing) = (Vec::new(), accepted.iter().cloned().collect::<BTreeSet<String>>());
    while !missing.is_empty() {
        let data = staying.hear()["data"].as_str().unwrap().to_owned();
        missing.remove(&data);
        heard.push(data);
    }
    publishers[1][0].publish(CHANNEL, "e", LAST);
    heard.extend(hear_all(&mut staying, 1));
    let mut sorted = heard.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), heard.len(), "something was doubled");
    println!("{} accepted, {} without an answer", accepted.len(), unknown.len());
    // Each client of the old one has heard a part of the same story, from its beginning, up to its close.
    for mut client in pair.early.drain(..) {
        let mut own = Vec::new();
        loop {
            let event = client.hear();
            if event["event"] == "pusher:error" {
                break;
            }
            own.push(event["data"].as_str().unwrap().to_owned());
        }
        assert!(heard.starts_with(&own), "{own:?}\nis not how this begins:\n{heard:?}");
    }
}

/// Its app is known to the new one only; so is a client of the other app that is still there afterwards.
fn subscriber_of_the_new(new: &Server) -> Client {
    loop {
        // Asks over HTTP first, then upgrades the same connection.
        let mut http = new.http();
        if is_new(&mut http) {
            let mut client = Client::connect(http.into_stream(), "/app/loopback-key");
            client.subscribe(CHANNEL);
            return client;
        }
    }
}

/// The status, or None when the connection has ended without an answer.
fn try_publish(http: &Http, data: &str) -> Option<u16> {
    let request = encode_post("/apps/7/events", &encode_event(CHANNEL, "e", data));
    let mut stream: &TcpStream = http.tcp();
    stream.write_all(&request).ok()?;
    let mut bytes = [0; 4096];
    let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
    let text = String::from_utf8_lossy(&bytes[..count]);
    text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

#[test]
fn the_old_server_goes_on_when_the_new_one_is_killed() {
    const EVENTS: usize = 400;
    for shards in [["1", "1"], ["3", "3"]] {
        let mut pair = Pair::start(shards, 4);
        let [old, new] = pair.publishers(2);
        let threads: Vec<_> = old
            .into_iter()
            .enumerate()
            .map(|(place, mut http)| {
                thread::spawn(move || {
                    for number in 0..EVENTS {
                        http.publish(CHANNEL, "e", &format!("{place} {number}"));
                        thread::sleep(Duration::from_millis(1));
                    }
                    http
                })
            })
            .collect();
        // The dead may have taken with it what it alone had accepted.
        for number in 0..50 {
            assert_eq!(try_publish(&new[0], &format!("new {number}")), Some(200));
        }
        kill(&pair.new, "KILL");
        wait_for("the end of the new one", || pair.new.ended());
        let mut old: Vec<Http> = threads.into_iter().map(|one| one.join().unwrap()).collect();
        old[0].publish(CHANNEL, "e", LAST);
        for heard in hear_in_threads(std::mem::take(&mut pair.early), 1) {
            let (of_new, of_old): (Vec<_>, Vec<_>) = heard.into_iter().partition(|it| it.starts_with("new"));
            check_order(&of_old, 2, EVENTS);
            assert!(of_new.iter().enumerate().all(|(at, data)| *data == format!("new {at}")), "{of_new:?}");
        }
        pair.new.take_errors();
        std::mem::forget(pair.new);
    }
}

fn kill(server: &Server, signal: &str) {
    let sent =
        Command::new("kill").args([&format!("-{signal}"), &server.pid().to_string()]).status().unwrap();
    assert!(sent.success(), "no {signal}");
}

#[test]
fn a_new_server_that_stands_still_holds_nobody_up_and_is_met_again() {
    let mut pair = Pair::start(["2", "2"], 2);
    let mut of_new = subscriber_of_the_new(&pair.new);
    let [mut old, _] = pair.publishers(1);
    kill(&pair.new, "STOP");
    let begun = Instant::now();
    for number in 0..50 {
        old[0].publish(CHANNEL, "e", &number.to_string());
    }
    for client in &mut pair.early {
        client.tcp().set_read_timeout(Some(3 * PATIENCE)).unwrap();
        (0..50).for_each(|number| client.expect(CHANNEL, "e", &number.to_string()));
    }
    println!("delivered after {:?}", begun.elapsed());
    kill(&pair.new, "CONT");
    // From some event on it hears them again.
    let mut number = 50;
    let heard: usize = loop {
        number += 1;
        old[0].publish(CHANNEL, "e", &number.to_string());
        of_new.tcp().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        match of_new.read() {
            Ok(message) => {
                let event: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
                let heard = event["data"].as_str().unwrap().parse().unwrap();
                if heard > 50 {
                    break heard;
                }
            }
            Err(_) => assert!(begun.elapsed() < 6 * PATIENCE, "never met again"),
        }
    };
    of_new.tcp().set_read_timeout(Some(PATIENCE)).unwrap();
    (heard + 1..=number).for_each(|number| of_new.expect(CHANNEL, "e", &number.to_string()));
}

#[test]
fn a_third_server_takes_over_from_two() {
    let mut pair = Pair::start(["2", "1"], 2);
    let mut clients = std::mem::take(&mut pair.early);
    clients.extend(pair.late(6));
    let third = &["--shards", "2", "--takeover", "--app", "10:third:secret"];
    let third = Server::start_on(pair.new.port(), third);
    wait_for("the third", || Client::try_connect(third.tcp(), "/app/third").ok());
    clients.extend((0..9).map(|_| subscriber(&third)));
    for number in 0..60 {
        third.http().publish(CHANNEL, "e", &number.to_string());
    }
    let hear = |client: &mut Client| (0..60).map(|_| client.hear()["data"].to_string()).collect();
    let heard: Vec<Vec<String>> = clients.iter_mut().map(hear).collect();
    assert!(heard.iter().all(|it| *it == heard[0]), "not all have heard the same");
    assert_eq!(heard[0].iter().collect::<BTreeSet<_>>().len(), 60, "something was doubled");
    clients.iter_mut().for_each(Client::expect_pong);
    drop(clients);
    assert_eq!(pair.new.terminate().code(), Some(0));
    // The first has lost its leader, and finds the third.
    wait_for("the first and the third to meet", || {
        let mut client = subscriber(&third);
        let mut got = 0;
        for _ in 0..12 {
            third.http().publish(CHANNEL, "e", "x");
        }
        client.tcp().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        while got < 12 && client.read().is_ok() {
            got += 1;
        }
        (got == 12).then_some(())
    });
}

#[test]
fn strangers_to_the_link_are_sent_away() {
    let server = Server::start(&["--shards", "1"]);
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    let beginning = format!("corecast/127.0.0.1:{}/", server.port());
    let name = table
        .split_whitespace()
        .find_map(|word| word.strip_prefix('@').filter(|it| it.starts_with(&beginning)));
    let address = SocketAddr::from_abstract_name(name.expect("a server that can be taken over")).unwrap();
    let connect = || {
        let stream = UnixStream::connect_addr(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..], &[0xff; 64], &[1, 0, 0, 0, 3], &[1, 0, 0, 0, 6]]
    {
        let mut stream = connect();
        stream.write_all(garbage).unwrap();
        assert!(matches!(stream.read(&mut [0; 64]), Ok(0)), "{garbage:?}");
    }
    let mut stream = connect();
    let hello = [&[26, 0, 0, 0, 0][..], b"corecast", &[99], &[0xff; 16]].concat();
    stream.write_all(&hello).unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [2, 0, 0, 0, 2, 1], "refused, since it is of another version");
    server.connect().expect_pong();
    assert_eq!(server.http().ask(signed_request().as_bytes()).status, 200);
}

fn signed_request() -> String {
    format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", signed("GET", "/apps/7/channels", &[], ""))
}
