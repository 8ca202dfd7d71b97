//! Hooks carry events of the channels from the shards to the operator's back end.
//!
//! Shards hold only a [`queue::Queue`], which never waits. Nothing here may block a shard, and nothing here knows the
//! engine. [`pipeline::Hooks`] puts the parts together: the [`journal`] keeps events until [`delivery`] has brought them to
//! all endpoints, with a Redis [`stream`] in between if the operator wants one.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod aside;
pub mod counters;
pub mod data_dir;
pub mod dead_letters;
pub mod delivery;
mod disk_fault;
pub mod encoding;
pub mod http_get;
pub mod journal;
mod limits;
mod notice;
pub mod outage;
pub mod pipeline;
pub mod queue;
pub mod redis;
pub mod row;
pub mod settings;
pub mod sink;
pub mod sinks;
pub mod source;
pub mod stream;
pub mod worker;
