//! Where a server is: scheme, host, port and the path below which it answers, from a URL.
//!
//! What must never happen here: a secret in a message. The part of a URL before the `@` is never repeated.

use std::fmt;

/// Why a URL is none that a client can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlError(pub(crate) String);

impl fmt::Display for UrlError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for UrlError {}

/// A server, as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// IPv6 addresses stand in brackets, as in a URL.
    pub host: String,
    /// The one of the URL, or that of its scheme.
    pub port: u16,
    /// Empty, or `/…` without a slash at its end.
    pub path: String,
}

impl Place {
    /// Reads `http(s)://HOST[:PORT][/PATH]`, or the same with `ws` or `wss`. Returns what stood before an `@` as well.
    pub fn parse(url: &str) -> Result<(Self, Option<&str>), UrlError> {
        let wrong = |why: &str| UrlError(format!("the URL {why}; write http://HOST:PORT or https://HOST"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
        let tls = match scheme {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(wrong("has an unknown scheme")),
        };
        // A secret may hold a slash, so the last `@` is looked for first.
        let (userinfo, rest) =
            rest.rsplit_once('@').map_or((None, rest), |(userinfo, rest)| (Some(userinfo), rest));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if rest.contains(['?', '#']) {
            return Err(wrong("has a query or a fragment"));
        }
        let colon = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
        let (host, port) = match colon {
            Some(colon) => {
                (&authority[..colon], authority[colon + 1..].parse().map_err(|_| wrong("has a bad port"))?)
            }
            None => (authority, if tls { 443 } else { 80 }),
        };
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        let is_name = !host.is_empty() && (is_bracketed || !host.contains(':'));
        if !is_name || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("has no host"));
        }
        let path = path.trim_end_matches('/').to_owned();
        Ok((Self { tls, host: host.to_owned(), port, path }, userinfo))
    }

    /// The host without brackets, for resolvers and certificates.
    pub fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The URL up to the path, with one scheme for TLS and one without.
    pub fn origin(&self, plain: &str, secure: &str) -> String {
        format!("{}://{}", if self.tls { secure } else { plain }, self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> (bool, String, String) {
        let (place, _) = Place::parse(url).unwrap();
        (place.tls, place.address(), place.path)
    }

    #[test]
    fn a_url_names_scheme_host_port_and_path() {
        let table = [
            ("http://h", (false, "h:80", "")),
            ("https://h/", (true, "h:443", "")),
            ("ws://h:6001", (false, "h:6001", "")),
            ("wss://a.b/push/", (true, "a.b:443", "/push")),
            ("http://[::1]:6001", (false, "[::1]:6001", "")),
            ("http://[::1]", (false, "[::1]:80", "")),
        ];
        for (url, (tls, address, path)) in table {
            assert_eq!(place(url), (tls, address.to_owned(), path.to_owned()), "{url}");
        }
        for url in
            ["", "h", "h:1", "ftp://h", "http://", "http://:1", "http://::1", "http://h:x", "http://h?a"]
        {
            assert!(Place::parse(url).is_err(), "{url}");
        }
    }
}
