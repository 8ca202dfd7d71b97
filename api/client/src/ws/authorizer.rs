//! Who lets a client into private and presence channels, and who signs it in: an auth endpoint, or a closure.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::Request;

use super::event::Refusal;
use crate::http::{agent, send};
use crate::rest::{ChannelAuth, UserAuth};
use crate::sign::escape;

/// What is asked for: the connection, and the channel that it wants to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthRequest {
    /// The id of the connection.
    pub socket_id: String,
    /// The channel; empty for a sign-in.
    pub channel: String,
}

/// Why an authorizer does not give what is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthError {
    /// A status as HTTP has them, if there is one.
    pub status: Option<u16>,
    /// What went wrong.
    pub message: String,
}

impl AuthError {
    /// A refusal with a reason.
    pub fn new(message: impl Into<String>) -> Self {
        Self { status: None, message: message.into() }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for AuthError {}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        Self { status: error.status, message: error.message }
    }
}

type Closure<T> = dyn Fn(&AuthRequest) -> Result<T, AuthError> + Send + Sync;

/// Gives answers of one kind: a [`ChannelAuth`] or a [`UserAuth`].
pub(super) enum Authorizer<T> {
    Closure(Arc<Closure<T>>),
    Url(Arc<Endpoint>),
}

/// An auth endpoint, as Pusher's clients call one.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: String,
    headers: BTreeMap<String, String>,
    agent: Agent,
}

impl<T> Clone for Authorizer<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Closure(closure) => Self::Closure(Arc::clone(closure)),
            Self::Url(endpoint) => Self::Url(Arc::clone(endpoint)),
        }
    }
}

impl<T> fmt::Debug for Authorizer<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Closure(_) => "a closure",
            Self::Url(_) => "an auth endpoint",
        })
    }
}

impl<T: DeserializeOwned> Authorizer<T> {
    pub(super) fn closure(
        closure: impl Fn(&AuthRequest) -> Result<T, AuthError> + Send + Sync + 'static,
    ) -> Self {
        Self::Closure(Arc::new(closure))
    }

    pub(super) fn url(url: String, headers: BTreeMap<String, String>, timeout: Duration) -> Self {
        Self::Url(Arc::new(Endpoint { url, headers, agent: agent(timeout) }))
    }

    /// Asks, and waits for the answer.
    fn ask(&self, request: &AuthRequest) -> Result<T, AuthError> {
        match self {
            Self::Closure(closure) => closure(request),
            Self::Url(endpoint) => endpoint.ask(request),
        }
    }
}

impl Endpoint {
    /// A form with `socket_id` and `channel_name`, answered with 200 and JSON.
    fn ask<T: DeserializeOwned>(&self, request: &AuthRequest) -> Result<T, AuthError> {
        let mut form = format!("socket_id={}", escape(&request.socket_id));
        if !request.channel.is_empty() {
            form.push_str(&format!("&channel_name={}", escape(&request.channel)));
        }
        let headers = self.headers.iter();
        let post = headers.fold(Request::post(&self.url), |post, (name, value)| post.header(name, value));
        let post = post
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "application/json")
            .body(form)
            .map_err(|error| AuthError::new(format!("the auth endpoint cannot be asked: {error}")))?;
        let (status, body) = send(&self.agent, post)
            .map_err(|why| AuthError::new(format!("no answer from the auth endpoint: {why}")))?;
        if status != 200 {
            let message = format!("the auth endpoint refuses: {}", body.trim());
            return Err(AuthError { status: Some(status), message });
        }
        serde_json::from_str(&body).map_err(|error| {
            let message = format!("the auth endpoint answers no authorization: {error}");
            AuthError { status: Some(status), message }
        })
    }
}

/// One question to an authorizer. It is asked away from the connection, since the answer may take its time.
#[derive(Debug)]
pub(super) struct Authorization {
    /// Which connection asks.
    pub(super) connection: u64,
    pub(super) request: AuthRequest,
    pub(super) asked: Asked,
}

#[derive(Clone, Debug)]
pub(super) enum Asked {
    Channel(Authorizer<ChannelAuth>),
    User(Authorizer<UserAuth>),
}

/// What an authorizer has said.
#[derive(Debug)]
pub(super) enum Grant {
    Channel(Result<ChannelAuth, AuthError>),
    User(Result<UserAuth, AuthError>),
}

impl Authorization {
    /// The answer when nobody can be asked.
    pub(super) fn refused(&self, error: AuthError) -> Grant {
        match &self.asked {
            Asked::Channel(_) => Grant::Channel(Err(error)),
            Asked::User(_) => Grant::User(Err(error)),
        }
    }

    /// Asks, and waits for the answer. A closure that panics refuses.
    pub(super) fn ask(&self) -> Grant {
        match &self.asked {
            Asked::Channel(authorizer) => Grant::Channel(guarded(|| authorizer.ask(&self.request))),
            Asked::User(authorizer) => Grant::User(guarded(|| authorizer.ask(&self.request))),
        }
    }
}

fn guarded<T>(ask: impl FnOnce() -> Result<T, AuthError>) -> Result<T, AuthError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask))
        .unwrap_or_else(|_| Err(AuthError::new("the authorizer has panicked")))
}
