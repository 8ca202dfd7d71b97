//! The WebSocket client.
//!
//! One pure core, and two drivers that carry out what it asks for. `session` is the core: bytes and time go in, bytes and
//! events come out, and it decides about everything between, with `wire` for TLS and WebSocket, `frame` for JSON,
//! `subscriptions`, `heartbeat` and `retry`. `blocking` has a thread with a socket, `tasks` has a task of tokio; neither decides
//! anything. `client` is what both show to their users.

mod authorizer;
mod bindings;
mod blocking;
mod client;
mod event;
mod frame;
mod heartbeat;
mod options;
mod retry;
mod session;
mod subscriptions;
#[cfg(feature = "tokio")]
pub(crate) mod tasks;
mod wire;

pub use authorizer::{AuthError, AuthRequest};
pub use bindings::BindingId;
pub use blocking::{Channel, Events, WsClient};
pub use event::{ConnectError, Event, Message, Refusal, SubscribeError, TriggerError};
pub use options::WsOptions;
