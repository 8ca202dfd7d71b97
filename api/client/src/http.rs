//! HTTP for REST calls and auth endpoints: a pool of connections, and a request that is answered or not.

use std::time::Duration;

use ureq::Agent;
use ureq::http::Request;

use crate::limits::{IDLE_CONNECTIONS_MAX, RESPONSE_BYTES_MAX};
use crate::trust::for_http;

/// A pool of connections whose requests may take so long.
pub(crate) fn agent(timeout: Duration) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(timeout))
        .max_idle_connections(IDLE_CONNECTIONS_MAX)
        .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
        .user_agent(concat!("corecast-client/", env!("CARGO_PKG_VERSION")))
        .tls_config(for_http())
        .build();
    Agent::new_with_config(config)
}

/// Status and body of the answer, or why there is none.
pub(crate) fn send(agent: &Agent, request: Request<String>) -> Result<(u16, String), String> {
    let answer = if request.method() == "GET" { agent.run(request.map(drop)) } else { agent.run(request) };
    let mut answer = answer.map_err(reason)?;
    let body = answer.body_mut().with_config().limit(RESPONSE_BYTES_MAX).lossy_utf8(true).read_to_string();
    Ok((answer.status().as_u16(), body.map_err(reason)?))
}

fn reason(error: ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}
