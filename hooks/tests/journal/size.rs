//! What the file may be: bounded, smaller again when rows have gone, and no hindrance to who lags behind.

use crate::bench::{Bench, Directory, apps, settings, wait};
use protocol::hook_event::Happened;

#[test]
fn the_file_shrinks_when_rows_have_gone() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(40_000, 1_000);
    bench.read(0, 40_000, 4_000);
    let large = directory.status().bytes;
    assert!(large > 40 << 20, "{large}");
    bench.release(40_000);
    wait("the file is small", || directory.status().bytes < 10 << 20);
    bench.offer_client_events(1, 50);
    assert_eq!(bench.read(40_000, 40_001, 10).len(), 1);
    bench.stop();
}

#[test]
fn a_full_journal_takes_nothing_until_rows_have_gone() {
    let directory = Directory::new();
    let apps = apps(&["1"]);
    let mut settings = settings(directory.path(), &apps, &["a"]);
    (settings.journal_bytes_max, settings.queue_events_max) = (40 << 20, 1_000);
    let mut bench = Bench::start_with(&settings, &apps).unwrap();
    let event = || crate::bench::client_event(&apps.iter().next().unwrap().clone(), 1_000);
    let mut taken = 0;
    wait("the queue is full and stays so", || {
        while bench.queue.offer(Happened { event: event(), time_ms: 0 }).is_ok() {
            taken += 1;
        }
        bench.counters.blocked.now() == 1 && bench.queue.len() == 1_000
    });
    let kept = bench.counters.written.now();
    assert_eq!(kept + 1_000, taken);
    // A batch at most beyond the bound, and the log.
    assert!(directory.status().bytes < (40 + 4 + 40) << 20, "{}", directory.status().bytes);
    let mut released = 0;
    while bench.counters.blocked.now() == 1 {
        released += 1_000;
        bench.release(released);
        wait("the rows are gone", || bench.counters.written.now() - released >= bench.counters.rows.now());
    }
    assert!(released < kept, "there was room long before");
    wait("the queue is empty", || bench.counters.written.now() == taken);
    assert_eq!(bench.read(released, taken, 1_000).len() as u64, taken - released);
    bench.stop();
}

#[test]
fn who_lags_behind_reads_the_same_rows_from_the_file() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    // More than memory keeps.
    bench.offer_client_events(100_000, 20);
    let last = bench.read(0, 100_000, 3_000);
    assert_eq!(last.len(), 100_000);
    let begun_late = bench.read(20_000, 100_000, 50_000);
    assert!(begun_late.iter().zip(20_001..).all(|(row, time_ms)| row.time_ms == time_ms));
    bench.release(100_000);
    wait("all rows are gone", || bench.counters.rows.now() == 0);
    bench.stop();
}
