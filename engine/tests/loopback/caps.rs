//! What one address may have, and how fast the clients of an app may connect: who is told to come back, what the log says of
//! it, and that others notice nothing.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::rig::http::Http;
use crate::rig::raw::{Raw, encode_upgrade};
use crate::rig::server::{Server, binary, free_port, wait_for};
use crate::rig::tls::Pair;

const APP: &str = "/app/capped?protocol=7";

/// A server of three shards with limits that are read again.
struct Capped {
    file: PathBuf,
    server: Server,
    admin: u16,
}

impl Capped {
    fn start(name: &str, text: &str, more: &[&str]) -> Self {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
        fs::write(&file, text).unwrap();
        let (port, admin) = (free_port(), free_port());
        let mut command = Command::new(binary());
        let addresses = [port, admin].map(|port| format!("127.0.0.1:{port}"));
        command.args(["serve", "--shards", "3", "--listen", &addresses[0], "--admin", &addresses[1]]);
        command.args(["--log-format", "json", "--config"]).arg(&file).args(more).stdin(Stdio::null());
        Self { file, server: Server::start_command(command, port), admin }
    }

    /// A client for which a proxy speaks. Returns its connection, or the code that it is closed with.
    fn connect_from(&self, address: &str) -> Result<Raw, u16> {
        self.connect(APP, &format!("\r\nX-Forwarded-For: {address}\r\n\r\n"))
    }

    fn connect(&self, target: &str, end_of_head: &str) -> Result<Raw, u16> {
        let mut raw = Raw::open(&self.server);
        raw.write(encode_upgrade(target).replacen("\r\n\r\n", end_of_head, 1).as_bytes());
        assert_eq!(raw.read_head().status, 101);
        let first = raw.hear();
        match first["event"].as_str() {
            Some("pusher:connection_established") => Ok(raw),
            _ => Err(raw.hear_close()),
        }
    }

    /// A connection whose head does not end.
    fn begin(&self) -> Raw {
        let mut raw = Raw::open(&self.server);
        raw.write(b"GET /app/capped");
        raw
    }

