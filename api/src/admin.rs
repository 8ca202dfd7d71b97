//! What the operator's tools ask, on a listener of their own: `GET /metrics`, and the health probes. Not signed, since
//! that listener is for the operator's network alone; nothing of an app can be read or changed there.
//!
//! A browser of that network may be told by a stranger's page to ask here, by a name that leads to this address. So only
//! names that cannot be a stranger's are answered.

use std::net::{Ipv4Addr, Ipv6Addr};

use protocol::http::Head;

use crate::answer::Answer;
use crate::call::Options;
use crate::endpoints::health::{PROBE_METHODS, Probe, parse_probe, probed_app};
use crate::refused::Refused;

/// What a tool asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AdminCall {
    /// All metrics, in Prometheus' text format.
    Metrics,
    /// How much memory the process uses.
    Usage,
    /// Tell how the server is.
    Health(Probe),
    /// Tell how the app is that the path names.
    AppHealth,
    /// Tell which methods there are.
    Options(Options),
}

/// The call that a request on the operator's listener is, by its head; it needs no body. `hosts` are the names that the
/// listener has besides IP addresses and localhost.
pub fn parse_admin_call(head: &Head<'_>, hosts: &[Box<str>]) -> Result<AdminCall, Refused> {
    check_host(head, hosts)?;
    let (call, probe) = match head.path {
        "/metrics" => (AdminCall::Metrics, None),
        "/usage" => (AdminCall::Usage, None),
        path if probed_app(path).is_some() => (AdminCall::AppHealth, None),
        "*" => return Ok(AdminCall::Options(Options { allow: PROBE_METHODS, probe: None })),
        path => {
            let probe = parse_probe(path).ok_or_else(no_such_path)?;
            (AdminCall::Health(probe), Some(probe))
        }
    };
    match head.method {
        "GET" | "HEAD" => Ok(call),
        "OPTIONS" => Ok(AdminCall::Options(Options { allow: PROBE_METHODS, probe })),
        _ => Err(Refused::method(PROBE_METHODS)),
    }
}

/// All metrics.
pub fn answer_metrics(text: String) -> Answer<'static> {
    Answer::text("text/plain; version=0.0.4; charset=utf-8", text.into_bytes())
}

/// How much memory the process uses, and may use, in bytes; as soketi says it.
pub fn answer_usage(used: u64, total: u64) -> Answer<'static> {
    let free = total.saturating_sub(used);
    let percent = 100.0 * used as f64 / total.max(1) as f64;
    let memory = format!("{{\"free\":{free},\"used\":{used},\"total\":{total},\"percent\":{percent:.2}}}");
    Answer::json(format!("{{\"memory\":{memory}}}").into_bytes())
}

// Every browser names a host, so a request without one may be answered.
fn check_host(head: &Head<'_>, hosts: &[Box<str>]) -> Result<(), Refused> {
    if is_known_host(head, hosts) {
        return Ok(());
    }
    let name = host_of(head.authority().unwrap_or_default());
    let name: String = name.chars().take(128).collect();
    let text = format!(
        "The admin listener has no host {name:?}: ask it by its IP address or as localhost, or add the name to \
         admin_hosts (--admin-host)"
    );
    Err(Refused::new(421, text))
}

/// Whether the listener is asked by a name that it has. Every browser names one.
pub(crate) fn is_known_host(head: &Head<'_>, hosts: &[Box<str>]) -> bool {
    let Some(authority) = head.authority() else { return true };
    let name = host_of(authority);
    let is_ours = |host: &str| name.eq_ignore_ascii_case(host);
    is_ip_address(name) || is_ours("localhost") || hosts.iter().any(|host| is_ours(host))
}

// Without port and the dot of a full name.
fn host_of(authority: &str) -> &str {
    let port_at = authority.rfind(':').filter(|at| !authority.get(*at..).unwrap_or_default().contains(']'));
    let host = authority.get(..port_at.unwrap_or(authority.len())).unwrap_or(authority);
    host.strip_suffix('.').unwrap_or(host)
}

