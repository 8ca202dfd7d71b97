//! Where the scene of a check is played: the server, and names that no other scene has.

use std::sync::atomic::{AtomicU32, Ordering};

use corecast_client::Credentials;
use serde_json::{Value, json};

use crate::client::Client;
use crate::rest::{Answer, Ask, Rest};
use crate::socket::Socket;
use crate::target::Target;
use crate::verdict::{Deviation, Verdict};

/// A server and fresh names.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) target: &'a Target,
    pub(crate) rest: Rest<'a>,
    run: String,
    names: AtomicU32,
}

impl<'a> Ground<'a> {
    pub(crate) fn new(target: &'a Target) -> Self {
        Self {
            target,
            rest: Rest::new(target),
            run: format!("{:08x}", fastrand::u32(..)),
            names: AtomicU32::new(0),
        }
    }

    pub(crate) fn app(&self) -> &Credentials {
        &self.target.app
    }

    /// A name that nobody else has: `PREFIX` and some letters.
    pub(crate) fn name(&self, prefix: &str) -> String {
        format!("{prefix}conform-{}-{}", self.run, self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// A client that is connected.
    pub(crate) fn client(&self) -> Result<Client, Deviation> {
        Client::connect(self.target)
    }

    /// A socket at a path, upgraded.
    pub(crate) fn socket(&self, path: &str) -> Result<Socket, Deviation> {
        Socket::open(self.target, path)
    }

    /// Publishes.
    pub(crate) fn publish(&self, channel: &str, event: &str, data: &str) -> Verdict {
        self.events(&json!({"name": event, "channels": [channel], "data": data}))?.has_status(200)
    }

    /// `POST /events`.
    pub(crate) fn events(&self, body: &Value) -> Result<Answer, Deviation> {
        self.rest.ask(&Ask::post("/events", &body.to_string()))
    }

    /// A question to the REST API that is answered with JSON.
    pub(crate) fn question(&self, path: &str, params: &[(&str, &str)]) -> Result<Value, Deviation> {
        self.rest.ask(&Ask::get(path, params))?.json()
    }
}
