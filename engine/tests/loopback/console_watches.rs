//! What operators see of channels and connections, and what they do to them, from outside: by the console's paths, with the
//! token of the server.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;

use crate::rig::client::Client;
use crate::rig::http::{Answer, Http};
use crate::rig::raw::Raw;
use crate::rig::server::{Server, binary, free_port, serve_arguments, wait_for};

const TOKEN: &str = "a-token-of-the-tests";

/// How long a stream may be silent that must say something.
const PATIENCE: Duration = Duration::from_secs(60);

struct Watched {
    server: Server,
    admin: u16,
}

/// A stream of events.
struct Stream {
    lines: BufReader<TcpStream>,
}

impl Watched {
    fn start() -> Self {
        let (port, admin) = (free_port(), free_port());
        let mut command = Command::new(binary());
        command.args(serve_arguments(port)).args(["--shards", "3", "--admin", &format!("127.0.0.1:{admin}")]);
        command.env("CORECAST_ADMIN_TOKEN", TOKEN).stdin(Stdio::null());
        Self { server: Server::start_command(command, port), admin }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.admin)).unwrap()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let head = format!(
            "{method} /console/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Http::on(self.connect()).ask(head.as_bytes())
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.ask("POST", path, &body.to_string());
        (answer.status, answer.json())
    }

    fn stream(&self, path: &str) -> Stream {
        let mut socket = self.connect();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "GET /console/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(socket);
        let mut status = String::new();
        lines.read_line(&mut status).unwrap();
        assert!(status.starts_with("HTTP/1.1 200"), "{path}: {status}");
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "{path}: the head has no end");
        }
        Stream { lines }
    }

    fn tail(&self, name: &str) -> Stream {
        self.stream(&format!("tail?app=7&name={name}"))
    }

    fn trace(&self, client: &Client) -> Stream {
        self.stream(&format!("trace?socket_id={}", client.socket_id))
    }

    fn metric(&self, name: &str) -> f64 {
        let answer = Http::on(self.connect()).ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let of_shards = answer.body.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        of_shards.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }
}

impl Stream {
    /// The next event with its name.
    fn next(&mut self) -> (String, Value) {
        let (mut name, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the stream has ended");
            match line.trim_end().split_once(": ") {
                Some(("event", text)) => name = text.to_owned(),
                Some(("data", json)) => return (name, serde_json::from_str(json).unwrap()),
                _ => {}
            }
        }
    }

    /// The next one of this name; others are passed over.
    fn expect(&mut self, name: &str) -> Value {
        loop {
            let (found, value) = self.next();
            if found == name {
                return value;
            }
        }
    }
}

#[test]
fn a_tail_shows_what_is_sent_to_its_channel_and_hostile_data_as_it_is() {
    let watched = Watched::start();
    let mut tail = watched.tail("tailed");
    let data = "<img src=x onerror=alert(1)>\u{202e}\u{1b}[31m\u{0}\"\\ \u{1F600}";
    watched.server.publish("other", "e", "not this");
    watched.server.publish("tailed", "e", data);
    let event = tail.expect("event");
    assert_eq!((&event["event"], &event["data"], &event["left_out"]), (&"e".into(), &data.into(), &0.into()));
    assert!(event["user_id"].is_null() && event["at"].as_u64() > Some(1_600_000_000_000));
    let mut sender = watched.server.connect();
    sender.join("presence-tailed", &json!({"user_id": "u1", "user_info": {"name": "<b>"}}).to_string());
    let mut tail = watched.tail("presence-tailed");
    sender.say(&json!({"event": "client-e", "channel": "presence-tailed", "data": "d"}));
    let event = tail.expect("event");
    assert_eq!((&event["event"], &event["user_id"]), (&"client-e".into(), &"u1".into()));
    let channel = watched.get("channel?app=7&name=presence-tailed");
    assert_eq!((&channel["subscriptions"], &channel["users"]), (&1.into(), &1.into()));
    assert_eq!(channel["members"], json!([{"id": "u1", "info": {"name": "<b>"}}]));
}

#[test]
fn a_tail_under_load_costs_its_channel_nothing_and_counts_what_it_leaves_out() {
    let watched = Watched::start();
    let mut subscribers = watched.server.connect_to_each_shard();
    subscribers.iter_mut().for_each(|client| drop(client.subscribe("busy")));
    let mut tail = watched.tail("busy");
    // One who does not read its stream.
    let _silent = watched.tail("busy");
    let events = 3_000;
    let mut http = watched.server.http();
    let (mut told, mut left_out) = (0, 0);
    for number in 0..events {
        http.publish("busy", "e", &number.to_string());
    }
    for client in &mut subscribers {
        for number in 0..events {
            client.expect("busy", "e", &number.to_string());
        }
    }
    let mut last = -1;
    while told + left_out < events {
        let (name, value) = tail.next();
        left_out += value["left_out"].as_i64().unwrap_or_default();
        if name == "event" {
            told += 1;
            let number: i64 = value["data"].as_str().unwrap().parse().unwrap();
            assert!(number > last && number == told + left_out - 1, "{value} after {last}");
            last = number;
        }
    }
    assert_eq!(told + left_out, events);
    assert!(watched.metric("corecast_watched_left_out_total") >= left_out as f64);
}

