//! The built binary against its own floor server: what was published is what arrives, and the report says so.
//!
//! Each test starts its own floor on a free port and ends it by its handle.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_corecast-loadtest");

struct Floor {
    child: Child,
    address: String,
}

impl Floor {
    fn start(mode: &str) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["floor", "--listen", "127.0.0.1:0", "--mode", mode]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
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
    for mode in ["each", "coalesced"] {
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
    for mode in ["each", "coalesced"] {
        let floor = Floor::start(mode);
        let arguments = ["fanout", "--connections", "50", "--saturate", "--duration", "1", "--size", "300"];
        let report = floor.run(&format!("saturate-{mode}"), &arguments);
        assert_complete(&report, 50);
        let accepted = report["publishes"]["accepted"].as_u64().unwrap();
        assert!(accepted > 200, "a closed loop that stalls would not get this far: {report:#}");
    }
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
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let cases: [(&[&str], &str); 2] = [
        (&["fanout", "--ws", &nobody, "--app", "1:k:s"], "takes no publishes"),
        (&["connect", "--ws", &nobody, "--app", "1:k:s", "--pid", "4294967295"], "no such process"),
    ];
    for (arguments, reason) in cases {
        let output = Command::new(BINARY).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(reason), "{told}");
    }
}

#[test]
fn connections_that_are_refused_are_counted_not_hidden() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("refused.json");
    let mut command = Command::new(BINARY);
    command.args(["connect", "--ws", &nobody, "--app", "1:k:s", "--connections", "5", "--json"]).arg(&file);
    assert!(command.output().unwrap().status.success());
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!((&report["subscribed"], &report["failed"]), (&0.into(), &5.into()));
}
