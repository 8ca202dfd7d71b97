//! What the world does to a data directory: taken, unwritable, newer, locked, full.

use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use hooks::data_dir::JOURNAL_FILE;
use hooks::journal::StartError;
use hooks::row::Position;
use hooks::source::Source;
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
    let path = directory.path().join(JOURNAL_FILE);
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

/// What was set aside in this directory: journals, without their logs.
fn set_aside(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    names
        .filter(|path| path.file_name().unwrap().to_string_lossy().contains(".damaged-"))
        .filter(|path| !path.to_string_lossy().ends_with("-wal") && !path.to_string_lossy().ends_with("-shm"))
        .collect()
}

/// Overwrites bytes of a file where they stand.
fn scribble(path: &std::path::Path, from: u64, length: usize) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(&b"\xa5scribble".repeat(length / 9 + 1)[..length]).unwrap();
}

#[test]
fn a_damaged_journal_is_set_aside_and_no_id_comes_again() {
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 7] = [
        ("it is a text", |path| fs::write(path, "this is not SQLite".repeat(1_000)).unwrap()),
        ("its head is gone", |path| scribble(path, 0, 100)),
        ("its first page is wrong", |path| scribble(path, 100, 3_000)),
        ("all but its head is wrong", |path| {
            let length = fs::metadata(path).unwrap().len();
            scribble(path, 100, length as usize - 100);
        }),
        ("a table is gone", |path| Connection::open(path).unwrap().execute_batch("DROP TABLE ids").unwrap()),
        ("an id cannot be", |path| {
            let text = "UPDATE ids SET last = 9223372036854775807";
            Connection::open(path).unwrap().execute_batch(text).unwrap();
        }),
        ("a row is before the first", |path| {
            let text = "INSERT INTO rows VALUES (-3, 1, '1', 'x', 'y')";
            Connection::open(path).unwrap().execute_batch(text).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let directory = Directory::new();
        let mut bench = Bench::start(directory.path());
        bench.offer_client_events(300, 500);
        bench.read(0, 300, 100);
        bench.stop();
        damage(&directory.path().join(JOURNAL_FILE));
        let mut bench = Bench::start(directory.path());
        assert_eq!(set_aside(directory.path()).len(), 1, "{what}");
        assert_eq!(bench.counters.set_aside.now(), 1, "{what}");
        let from = bench.source.place_of("a").unwrap();
        assert!(from.0 >= 300, "{what}: ids begin again at {}", from.0);
        bench.offer_client_events(10, 50);
        let rows = bench.read(from.0, from.0 + 10, 10);
        assert!(rows.iter().all(|row| row.id > 300), "{what}");
        bench.stop();
        let bench = Bench::start(directory.path());
        assert_eq!(set_aside(directory.path()).len(), 1, "{what}: the new one is good");
        bench.stop();
    }
}

#[test]
fn what_is_left_of_a_damaged_journal_is_kept() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(30, 50);
    bench.read(0, 30, 30);
    bench.source.release(Position(0, 0), &[("a", Position(20, 0))]).unwrap();
    bench.stop();
    let path = directory.path().join(JOURNAL_FILE);
    let edge = "INSERT INTO edges VALUES ('1', 'room', ''); DROP TABLE rows;";
    Connection::open(&path).unwrap().execute_batch(edge).unwrap();
    let bench = Bench::start(directory.path());
    assert_eq!(set_aside(directory.path()).len(), 1);
    bench.stop();
    let edges: u64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM edges", [], |row| row.get(0))
        .unwrap();
    assert_eq!(edges, 1, "an open channel would never be closed");
}

#[test]
fn a_journal_that_is_damaged_while_it_is_used_ends_nothing() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(3_000, 500);
    bench.stop();
    // Nothing of it is in memory any more.
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(10, 500);
    wait("some are written", || bench.counters.written.now() == 10);
    for end in ["", "-wal"] {
        let file = directory.path().join(format!("{JOURNAL_FILE}{end}"));
        let length = fs::metadata(&file).map_or(0, |file| file.len());
        if length > 0 {
            scribble(&file, 0, length as usize);
        }
    }
    wait("the journal is set aside", || {
        let read = bench.source.read(Position(0, 0), 10, &mut Vec::new());
        read.is_ok() && bench.counters.set_aside.now() > 0
    });
    bench.offer_client_events(500, 500);
    let last = 3_510;
    let rows = bench.read(3_000, last, 100);
    assert!(rows.iter().zip(3_001..).all(|(row, id)| row.id == id), "an id was left out or came twice");
    assert_eq!(bench.counters.blocked.now(), 0);
    bench.stop();
    assert_eq!(set_aside(directory.path()).len(), 1);
    let bench = Bench::start(directory.path());
    assert_eq!(directory.status().last_id, last);
    bench.stop();
}

#[test]
fn a_place_beyond_the_last_event_is_set_back_to_it() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(10, 50);
    bench.read(0, 10, 10);
    bench.source.release(Position(0, 0), &[("a", Position(5, 0))]).unwrap();
    bench.stop();
    let path = directory.path().join(JOURNAL_FILE);
    Connection::open(&path).unwrap().execute("UPDATE places SET first = 4000", []).unwrap();
    let mut bench = Bench::start(directory.path());
    assert_eq!(bench.source.place_of("a").unwrap(), Position(10, 0));
    bench.offer_client_events(3, 50);
    assert_eq!(bench.read(10, 13, 10).len(), 3);
    bench.stop();
}

#[test]
fn a_row_that_is_damaged_is_passed_over() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(10, 50);
    bench.stop();
    let path = directory.path().join(JOURNAL_FILE);
    let text = "UPDATE rows SET data = CAST(x'ff7b7d' AS TEXT) WHERE id = 4; UPDATE rows SET time_ms = -7 WHERE id = 6";
    Connection::open(&path).unwrap().execute_batch(text).unwrap();
    let mut bench = Bench::start(directory.path());
    let mut rows = Vec::new();
    bench.source.read(Position(0, 0), 20, &mut rows).unwrap();
    let ids: Vec<u64> = rows.iter().map(|(_, row)| row.id).collect();
    assert_eq!(ids, [1, 2, 3, 5, 7, 8, 9, 10]);
    bench.stop();
}

#[test]
fn events_wait_while_nothing_can_be_written_and_keep_their_order() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(10, 50);
    bench.read(0, 10, 10);
    let mut other = Connection::open(directory.path().join(JOURNAL_FILE)).unwrap();
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
