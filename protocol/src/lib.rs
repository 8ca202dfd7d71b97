//! Bytes and meaning of the Pusher Channels protocol (version 7) and of the transports under it.
//!
//! Pure: no runtime, no socket, no clock, no thread; the time comes in as an argument. `parse_*` turns bytes into a type,
//! `encode_*` appends a type's bytes to a buffer. Bytes from a peer yield a value or a typed error that carries the answer
//! for that peer; they never cause a panic. All other crates of the server build on this one, and it builds on none of
//! them.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod address;
pub mod app;
pub mod auth;
pub mod channel;
pub mod close;
pub mod dialect;
pub mod event_name;
pub mod hook_event;
pub mod hook_kind;
pub mod http;
pub mod json;
pub mod limits;
pub mod message;
pub mod object_form;
pub mod path_prefix;
pub mod presence;
pub mod proxy_header;
pub mod query;
pub mod server_event;
pub mod signin;
pub mod socket_id;
pub mod user_data;
pub mod ws;

mod hex;
