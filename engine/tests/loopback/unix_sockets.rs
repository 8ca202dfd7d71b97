//! Listeners at a path of the file system: clients and back ends there, whose address proxies tell, and whose the file is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use protocol::socket_id::SocketId;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::rig::PATIENCE;
use crate::rig::client::data_of;
use crate::rig::http::{encode_event, encode_post};
use crate::rig::raw::encode_upgrade_with;
use crate::rig::server::{Server, binary, free_port, run, wait_for};

const TARGET: &str = "/app/loopback-key?protocol=7&client=js&version=8.4.0";
const APP: &str = "7:loopback-key:loopback-secret";
const HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x0a\0\0\x01\x01\0\x1b\x58";

/// A path of its own, where nothing is.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("corecast-loopback-{}-{name}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

fn listen(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A client at a path.
struct Client {
    socket: WebSocket<UnixStream>,
    socket_id: SocketId,
}

impl Client {
    fn connect(path: &Path) -> Self {
        let url = format!("ws://localhost{TARGET}");
        let (socket, _) = tungstenite::client(url, connect(path)).unwrap();
        let mut client = Self { socket, socket_id: SocketId::parse("1.1").unwrap() };
        let established = data_of(&client.hear("pusher:connection_established"));
        client.socket_id = SocketId::parse(established["socket_id"].as_str().unwrap()).unwrap();
        client
    }

    fn hear(&mut self, event: &str) -> Value {
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let heard: Value = serde_json::from_str(&text).unwrap();
            if heard["event"] == event {
                return heard;
            }
        }
    }

    fn subscribe(&mut self, channel: &str) {
        let message = json!({"event": "pusher:subscribe", "data": {"channel": channel}});
        self.socket.send(Message::text(message.to_string())).unwrap();
        self.hear("pusher_internal:subscription_succeeded");
    }
}

fn publish(path: &Path, channel: &str) {
    let mut stream = connect(path);
    stream.write_all(&encode_post("/apps/7/events", &encode_event(channel, "news", "x"))).unwrap();
    let mut answer = vec![0; 1024];
    let length = stream.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
}

/// Connects, sends this, and goes when something has come back.
fn visit(path: &Path, bytes: &[u8]) {
    let mut stream = connect(path);
    stream.write_all(bytes).unwrap();
    assert!(stream.read(&mut [0; 512]).unwrap() > 0);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Ends the server, and gives the lines of its log.
fn logged(mut server: Server) -> Vec<Value> {
    assert_eq!(server.terminate().code(), Some(0));
    server.take_errors().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn addresses(lines: &[Value], event: &str) -> Vec<String> {
    let lines = lines.iter().filter(|line| line["event"] == event);
    lines.map(|line| line["address"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn clients_and_back_ends_are_served_at_a_path_by_all_shards() {
    let path = path("serves");
    let server = Server::start(&["--listen", &listen(&path), "--shards", "3", "--log-format", "json"]);
    assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut clients: Vec<Client> = (0..6).map(|_| Client::connect(&path)).collect();
    let mut shards = BTreeMap::new();
    for client in &mut clients {
        *shards.entry(client.socket_id.place().unwrap().shard).or_insert(0) += 1;
        client.subscribe("room");
    }
    assert_eq!(shards, BTreeMap::from([(0, 2), (1, 2), (2, 2)]));
    let mut by_port = server.connect();
    by_port.subscribe("room");
    publish(&path, "room");
    clients.iter_mut().for_each(|client| drop(client.hear("news")));
    by_port.hear_event("news");
    drop((clients, by_port));
    visit(&path, encode_upgrade_with(TARGET, "X-Forwarded-For: 6.6.6.6\r\n").as_bytes());
    let lines = logged(server);
    assert!(!path.exists());
    assert!(addresses(&lines, "listening").contains(&listen(&path)));
    let closed = addresses(&lines, "connection_closed");
    assert_eq!(closed.iter().filter(|address| *address == "unix").count(), 7, "{closed:?}");
}

#[test]
fn a_proxy_at_a_path_speaks_for_its_clients_where_proxies_are_trusted() {
    for (trusted, shown) in
        [("unix", "203.0.113.7"), ("10.0.0.0/8", "203.0.113.7"), ("10.0.0.0/8,unix", "203.0.113.7")]
    {
        let path = path("forwards");
        let arguments = ["--listen", &listen(&path), "--trusted-proxies", trusted, "--shards", "1"];
        let server = Server::start(&[&arguments[..], &["--admin", "off", "--log-format", "json"]].concat());
        visit(&path, encode_upgrade_with(TARGET, "X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n").as_bytes());
        visit(&path, encode_upgrade_with(TARGET, "").as_bytes());
        assert_eq!(addresses(&logged(server), "connection_closed"), [shown, "unix"], "{trusted}");
    }
}

#[test]
fn a_proxy_at_a_path_names_its_client_by_a_proxy_header_too() {
    let path = path("introduces");
    let port = free_port();
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--listen", &listen(&path)]);
    command.args(["--app", APP, "--shards", "2", "--admin", "off", "--log-format", "json"]);
    command.env("CORECAST_PROXY_PROTOCOL", listen(&path));
    let server = Server::start_command(command, port);
    let upgrade = encode_upgrade_with(TARGET, "");
    visit(&path, &[HEADER, upgrade.as_bytes()].concat());
    let mut garbage = connect(&path);
    garbage.write_all(upgrade.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = garbage.read_to_end(&mut answer);
    assert!(answer.is_empty());
    let lines = logged(server);
    assert_eq!(addresses(&lines, "connection_closed"), ["1.2.3.4:256"]);
    assert_eq!(addresses(&lines, "refused"), ["unix"]);
}

#[test]
fn a_path_where_another_process_listens_is_left_to_it_and_what_a_dead_one_left_is_replaced() {
    let path = path("taken");
    let unix = listen(&path);
    let dead = Server::start(&["--listen", &unix, "--admin", "off"]);
    let arguments = ["serve", "--listen", &unix, "--app", APP, "--admin", "off"];
    let (code, _, errors) = run(&arguments);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains(&format!("socket taken: another process listens on {unix}")), "{errors}");
    drop(Client::connect(&path));
    dead.kill();
    assert!(path.exists());
    let server = Server::start(&["--listen", &unix, "--admin", "off"]);
    drop(Client::connect(&path));
    drop(server);
    assert!(!path.exists());
    fs::write(&path, "text").unwrap();
    let (code, _, errors) = run(&arguments);
    assert_eq!((code, fs::read_to_string(&path).unwrap().as_str()), (Some(1), "text"));
    assert!(errors.contains("no socket"), "{errors}");
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_successor_takes_a_path_over_and_events_reach_the_clients_of_both() {
    let path = path("successor");
    let unix = listen(&path);
    let arguments = ["--listen", &unix, "--takeover", "--admin", "off", "--shards", "2"];
    let first = Server::start(&arguments);
    let mut early = Client::connect(&path);
    early.subscribe("room");
    let second = Server::start(&arguments);
    let mut late = Client::connect(&path);
    late.subscribe("room");
    publish(&path, "room");
    early.hear("news");
    late.hear("news");
    drop(first);
    drop(early);
    wait_for("the successor at its path", || path.exists().then(|| publish(&path, "room")));
    late.hear("news");
    drop(second);
    assert!(!path.exists());
}
