//! The head of a request, and what its header lines say: whether the connection goes on, or wants to be a WebSocket.

use std::cell::OnceCell;

/// The head of a request.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// As sent.
    pub method: &'a str,
    /// As sent: path and query.
    pub target: &'a str,
    /// The path, percent-encoded as sent.
    pub path: &'a str,
    /// What stands behind the first question mark, as sent; empty if there is none.
    pub query: &'a str,
    /// 0 or 1: HTTP/1.0 or HTTP/1.1.
    pub version_minor: u8,
    headers: Vec<httparse::Header<'a>>,
    /// Whether there are the two tokens of an upgrade, once somebody has asked.
    upgrade: OnceCell<(bool, bool)>,
}

impl<'a> Head<'a> {
    pub(super) fn of_parsed(request: &httparse::Request<'_, 'a>) -> Option<Self> {
        let (method, target, version_minor) = (request.method?, request.path?, request.version?);
        // What asks for all of the server, and for nothing in it (RFC 9110 §9.3.7).
        let is_asterisk = method == "OPTIONS" && target == "*";
        let (path, query) = if is_asterisk { (target, "") } else { split_target(target)? };
        let headers = request.headers.to_vec();
        Some(Self { method, target, path, query, version_minor, headers, upgrade: OnceCell::new() })
    }

    /// The value of the first header line of this name (any case), if it is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.header_values(name).next()
    }

    /// The values of all header lines of this name (any case) that are text, in order.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.raw_values(name).filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// Whether the request wants to become a WebSocket connection: an `Upgrade` header that names `websocket`, and the
    /// token in `Connection`. The token alone is plain HTTP; proxies are often set up to add it to every request.
    pub fn is_upgrade(&self) -> bool {
        self.names_websocket() && self.wants_upgrade()
    }

    pub(crate) fn names_websocket(&self) -> bool {
        self.upgrade().0
    }

    pub(crate) fn wants_upgrade(&self) -> bool {
        self.upgrade().1
    }

    fn upgrade(&self) -> (bool, bool) {
        let look = || (self.has_token("Upgrade", "websocket"), self.has_token("Connection", "upgrade"));
        *self.upgrade.get_or_init(look)
    }

    /// The host and port that are asked for: of the target if that is absolute, or else of the Host header.
    pub fn authority(&self) -> Option<&'a str> {
        if !self.is_absolute() {
            return self.header("Host");
        }
        self.target.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next())
    }

    pub(super) fn is_absolute(&self) -> bool {
        !self.target.starts_with('/') && self.path != "*"
    }

    /// Whether the connection goes on after the answer.
    pub fn keep_alive(&self) -> bool {
        match self.version_minor {
            0 => self.has_token("Connection", "keep-alive") && !self.has_token("Connection", "close"),
            _ => !self.has_token("Connection", "close"),
        }
    }

    // Values as bytes: what frames a body must be seen even if it is no text.
    pub(crate) fn raw_values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        lines.map(|header| header.value)
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        let mut tokens = self.raw_values(name).flat_map(|value| value.split(|byte| *byte == b','));
        tokens.any(|text| text.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    pub(super) fn expects_continue(&self) -> bool {
        self.version_minor > 0 && self.has_token("Expect", "100-continue")
    }
}

// Path and query of a request target; of an absolute one too, which a server must take (RFC 9112 §3.2.2).
fn split_target(target: &str) -> Option<(&str, &str)> {
    let mut origin = target;
    if !target.starts_with('/') {
        let (_, rest) = target.split_once("://")?;
        origin = rest.find(['/', '?']).and_then(|start| rest.get(start..)).unwrap_or("/");
    }
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    Some((if path.is_empty() { "/" } else { path }, query))
}
