//! Each rule of the mesh and of the turn, broken: the model must notice within so many schedules.

use corecast_machines::shard::mutant::{Mutant, set};

use crate::env;
use crate::schedule::run;

const SCHEDULES_MAX: u64 = 10_000;

/// The first schedule in which this mutant is caught, and by what.
fn first_failure(mutant: Mutant) -> Option<(u64, String)> {
    let schedules = env("CORECAST_SIM_SEEDS").unwrap_or(SCHEDULES_MAX);
    (0..schedules).find_map(|seed| {
        set(Some(mutant));
        let outcome = std::panic::catch_unwind(|| run(seed));
        set(None);
        match outcome {
            Ok(Ok(_)) => None,
            Ok(Err(why)) => Some((seed, why)),
            Err(_) => Some((seed, "panicked".into())),
        }
    })
}

#[test]
fn every_mutant_dies() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut survivors = Vec::new();
    let only = std::env::var("CORECAST_SIM_MUTANT").ok();
    for mutant in
        Mutant::ALL.into_iter().filter(|it| only.as_ref().is_none_or(|only| format!("{it:?}") == *only))
    {
        match first_failure(mutant) {
            Some((seed, why)) => {
                let why: String = why.chars().take(150).collect();
                println!("{mutant:?} dies at seed {seed}: {why}");
            }
            None => survivors.push(mutant),
        }
    }
    drop(std::panic::take_hook());
    assert!(survivors.is_empty(), "these mutants live: {survivors:?}");
}
