//! Nodes of a cluster with a seed: real shards and real sessions, clients that speak the protocol, and a modelled Redis, with
//! connections that break, are late or hang, nodes that are killed or paused, and a server that restarts with all of its
//! data, with older data, or with none.
//!
//! `CORECAST_SIM_SEED=n` replays one schedule and prints what happens in it; `CORECAST_SIM_SEEDS=n` sets how many are run, and
//! `CORECAST_SIM_FROM=n` the first of them.

#![expect(unreachable_pub, reason = "a test binary exports nothing")]
#![forbid(unsafe_code)]

mod client;
#[path = "../sim/mesh.rs"]
mod mesh;
mod node;
mod questions;
#[path = "../sim/rng.rs"]
mod rng;
mod schedule;
mod server;
mod verdict;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use schedule::{run, run_broken, run_late_kill, trace};
use server::Rule;
use world::Coverage;

const SCHEDULES: u64 = 10_000;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs schedules on all cores. Returns what happened in them, and the seeds that failed with what went wrong.
fn run_many(seeds: std::ops::Range<u64>) -> (Coverage, Vec<(u64, String)>) {
    let (next, total) = (AtomicU64::new(seeds.start), Mutex::new((Coverage::default(), Vec::new())));
    let run_some = || {
        let (mut coverage, mut failed) = (Coverage::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            match std::panic::catch_unwind(|| run(seed)) {
                Ok(Ok(seen)) => coverage.add(&seen),
                Ok(Err(why)) => failed.push((seed, why)),
                Err(_) => failed.push((seed, "panicked (see above)".into())),
            }
        }
        let mut total = total.lock().unwrap();
        total.0.add(&coverage);
        total.1.append(&mut failed);
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(run_some))));
    let (coverage, mut failed) = total.into_inner().unwrap();
    failed.sort();
    (coverage, failed)
}

#[test]
fn no_schedule_breaks_the_cluster() {
    if let Some(seed) = env("CORECAST_SIM_SEED") {
        let (fault, lines) = trace(seed);
        let lines: Vec<_> = lines.iter().map(|line| line.chars().take(2000).collect::<String>()).collect();
        assert!(fault.is_none(), "{}\nseed {seed}: {fault:?}", lines.join("\n"));
        return;
    }
    let schedules = env("CORECAST_SIM_SEEDS").unwrap_or(SCHEDULES);
    let first = env("CORECAST_SIM_FROM").unwrap_or(0);
    let (coverage, failed) = run_many(first..first + schedules);
    println!("{schedules} schedules: {coverage:?}");
    assert!(schedules < SCHEDULES || coverage.is_whole(), "something was not reached: {coverage:?}");
    let shown: Vec<_> = failed.iter().take(12).map(|(seed, why)| format!("seed {seed}: {why}")).collect();
    assert!(
        failed.is_empty(),
        "{} of {schedules} schedules failed\n{}\nreplay: CORECAST_SIM_SEED=n",
        failed.len(),
        shown.join("\n")
    );
}

#[test]
fn a_node_that_beats_again_is_not_called_dead_by_what_was_said_before() {
    assert_eq!(run_late_kill(None), None);
}

/// Schedules in which a server that breaks a rule must be noticed.
const BROKEN_SCHEDULES_MAX: u64 = 10_000;

#[test]
fn every_rule_of_the_scripts_is_needed() {
    std::panic::set_hook(Box::new(|_| {}));
    let first_failure = |rule| {
        // In other schedules nothing is so late.
        if matches!(rule, Rule::Compare | Rule::Mark) {
            return std::panic::catch_unwind(|| run_late_kill(Some(rule)))
                .unwrap_or(None)
                .map(|why| (0, why));
        }
        (0..BROKEN_SCHEDULES_MAX).find_map(|seed| match std::panic::catch_unwind(|| run_broken(seed, rule)) {
            Ok(None) => None,
            Ok(Some(why)) => Some((seed, why)),
            Err(_) => Some((seed, "panicked".into())),
        })
    };
    let (next, unneeded) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let try_some = || {
        while let Some(rule) = Rule::ALL.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            match first_failure(*rule) {
                Some((seed, why)) => {
                    let why: String = why.chars().take(150).collect();
                    println!("{rule:?} is missed at seed {seed}: {why}");
                }
                None => unneeded.lock().unwrap().push(*rule),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(try_some))));
    let unneeded = unneeded.into_inner().unwrap();
    drop(std::panic::take_hook());
    assert!(unneeded.is_empty(), "nothing is noticed without these rules: {unneeded:?}");
}