#[test]
fn a_large_event_is_cut_and_says_how_long_it_is() {
    let watched = Watched::start();
    let (mut tail, mut subscriber) = (watched.tail("large"), watched.server.connect());
    subscriber.subscribe("large");
    let mut trace = watched.trace(&subscriber);
    let data = "long ".repeat(20_000);
    watched.server.publish("large", "e", &data);
    subscriber.expect("large", "e", &data);
    let mut event = tail.expect("event");
    // How many subscribe is an event of the channel, too.
    while event["event"] == "pusher_internal:subscription_count" {
        event = tail.expect("event");
    }
    let shown = event["data"].as_str().unwrap();
    assert!(data.starts_with(shown) && (3_000..=4_096).contains(&shown.len()), "{}: {event}", shown.len());
    assert!(event["bytes"].as_u64() > Some(data.len() as u64));
    let mut message = trace.expect("message");
    while message["bytes"].as_u64() < Some(data.len() as u64) {
        message = trace.expect("message");
    }
    assert!(
        message["data"].as_str().unwrap().len() <= 4_096
            && message["bytes"].as_u64() > Some(data.len() as u64)
    );
}

#[test]
fn a_trace_shows_both_sides_without_signatures_and_ends_with_its_connection() {
    let watched = Watched::start();
    let mut client = watched.server.connect();
    let mut trace = watched.trace(&client);
    client.join("presence-traced", &json!({"user_id": "u1"}).to_string());
    client.say(&json!({"event": "pusher:ping"}));
    client.hear_event("pusher:pong");
    let said = trace.expect("message");
    assert_eq!((&said["from"], &said["kind"]), (&"client".into(), &"text".into()));
    let text = said["data"].as_str().unwrap();
    assert!(text.contains("pusher:subscribe") && text.contains("loopback-key:"), "{text}");
    let digits = |text: &str| text.split(|c: char| !c.is_ascii_hexdigit()).map(str::len).max();
    assert!(digits(text) < Some(64), "{text}");
    let heard = trace.expect("message");
    assert_eq!(heard["from"], "server");
    assert!(heard["data"].as_str().unwrap().contains("subscription_succeeded"), "{heard}");
    let shown = watched.get(&format!("connection?socket_id={}", client.socket_id));
    assert_eq!((&shown["app"], &shown["subscriptions"]), (&"7".into(), &json!(["presence-traced"])));
    assert!(shown["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{shown}");
    assert!(shown["bytes_in"].as_u64() > Some(0) && shown["age_ms"].is_u64(), "{shown}");
    let socket_id = client.socket_id.to_string();
    assert_eq!(watched.post("disconnect", &json!({"socket_id": socket_id})), (200, json!({})));
    assert_eq!(trace.expect("end")["code"], 4009);
    assert_eq!(client.hear_error().0, Some(4009));
    wait_for("its end", || {
        (watched.post("disconnect", &json!({"socket_id": socket_id})).0 == 404).then_some(())
    });
    assert_eq!(watched.ask("GET", &format!("connection?socket_id={socket_id}"), "").status, 404);
    assert_eq!(watched.ask("GET", &format!("trace?socket_id={socket_id}"), "").status, 404);
    assert_eq!(watched.ask("GET", "trace?socket_id=x", "").status, 400);
}

#[test]
fn who_does_not_read_is_among_the_slowest() {
    let watched = Watched::start();
    let mut slow = Raw::connect(&watched.server);
    SockRef::from(slow.tcp()).set_recv_buffer_size(16 << 10).unwrap();
    slow.say(&json!({"event": "pusher:subscribe", "data": {"channel": "slow"}}).to_string());
    slow.hear_event("pusher_internal:subscription_succeeded");
    let found = wait_for("somebody slow", || {
        watched.server.publish("slow", "e", &"x".repeat(50_000));
        let connections = watched.get("slow")["connections"].as_array().unwrap().clone();
        connections.into_iter().next()
    });
    assert!(found["waiting_bytes"].as_u64() > Some(0) && found["app"] == "7", "{found}");
    let socket_id = found["socket_id"].as_str().unwrap();
    let waited = || watched.get("slow")["connections"][0]["waiting_ms"].as_u64();
    wait_for("time to pass", || (waited() > found["waiting_ms"].as_u64()).then_some(()));
    let body = json!({"socket_id": socket_id, "reconnect": true});
    assert_eq!(watched.post("disconnect", &body), (200, json!({})));
}

#[test]
fn channels_are_listed_page_after_page_and_events_are_published_and_users_terminated() {
    let watched = Watched::start();
    let mut client = watched.server.connect();
    let mut names: Vec<String> = (0..150).map(|number| format!("paged-{number:03}")).collect();
    names.iter().for_each(|name| drop(client.subscribe(name)));
    client.subscribe("another");
    let (mut found, mut cursor) = (VecDeque::new(), String::new());
    let mut pages = 0;
    loop {
        let page = watched.get(&format!("channels?app=7&prefix=paged-&cursor={cursor}"));
        let rows = page["channels"].as_array().unwrap();
        assert!(rows.iter().all(|row| row["subscriptions"] == 1 && row["users"].is_null()), "{page}");
        found.extend(rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    names.sort();
    assert!(found == names && pages == 2, "{} in {pages} pages", found.len());
    assert_eq!(watched.ask("GET", "channels?app=9", "").status, 404);
    let event = json!({"app": "7", "channel": "another", "name": "e", "data": "by hand"});
    assert_eq!(watched.post("publish", &event), (200, json!({})));
    client.expect("another", "e", "by hand");
    assert_eq!(
        watched.post("publish", &json!({"app": "7", "channel": "a b", "name": "e", "data": ""})).0,
        400
    );
    let mut user = watched.server.connect();
    user.sign_in(&json!({"id": "u7"}).to_string());
    assert_eq!(watched.post("terminate", &json!({"app": "7", "user": "u7"})), (200, json!({})));
    assert_eq!(user.hear_error().0, Some(4009));
    client.say(&json!({"event": "pusher:ping"}));
    client.hear_event("pusher:pong");
}
