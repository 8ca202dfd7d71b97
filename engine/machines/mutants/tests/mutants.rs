//! Each rule of the mesh and of the turn, broken: the simulation's model must notice within so many schedules.
//!
//! `CORECAST_SIM_MUTANT=NAME` tries one of them alone.

#![allow(dead_code, unreachable_pub, reason = "the simulation's files, of which this uses a part")]

#[path = "../../tests/sim/api_side.rs"]
mod api_side;
#[path = "../../tests/sim/bounds.rs"]
mod bounds;
#[path = "../../tests/sim/caps.rs"]
mod caps;
#[path = "../../tests/sim/channels.rs"]
mod channels;
#[path = "../../tests/sim/client.rs"]
mod client;
#[path = "../../tests/sim/clients.rs"]
mod clients;
#[path = "../../tests/sim/cores.rs"]
mod cores;
#[path = "../../tests/sim/counts.rs"]
mod counts;
#[path = "../../tests/sim/deeds.rs"]
mod deeds;
#[path = "../../tests/sim/handshakes.rs"]
mod handshakes;
#[path = "../../tests/sim/hooks.rs"]
mod hooks;
#[path = "../../tests/sim/inputs.rs"]
mod inputs;
#[path = "../../tests/sim/lookups.rs"]
mod lookups;
#[path = "../../tests/sim/mesh.rs"]
mod mesh;
#[path = "../../tests/sim/model.rs"]
mod model;
#[path = "../../tests/sim/remembered.rs"]
mod remembered;
#[path = "../../tests/sim/rest.rs"]
mod rest;
#[path = "../../tests/sim/rng.rs"]
mod rng;
#[path = "../../tests/sim/schedule.rs"]
mod schedule;
#[path = "../../tests/sim/shortage.rs"]
mod shortage;
#[path = "../../tests/sim/socket.rs"]
mod socket;
#[path = "../../tests/sim/terminations.rs"]
mod terminations;
#[path = "../../tests/sim/turning.rs"]
mod turning;
#[path = "../../tests/sim/users.rs"]
mod users;
#[path = "../../tests/sim/world.rs"]
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use corecast_machines::mutant::set;
use corecast_machines::table::{MUTANTS, Mutant};
use schedule::run;

const SCHEDULES_MAX: u64 = 30_000;

/// The first schedule in which this mutant is caught, and by what.
fn first_failure(number: usize) -> Option<(u64, String)> {
    let schedules = std::env::var("CORECAST_SIM_SEEDS").ok().and_then(|text| text.parse().ok());
    (0..schedules.unwrap_or(SCHEDULES_MAX)).find_map(|seed| {
        set(Some(number));
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
    let only = std::env::var("CORECAST_SIM_MUTANT").ok();
    let wanted = |mutant: &Mutant| only.as_ref().is_none_or(|only| mutant.name == *only);
    let (next, survivors) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let try_some = || {
        while let Some((number, mutant)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            MUTANTS.get(number).map(|mutant| (number, mutant))
        } {
            if !wanted(mutant) {
                continue;
            }
            match first_failure(number) {
                Some((seed, why)) => {
                    let why: String = why.chars().take(150).collect();
                    println!("{} dies at seed {seed}: {why}", mutant.name);
                }
                None => survivors.lock().unwrap().push(mutant.name),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(try_some))));
    drop(std::panic::take_hook());
    let survivors = survivors.into_inner().unwrap();
    assert!(survivors.is_empty(), "these mutants live: {survivors:?}");
}

#[test]
fn each_mutant_has_a_name_of_its_own_and_says_what_it_breaks() {
    for (number, mutant) in MUTANTS.iter().enumerate() {
        assert!(MUTANTS[..number].iter().all(|other| other.name != mutant.name), "{} twice", mutant.name);
        assert!(mutant.breaks.ends_with('.') && !mutant.places.is_empty(), "{}", mutant.name);
    }
}
