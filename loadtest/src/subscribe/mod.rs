//! The receiving half: subscribers, from connect to the last frame.
//!
//! `plan` says who subscribes to what; `crowd` spreads subscribers over threads and processes (`remote`), `listener` keeps the
//! figures of one thread, `swarm` drives its sockets, `dialogue` is one subscriber's conversation with the server after its
//! `script`, `frame` the bytes of RFC 6455, `ledger` what each subscriber has seen. All sockets of subscribers are in `swarm`.
//! Scenarios talk to `crowd`, or drive a swarm of their own where connections act.

pub(crate) mod crowd;
pub(crate) mod dialogue;
pub(crate) mod frame;
pub(crate) mod ledger;
pub(crate) mod listener;
mod pings;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod remote;
pub(crate) mod script;
pub(crate) mod swarm;
pub(crate) mod tally;
