//! The built binary against its own floor server: what was published is what arrives, and the report says so.
//!
//! Each test starts its own floor on a free port and ends it by its handle.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_corecast-loadtest");

struct Floor {
    child: Child,
    address: String,
}

impl Floor {
    fn start(mode: &str) -> Self {
        Self::start_as(mode, mode)
    }

    /// With a name for its own report.
    fn start_as(mode: &str, name: &str) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["floor", "--listen", "127.0.0.1:0", "--mode", mode, "--json"]).arg(report_of(name));
        command.stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        told.read_line(&mut line).unwrap();
        // Its last words must find a reader.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        let address = line.trim().strip_prefix("floor listening on ").unwrap().to_owned();
        Self { child, address }
    }

    /// Runs a scenario against this floor and returns its JSON.
    fn run(&self, name: &str, arguments: &[&str]) -> Value {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
        let mut command = Command::new(BINARY);
        command.arg(arguments[0]).args(["--ws", &self.address, "--app", "1:key:secret"]);
        command.args(["--pid", &self.child.id().to_string(), "--json", file.to_str().unwrap()]);
        let output = command.args(&arguments[1..]).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }
}

impl Floor {
    /// Ends it as a person would, and returns what it says it did.
    fn end(mut self, name: &str) -> Value {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "{name}");
        serde_json::from_slice(&std::fs::read(report_of(name)).unwrap()).unwrap()
    }

    /// All that it says to a client that upgrades, sends these messages and hangs up.
    fn converse(&self, messages: &[&[u8]]) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
            .write_all(b"GET /app/key HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            .unwrap();
        for message in messages {
            let mask = [0x81, 0x80 | message.len() as u8, 0, 0, 0, 0];
            stream.write_all(&[&mask, *message].concat()).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        heard
    }
}

fn report_of(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("floor-{name}.json"))
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn assert_complete(report: &Value, subscribers: u64) {
    let accepted = report["publishes"]["accepted"].as_u64().unwrap();
    assert!(accepted > 0, "{report:#}");
    assert_eq!(report["publishes"]["sent"], accepted, "{report:#}");
    assert_eq!(report["delivered"], accepted * subscribers, "{report:#}");
    for nothing in ["lost", "duplicated", "reordered", "parted"] {
        assert_eq!(report[nothing], 0, "{nothing} in {report:#}");
    }
    assert!(report["latency_us"]["p99"].as_u64() >= report["latency_us"]["p50"].as_u64());
    assert!(report["latency_us"]["max"].as_u64().unwrap() < 60_000_000);
    assert!(report["server"]["cpu_ns_per_delivery"].as_f64().unwrap() > 0.0);
    assert!(report["server"]["rss_bytes"].as_u64().unwrap() > 0);
    assert!(report["generator"]["cpu_ratio"].as_f64().unwrap() > 0.0);
}

#[test]
fn all_connections_are_subscribed() {
    let floor = Floor::start("each");
    let report = floor.run("connect", &["connect", "--connections", "300", "--threads", "2"]);
    assert_eq!(report["scenario"], "connect");
    assert_eq!((&report["subscribed"], &report["failed"]), (&300.into(), &0.into()), "{report:#}");
    assert!(report["connects_per_second"].as_f64().unwrap() > 0.0);
    assert!(report["server"]["cpu_ns_per_connect"].as_f64().unwrap() > 0.0);
    assert!(report["latency_us"]["p50"].as_u64().unwrap() > 0);
}

#[test]
fn paced_publishes_all_arrive_once_and_in_order() {
    for mode in ["each", "coalesced", "uring"] {
        let floor = Floor::start(mode);
        let arguments =
            ["fanout", "--connections", "40", "--rate", "200", "--duration", "1", "--threads", "2"];
        let report = floor.run(&format!("paced-{mode}"), &arguments);
        assert_complete(&report, 40);
        assert_eq!(report["publishes"]["accepted"], 200);
        assert_eq!(report["mode"], "paced");
    }
}

