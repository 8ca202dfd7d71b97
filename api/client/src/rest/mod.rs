//! The REST API of an app, as a back end calls it.
//!
//! `call` and `reply` are pure: what is asked, as text, and what a response says. `client` is the one part with sockets.

mod authorize;
mod call;
mod client;
mod error;
mod reply;
#[cfg(feature = "tokio")]
pub(crate) mod tasks;
mod trigger;
mod webhook;

pub use authorize::{ChannelAuth, UserAuth};
pub use client::ApiClient;
pub use error::ApiError;
pub use reply::{Cached, ChannelInfo, Info};
pub use trigger::Trigger;
pub use webhook::{Webhook, WebhookError, WebhookEvent};
