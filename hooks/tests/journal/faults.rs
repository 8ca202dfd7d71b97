//! What the world does to a data directory: taken, unwritable, newer, locked, full.

use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use hooks::journal::{FILE_NAME, StartError};
use rusqlite::{Connection, TransactionBehavior};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bench::{Bench, Directory, apps, in_another_process, role, settings, wait};

fn refused(directory: &std::path::Path) -> StartError {
    let apps = apps(&["1"]);
    match Bench::start_with(&settings(directory, &apps, &["a"]), &apps) {
        Ok(_) => panic!("it starts"),
        Err(error) => error,
    }
}

#[test]
fn a_second_server_is_refused_while_the_first_one_lives() {
    if let Some(directory) = role() {
        let _bench = Bench::start(&directory);
        println!("started");
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let directory = Directory::new();
    let name = "faults::a_second_server_is_refused_while_the_first_one_lives";
    let mut child = in_another_process(name, directory.path(), None);
    let mut output = child.stdout.take().unwrap();
    let mut said = String::new();
    while !said.contains("started") {
        let mut some = [0; 256];
        let count = output.read(&mut some).unwrap();
        assert!(count > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&some[..count]));
    }
    let error = refused(directory.path());
    let expected = format!(
        "the data directory {} is in use by another server (process {}): stop that one, or give this one a \
         directory of its own with --data-dir",
        directory.path().display(),
        child.id()
    );
    assert_eq!(error.to_string(), expected);
    child.kill().unwrap();
    child.wait().unwrap();
    Bench::start(directory.path()).stop();
}

#[test]
fn a_newer_journal_is_refused_and_stays_as_it_is() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(3, 50);
    bench.stop();
    let path = directory.path().join(FILE_NAME);
    let version = |version| Connection::open(&path).unwrap().pragma_update(None, "user_version", version);
    version(2).unwrap();
    let error = refused(directory.path());
    assert!(matches!(error, StartError::Newer { found: 2, known: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("was written by a newer version (schema 2, here up to 1)"), "{error}");
    assert!(!error.may_pass());
    version(1).unwrap();
    assert_eq!(directory.status().rows, 3);
    Bench::start(directory.path()).stop();
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let directory = Directory::new();
    fs::write(directory.path().join("file"), "").unwrap();
    let error = refused(&directory.path().join("file/data"));
    assert!(error.to_string().contains("file/data cannot be written: Not a directory"), "{error}");
    assert!(!error.may_pass());
    let error = refused(&directory.path().join("file"));
    assert!(error.to_string().ends_with("file cannot be written: not a directory"), "{error}");
    assert!(!error.may_pass());
}

#[test]
fn a_file_that_is_no_journal_is_refused() {
    let directory = Directory::new();
    fs::write(directory.path().join(FILE_NAME), "this is not SQLite".repeat(1_000)).unwrap();
    let error = refused(directory.path());
    assert!(error.to_string().contains("cannot be used: file is not a database"), "{error}");
    assert!(!error.may_pass());
}

#[test]
fn events_wait_while_nothing_can_be_written_and_keep_their_order() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(10, 50);
    bench.read(0, 10, 10);
    let mut other = Connection::open(directory.path().join(FILE_NAME)).unwrap();
    let lock = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    bench.offer_client_events(10, 50);
    wait("the writer has failed", || bench.counters.failures.now() > 2 && bench.counters.blocked.now() == 1);
    bench.offer_client_events(1_000, 50);
    assert_eq!((bench.counters.written.now(), bench.queue.len()), (10, 1_000));
    lock.rollback().unwrap();
    let rows = bench.read(10, 1_020, 100);
    assert!(rows.iter().zip(11..).all(|(row, time_ms)| row.time_ms == time_ms));
    assert_eq!(bench.counters.blocked.now(), 0);
    bench.stop();
}

/// Files may grow to 2 MB; then a write fails as it does on a full disk.
const SMALL_FILES: &str = "trap '' XFSZ; ulimit -S -f 4096";

#[test]
fn a_disk_that_is_full_is_waited_for() {
    if let Some(directory) = role() {
        let mut bench = Bench::start(&directory);
        let app = Arc::clone(&bench.app);
        for _ in 0..5_000 {
            bench.offer(crate::bench::client_event(&app, 1_000));
        }
        wait("the disk is full", || bench.counters.failures.now() > 2);
        assert_eq!(bench.counters.blocked.now(), 1);
        let written = bench.counters.written.now();
        println!("full after {written}");
        assert!(written < 5_000);
        bench.read(0, written, 100);
        let hard = getrlimit(Resource::Fsize).maximum;
        setrlimit(Resource::Fsize, Rlimit { current: hard, maximum: hard }).unwrap();
        let rows = bench.read(0, 5_000, 100);
        assert!(rows.iter().zip(1..).all(|(row, time_ms)| row.time_ms == time_ms));
        assert_eq!(bench.counters.blocked.now(), 0);
        bench.stop();
        println!("all is written");
        return;
    }
    let directory = Directory::new();
    let name = "faults::a_disk_that_is_full_is_waited_for";
    let child = in_another_process(name, directory.path(), Some(SMALL_FILES));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("all is written"), "{said}");
    assert_eq!(directory.status().rows, 5_000);
}
