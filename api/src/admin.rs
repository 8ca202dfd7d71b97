//! What the operator's tools ask, on a listener of their own: `GET /metrics`, and the health probes. Not signed, since
//! that listener is for the operator's network alone; nothing of an app can be read or changed there.

use protocol::http::Request;

use crate::health::{Probe, parse_probe};
use crate::refused::Refused;

/// What a tool asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AdminCall {
    /// All metrics, in Prometheus' text format.
    Metrics,
    /// Tell how the server is.
    Health(Probe),
}

/// The call that a request on the operator's listener is.
pub fn parse_admin_call(request: &Request<'_>) -> Result<AdminCall, Refused> {
    let call = match request.head.path {
        "/metrics" => AdminCall::Metrics,
        path => parse_probe(path).map(AdminCall::Health).ok_or_else(no_such_path)?,
    };
    match request.head.method {
        "GET" | "HEAD" => Ok(call),
        _ => Err(Refused::method("GET, HEAD")),
    }
}

fn no_such_path() -> Refused {
    Refused::new(404, "Not found: the admin listener has /metrics, /live, /ready and /")
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::http::{RequestParse, parse_request};

    fn call(method: &str, path: &str) -> Result<AdminCall, u16> {
        let bytes = format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
        let RequestParse::Complete { request, .. } = parse_request(&bytes) else { panic!("{bytes:?}") };
        parse_admin_call(&request).map_err(|refused| refused.status)
    }

    #[test]
    fn tools_find_metrics_and_health_and_nothing_else() {
        assert_eq!(call("GET", "/metrics"), Ok(AdminCall::Metrics));
        assert_eq!(call("HEAD", "/metrics?x=1"), Ok(AdminCall::Metrics));
        assert_eq!(call("GET", "/ready"), Ok(AdminCall::Health(Probe::Ready)));
        assert_eq!(call("POST", "/metrics"), Err(405));
        for path in ["/metrics/", "/apps/1/channels", "/apps/1/events", "/app/key"] {
            assert_eq!(call("GET", path), Err(404), "{path}");
        }
    }
}
