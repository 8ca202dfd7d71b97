//! Which web pages may connect to an app: the `Origin` that a browser sends with an upgrade, against the app's list.
//!
//! It keeps other sites from using the app's key in the browsers of their visitors. It is no protection from programs,
//! which send whatever origin they like, or none; so one without an origin passes unless the app requires it.

use std::fmt;

/// The origins that may connect. An empty list, or a `*` in it, lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    rules: Box<[Rule]>,
}

// `https://*.example.com:8443`, where all but the host may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    scheme: Option<Box<str>>,
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    Exactly(Box<str>),
    // With the dot in front of it.
    Below(Box<str>),
}

impl Origins {
    /// The origins of a list. Each is an origin as browsers send it (`https://example.com`), a host (`example.com`, of any
    /// scheme and, unless it names one, any port), all hosts below one (`*.example.com`), `*`, or `null`, which is what
    /// pages without an origin send.
    pub fn parse<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Self, OriginError> {
        let rules: Result<Vec<_>, _> = list.into_iter().map(parse_rule).collect();
        let rules = rules?;
        let is_open = rules.iter().any(|rule| rule.host == Host::Any && rule.scheme.is_none());
        Ok(Self { rules: if is_open { Box::default() } else { rules.into() } })
    }

    /// Whether a page of this origin may connect.
    pub fn allow(&self, origin: &str) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|rule| rule.allows(origin))
    }
}

impl Rule {
    fn allows(&self, origin: &str) -> bool {
        let (scheme, authority) = split_scheme(origin);
        let Some((host, port)) = split_port(authority) else { return false };
        let is_scheme = match (&self.scheme, scheme) {
            (None, _) => true,
            (Some(mine), Some(scheme)) => mine.eq_ignore_ascii_case(scheme),
            (Some(_), None) => false,
        };
        // A browser leaves the usual port of a scheme out.
        let port = port.or_else(|| usual_port(scheme?));
        let wanted = self.port.or_else(|| usual_port(self.scheme.as_deref()?));
        is_scheme && (wanted.is_none() || wanted == port) && self.host.is(host)
    }
}

impl Host {
    fn is(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(mine) => mine.eq_ignore_ascii_case(host),
            Self::Below(parent) => host.len().checked_sub(parent.len()).is_some_and(|at| {
                at > 0 && host.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(parent))
            }),
        }
    }
}

fn parse_rule(text: &str) -> Result<Rule, OriginError> {
    let error = || OriginError { text: text.into() };
    let (scheme, authority) = split_scheme(text);
    if scheme.is_some_and(|scheme| scheme.is_empty() || !scheme.bytes().all(is_scheme_byte)) {
        return Err(error());
    }
    let (host, port) = split_port(authority).ok_or_else(error)?;
    let host = parse_host(host).ok_or_else(error)?;
    Ok(Rule { scheme: scheme.map(Into::into), host, port })
}

fn parse_host(host: &str) -> Option<Host> {
    if host == "*" {
        return Some(Host::Any);
    }
    let parent = host.strip_prefix('*');
    let name = parent.map_or(Some(host), |parent| parent.strip_prefix('.'))?;
    let is_good = !name.is_empty() && name.bytes().all(is_host_byte) && !name.starts_with('.');
    is_good.then(|| parent.map_or_else(|| Host::Exactly(host.into()), |parent| Host::Below(parent.into())))
}

fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

// An address of IPv6 stands in brackets.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'[' | b']')
}

fn split_scheme(text: &str) -> (Option<&str>, &str) {
    text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest))
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Some((host, Some(port.parse().ok()?))),
        _ => Some((authority, None)),
    }
}

fn usual_port(scheme: &str) -> Option<u16> {
    let known = [("https", 443), ("http", 80)];
    known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(scheme)).map(|(_, port)| port)
}

/// A text that names no origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError {
    /// What was written.
    pub text: Box<str>,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        write!(f, "{text:?} is not an origin; write https://example.com, example.com, *.example.com or *")
    }
}

