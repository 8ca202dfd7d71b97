//! What comes in: connections without a head, messages of clients, and the rotation in which a shard takes all of its
//! input. `refuse` and `churn` say which subscriptions may not be, `quiet` when
//! nothing but signs of life has come.

pub(super) mod churn;
pub mod client_events;
pub mod commands;
pub mod lobby;
pub(super) mod quiet;
pub(super) mod refuse;
pub mod rotation;
pub mod subscribe;
