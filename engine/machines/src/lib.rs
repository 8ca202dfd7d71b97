//! The machines of Corecast: a shard and the API core as pure values, with the border to their driver.
//!
//! A machine is given what came in, with the time, and asked what must go out. Nothing here may know a socket, a ring, a
//! clock, a thread, or where hooks go: the simulation drives the same values as the server does, with a seed.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod address_caps;
pub mod api_core;
mod app_waits;
pub mod chunks;
pub mod cluster;
pub mod cores;
pub mod deadlines;
pub mod exchange;
pub mod hook_port;
pub mod http_date;
pub mod invariant;
pub mod limits;
pub mod machine;
pub mod mesh;
pub mod notices;
mod now;
pub mod outbox;
pub mod outgoing;
pub mod readings;
mod remedy;
pub mod shard;
pub mod token;
pub mod topic;
pub mod traffic_meter;
pub mod turn;
pub mod watching;
