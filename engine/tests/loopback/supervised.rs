//! Under a supervisor such as systemd: what it is told, the sockets that it passes on, and restarts that lose nobody.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::rig::client::Client;
use crate::rig::raw::encode_upgrade;
use crate::rig::server::{Server, binary, wait_for};
use crate::rig::tls::Pair;
use crate::rig::{KEY, PATIENCE};

const APP: &str = "/app/held?protocol=7";

/// What a supervisor does for a server: it holds the sockets, and hears.
struct Supervisor {
    listener: TcpListener,
    /// Another one, for TLS.
    tls: TcpListener,
    hears: UnixDatagram,
    name: String,
    watchdog: Option<(&'static str, &'static str)>,
}

impl Supervisor {
    fn new(name: &str) -> Self {
        let name = format!("corecast-{name}-{}", std::process::id());
        let hears = UnixDatagram::bind_addr(&UnixAddress::from_abstract_name(&name).unwrap()).unwrap();
        hears.set_read_timeout(Some(PATIENCE)).unwrap();
        let [listener, tls] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        Self { listener, tls, hears, name: format!("@{name}"), watchdog: None }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Starts a server with these arguments, to which the plain socket is passed on.
    fn start(&self, arguments: &[&str]) -> Server {
        self.start_with("LISTEN_FDS=1 LISTEN_FDNAMES=public", None, arguments)
    }

    /// The same with both sockets.
    fn start_with_tls(&self, arguments: &[&str]) -> Server {
        let tls = self.tls.try_clone().unwrap();
        self.start_with("LISTEN_FDS=2 LISTEN_FDNAMES=public:tls", Some(tls.into()), arguments)
    }

    fn start_with(&self, passed: &str, second: Option<OwnedFd>, arguments: &[&str]) -> Server {
        let mut command = Command::new("sh");
        let script = format!(r#"exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_PID=$$ {passed} exec "$@""#);
        command.args(["-c", &script, "sh"]).arg(binary()).arg("serve").args(arguments);
        command.stdout(second.map_or_else(Stdio::null, Stdio::from));
        // Taken if LISTEN_FDS did not replace it: the port of nobody.
        command.args(["--listen", "192.0.2.1:1", "--admin", "off", "--shards", "2"]);
        command.stdin(Stdio::from(OwnedFd::from(self.listener.try_clone().unwrap())));
        command.env("NOTIFY_SOCKET", &self.name).envs(self.watchdog);
        let server = Server::start_command(command, self.address().port());
        assert!(self.hear("READY=1").contains("STATUS=serving"));
        server
    }

    /// The next message that is no sign of life, which has this line.
    fn hear(&self, line: &str) -> String {
        loop {
            let heard = self.hear_any();
            if heard != "WATCHDOG=1" {
                assert!(heard.lines().any(|it| it == line), "{line}: {heard}");
                return heard;
            }
        }
    }

    fn hear_any(&self) -> String {
        let mut bytes = [0; 4096];
        let count = self.hears.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::connect(stream, APP)
    }
}

fn hang_up(server: &Server) {
    let process = server.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"))
}

fn app(key: &str) -> String {
    format!("[[apps]]\nid = \"{key}\"\nkey = \"{key}\"\nsecret = \"s\"\n")
}

#[test]
fn a_supervisor_hears_of_the_start_of_reloads_of_life_and_of_the_end() {
    let watchdog = Some(("WATCHDOG_USEC", "400000"));
    let supervisor = Supervisor { watchdog, ..Supervisor::new("told") };
    let path = file("told");
    fs::write(&path, app("held")).unwrap();
    let mut server = supervisor.start(&["--config", path.to_str().unwrap()]);
    for text in [app("held"), "nonsense".to_owned()] {
        fs::write(&path, text).unwrap();
        hang_up(&server);
        let reloading = supervisor.hear("RELOADING=1");
        let since = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        assert!(since.unwrap().parse::<u64>().unwrap() > 0);
        supervisor.hear("READY=1");
    }
    wait_for("a sign of life", || (supervisor.hear_any() == "WATCHDOG=1").then_some(()));
    let mut client = supervisor.connect();
    server.signal_end();
    assert!(supervisor.hear("STOPPING=1").contains("EXTEND_TIMEOUT_USEC="));
    assert_eq!(client.hear_error().0, Some(4100));
    drop(client);
    let status = wait_for("the end", || server.ended());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_socket_called_tls_serves_tls_and_needs_no_address_in_the_settings() {
    let supervisor = Supervisor::new("tls");
    let pair = Pair::make("supervised", "localhost");
    let _server =
        supervisor.start_with_tls(&["--app", "1:held:s", "--tls-cert", pair.cert(), "--tls-key", pair.key()]);
    supervisor.connect().expect_pong();
    let tcp = TcpStream::connect(supervisor.tls.local_addr().unwrap()).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut secure = StreamOwned::new(ClientConnection::new(pair.client(), name).unwrap(), tcp);
    secure.write_all(b"GET /accept-traffic HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    secure.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(r#"{"accept_traffic":true}"#),
        "{answer}"
    );
}

#[test]
fn a_socket_with_a_path_is_passed_on_and_stays() {
    let supervisor = Supervisor::new("path");
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("supervised.sock");
    drop(fs::remove_file(&path));
    let listener = UnixListener::bind(&path).unwrap();
    let passed = "LISTEN_FDS=2 LISTEN_FDNAMES=public:public";
    let server = supervisor.start_with(passed, Some(listener.into()), &["--app", "1:held:s"]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(encode_upgrade(APP).as_bytes()).unwrap();
    let mut heard = String::new();
    while !heard.contains("pusher:connection_established") {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    drop(stream);
    drop(server);
    assert!(path.exists());
    fs::remove_file(path).unwrap();
}

#[test]
fn a_server_without_a_file_still_answers_a_reload() {
    let supervisor = Supervisor::new("fileless");
    let server = supervisor.start(&["--app", "1:held:s"]);
    hang_up(&server);
    supervisor.hear("RELOADING=1");
    supervisor.hear("READY=1");
}

#[test]
fn a_hundred_hangups_lose_nothing_and_end_with_the_last_file() {
    let supervisor = Supervisor::new("storm");
    let path = file("storm");
    // The app that the rig publishes to.
    let publishing = format!("[[apps]]\nid = \"7\"\nkey = \"{KEY}\"\nsecret = \"loopback-secret\"\n");
    let write = |more: &str| fs::write(&path, format!("{publishing}{}{more}", app("held"))).unwrap();
    write("");
    let server = supervisor.start(&["--config", path.to_str().unwrap()]);
    let (mut client, mut subscriber) = (supervisor.connect(), server.connect());
    subscriber.subscribe("news");
    let mut publisher = server.http();
    for number in 0..100 {
        write(&app(&format!("app-{number}")));
        hang_up(&server);
        publisher.publish("news", "e", &number.to_string());
    }
    (0..100).for_each(|number| subscriber.expect("news", "e", &number.to_string()));
    let last = "/app/app-99?protocol=7";
    wait_for("the last file", || Client::try_connect(server.tcp(), last).ok());
    client.expect_pong();
    // Only the last one holds.
    assert!(Client::try_connect(server.tcp(), "/app/app-98?protocol=7").is_err());
}

#[test]
fn cores_share_a_socket_that_was_passed_on() {
    let supervisor = Supervisor::new("shared");
    let _server = supervisor.start(&["--app", "1:held:s"]);
    let clients: Vec<Client> = (0..300).map(|_| supervisor.connect()).collect();
    let first = clients.iter().filter(|client| client.shard() == 0).count();
    // Ahead by an eighth and 32 a shard leaves newcomers to the other.
    assert!((75..=225).contains(&first), "{first} of 300");
}

#[test]
fn a_restart_loses_no_attempt_to_connect() {
    let supervisor = Supervisor::new("restart");
    let arguments = ["--app", "1:held:s"];
    let mut server = supervisor.start(&arguments);
    let mut clients: Vec<Client> = (0..50).map(|_| supervisor.connect()).collect();
    let address = supervisor.address();
    let stop_at = Instant::now() + Duration::from_secs(4);
    // Each attempt is answered: by a connection, or by 4100, which brings the client back.
    let attempts = thread::spawn(move || {
        let (mut served, mut told) = (0, 0);
        while Instant::now() < stop_at {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            match Client::try_connect(stream, APP) {
                Ok(_) => served += 1,
                Err(refusal) => {
                    assert_eq!(refusal["data"]["code"], 4100, "{refusal}");
                    told += 1;
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        (served, told)
    });
    server.signal_end();
    for client in &mut clients {
        assert_eq!(client.hear_error().0, Some(4100));
    }
    drop(clients);
    let status = wait_for("the end", || server.ended());
    assert_eq!(status.code(), Some(0));
    // Nobody serves now; whoever comes waits.
    thread::sleep(Duration::from_millis(300));
    supervisor.hear("STOPPING=1");
    supervisor.hear("STOPPING=1");
    let _next = supervisor.start(&arguments);
    supervisor.connect().expect_pong();
    let (served, told) = attempts.join().unwrap();
    assert!(served > 100, "{served} served, {told} told to come back");
}

#[test]
fn the_units_ask_for_what_the_server_does_and_allow_what_it_needs() {
    let service = include_str!("../../../deploy/corecast.service");
    let socket = include_str!("../../../deploy/corecast.socket");
    let has = |unit: &str, line: &str| unit.lines().any(|it| it == line);
    for line in [
        "Type=notify",
        "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'",
        "ExecStartPre=/usr/bin/corecast config check --config /etc/corecast/corecast.toml",
        "ExecStart=/usr/bin/corecast serve --config /etc/corecast/corecast.toml",
        "LimitNOFILE=1048576",
        "LimitMEMLOCK=infinity",
        "ReadWritePaths=/var/lib/corecast",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "MemoryDenyWriteExecute=yes",
        "SystemCallFilter=@system-service io_uring_setup io_uring_enter io_uring_register",
    ] {
        assert!(has(service, line), "{line}");
    }
    // The pulse of an idle core comes once a second.
    let watchdog = service.lines().find_map(|line| line.strip_prefix("WatchdogSec="));
    assert!(watchdog.unwrap().parse::<u32>().unwrap() >= 10);
    for line in ["ListenStream=6001", "FileDescriptorName=public"] {
        assert!(has(socket, line), "{line}");
    }
    assert!(!socket.contains("Accept=yes"));
}
