//! What a node of a cluster needs of its journal: ids of its own, and word of what is committed.

use std::time::Duration;

use hooks::settings::IDS_APART;

use crate::bench::{Bench, Directory, apps, settings};

fn first_id(directory: &Directory, ids_after: u64) -> u64 {
    let apps = apps(&["1"]);
    let mut settings = settings(directory.path(), &apps, &["a"]);
    settings.ids_after = ids_after;
    let mut bench = Bench::start_with(&settings, &apps).unwrap();
    let before = directory.status().last_id;
    bench.offer_client_events(1, 1);
    bench.read(before, before + 1, 1);
    bench.release(before + 1);
    crate::bench::wait("the row is gone", || bench.counters.rows.now() == 0);
    bench.stop();
    before + 1
}

#[test]
fn a_journal_takes_its_place_among_others_once() {
    let directory = Directory::new();
    assert_eq!(first_id(&directory, 0), 1);
    assert_eq!(first_id(&directory, 7 * IDS_APART), 7 * IDS_APART + 1);
    assert_eq!(first_id(&directory, 9 * IDS_APART), 7 * IDS_APART + 2);
}

#[test]
fn a_mark_is_told_when_all_before_it_is_committed() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    bench.offer_client_events(3, 1);
    let told = bench.queue.mark().unwrap();
    told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(directory.status().rows, 3);
    // One with nothing before it, too.
    bench.queue.mark().unwrap().recv_timeout(Duration::from_secs(60)).unwrap();
    bench.stop();
}
