//! The variables that Kubernetes sets in every pod for each Service of its namespace (its «service links»). A Service
//! called `corecast`, or one whose name begins with `corecast-`, has names that look like ours.

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Whether a value is that of a service link, which no setting can have.
pub(super) fn is_link_value(value: &str) -> bool {
    PROTOCOLS.iter().any(|protocol| value.starts_with(&format!("{}://", protocol.to_lowercase())))
}

/// Whether a variable is such a link: `rest` is its name without `CORECAST_`.
pub(super) fn is_service_link(rest: &str, value: &str) -> bool {
    // What stands before these words is the rest of the Service's name.
    let has_end = |end: &str| rest == end || rest.ends_with(&format!("_{end}"));
    let is_port = has_end("PORT") && is_link_value(value);
    let is_service = has_end("SERVICE_HOST") || has_end("SERVICE_PORT");
    let is_named_port = rest.starts_with("SERVICE_PORT_") || rest.contains("_SERVICE_PORT_");
    is_port || is_service || is_named_port || is_port_of_protocol(rest)
}

/// `PORT_6001_TCP`, and the same with `_PROTO`, `_PORT` and `_ADDR`.
fn is_port_of_protocol(rest: &str) -> bool {
    let base =
        ["_PROTO", "_PORT", "_ADDR"].into_iter().find_map(|end| rest.strip_suffix(end)).unwrap_or(rest);
    let base = PROTOCOLS.iter().find_map(|protocol| base.strip_suffix(&format!("_{protocol}")));
    let Some((before, number)) = base.and_then(|base| base.rsplit_once('_')) else { return false };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && (before == "PORT" || before.ends_with("_PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_from_settings() {
        let links = [
            ("SERVICE_HOST", "10.0.0.1"),
            ("SERVICE_PORT", "6001"),
            ("SERVICE_PORT_HTTP", "6001"),
            ("PORT", "tcp://10.0.0.1:6001"),
            ("PORT_6001_TCP", "tcp://10.0.0.1:6001"),
            ("PORT_6001_TCP_PROTO", "tcp"),
            ("PORT_6001_TCP_PORT", "6001"),
            ("PORT_6001_TCP_ADDR", "10.0.0.1"),
            ("PORT_53_UDP_ADDR", "10.0.0.1"),
            ("ADMIN_SERVICE_HOST", "10.0.0.1"),
            ("ADMIN_SERVICE_PORT_METRICS", "9601"),
            ("ADMIN_PORT", "tcp://10.0.0.1:9601"),
            ("ADMIN_PORT_9601_TCP_PORT", "9601"),
        ];
        for (rest, value) in links {
            assert!(is_service_link(rest, value), "{rest}");
        }
        for (rest, value) in
            [("PORT", "6001"), ("LISTEN", "tcp://10.0.0.1:6001"), ("PORT_X_TCP", ""), ("HOST", "h")]
        {
            assert!(!is_service_link(rest, value), "{rest}");
        }
    }
}
