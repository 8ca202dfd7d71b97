//! A Redis server as the bus between the nodes of a cluster.
//!
//! What a node wants of the server it says in [`script`]s, which are atomic there. The pure session with it is in
//! `machines::cluster::session`; a [`link::Link`] has its threads and sockets, and [`bus::Bus`] puts the two together.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod bus;
mod caller;
mod digests;
pub mod fault;
mod fitness;
pub mod keys;
pub mod leaving;
mod limits;
pub mod link;
mod reader;
pub mod script;
pub mod server;
pub mod taker;
pub mod vitals;
