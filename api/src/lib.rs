//! The REST API, pure: one HTTP request becomes a [`call::Call`], an [`answer::Answer`] becomes one HTTP response.
//!
//! | Request | Call | Body of the answer |
//! |---|---|---|
//! | `POST /apps/ID/events` | publish one event to 1..100 channels | `{}`, with `info` `{"channels":{"NAME":{..}}}` |
//! | `POST /apps/ID/batch_events` | publish 1..10 events | `{}`, with `info` `{"batch":[{..},{}]}` |
//! | `GET /apps/ID/channels` | occupied channels | `{"channels":{"NAME":{..}}}` |
//! | `GET /apps/ID/channels/NAME` | one channel | `{"occupied":true,..}` |
//! | `GET /apps/ID/channels/NAME/users` | members of a presence channel | `{"users":[{"id":"1"}]}` |
//! | `POST /apps/ID/users/USER_ID/terminate_connections` | close the connections of a user | `{}` |
//! | `GET /live`, `GET /ready` | health | `{"live":true}`, `{"ready":true}`; 503 when false |
//! | `GET /` | is a server there? | `OK`, or the page of `corecast dev` |
//! | `OPTIONS` of any of them, and of `*` | which methods are allowed? | none, and `Allow` |
//!
//! Everything below `/apps/` is signed (Pusher Channels HTTP API, authentication). A refusal is `{"error":"…"}` with a
//! status that the server SDKs know: 400 invalid, 401 not authorised, 403 app disabled, 404 no such app or path, 405 wrong
//! method, 413 too large, 415 compressed body, 426 a WebSocket path without an upgrade, 503 with `Retry-After` when the
//! server cannot answer in time.
//!
//! Nothing here may know a socket, a clock, a shard or a thread. The engine's API core calls it.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod admin;
pub mod answer;
pub mod call;
pub mod endpoints;
pub mod info;
pub mod page;
pub mod refused;