    /// The sum of a counter.
    fn counted(&self, name: &str) -> u64 {
        let stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let metrics = Http::on(stream).ask(request).body;
        let samples = metrics.lines().filter(|line| line.starts_with(&format!("corecast_{name}_total")));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// The last line of this event, once the server has ended.
    fn last(mut self, event: &str) -> serde_json::Value {
        assert_eq!(self.server.terminate().code(), Some(0));
        let errors = self.server.take_errors();
        let lines = errors.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.rev().find(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event}: {errors}"))
    }
}

fn text(limits: &str) -> String {
    format!("[limits]\n{limits}\n[[apps]]\nid = \"1\"\nkey = \"capped\"\nsecret = \"s\"\n")
}

#[test]
fn an_address_has_as_many_clients_as_it_may_on_all_shards_together() {
    let limits = |max: u32| text(&format!("connections_per_address_max = {max}"));
    let capped = Capped::start("address_caps", &limits(4), &["--trusted-proxies", "127.0.0.1"]);
    let mut clients: Vec<Raw> = (0..4).map(|_| capped.connect_from("203.0.113.1").unwrap()).collect();
    assert_eq!(capped.connect_from("203.0.113.1").err(), Some(4100));
    capped.connect_from("203.0.113.2").unwrap();
    let network: Vec<Raw> =
        (1..=4).map(|host| capped.connect_from(&format!("2001:db8::{host}:5")).unwrap()).collect();
    assert_eq!(capped.connect_from("2001:db8::9").err(), Some(4100));
    capped.connect_from("2001:db8:0:1::9").unwrap();
    assert_eq!(capped.counted("connects_refused_for_address"), 2);
    drop(network);
    drop(clients.pop());
    clients.push(wait_for("the place of a client that has gone", || capped.connect_from("203.0.113.1").ok()));
    fs::write(&capped.file, limits(5)).unwrap();
    assert!(
        Command::new("kill").args(["-HUP", &capped.server.pid().to_string()]).status().unwrap().success()
    );
    clients.push(wait_for("another cap", || capped.connect_from("203.0.113.1").ok()));
    assert_eq!(capped.connect_from("203.0.113.1").err(), Some(4100));
    drop(clients);
    let refused = capped.last("refused");
    assert_eq!((&refused["what"], &refused["app"]), (&"connection".into(), &"1".into()));
    assert_eq!(refused["address"], "203.0.113.1");
    assert!(refused["reason"].as_str().unwrap().contains("connections_per_address_max"), "{refused}");
}

#[test]
fn an_address_has_as_many_connections_without_a_head_as_it_may_and_any_number_with_one() {
    let capped = Capped::start("half_open_caps", &text("half_open_per_address_max = 3"), &[]);
    let crowd: Vec<Raw> = (0..8).map(|_| capped.begin()).collect();
    let refused_for_address = || capped.counted("half_open_refused_for_address");
    wait_for("those that are too many", || (refused_for_address() == 5).then_some(()));
    // They come with their heads, and are welcome.
    let clients: Vec<Raw> = (0..8).map(|_| capped.connect(APP, "\r\n\r\n").unwrap()).collect();
    let mut silent = Raw::open(&capped.server);
    assert_eq!(silent.read_to_end(), b"");
    assert_eq!(refused_for_address(), 6);
    let mut closed = 0;
    for mut half_open in crowd {
        half_open.tcp().set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let mut byte = [0];
        if half_open.tcp().peek(&mut byte).is_ok() {
            closed += 1;
            let told = String::from_utf8(half_open.read_to_end()).unwrap();
            assert!(
                told.starts_with("HTTP/1.1 503 ") && told.contains("(half_open_per_address_max)"),
                "{told}"
            );
        }
    }
    assert_eq!(closed, 5);
    wait_for("a place", || {
        let before = refused_for_address();
        let mut begun = capped.begin();
        drop(capped.connect(APP, "\r\n\r\n").unwrap());
        begun.write(b"\r\n\r\n");
        (refused_for_address() == before).then_some(())
    });
    drop(clients);
    let refused = capped.last("refused");
    assert_eq!(refused["what"], "connection");
    assert!(refused["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{refused}");
}

#[test]
fn a_connection_whose_tls_handshake_is_not_over_is_without_a_head() {
    let (pair, port) = (Pair::make("caps", "localhost"), free_port());
    let listen = format!("127.0.0.1:{port}");
    let tls = ["--tls-listen", &listen, "--tls-cert", pair.cert(), "--tls-key", pair.key()];
    let capped = Capped::start("tls_caps", &text("half_open_per_address_max = 2"), &tls);
    let begin = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(&[22, 3, 1]).unwrap();
        stream
    };
    // Caps hold once the server has shaken hands with itself, which may be a moment after it is ready.
    let mut crowd = Vec::new();
    wait_for("one that is too many", || {
        crowd.push(begin());
        (capped.counted("half_open_refused_for_address") > 0).then_some(())
    });
    capped.connect(APP, "\r\n\r\n").unwrap();
    drop(crowd);
}

#[test]
fn a_trusted_proxy_may_have_any_number_of_connections_without_a_head() {
    let limits = text("half_open_per_address_max = 1\nconnections_per_address_max = 6");
    let capped = Capped::start("proxy_caps", &limits, &["--trusted-proxies", "127.0.0.1"]);
    let crowd: Vec<Raw> = (0..6)
        .map(|_| {
            let mut raw = Raw::open(&capped.server);
            raw.write(b"GET /app/capped?protocol=7 HTTP/1.1\r\n");
            raw
        })
        .collect();
    drop(capped.connect_from("203.0.113.7").unwrap());
    for mut half_open in crowd {
        let head = encode_upgrade(APP);
        half_open.write(head.split_once("\r\n").unwrap().1.as_bytes());
        assert_eq!(half_open.read_head().status, 101);
        half_open.hear_event("pusher:connection_established");
    }
}

#[test]
fn clients_of_an_app_connect_as_fast_as_they_may() {
    let apps = "[[apps]]\nid = \"2\"\nkey = \"free\"\nsecret = \"s\"\nlimits = { new_connections_per_second_max = 1000 }\n";
    let limits = text("new_connections_per_second_max = 5") + apps;
    let capped = Capped::start("app_rates", &limits, &[]);
    let begun = Instant::now();
    let tried: Vec<_> = (0..20).map(|_| capped.connect(APP, "\r\n\r\n")).collect();
    let most = 5 + (5.0 * begun.elapsed().as_secs_f64()) as usize + 1;
    let connected = tried.iter().filter(|it| it.is_ok()).count();
    assert!((5..=most).contains(&connected), "{connected}, and {most} may");
    assert!(tried.iter().all(|it| it.as_ref().err().is_none_or(|code| *code == 4100)));
    (0..20).for_each(|_| drop(capped.connect("/app/free?protocol=7", "\r\n\r\n").unwrap()));
    wait_for("another second", || capped.connect(APP, "\r\n\r\n").ok());
    assert!(capped.counted("connects_refused_for_rate") as usize >= 20 - connected);
    let refused = capped.last("refused");
    assert!(refused["reason"].as_str().unwrap().contains("new_connections_per_second_max"), "{refused}");
}
