//! REST calls, signed as SDKs sign them, or wrongly on purpose.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

use crate::limits::{ANSWER_BYTES_MAX, PATIENCE};
use crate::target::Target;
use crate::verdict::{Deviation, Verdict, same};

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'static str,
    /// Below `/apps/ID`.
    pub(crate) path: &'a str,
    pub(crate) params: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a str,
    /// How far the clock of the caller is off, in seconds.
    pub(crate) clock_off: i64,
}

impl<'a> Ask<'a> {
    /// A question.
    pub(crate) fn get(path: &'a str, params: &'a [(&'a str, &'a str)]) -> Self {
        Self { method: "GET", path, params, body: "", clock_off: 0 }
    }

    /// A command.
    pub(crate) fn post(path: &'a str, body: &'a str) -> Self {
        Self { method: "POST", path, params: &[], body, clock_off: 0 }
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Answer {
    /// A deviation unless the status is this one.
    pub(crate) fn has_status(&self, wanted: u16) -> Verdict {
        let (came, wanted) = ((self.status, &*self.body), (wanted, &*self.body));
        same("status", &came, &wanted)
    }

    /// The body of a call that went well.
    pub(crate) fn json(&self) -> Result<Value, Deviation> {
        self.has_status(200)?;
        serde_json::from_str(&self.body)
            .map_err(|error| Deviation(format!("the body is no JSON ({error}): {}", self.body)))
    }
}

/// The REST API of a server.
#[derive(Debug)]
pub(crate) struct Rest<'a> {
    target: &'a Target,
    agent: Agent,
}

impl<'a> Rest<'a> {
    pub(crate) fn new(target: &'a Target) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .tls_config(corecast_client::trust::for_http())
            .build();
        Self { target, agent: Agent::new_with_config(config) }
    }

    /// The query that an SDK sends with a call, signature and all.
    pub(crate) fn query(&self, ask: &Ask<'_>) -> String {
        let params: Vec<(&str, String)> =
            ask.params.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let now = now.saturating_add_signed(ask.clock_off);
        self.target.app.signed_query(ask.method, &self.path(ask), &params, ask.body, now)
    }

    /// Asks as an SDK does.
    pub(crate) fn ask(&self, ask: &Ask<'_>) -> Result<Answer, Deviation> {
        self.ask_with(ask, &self.query(ask))
    }

    /// Asks with this query.
    pub(crate) fn ask_with(&self, ask: &Ask<'_>, query: &str) -> Result<Answer, Deviation> {
        let url = format!("{}{}?{query}", self.target.place.origin("http", "https"), self.path(ask));
        self.ask_at(ask.method, &url, ask.body)
    }

    /// Asks at this URL.
    pub(crate) fn ask_at(&self, method: &str, url: &str, body: &str) -> Result<Answer, Deviation> {
        let lost = |error: String| Deviation(format!("{method} {url} got no answer: {error}"));
        let request = Request::builder().method(method).uri(url);
        let request =
            if body.is_empty() { request } else { request.header("content-type", "application/json") };
        let request = request.body(body.to_owned()).map_err(|error| lost(error.to_string()))?;
        let answer =
            if method == "GET" { self.agent.run(request.map(drop)) } else { self.agent.run(request) };
        let mut answer = answer.map_err(|error| lost(error.to_string()))?;
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).lossy_utf8(true).read_to_string();
        Ok(Answer { status, content_type, body: body.map_err(|error| lost(error.to_string()))? })
    }

    /// `/apps/ID/…`, below the path of the proxy.
    pub(crate) fn path(&self, ask: &Ask<'_>) -> String {
        format!("{}/apps/{}{}", self.target.place.path, self.target.app.app_id(), ask.path)
    }
}