fn is_ip_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok()) || host.parse::<Ipv4Addr>().is_ok()
}

fn no_such_path() -> Refused {
    let paths = "/metrics, /usage, /health, /live, /ready, /up, /up/APP, /accept-traffic and /";
    Refused::new(404, format!("Not found: the admin listener has {paths}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::http::{RequestParse, parse_request};

    fn call_at(host: &str, method: &str, path: &str) -> Result<AdminCall, u16> {
        let bytes = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
        let RequestParse::Complete { request, .. } = parse_request(&bytes) else { panic!("{bytes:?}") };
        let hosts = ["Corecast.Internal".into(), "corecast".into()];
        parse_admin_call(&request.head, &hosts).map_err(|refused| refused.status)
    }

    fn call(method: &str, path: &str) -> Result<AdminCall, u16> {
        call_at("127.0.0.1:9601", method, path)
    }

    #[test]
    fn only_names_that_cannot_be_a_strangers_are_answered() {
        for good in [
            "127.0.0.1",
            "127.0.0.1:9601",
            "10.1.2.3:9601",
            "[::1]",
            "[::1]:9601",
            "localhost",
            "LocalHost:9601",
            "localhost.",
            "corecast:9601",
            "corecast.internal",
        ] {
            assert_eq!(call_at(good, "GET", "/metrics"), Ok(AdminCall::Metrics), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:9601",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "corecast.evil",
            "1.2.3.4.5",
            "0x7f.1",
            "2130706433",
        ] {
            assert_eq!(call_at(bad, "GET", "/metrics"), Err(421), "{bad}");
            assert_eq!(call_at(bad, "GET", "/live"), Err(421), "{bad}");
        }
        let absolute = "http://evil.example/metrics";
        assert_eq!(call("GET", absolute), Err(421));
        let old = b"GET /metrics HTTP/1.0\r\n\r\n";
        let RequestParse::Complete { request, .. } = parse_request(old) else { panic!() };
        assert_eq!(parse_admin_call(&request.head, &[]), Ok(AdminCall::Metrics));
    }

    #[test]
    fn usage_is_what_soketi_says() {
        let body = r#"{"memory":{"free":750,"used":250,"total":1000,"percent":25.00}}"#;
        assert_eq!(answer_usage(250, 1000).body, body.as_bytes());
    }

    #[test]
    fn options_tell_the_methods() {
        for (path, probe) in [("*", None), ("/metrics", None), ("/ready", Some(Probe::Ready))] {
            let options = Options { allow: "GET, HEAD, OPTIONS", probe };
            assert_eq!(call("OPTIONS", path), Ok(AdminCall::Options(options)), "{path}");
        }
    }

    #[test]
    fn tools_find_metrics_and_health_and_nothing_else() {
        assert_eq!(call("GET", "/metrics"), Ok(AdminCall::Metrics));
        assert_eq!(call("HEAD", "/metrics?x=1"), Ok(AdminCall::Metrics));
        assert_eq!(call("GET", "/ready"), Ok(AdminCall::Health(Probe::Ready)));
        assert_eq!(call("GET", "/accept-traffic"), Ok(AdminCall::Health(Probe::AcceptTraffic)));
        assert_eq!(call("GET", "/up"), Ok(AdminCall::Health(Probe::Up)));
        assert_eq!(call("GET", "/health"), Ok(AdminCall::Health(Probe::Health)));
        assert_eq!(call("GET", "/up/7"), Ok(AdminCall::AppHealth));
        assert_eq!(call("GET", "/usage"), Ok(AdminCall::Usage));
        assert_eq!(call("POST", "/metrics"), Err(405));
        for path in ["/metrics/", "/apps/1/channels", "/apps/1/events", "/app/key"] {
            assert_eq!(call("GET", path), Err(404), "{path}");
        }
    }
}
