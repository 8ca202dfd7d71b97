//! The path below which the server is reached, where a proxy gives it one: `/ws` of `https://example.com/ws/app/KEY`.
//!
//! Some proxies pass such a path on, others take the prefix off, and what a REST caller has signed holds it either way.
//! So a path is routed without the prefix if it has it, and a signature may be over both. Called by shards and the api.

use std::borrow::Cow;
use std::fmt;

/// What may stand before all paths; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathPrefix {
    prefix: Box<str>,
}

impl PathPrefix {
    /// A prefix from what somebody wrote: empty, or `/` and some text that may stand in a path. A slash at its end is left
    /// out.
    pub fn parse(text: &str) -> Result<Self, PathPrefixError> {
        let prefix = text.strip_suffix('/').unwrap_or(text);
        let is_good =
            prefix.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'%'));
        if !is_good || !(prefix.is_empty() || prefix.starts_with('/')) || text.contains("//") {
            return Err(PathPrefixError);
        }
        Ok(Self { prefix: prefix.into() })
    }

    /// What it is, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.prefix
    }

    /// The path without the prefix, if it has it.
    pub fn strip<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(&*self.prefix) {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }

    /// How else the path may have been when it was signed: without the prefix that it has, or with the one that it lacks.
    pub fn other_form<'a>(&self, path: &'a str) -> Option<Cow<'a, str>> {
        if self.prefix.is_empty() {
            return None;
        }
        let stripped = self.strip(path);
        if stripped.len() < path.len() {
            return Some(Cow::Borrowed(stripped));
        }
        Some(Cow::Owned(format!("{}{path}", self.prefix)))
    }
}

/// A text that can be no prefix of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathPrefixError;

impl fmt::Display for PathPrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a path prefix is empty, or begins with a slash, as /realtime does")
    }
}

impl std::error::Error for PathPrefixError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_routed_without_its_prefix_and_signed_in_both_forms() {
        // prefix, path, routed, the other form
        let table = [
            ("", "/apps/3/events", "/apps/3/events", None),
            ("/", "/apps/3/events", "/apps/3/events", None),
            ("/ws", "/ws/apps/3/events", "/apps/3/events", Some("/apps/3/events")),
            ("/ws/", "/ws/apps/3/events", "/apps/3/events", Some("/apps/3/events")),
            ("/ws", "/apps/3/events", "/apps/3/events", Some("/ws/apps/3/events")),
            ("/ws", "/wsx/app/key", "/wsx/app/key", Some("/ws/wsx/app/key")),
            ("/ws", "/ws", "/ws", Some("/ws/ws")),
            ("/a/b", "/a/b/app/key", "/app/key", Some("/app/key")),
            ("/a/b", "/a/app/key", "/a/app/key", Some("/a/b/a/app/key")),
        ];
        for (prefix, path, routed, other) in table {
            let prefix = PathPrefix::parse(prefix).unwrap();
            assert_eq!(prefix.strip(path), routed, "{prefix:?} {path}");
            assert_eq!(prefix.other_form(path).as_deref(), other, "{prefix:?} {path}");
        }
    }

    #[test]
    fn what_cannot_stand_before_a_path_is_refused() {
        for text in ["ws", "ws/", "//", "/a//b", "/a b", "/a?b", "/a#b", "/a%20", "/é", "https://h/ws"] {
            assert_eq!(PathPrefix::parse(text), Err(PathPrefixError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_prefix_comes_off_again(prefix in "(/[a-z]{1,5}){1,3}", path in "/[a-z/]{0,20}") {
            let parsed = PathPrefix::parse(&prefix).unwrap();
            let whole = format!("{prefix}{path}");
            prop_assert_eq!(parsed.strip(&whole), &path);
            let other = parsed.other_form(&whole);
            prop_assert_eq!(other.as_deref(), Some(path.as_str()));
        }
    }
}
