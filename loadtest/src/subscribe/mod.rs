//! The receiving half: subscribers, from connect to the last frame.
//!
//! `crowd` spreads subscribers over threads, `swarm` drives the sockets of one, `dialogue` is one subscriber's
//! conversation with the server, `frame` the bytes of RFC 6455, `ledger` what each subscriber has seen. The last three
//! are pure: all sockets of subscribers are in `swarm`. Scenarios talk to `crowd` alone.

pub(crate) mod crowd;
pub(crate) mod dialogue;
pub(crate) mod frame;
pub(crate) mod ledger;
pub(crate) mod swarm;
