//! A Redis server as a client of this project sees it: one connection, what can be wrong, and the pauses between tries.
//!
//! Knows nothing of hooks or streams.

pub(crate) mod backoff;
pub(crate) mod connection;
pub mod fault;
