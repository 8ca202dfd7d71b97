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
mod deaths;
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

use corecast_machines::cluster_table::CLUSTER_MUTANTS;
use corecast_machines::leaving_table::LEAVING_MUTANTS;
use corecast_machines::levels_table::LEVELS_MUTANTS;
use corecast_machines::table::MUTANTS;
use schedule::run;

#[test]
fn every_mutant_dies() {
    let survivors = deaths::survivors(MUTANTS, 0, |seed| run(seed).map(drop));
    assert!(survivors.is_empty(), "these mutants live: {survivors:?}");
}

#[test]
fn each_mutant_has_a_name_of_its_own_and_says_what_it_breaks() {
    let all: Vec<_> =
        MUTANTS.iter().chain(CLUSTER_MUTANTS).chain(LEVELS_MUTANTS).chain(LEAVING_MUTANTS).collect();
    for (number, mutant) in all.iter().enumerate() {
        assert!(all[..number].iter().all(|other| other.name != mutant.name), "{} twice", mutant.name);
        assert!(mutant.breaks.ends_with('.') && !mutant.places.is_empty(), "{}", mutant.name);
    }
}
