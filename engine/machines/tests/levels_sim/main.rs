//! The levels that hooks were told, with a seed: edges that come once, twice or never, a server that forgets what it has told,
//! nodes that pass edges on one after another, and the comparison afterwards.
//!
//! `CORECAST_SIM_SEED=n` replays one schedule.

#![expect(unreachable_pub, reason = "a test binary exports nothing")]
#![forbid(unsafe_code)]

#[path = "../sim/rng.rs"]
mod rng;
mod schedule;

use schedule::{Coverage, run};

const SCHEDULES: u64 = 2_000;

#[test]
fn no_schedule_tells_hooks_an_edge_twice_or_a_member_without_its_channel() {
    let seed = std::env::var("CORECAST_SIM_SEED").ok().and_then(|text| text.parse().ok());
    if let Some(seed) = seed {
        run(seed).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        return;
    }
    let mut coverage = Coverage::default();
    for seed in 0..SCHEDULES {
        coverage.add(&run(seed).unwrap_or_else(|why| panic!("seed {seed}: {why}")));
    }
    println!("{SCHEDULES} schedules: {coverage:?}");
    assert!(coverage.is_whole(), "something was not reached: {coverage:?}");
}
