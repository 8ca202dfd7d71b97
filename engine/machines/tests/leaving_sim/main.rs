//! Nodes that stop in order, with a seed: real sessions and a modelled server, to which each answer takes its time. What the
//! clients of a node are told says whether another node is there for them.
//!
//! `CORECAST_SIM_SEED=n` replays one schedule.

#![expect(unreachable_pub, reason = "a test binary exports nothing")]
#![forbid(unsafe_code)]

#[path = "../sim/rng.rs"]
mod rng;
mod schedule;

use schedule::run;

const SCHEDULES: u64 = 500;

#[test]
fn clients_are_sent_to_other_nodes_at_once_when_and_only_when_one_of_these_stays() {
    let seed = std::env::var("CORECAST_SIM_SEED").ok().and_then(|text| text.parse().ok());
    let seeds = seed.map_or(0..SCHEDULES, |seed| seed..seed + 1);
    seeds.for_each(|seed| run(seed).unwrap_or_else(|why| panic!("seed {seed}: {why}")));
}
