//! Which requests for the console are answered at all, and what an operator shows.
//!
//! A browser that is signed in may be told by a stranger's page to ask here: by a name of the stranger's that leads to this
//! address, or across origins, where cookies may go along. Neither gets an answer.

use protocol::http::Head;

use super::session::session_of;
use crate::admin::is_known_host;
use crate::refused::Refused;

/// What a request shows of who sends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown<'a> {
    /// `Authorization: Bearer …`
    Token(&'a str),
    /// A cookie of a session.
    Session(&'a str),
    /// Nothing.
    Nothing,
}

/// What this request shows.
pub fn shown<'a>(head: &Head<'a>) -> Shown<'a> {
    let bearer = head.header("Authorization").and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match (bearer, session_of(head)) {
        (Some(token), _) => Shown::Token(token),
        (None, Some(session)) => Shown::Session(session),
        (None, None) => Shown::Nothing,
    }
}

/// Whether it is asked by a name of ours, and by no page of another origin.
pub fn check_origin(head: &Head<'_>, hosts: &[Box<str>]) -> Result<(), Refused> {
    if !is_known_host(head, hosts) {
        let text = "The console has no such host: ask it by its IP address or as localhost, or add the name to \
                    admin_hosts (--admin-host)";
        return Err(Refused::new(403, text));
    }
    let Some(origin) = head.header_values("Origin").next() else { return Ok(()) };
    let is_same = head.authority().is_some_and(|authority| {
        let named = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        named.is_some_and(|named| named.eq_ignore_ascii_case(authority))
    });
    if is_same && head.header_values("Origin").count() == 1 {
        return Ok(());
    }
    Err(Refused::new(
        403,
        "The console answers its own page only: Origin must be Host, which a proxy must pass on",
    ))
}

/// JSON, which no form of another page can send.
pub(super) fn check_content_type(head: &Head<'_>) -> Result<(), Refused> {
    let essence = head.header("Content-Type").and_then(|value| value.split(';').next()).unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refused::new(415, "Send JSON, with Content-Type: application/json"))
}

/// Whoever asks must sign in.
pub fn refuse_stranger() -> Refused {
    Refused {
        header: Some(("WWW-Authenticate", "Bearer".into())),
        ..Refused::new(
            401,
            "Sign in: POST /console/sign-in, or send Authorization: Bearer and the token (admin_token)",
        )
    }
}

/// That is not the token.
pub fn refuse_token() -> Refused {
    Refused::new(403, "This is not the token (admin_token)")
}

/// There were too many wrong tokens; one more may be tried in so long.
pub fn refuse_haste(wait_ms: u64) -> Refused {
    let seconds = wait_ms.div_ceil(1_000).max(1);
    Refused {
        header: Some(("Retry-After", seconds.to_string().into())),
        ..Refused::new(429, "Too many wrong tokens, try again later")
    }
}

/// There are as many streams as there may be.
pub fn refuse_stream() -> Refused {
    Refused {
        header: Some(("Retry-After", "5".into())),
        ..Refused::new(429, "Too many streams of the console are open: close a page")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::http::{RequestParse, parse_request};

    fn with<T>(lines: &str, look: impl FnOnce(&Head<'_>) -> T) -> T {
        let bytes = format!("GET /console/stream HTTP/1.1\r\n{lines}\r\n").into_bytes();
        let RequestParse::Complete { request, .. } = parse_request(&bytes) else { panic!("{lines}") };
        look(&request.head)
    }

    #[test]
    fn only_our_own_origin_by_a_name_of_ours_is_answered() {
        let table = [
            ("Host: 127.0.0.1:9601\r\n", true),
            ("Host: Corecast.internal\r\n", true),
            ("Host: localhost:9601\r\nOrigin: http://localhost:9601\r\n", true),
            ("Host: corecast.internal\r\nOrigin: https://corecast.internal\r\n", true),
            ("Host: evil.example:9601\r\n", false),
            ("Host: evil.example:9601\r\nOrigin: http://evil.example:9601\r\n", false),
            ("Host: localhost:9601\r\nOrigin: http://localhost:3000\r\n", false),
            ("Host: localhost:9601\r\nOrigin: http://localhost\r\n", false),
            ("Host: localhost:9601\r\nOrigin: null\r\n", false),
            ("Host: localhost:9601\r\nOrigin: file://localhost:9601\r\n", false),
            ("Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil\r\n", false),
        ];
        for (lines, good) in table {
            let found = with(lines, |head| check_origin(head, &["corecast.internal".into()]));
            assert_eq!(
                found.map_err(|refused| refused.status),
                if good { Ok(()) } else { Err(403) },
                "{lines}"
            );
        }
    }

    #[test]
    fn a_token_is_looked_at_before_a_cookie() {
        let cookie = "Cookie: a=b; corecast_console=1.2.x\r\n";
        let table = [
            ("Host: h\r\n".to_owned(), Shown::Nothing),
            (format!("Host: h\r\n{cookie}"), Shown::Session("1.2.x")),
            (format!("Host: h\r\n{cookie}Authorization: bearer  t\r\n"), Shown::Token("t")),
            ("Host: h\r\nAuthorization: Basic t\r\n".to_owned(), Shown::Nothing),
        ];
        for (lines, expected) in table {
            with(&lines, |head| assert_eq!(shown(head), expected, "{lines}"));
        }
    }
}
