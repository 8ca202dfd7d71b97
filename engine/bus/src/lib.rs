//! A Redis server as the bus between the nodes of a cluster.
//!
//! What a node wants of the server it says in [`script`]s, which are atomic there.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod script;
