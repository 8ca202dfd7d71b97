//! A client for servers that speak the Pusher Channels protocol: Corecast, Pusher itself, and others.
//!
//! * [`ApiClient`] is what a back end needs: it publishes, asks for channels and users, verifies webhooks, and signs what
//!   clients want to subscribe to.
//! * [`WsClient`] is what a page has in pusher-js: it connects, subscribes, hears events and sends its own, and finds its way
//!   back when the connection is lost.
//!
//! Both block. With the feature `tokio`, `corecast_client::tokio` has the same two with async methods. `http://` and
//! `ws://` are plain; for `https://` and `wss://` there is rustls with ring, which trusts the authorities of the machine.
//!
//! ```no_run
//! use corecast_client::{ApiClient, Event, Trigger, WsClient, WsOptions};
//!
//! let client = WsClient::connect(WsOptions::new("ws://127.0.0.1:6001", "key")?)?;
//! let events = client.events();
//! client.subscribe("news")?.wait_subscribed()?;
//!
//! let api = ApiClient::from_url("http://key:secret@127.0.0.1:6001/apps/1")?;
//! api.trigger(&Trigger::new("news", "hello", r#"{"text":"hi"}"#))?;
//!
//! for event in events {
//!     if let Event::Message(message) = event {
//!         println!("{} on {:?}: {}", message.event, message.channel, message.data);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod credentials;
mod http;
mod limits;
mod member;
mod place;
mod rest;
mod sign;
pub mod trust;
mod ws;

pub use credentials::{Credentials, parse_pusher_url};
pub use member::{Member, Members};
pub use place::{Place, UrlError};
pub use rest::{
    ApiClient, ApiError, Cached, ChannelAuth, ChannelInfo, Info, Trigger, UserAuth, Webhook, WebhookError,
    WebhookEvent,
};
pub use ws::{
    AuthError, AuthRequest, BindingId, Channel, ConnectError, Event, Events, Message, Refusal,
    SubscribeError, TriggerError, WsClient, WsOptions,
};

/// The same clients for programs that run on tokio.
#[cfg(feature = "tokio")]
pub mod tokio {
    pub use crate::rest::tasks::ApiClient;
    pub use crate::ws::tasks::{Channel, Events, WsClient};
}
