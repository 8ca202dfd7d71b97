//! What the loopback tests share: a server process on a free port, and the peers that talk to it.
//!
//! Owns child processes and blocking sockets, and knows the server by its binary and its ports alone. Nothing here may
//! wait for a fixed time: everything waits for what must happen, for at most `PATIENCE`. Each file of tests uses
//! a part of it.

pub(crate) mod client;
pub(crate) mod http;
pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod source;
pub(crate) mod tls;

use std::time::Duration;

use protocol::app::App;

/// How long anything that must happen may take. Only a broken server makes a test wait so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const KEY: &str = "loopback-key";
pub(crate) const OTHER_KEY: &str = "other-key";

const APPS: [&str; 2] = ["7:loopback-key:loopback-secret", "8:other-key:other-secret"];

/// The app that tests use.
pub(crate) fn app() -> App {
    App::parse(APPS[0]).unwrap()
}

/// Another app of the same server.
pub(crate) fn other_app() -> App {
    App::parse(APPS[1]).unwrap()
}

/// Whether an event says how many are subscribed to a channel, as each coming and going on it makes others hear.
pub(crate) fn is_count(event: &serde_json::Value) -> bool {
    event["event"] == "pusher_internal:subscription_count"
}

/// JSON in JSON: what the data of most events is.
pub(crate) fn text(value: &serde_json::Value) -> String {
    serde_json::to_string(value).unwrap()
}