#[test]
fn closed_loop_keeps_going_and_nothing_is_lost() {
    for mode in ["each", "coalesced", "uring"] {
        let floor = Floor::start(mode);
        let arguments = ["fanout", "--connections", "50", "--saturate", "--duration", "1", "--size", "300"];
        let report = floor.run(&format!("saturate-{mode}"), &arguments);
        assert_complete(&report, 50);
        let accepted = report["publishes"]["accepted"].as_u64().unwrap();
        assert!(accepted > 200, "a closed loop that stalls would not get this far: {report:#}");
    }
}

#[test]
fn floor_tells_its_system_calls() {
    // A full socket costs a send that delivers nothing; with so few subscribers there is none.
    for (mode, most) in [("each", 1.0), ("coalesced", 1.0), ("uring", 0.2)] {
        let name = format!("syscalls-{mode}");
        let floor = Floor::start_as(mode, &name);
        let report = floor.run(&name, &["fanout", "--connections", "50", "--rate", "100", "--duration", "1"]);
        let told = floor.end(&name);
        assert_eq!(told["deliveries"], report["delivered"], "{told:#}");
        let calls = told["syscalls_per_delivery"].as_f64().unwrap();
        assert!(calls > 0.0 && calls <= most, "{told:#}");
        if mode == "each" {
            assert_eq!((&told["syscalls"], &told["writes"]), (&told["deliveries"], &told["deliveries"]));
        }
    }
}

#[test]
fn messages_are_echoed_in_the_echo_mode_alone() {
    const SUBSCRIBE: &[u8] = br#"{"event":"pusher:subscribe"}"#;
    const PING: &[u8] = br#"{"event":"pusher:ping"}"#;
    for (mode, pongs) in [("echo", 2), ("coalesced", 0)] {
        let floor = Floor::start_as(mode, &format!("echo-{mode}"));
        let heard = String::from_utf8_lossy(&floor.converse(&[SUBSCRIBE, PING, PING])).into_owned();
        assert!(heard.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") && heard.contains("connection_established"));
        assert_eq!(heard.matches("subscription_succeeded").count(), 1, "{heard}");
        assert_eq!(heard.matches("pusher:pong").count(), pongs, "{heard}");
    }
}

#[test]
fn publishes_go_nowhere_in_the_http_mode() {
    let floor = Floor::start_as("http", "http");
    let call = "POST /apps/1/events HTTP/1.1\r\nContent-Length: 11\r\n\r\n{\"data\":\"\"}";
    let mut stream = TcpStream::connect(&floor.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(call.repeat(3).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    assert_eq!(String::from_utf8(answers).unwrap().matches("HTTP/1.1 200 OK").count(), 3);
    let told = floor.end("http");
    assert_eq!((&told["requests"], &told["deliveries"]), (&3.into(), &0.into()), "{told:#}");
}

#[test]
fn overload_offers_more_than_was_found_possible() {
    let floor = Floor::start("coalesced");
    let report =
        floor.run("overload", &["fanout", "--connections", "50", "--overload", "3", "--duration", "1"]);
    assert_eq!((&report["lost"], &report["duplicated"]), (&0.into(), &0.into()), "{report:#}");
    assert!(report["offered_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(report["mode"], "overload");
}

#[test]
fn run_that_cannot_be_measured_says_why_and_fails() {
    let cases: [(&[&str], &str); 2] = [
        (&["fanout", "--app", "1:k:s"], "accepts no publishes"),
        (&["connect", "--app", "1:k:s", "--pid", "4294967295"], "no such process"),
    ];
    for (arguments, reason) in cases {
        let output = Command::new(BINARY).args(arguments).args(["--ws", &gone_after_one()]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(reason), "{told}");
    }
}

/// A server that is there when it is looked for, and gone before a connection is of use.
fn gone_after_one() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.accept().map(drop));
    address
}

#[test]
fn connections_that_are_refused_are_counted_not_hidden() {
    let nobody = gone_after_one();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("refused.json");
    let mut command = Command::new(BINARY);
    command.args(["connect", "--ws", &nobody, "--app", "1:k:s", "--connections", "5", "--json"]).arg(&file);
    assert!(command.output().unwrap().status.success());
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!((&report["subscribed"], &report["failed"]), (&0.into(), &5.into()));
}
