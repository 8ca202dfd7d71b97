//! The simulation: real shards, a fake mesh with delays, fake sockets that are healthy, slow or dead, and a model that
//! knows what every client must have seen. One seed is one schedule, and the same seed is the same schedule.
//!
//! `CORECAST_SIM_SEED=n` replays one schedule; `CORECAST_SIM_SEEDS=n` sets how many are run. No socket, no clock, no
//! thread may ever appear here.

#![expect(unreachable_pub, reason = "a test binary exports nothing")]

mod api_side;
mod bounds;
mod caps;
mod channels;
mod client;
mod clients;
mod cores;
mod counts;
mod deeds;
mod handshakes;
mod hooks;
mod inputs;
mod lookups;
mod mesh;
mod model;
mod remembered;
mod rest;
mod rng;
mod schedule;
mod shortage;
mod socket;
mod terminations;
mod turning;
mod users;
mod world;

use schedule::{Coverage, run};

const SCHEDULES: u64 = 10_000;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs schedules on all cores; a failing seed is printed with what went wrong.
fn run_many(seeds: std::ops::Range<u64>) -> Coverage {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Coverage::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut coverage = Coverage::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    match std::panic::catch_unwind(|| run(seed)) {
                        Ok(Ok(seen)) => coverage.add(&seen),
                        Ok(Err(why)) => panic!("seed {seed}: {why}\nreplay: CORECAST_SIM_SEED={seed}"),
                        Err(_) => {
                            panic!("seed {seed}: panicked (see above)\nreplay: CORECAST_SIM_SEED={seed}")
                        }
                    }
                }
                total.lock().unwrap().add(&coverage);
            });
        }
    });
    total.into_inner().unwrap()
}

#[test]
fn no_schedule_breaks_the_model() {
    if let Some(seed) = env("CORECAST_SIM_SEED") {
        run(seed).unwrap();
        return;
    }
    let schedules = env("CORECAST_SIM_SEEDS").unwrap_or(SCHEDULES);
    let coverage = run_many(0..schedules);
    println!("{coverage:#?}");
    assert!(coverage.steps_min >= 200, "a schedule had {} steps", coverage.steps_min);
    if schedules >= SCHEDULES {
        for (name, count) in coverage.transitions() {
            // That takes two things at once: a budget and a reader that stops; a user who is watched, and back in time.
            let rare = name.starts_with("partings_")
                || ["users_returned", "watchlists_cut", "watch_news_stale"].contains(&name);
            let least = if rare { 100 } else { 1000 };
            assert!(count >= least, "{name} was reached {count} times only");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    for seed in 0..20 {
        let (once, again) = (run(seed).unwrap(), run(seed).unwrap());
        assert_eq!(once.stats, again.stats, "seed {seed}");
    }
}
