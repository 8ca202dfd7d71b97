//! The machines, with a switch for each rule of the table that can be broken. See `table.rs` for the rules, and `build.rs`
//! for how the source becomes this. The simulation runs against it and must notice every one of them.
#![forbid(unsafe_code)]
#![allow(
    missing_docs,
    unused,
    unreachable_pub,
    clippy::all,
    reason = "machine-made from source that is checked elsewhere"
)]

pub mod cluster_table;
pub mod leaving_table;
pub mod levels_table;
pub mod mutant;
pub mod table;

include!(concat!(env!("OUT_DIR"), "/machines/lib.rs"));
