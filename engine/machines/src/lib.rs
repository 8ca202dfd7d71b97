//! The machines of Corecast: a shard and the API core as pure values, with the border to whoever drives them.
//!
//! A machine is given what came in, with the time, and asked what must go out. Nothing here may know a socket, a ring, a
//! clock, a thread, or where hooks go: the simulation drives the same values as the server does, with a seed.

#![forbid(unsafe_code)]

pub mod api_core;
pub mod chunks;
pub mod exchange;
pub mod http_date;
pub mod limits;
pub mod shard;
pub mod turn;
