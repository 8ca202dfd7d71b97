//! Each rule of the nodes that stop in order, broken: their simulation must notice within so many schedules.
//!
//! `CORECAST_SIM_MUTANT=NAME` tries one of them alone.

#![allow(dead_code, unreachable_pub, reason = "the simulation's files, of which this uses a part")]

mod deaths;
#[path = "../../tests/sim/rng.rs"]
mod rng;
#[path = "../../tests/leaving_sim/schedule.rs"]
mod schedule;

use corecast_machines::cluster_table::CLUSTER_MUTANTS;
use corecast_machines::leaving_table::LEAVING_MUTANTS;
use corecast_machines::levels_table::LEVELS_MUTANTS;
use corecast_machines::table::MUTANTS;

#[test]
fn every_mutant_dies() {
    let first_number = MUTANTS.len() + CLUSTER_MUTANTS.len() + LEVELS_MUTANTS.len();
    let survivors = deaths::survivors(LEAVING_MUTANTS, first_number, |seed| schedule::run(seed).map(drop));
    assert!(survivors.is_empty(), "these mutants live: {survivors:?}");
}
