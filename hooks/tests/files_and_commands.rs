//! Files and commands as sinks, with real files and real processes.

mod scratch;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hooks::row::Row;
use hooks::settings::{DeliverySettings, Durability, Endpoint, SinkSettings};
use hooks::sink::{Batch, Outcome, Sink};
use hooks::sinks;
use protocol::app::App;
use protocol::hook_event::HookEvent;
use scratch::Scratch;

fn open(sink: SinkSettings, timeout: Duration) -> Box<dyn Sink> {
    let mut endpoint = Endpoint::new("e", Arc::new(App::new("1", "k", "s")), sink);
    endpoint.timeout = timeout;
    sinks::open(&endpoint, &DeliverySettings::default(), Durability::Power).unwrap().sink().unwrap()
}

fn file(path: &Path) -> Box<dyn Sink> {
    open(SinkSettings::File { path: path.to_owned() }, Duration::from_secs(5))
}

fn shell(script: &str, timeout_ms: u64) -> Box<dyn Sink> {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    open(SinkSettings::Exec { command }, Duration::from_millis(timeout_ms))
}

fn batch(first: u64, rows: u64) -> Batch {
    let app = Arc::new(App::new("1", "k", "s"));
    let row = |id| {
        let event = HookEvent::ChannelVacated { app: Arc::clone(&app), channel: "a".into() };
        Arc::new(Row { id, time_ms: 5, event })
    };
    Batch { app: Arc::clone(&app), rows: (first..first + rows).map(row).collect(), time_ms: 6, tries: 0 }
}

fn ids(text: &str) -> Vec<u64> {
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| line["id"].as_str().unwrap().parse().unwrap()).collect()
}

fn reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Refused(reason) | Outcome::Later(reason, _) => format!("refused: {reason}"),
        Outcome::Ended(reason) => format!("ended: {reason}"),
        Outcome::Unreachable(reason) => format!("unreachable: {reason}"),
    }
}

#[test]
fn lines_are_appended_to_what_is_there() {
    let scratch = Scratch::new();
    let path = scratch.path().join("events.jsonl");
    assert_eq!(file(&path).deliver(&batch(1, 2)), Outcome::Done);
    assert_eq!(file(&path).deliver(&batch(3, 1)), Outcome::Done);
    assert_eq!(ids(&fs::read_to_string(&path).unwrap()), [1, 2, 3]);
}

#[test]
fn a_file_that_was_moved_or_removed_is_begun_anew() {
    let scratch = Scratch::new();
    let (path, moved) = (scratch.path().join("events"), scratch.path().join("events.1"));
    let mut sink = file(&path);
    sink.deliver(&batch(1, 1));
    fs::rename(&path, &moved).unwrap();
    sink.deliver(&batch(2, 1));
    assert_eq!(ids(&fs::read_to_string(&moved).unwrap()), [1]);
    assert_eq!(ids(&fs::read_to_string(&path).unwrap()), [2]);
    fs::remove_file(&path).unwrap();
    sink.deliver(&batch(3, 1));
    assert_eq!(ids(&fs::read_to_string(&path).unwrap()), [3]);
}

#[test]
fn a_directory_that_is_not_there_is_unreachable_until_it_is() {
    let scratch = Scratch::new();
    let path = scratch.path().join("later/events");
    let mut sink = file(&path);
    let said = reason(sink.deliver(&batch(1, 1)));
    assert!(said.starts_with("unreachable: ") && said.contains("No such file"), "{said}");
    fs::create_dir(scratch.path().join("later")).unwrap();
    assert_eq!(sink.deliver(&batch(1, 1)), Outcome::Done);
}

#[test]
fn a_device_that_is_full_is_unreachable() {
    let said = reason(file(Path::new("/dev/full")).deliver(&batch(1, 1)));
    assert!(said.starts_with("unreachable: /dev/full: No space left"), "{said}");
}

#[test]
fn a_command_gets_the_lines_and_its_status_accepts_them() {
    let scratch = Scratch::new();
    let path = scratch.path().join("got");
    let mut sink = shell(&format!("cat > {}", path.display()), 5_000);
    // More than a pipe holds.
    assert_eq!(sink.deliver(&batch(1, 5_000)), Outcome::Done);
    assert_eq!(ids(&fs::read_to_string(&path).unwrap()), (1..=5_000).collect::<Vec<_>>());
}

#[test]
fn a_command_that_fails_is_quoted() {
    let said = reason(shell("echo ' no room ' >&2; echo more >&2; exit 3", 5_000).deliver(&batch(1, 1)));
    assert_eq!(said, "refused: sh: exit status: 3: no room  more");
}

#[test]
fn a_command_need_not_read_its_input_and_may_say_much() {
    assert_eq!(shell("exit 0", 5_000).deliver(&batch(1, 5_000)), Outcome::Done);
    let said =
        reason(shell("head -c 300000 /dev/zero | tr '\\0' x >&2; exit 1", 5_000).deliver(&batch(1, 1)));
    assert!(
        said.starts_with("refused: sh: exit status: 1: xxx") && said.len() < 1_100,
        "{} bytes",
        said.len()
    );
}

#[test]
fn a_command_that_hangs_is_killed_with_its_children() {
    let scratch = Scratch::new();
    let path = scratch.path().join("child");
    let began = Instant::now();
    let script = format!("sleep 600 & echo $! > {}; wait", path.display());
    let said = reason(shell(&script, 300).deliver(&batch(1, 1)));
    assert_eq!(said, "unreachable: sh took longer than 300ms and was killed");
    let child = fs::read_to_string(&path).unwrap();
    // The signal was sent to both; who gets it first is up to the kernel.
    while lives(child.trim()) {
        assert!(began.elapsed() < Duration::from_secs(60), "the child lives on");
        thread::sleep(Duration::from_millis(10));
    }
}

/// False once it has ended, though nobody may have asked for its status yet.
fn lives(process: &str) -> bool {
    fs::read_to_string(format!("/proc/{process}/status")).is_ok_and(|text| !text.contains("State:\tZ"))
}

#[test]
fn a_child_that_keeps_the_pipes_open_keeps_nobody() {
    let began = Instant::now();
    let scratch = Scratch::new();
    let path = scratch.path().join("child");
    let script = format!("sleep 60 & echo $! > {}; exit 0", path.display());
    assert_eq!(shell(&script, 20_000).deliver(&batch(1, 1)), Outcome::Done);
    assert!(began.elapsed() < Duration::from_secs(15));
    let child = fs::read_to_string(&path).unwrap();
    std::process::Command::new("kill").arg(child.trim()).status().unwrap();
}

#[test]
fn a_command_that_is_not_there_is_unreachable() {
    let command = vec!["/nowhere/command".to_owned()];
    let said = reason(open(SinkSettings::Exec { command }, Duration::from_secs(1)).deliver(&batch(1, 1)));
    assert!(said.starts_with("unreachable: /nowhere/command cannot be started: No such file"), "{said}");
}
