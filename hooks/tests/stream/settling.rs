//! Waiting for what comes about, and judging what came.

use std::collections::HashSet;
use std::time::{Duration, Instant};

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    // Entries of a consumer that is gone are claimed after up to 20 s.
    let patience = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// All are there, and each came first after those before it. Gives how many came more than once.
pub(crate) fn complete_and_in_order(ids: &[u64], last: u64) -> usize {
    let mut seen = HashSet::new();
    let first_times: Vec<u64> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
    assert_eq!(first_times, (1..=last).collect::<Vec<u64>>());
    ids.len() - first_times.len()
}
