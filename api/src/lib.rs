//! The REST API, pure: one HTTP request becomes a [`call::Call`], an [`answer::Answer`] becomes one HTTP response.
//!
//! [`endpoints`] lists what can be asked, with the bodies of the answers.
//!
//! Everything below `/apps/` is signed (Pusher Channels HTTP API, authentication). A refusal is `{"error":"…"}` with a
//! status that the server SDKs know: 400 invalid, 401 not authorised, 403 app disabled, 404 no such app or path, 405 wrong
//! method, 413 too large, 415 compressed body, 426 a WebSocket path without an upgrade, 429 with `Retry-After` when the app
//! asks faster than it may, 503 with `Retry-After` when the server cannot answer in time.
//!
//! Nothing here may know a socket, a clock, a shard or a thread. The engine's API core calls it.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod admin;
pub mod answer;
pub mod assets;
pub mod call;
pub mod console;
pub mod endpoints;
pub mod info;
mod limits;
pub mod page;
pub mod rate;
pub mod refused;
pub mod samples;
