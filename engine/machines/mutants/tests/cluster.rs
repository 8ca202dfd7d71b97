//! Each rule of a cluster, broken: the simulation of several nodes must notice within so many schedules.
//!
//! `CORECAST_SIM_MUTANT=NAME` tries one of them alone.

#![allow(dead_code, unreachable_pub, reason = "the simulation's files, of which this uses a part")]

#[path = "../../tests/cluster_sim/client.rs"]
mod client;
mod deaths;
#[path = "../../tests/sim/mesh.rs"]
mod mesh;
#[path = "../../tests/cluster_sim/node.rs"]
mod node;
#[path = "../../tests/cluster_sim/questions.rs"]
mod questions;
#[path = "../../tests/sim/rng.rs"]
mod rng;
#[path = "../../tests/cluster_sim/schedule.rs"]
mod schedule;
#[path = "../../tests/cluster_sim/server.rs"]
mod server;
#[path = "../../tests/cluster_sim/verdict.rs"]
mod verdict;
#[path = "../../tests/cluster_sim/world.rs"]
mod world;

use corecast_machines::cluster_table::CLUSTER_MUTANTS;
use corecast_machines::table::MUTANTS;

#[test]
fn every_mutant_dies() {
    let survivors = deaths::survivors(CLUSTER_MUTANTS, MUTANTS.len(), |seed| schedule::run(seed).map(drop));
    assert!(survivors.is_empty(), "these mutants live: {survivors:?}");
}