impl std::error::Error for OriginError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn allows(rule: &str, origin: &str) -> bool {
        Origins::parse([rule]).unwrap().allow(origin)
    }

    #[test]
    fn an_origin_is_allowed_by_host_and_by_what_else_a_rule_names() {
        // rule, allowed, refused
        let table: [(&str, &[&str], &[&str]); 11] = [
            ("*", &["https://a.com", "http://b:1", "null", ""], &[]),
            (
                "https://example.com",
                &["https://example.com", "https://example.com:443", "HTTPS://Example.COM"],
                &[
                    "http://example.com",
                    "https://example.com:8443",
                    "https://www.example.com",
                    "null",
                    "example.com",
                ],
            ),
            (
                "http://localhost:3000",
                &["http://localhost:3000"],
                &["http://localhost", "https://localhost:3000", "http://localhost:30001"],
            ),
            (
                "example.com",
                &[
                    "https://example.com",
                    "http://example.com",
                    "https://example.com:8443",
                    "capacitor://example.com",
                ],
                &["https://example.com.evil.org", "https://badexample.com", "https://a.example.com"],
            ),
            ("example.com:8443", &["https://example.com:8443"], &["https://example.com"]),
            ("example.com:443", &["https://example.com"], &["http://example.com"]),
            (
                "*.example.com",
                &["https://a.example.com", "http://b.a.example.com:80", "https://A.EXAMPLE.com"],
                &[
                    "https://example.com",
                    "https://.example.com.evil.org",
                    "https://aexample.com",
                    "https://.example.com",
                ],
            ),
            (
                "https://*.example.com",
                &["https://a.example.com"],
                &["http://a.example.com", "https://a.example.com:444"],
            ),
            ("https://*", &["https://a.com"], &["http://a.com", "null"]),
            ("http://[::1]:6001", &["http://[::1]:6001"], &["http://[::1]", "http://[::2]:6001"]),
            ("null", &["null"], &["https://null.com", ""]),
        ];
        for (rule, allowed, refused) in table {
            for origin in allowed {
                assert!(allows(rule, origin), "{rule} {origin}");
            }
            for origin in refused {
                assert!(!allows(rule, origin), "{rule} {origin}");
            }
        }
    }

    #[test]
    fn one_rule_of_a_list_is_enough_and_no_rule_lets_all_pass() {
        let two = Origins::parse(["a.com", "*.b.com"]).unwrap();
        assert!(two.allow("https://a.com") && two.allow("https://x.b.com") && !two.allow("https://b.com"));
        assert!(Origins::default().allow("null") && Origins::parse([]).unwrap().allow("https://a.com"));
        assert!(Origins::parse(["a.com", "*"]).unwrap().allow("https://b.com"));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        let bad = [
            "",
            "https://",
            "://a.com",
            "https://a.com/",
            "https://a.com/path",
            "a b",
            "*.",
            "*a.com",
            "a.*.com",
            "**.a.com",
            "*..com",
            "a.com:",
            "a.com:port",
            "a.com:99999",
            "ht tp://a.com",
            "a@b.com",
            "é.com",
        ];
        for text in bad {
            let error = Origins::parse(["fine.com", text]).unwrap_err();
            assert_eq!(&*error.text, text);
        }
    }

    proptest! {
        #[test]
        fn any_origin_is_judged(origin in ".{0,60}", rule in "(https?://)?(\\*\\.)?[a-z.]{1,10}(:[0-9]{1,5})?") {
            if let Ok(origins) = Origins::parse([rule.as_str()]) {
                let _ = origins.allow(&origin);
            }
        }

        #[test]
        fn an_origin_is_allowed_by_itself_and_by_its_parent(host in "[a-z]{1,8}\\.[a-z]{1,8}", port in 1..u16::MAX) {
            let origin = format!("https://x.{host}:{port}");
            prop_assert!(allows(&origin, &origin));
            let parent = format!("*.{host}");
            prop_assert!(allows(&parent, &origin));
        }
    }
}
