//! What happened on the channels, on its way from the shards to the operator's back end.
//!
//! Shards hold only a [`queue::Queue`], which never waits. Nothing here may block a shard, and nothing here knows an
//! engine.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod house;
pub mod queue;
pub mod row;
pub mod settings;
pub mod sink;
pub mod source;
