//! A Redis server as a client of this project sees it: one connection, what can be wrong, and what is
//! done while it cannot be used.
//!
//! Knows nothing of hooks or streams.

pub(crate) mod backoff;
pub(crate) mod connection;
pub mod fault;
pub(crate) mod outage;
pub mod vitals;
