//! Every seed of the fuzz target for REST bodies, tried by the check that the target runs.
//!
//! The target is in protocol/fuzz with all others.
#![forbid(unsafe_code)]

#[path = "../../protocol/fuzz/checks/rest_body.rs"]
mod rest_body;
#[path = "../../protocol/fuzz/checks/seeds.rs"]
mod seeds;

use std::path::Path;

#[test]
fn rest_bodies_come_out_as_their_seeds_say() {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/fuzz/seeds/rest_body");
    seeds::replay(&target, rest_body::check);
}
