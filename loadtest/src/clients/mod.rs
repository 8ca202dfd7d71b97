//! The receiving half: subscribers, from connect to the last frame.
//!
//! `plan` says who subscribes to what; `subscribers` spreads subscribers over threads and processes (`remote`), `listener` keeps the
//! figures of one thread, `socket_pool` drives its sockets, `client_session` is one subscriber's conversation with the server after its
//! `script`, `frame` the bytes of RFC 6455. All sockets of subscribers are in `socket_pool`.
//! Scenarios talk to `subscribers`, or drive a `socket_pool` of their own where connections act.

pub(crate) mod arrival;
pub(crate) mod client_session;
pub(crate) mod frame;
pub(crate) mod listener;
mod pings;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod receive;
mod remote;
pub(crate) mod script;
pub(crate) mod socket_pool;
pub(crate) mod subscribers;
