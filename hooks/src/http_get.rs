//! A GET to an operator's server, with the certificates, the resolver and the user agent of webhooks.
//!
//! One try per call, with one limit of time for all of it and one of length for the answer. User and password of the URL
//! become its `Authorization`. What must never happen here: a redirect followed, or a body read without end.

use std::fmt;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::Uri;

use crate::sinks::webhook::{USER_AGENT, agent, parse_url, reason_of, split_credentials};

/// Asks one URL, with what differs each time in its query. Connections are kept alive and shared by clones.
#[derive(Clone)]
pub struct HttpGet {
    agent: Agent,
    uri: Uri,
    authorization: Option<String>,
}

/// What was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HttpFault {
    /// None came in time.
    Late,
    /// It is longer than so many bytes.
    TooLong(u64),
    /// Anything else, in words.
    Other(String),
}

impl fmt::Display for HttpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => write!(f, "no answer in time"),
            Self::TooLong(bytes) => write!(f, "the answer is longer than {bytes} bytes"),
            Self::Other(what) => write!(f, "{what}"),
        }
    }
}

/// Without what may hold a password.
impl fmt::Debug for HttpGet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpGet").finish_non_exhaustive()
    }
}

impl HttpGet {
    /// For this URL, asked by so many threads at once. An error says why it is none.
    pub fn new(url: &str, threads: usize) -> Result<Self, String> {
        let (uri, authorization) = split_credentials(parse_url(url, false)?);
        Ok(Self { agent: agent(None, threads, false), uri, authorization })
    }

    /// Asks as it is.
    pub fn get(&self, patience: Duration, bytes_max: u64) -> Result<HttpAnswer, HttpFault> {
        self.fetch(&self.uri.to_string(), patience, bytes_max)
    }

    /// Asks with this name and value, of characters that may stand in a query as they are.
    pub fn ask(
        &self,
        (name, value): (&str, &str),
        patience: Duration,
        bytes_max: u64,
    ) -> Result<HttpAnswer, HttpFault> {
        let separator = if self.uri.query().is_some_and(|query| !query.is_empty()) { '&' } else { '?' };
        let uri = self.uri.to_string();
        let uri = uri.strip_suffix('?').unwrap_or(&uri);
        self.fetch(&format!("{uri}{separator}{name}={value}"), patience, bytes_max)
    }

    fn fetch(&self, uri: &str, patience: Duration, bytes_max: u64) -> Result<HttpAnswer, HttpFault> {
        let began = Instant::now();
        let asked = self.try_fetch(uri, patience, bytes_max);
        asked.map_err(|error| match error {
            ureq::Error::Timeout(_) => HttpFault::Late,
            ureq::Error::BodyExceedsLimit(_) => HttpFault::TooLong(bytes_max),
            _ if began.elapsed() >= patience => HttpFault::Late,
            error => HttpFault::Other(reason_of(&error)),
        })
    }

    fn try_fetch(&self, uri: &str, patience: Duration, bytes_max: u64) -> Result<HttpAnswer, ureq::Error> {
        let mut request = self.agent.get(uri);
        for (name, value) in [
            ("Accept", Some("application/json")),
            ("User-Agent", Some(USER_AGENT)),
            ("Authorization", self.authorization.as_deref()),
        ] {
            request = match value {
                Some(value) => request.header_raw(name, value.as_bytes()),
                None => request,
            };
        }
        let mut answer = request.config().timeout_global(Some(patience)).build().call()?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(bytes_max).read_to_vec();
        // Of any other answer the status says it all.
        let body = if status == 200 { body? } else { body.unwrap_or_default() };
        Ok(HttpAnswer { status, body })
    }
}
