//! Whether the load test tells the truth: against a server whose faults are known, it must report exactly those.
//!
//! The server is scripted (`scripted/`), sockets and the measuring program are real.

mod scripted;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use scripted::{AT_ONCE, Fate, Server};
use serde_json::Value;

const SUBSCRIBERS: u64 = 5;

/// A run of the load test against a scripted server.
struct Run {
    child: Child,
    report: PathBuf,
}

impl Run {
    fn start(name: &str, server: &Server, arguments: &[&str]) -> Self {
        let report = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("truth-{name}.json"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_corecast-loadtest"));
        command.args(["fanout", "--ws", &server.address.to_string(), "--app", "1:key:secret"]);
        command.args(["--connections", &SUBSCRIBERS.to_string(), "--json"]).arg(&report).args(arguments);
        Self { child: command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap(), report }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn end(mut self) -> Value {
        assert!(self.child.wait().unwrap().success());
        serde_json::from_slice(&std::fs::read(&self.report).unwrap()).unwrap()
    }
}

/// Publishes 200 events in one second.
fn run(name: &str, server: &Server) -> Value {
    Run::start(name, server, &["--rate", "200", "--duration", "1"]).end()
}

fn assert_counts(report: &Value, delivered: u64, lost: u64, duplicated: u64, reordered: u64) {
    let told = ["delivered", "lost", "duplicated", "reordered"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(told, [delivered, lost, duplicated, reordered], "{report:#}");
    assert_eq!((&report["publishes"]["sent"], &report["parted"]), (&200.into(), &0.into()), "{report:#}");
}

#[test]
fn server_without_fault_is_reported_without_fault() {
    let report = run("faultless", &Server::start(|_| AT_ONCE));
    assert_counts(&report, 200 * SUBSCRIBERS, 0, 0, 0);
}

#[test]
fn known_loss_is_reported() {
    let tenth_is_lost = |event| if event % 10 == 9 { Fate { copies: 0, ..AT_ONCE } } else { AT_ONCE };
    let report = run("loss", &Server::start(tenth_is_lost));
    assert_counts(&report, 180 * SUBSCRIBERS, 20 * SUBSCRIBERS, 0, 0);
}

#[test]
fn known_duplicates_are_reported() {
    let fourth_comes_thrice = |event| if event % 4 == 0 { Fate { copies: 3, ..AT_ONCE } } else { AT_ONCE };
    let report = run("duplicates", &Server::start(fourth_comes_thrice));
    assert_counts(&report, 200 * SUBSCRIBERS, 0, 2 * 50 * SUBSCRIBERS, 0);
}

#[test]
fn known_reordering_is_reported() {
    let eighth_is_overtaken_by_two =
        |event| if event % 8 == 0 { Fate { after_later: 2, ..AT_ONCE } } else { AT_ONCE };
    let report = run("reordering", &Server::start(eighth_is_overtaken_by_two));
    assert_counts(&report, 200 * SUBSCRIBERS, 0, 0, 25 * SUBSCRIBERS);
}

#[test]
fn known_delay_is_the_latency() {
    const DELAY: Duration = Duration::from_millis(30);
    // On a busy machine the way to and from the server takes longer than that now and then; never less than nothing.
    for attempt in 0.. {
        let server = Server::start(|_| Fate { delay: DELAY, ..AT_ONCE });
        let report = run("delay", &server);
        assert_counts(&report, 200 * SUBSCRIBERS, 0, 0, 0);
        let (p50, truth) =
            (report["latency_us"]["p50"].as_u64().unwrap(), server.median_took().as_micros() as u64);
        assert!(p50 >= 30_000, "{report:#}");
        if p50 <= truth + 2_000 {
            return;
        }
        assert!(attempt < 5, "the server took {truth} µs: {report:#}");
    }
}

#[test]
fn subscribers_that_the_server_closes_are_reported_with_the_code() {
    let server = Server::start(|_| AT_ONCE);
    let run = Run::start("closed", &server, &["--rate", "200", "--duration", "2"]);
    wait_for("subscribers", || server.subscribers() == SUBSCRIBERS as usize);
    std::thread::sleep(Duration::from_millis(500));
    server.close_subscribers(4100);
    let report = run.end();
    assert_eq!(report["parted"], SUBSCRIBERS, "{report:#}");
    assert_eq!((&report["duplicated"], &report["reordered"]), (&0.into(), &0.into()), "{report:#}");
    assert!(report["notes"].to_string().contains("closed by the server with code 4100"), "{report:#}");
}

#[test]
fn stall_of_the_generator_is_the_generators() {
    // A busy machine may hold up the subscribers as well, which nobody can tell from a slow server.
    for attempt in 0.. {
        let report = run_with_a_stall();
        // Two milliseconds from one send to the next: what was due in these 50 ms is late.
        let generator = &report["generator"];
        assert!(generator["late_sends"].as_u64().unwrap() >= 20, "{report:#}");
        assert!(generator["late_max_us"].as_u64().unwrap() >= 45_000, "{report:#}");
        assert_eq!(generator["late"], true, "{report:#}");
        // It sends 500 events a second and is idle meanwhile: it was stopped, and not short of time, unless the machine was.
        let had_no_time = generator["busy_ratio_max"].as_f64().unwrap() >= 0.9;
        assert_eq!(generator["bottleneck"], had_no_time, "{report:#}");
        assert_eq!((&report["lost"], &report["publishes"]["sent"]), (&0.into(), &1000.into()), "{report:#}");
        // Of 1,000 events 25 were due during the stall: counted from then, the tenth latest would have taken 30 ms.
        if report["latency_us"]["p99"].as_u64().unwrap() < 20_000 {
            return;
        }
        assert!(attempt < 5, "{report:#}");
    }
}

/// 500 events a second for two seconds, in the midst of which the generator is stopped for 50 ms.
fn run_with_a_stall() -> Value {
    let server = Server::start(|_| AT_ONCE);
    let run = Run::start("stall", &server, &["--rate", "500", "--duration", "2"]);
    wait_for("subscribers", || server.subscribers() == SUBSCRIBERS as usize);
    std::thread::sleep(Duration::from_millis(1000));
    run.signal("-STOP");
    std::thread::sleep(Duration::from_millis(50));
    run.signal("-CONT");
    run.end()
}

fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < Duration::from_secs(20), "no {what} within 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}
