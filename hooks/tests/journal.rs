//! The journal against real files: what is kept, in which order, under which id, through kills, failures and a full disk.
//!
//! A kill is an abort of a process of its own: this binary again, with a role in its environment. Each test has a
//! directory of its own and removes it.
#![forbid(unsafe_code)]

#[path = "journal/bench.rs"]
mod bench;
#[path = "journal/edges.rs"]
mod edges;
#[path = "journal/faults.rs"]
mod faults;
#[path = "journal/kills.rs"]
mod kills;
#[path = "journal/nodes.rs"]
mod nodes;
#[path = "journal/places.rs"]
mod places;
#[path = "journal/rights.rs"]
mod rights;
#[path = "journal/size.rs"]
mod size;
