//! `compare` by the built binary, against floor servers: turns, medians, ratios, and nothing left behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_corecast-loadtest");
const LOAD: [&str; 7] = ["fanout", "--connections", "20", "--rate", "100", "--duration", "0.5"];

struct Floor {
    child: Child,
    address: String,
}

impl Floor {
    fn start() -> Self {
        let mut command = Command::new(BINARY);
        command.args(["floor", "--listen", "127.0.0.1:0", "--with-parent"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("floor listening on ").unwrap().to_owned();
        Self { child, address }
    }

    fn target(&self, name: &str) -> String {
        format!("{name}=ws={},app=1:key:secret,pid={}", self.address, self.child.id())
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn compare(arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("compare").args(arguments).output().unwrap()
}

#[test]
fn targets_take_turns_and_ratios_are_to_the_floor() {
    let (one, two, file) = (Floor::start(), Floor::start(), scratch("compare.json"));
    let own = ["--target", &one.target("A"), "--target", &two.target("B"), "--floor", "coalesced"];
    let rest = ["--rounds", "2", "--json", file.to_str().unwrap()];
    let output = compare(&[&LOAD[..], &own[..], &rest[..]].concat());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("÷ floor") && told.contains("server CPU per delivery"), "{told}");

    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let turns: Vec<_> = report["runs"].as_array().unwrap().iter().map(|run| run["target"].clone()).collect();
    assert_eq!(turns, ["A", "B", "floor", "A", "B", "floor"]);
    assert_eq!((&report["base"], &report["rounds"]), (&"floor".into(), &2.into()));
    for target in ["A", "B", "floor"] {
        assert_eq!(report["medians"][target]["lost"], 0.0);
        assert_eq!(report["medians"][target]["delivered"], 1000.0);
    }
    let floor = &report["floor"];
    assert_eq!(
        (&floor["mode"], &floor["figure"]),
        (&"coalesced".into(), &"server.cpu_ns_per_delivery".into())
    );
    let calls = floor["syscalls_per_delivery"].as_f64().unwrap();
    assert!(calls > 0.0 && calls <= 1.1, "{floor}");
    assert!(floor["times_what_this_machine_allows"]["A"]["median"].as_f64().unwrap() > 0.0, "{floor}");
    assert!(
        told.contains("× the floor's server CPU per delivery") && told.contains("syscalls per delivery)"),
        "{told}"
    );
    let cpu = "server.cpu_ns_per_delivery";
    let ratio = &report["ratios"]["A"][cpu];
    assert!(ratio["least"].as_f64().unwrap() <= ratio["median"].as_f64().unwrap(), "{ratio}");
    assert!(ratio["median"].as_f64().unwrap() <= ratio["most"].as_f64().unwrap(), "{ratio}");
    assert!(ratio["of_medians"].as_f64().unwrap() > 0.0, "{ratio}");
    assert_eq!(report["ratios"]["floor"], serde_json::json!({}), "the yardstick is not measured by itself");
    let run = &report["runs"][0]["result"];
    assert_eq!((&run["scenario"], &run["delivered"]), (&"fanout".into(), &1000.into()));
}

#[test]
fn comparison_that_cannot_be_meant_says_why_and_runs_nothing() {
    let target = "A=ws=127.0.0.1:9,app=1:k:s";
    let cases: [(&[&str], &str); 5] = [
        (&["fanout", "--target", target], "has nothing to be compared with"),
        (&["fanout", "--target", target, "--target", target], "two targets are named A"),
        (&["fanout", "--rate", "x", "--target", target, "--floor"], "for target A, invalid value"),
        (&["floor", "--target", target, "--floor"], "for target A"),
        (&["fanout", "--target", "A=ws=127.0.0.1:9"], "app=… is missing"),
    ];
    for (arguments, reason) in cases {
        let output = compare(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(reason), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn run_that_fails_ends_the_comparison_and_names_it() {
    let (one, nobody) =
        (Floor::start(), std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let deaf = format!("deaf=ws={nobody},app=1:k:s");
    let output = compare(&[&LOAD[..], &["--target", &one.target("A"), "--target", &deaf]].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("round 1, deaf: the run failed"), "{told}");
    assert!(told.contains("is the server running there?"), "the run's own reason is there too: {told}");
}

#[test]
fn interrupted_comparison_leaves_no_child_and_no_folder() {
    let (one, folder) = (Floor::start(), scratch("interrupted"));
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(BINARY);
    command.args([
        "compare",
        "fanout",
        "--connections",
        "20",
        "--processes",
        "2",
        "--duration",
        "60",
        "--floor",
    ]);
    command.args(["--target", &one.target("A")]).env("TMPDIR", &folder);
    let mut comparison = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = comparison.id();
    // The floor, the run, and its two receiving processes.
    wait_for("four descendants", || descendants(pid).len() == 4);
    let descendants = descendants(pid);
    // A receiver that is left before it has its task says so.
    wait_for("connections of the receivers", || connections_to(&one.address) >= 20);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);

    // To this process alone, unlike a terminal, which would tell all of them.
    assert!(Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap().success());
    assert!(!comparison.wait().unwrap().success());
    wait_for("end of all", || !descendants.iter().any(|&pid| is_alive(pid)));
    // A process that lives on would keep this from ending.
    let mut told = String::new();
    std::io::Read::read_to_string(&mut comparison.stderr.take().unwrap(), &mut told).unwrap();
    assert_eq!(told, "corecast-loadtest: round 1, A: interrupted\n");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

/// Children, and theirs.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        next += 1;
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        found.extend(children.split_whitespace().map(|child| child.parse::<u32>().unwrap()));
    }
    found.split_off(1)
}

/// Established ones, by the end that has opened them.
fn connections_to(address: &str) -> usize {
    let port = address.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    // Number, local address, remote address, state (01 is established).
    let is_one = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        words[2].ends_with(&format!(":{port:04X}")) && words[3] == "01"
    };
    sockets.lines().skip(1).filter(is_one).count()
}

/// A process that is dead but not yet waited for does nothing any more.
fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < Duration::from_secs(20), "no {what} within 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn floor_ends_with_the_process_that_started_it() {
    let mut floor = Floor::start();
    assert!(floor.child.try_wait().unwrap().is_none());
    drop(floor.child.stdin.take());
    let start = Instant::now();
    while floor.child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(10), "the floor outlives its parent");
        std::thread::sleep(Duration::from_millis(5));
    }
}
