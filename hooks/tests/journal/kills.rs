//! A server that is gone from one moment to the next.

use std::io::{BufRead, BufReader};

use hooks::journal::JournalView;

use crate::bench::{Bench, Directory, in_another_process, role, wait};

#[test]
fn what_was_read_is_there_after_a_kill() {
    if let Some(directory) = role() {
        let mut bench = Bench::start(&directory);
        for last in (10..=100_000).step_by(10) {
            bench.offer_client_events(10, 50);
            bench.read(last - 10, last, 100);
            println!("read {last}");
        }
        return;
    }
    let directory = Directory::new();
    let mut child = in_another_process("kills::what_was_read_is_there_after_a_kill", directory.path(), None);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let reads = lines.by_ref().filter(|line| line.starts_with("read "));
    assert_eq!(reads.take(50).count(), 50);
    child.kill().unwrap();
    child.wait().unwrap();
    let read = |line: String| line.strip_prefix("read ")?.parse().ok();
    let last_read: u64 = lines.filter_map(read).last().unwrap_or(500);
    let view = JournalView::open(directory.path()).unwrap().unwrap();
    let ids: Vec<u64> = view.rows_after(0, 1_000_000).unwrap().iter().map(|row| row.id).collect();
    let last = ids.len() as u64;
    assert_eq!(ids, (1..=last).collect::<Vec<_>>());
    assert!(last >= last_read, "{last_read} was read, {last} is there");
}

#[test]
fn an_id_is_not_used_again_when_its_row_has_gone_before_a_kill() {
    if let Some(directory) = role() {
        let mut bench = Bench::start(&directory);
        bench.offer_client_events(100, 50);
        bench.read(0, 100, 100);
        bench.release(100);
        wait("all rows are gone", || bench.counters.rows.now() == 0);
        std::process::abort();
    }
    let directory = Directory::new();
    let name = "kills::an_id_is_not_used_again_when_its_row_has_gone_before_a_kill";
    let child = in_another_process(name, directory.path(), None);
    assert!(!child.wait_with_output().unwrap().status.success());
    assert_eq!((directory.status().rows, directory.status().last_id), (0, 100));
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(1, 50);
    assert_eq!(bench.read(100, 101, 10).first().unwrap().id, 101);
    bench.stop();
}

#[test]
fn ids_go_on_after_an_end_in_order() {
    let directory = Directory::new();
    for round in 0..3 {
        let mut bench = Bench::start(directory.path());
        bench.offer_client_events(5, 50);
        assert_eq!(bench.read(round * 5, round * 5 + 5, 10).len(), 5);
        bench.release(round * 5 + 5);
        bench.stop();
        assert_eq!((directory.status().rows, directory.status().last_id), (0, round * 5 + 5));
    }
}

#[test]
fn what_was_offered_before_the_end_is_kept() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(20_000, 50);
    bench.stop();
    assert_eq!(directory.status().rows, 20_000);
    let mut again = Bench::start(directory.path());
    let rows = again.read(0, 20_000, 7_000);
    assert!(rows.iter().zip(1..).all(|(row, time_ms)| row.time_ms == time_ms));
    again.stop();
}
