//! The opening handshake (RFC 6455 §4.2) and what the URL of a connection says.
//!
//! An upgrade that is right as HTTP always succeeds: a wrong path, key or protocol version is told by an error frame
//! and a close code afterwards, since browsers show scripts nothing of a refused upgrade and pusher-js would retry for
//! ever. Called by the shard with the head that the driver read.

use tungstenite::handshake::derive_accept_key;

use crate::close::Close;
use crate::http::Head;
use crate::query::{Query, parse_query};

/// A request to become a WebSocket connection, right as far as HTTP goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade<'a> {
    /// The path, for `route_app`, once the server's own prefix is off.
    pub path: &'a str,
    /// The query, for `parse_protocol_version`.
    pub query: Query<'a>,
    /// `Sec-WebSocket-Key`, for `encode_upgrade_response`.
    pub sec_key: &'a str,
    /// The page that connects, for `App::check_origin`; programs other than browsers usually send none. One that is not
    /// text is empty, which no app allows that allows some.
    pub origin: Option<&'a str>,
}

/// Why a request cannot be upgraded: the answer to give, as plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpgradeRefusal {
    /// 400, 405 or 426.
    pub status: u16,
    /// A sentence for the body.
    pub body: &'static str,
    /// Header lines to add.
    pub headers: &'static [(&'static str, &'static str)],
}

/// Checks what RFC 6455 §4.2.1 asks of the request. A proxy that drops a header is the usual reason why one is missing,
/// so the answer names it.
pub fn parse_upgrade<'a>(head: &Head<'a>) -> Result<Upgrade<'a>, UpgradeRefusal> {
    if head.method != "GET" {
        return Err(refuse(405, "A WebSocket upgrade must be a GET request", &[("Allow", "GET")]));
    }
    if head.version_minor < 1 {
        return Err(refuse(426, NEEDS_HTTP_1_1, &[]));
    }
    match (head.names_websocket(), head.wants_upgrade()) {
        (true, true) => {}
        (false, true) => return Err(refuse(426, NO_UPGRADE, &[])),
        (true, false) => return Err(refuse(426, NO_CONNECTION, &[])),
        (false, false) => return Err(refuse(426, NEITHER, &[])),
    }
    match head.header("Sec-WebSocket-Version").map(str::trim) {
        Some("13") => {}
        Some(_) => return Err(refuse(426, "Sec-WebSocket-Version must be 13", &[])),
        None => return Err(refuse(426, "The header Sec-WebSocket-Version: 13 is missing", &[])),
    }
    if head.check_no_body().is_err() {
        return Err(refuse(400, "A WebSocket upgrade cannot have a body", &[]));
    }
    let mut keys = head.header_values("Sec-WebSocket-Key");
    match (keys.next(), keys.next()) {
        (Some(sec_key), None) if is_sec_key(sec_key) => {
            let origin = head.raw_values("Origin").next();
            let origin = origin.map(|origin| std::str::from_utf8(origin).unwrap_or_default());
            Ok(Upgrade { path: head.path, query: parse_query(head.query), sec_key, origin })
        }
        _ => Err(refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64, once", &[])),
    }
}

const NEEDS_HTTP_1_1: &str = "This path speaks WebSocket, which needs HTTP/1.1, and the request came as HTTP/1.0: \
    a proxy in between has probably made it so (nginx: proxy_http_version 1.1)";
const NO_UPGRADE: &str = "This path speaks WebSocket, and the header Upgrade: websocket is missing: a proxy in between \
    has probably dropped it (nginx: proxy_set_header Upgrade $http_upgrade)";
const NO_CONNECTION: &str = "This path speaks WebSocket, and the header Connection: Upgrade is missing: a proxy in \
    between has probably dropped it (nginx: proxy_set_header Connection \"upgrade\")";
const NEITHER: &str = "This path speaks WebSocket, and the headers Upgrade: websocket and Connection: Upgrade are \
    missing: a proxy in between has probably dropped them (nginx: proxy_set_header Upgrade $http_upgrade, \
    proxy_set_header Connection \"upgrade\"), or the client is no WebSocket client";

fn refuse(
    status: u16,
    body: &'static str,
    headers: &'static [(&'static str, &'static str)],
) -> UpgradeRefusal {
    UpgradeRefusal { status, body, headers }
}

// 16 bytes are 22 digits and two signs of padding.
fn is_sec_key(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.strip_suffix("==").is_some_and(|digits| digits.bytes().all(is_digit))
}

/// Appends the `101 Switching Protocols` answer to a request with this `Sec-WebSocket-Key`.
pub fn encode_upgrade_response(out: &mut Vec<u8>, sec_key: &str) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(derive_accept_key(sec_key.as_bytes()).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

/// The app key of a path `/app/KEY` (a slash may follow).
pub fn route_app(path: &str) -> Result<&str, Close> {
    let key = path.strip_prefix("/app/").ok_or(Close::PATH_NOT_FOUND)?;
    let key = key.strip_suffix('/').unwrap_or(key);
    if key.is_empty() || key.contains('/') { Err(Close::PATH_NOT_FOUND) } else { Ok(key) }
}

/// The protocol version that a query asks for: 4 to 7, and 7 if it does not say.
pub fn parse_protocol_version(query: &Query<'_>) -> Result<u8, Close> {
    let Some(text) = query.first("protocol").filter(|text| !text.is_empty()) else {
        return Ok(7);
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u8>() {
        Ok(version @ 4..=7) => Ok(version),
        _ if is_integer => Err(Close::VERSION_UNSUPPORTED),
        _ => Err(Close::VERSION_FORMAT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadParse, parse_head};

    const REQUEST: &str = "GET /app/key?protocol=7&client=js HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";

    fn status(request: &str) -> Result<(), u16> {
        let HeadParse::Complete { head, .. } = parse_head(request.as_bytes()) else { panic!("{request}") };
        parse_upgrade(&head).map(|_| ()).map_err(|refusal| refusal.status)
    }

    #[test]
    fn the_example_of_the_rfc_is_upgraded() {
        let HeadParse::Complete { head, .. } = parse_head(REQUEST.as_bytes()) else { panic!() };
        let upgrade = parse_upgrade(&head).unwrap();
        assert_eq!((upgrade.path, upgrade.query), ("/app/key", parse_query("protocol=7&client=js")));
        let mut out = Vec::new();
        encode_upgrade_response(&mut out, upgrade.sec_key);
        let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn the_origin_is_told_if_there_is_one_and_what_is_no_text_is_no_missing_one() {
        let table: [(&[u8], Option<&str>); 5] = [
            (b"", None),
            (b"Origin: https://a.com\r\n", Some("https://a.com")),
            (b"ORIGIN:null\r\n", Some("null")),
            (b"Origin: \xff\r\n", Some("")),
            (b"Origin: https://a.com\r\nOrigin: https://b.com\r\n", Some("https://a.com")),
        ];
        for (lines, origin) in table {
            let (line, rest) = REQUEST.split_once("\r\n").unwrap();
            let bytes = [line.as_bytes(), b"\r\n", lines, rest.as_bytes()].concat();
            let HeadParse::Complete { head, .. } = parse_head(&bytes) else { panic!() };
            assert_eq!(parse_upgrade(&head).unwrap().origin, origin);
        }
    }

    #[test]
    fn a_request_that_is_wrong_as_http_is_refused_as_http() {
        let with = |from: &str, to: &str| {
            assert!(REQUEST.contains(from));
            status(&REQUEST.replace(from, to))
        };
        assert_eq!(with("Upgrade: websocket", "upgrade: WebSocket"), Ok(()));
        assert_eq!(with("Host: h\r\n", "Host: h\r\nContent-Length: 0\r\n"), Ok(()));
        assert_eq!(with("GET", "POST"), Err(405));
        assert_eq!(with("HTTP/1.1", "HTTP/1.0"), Err(426));
        assert_eq!(with("Upgrade: websocket\r\n", ""), Err(426));
        assert_eq!(with("keep-alive, Upgrade", "keep-alive"), Err(426));
        assert_eq!(with("Version: 13", "Version: 8"), Err(426));
        assert_eq!(with("Sec-WebSocket-Version: 13\r\n", ""), Err(426));
        assert_eq!(with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), Err(400));
        assert_eq!(with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ="), Err(400));
        assert_eq!(with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j*Q=="), Err(400));
        let twice = "Host: h\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        assert_eq!(with("Host: h\r\n", twice), Err(400));
        assert_eq!(with("Host: h\r\n", "Host: h\r\nContent-Length: 5\r\n"), Err(400));
        assert_eq!(with("Host: h\r\n", "Host: h\r\nTransfer-Encoding: chunked\r\n"), Err(400));
    }

    #[test]
    fn no_body_hides_behind_an_upgrade() {
        let with = |lines: &[u8]| {
            let mut bytes = REQUEST.as_bytes().strip_suffix(b"\r\n").unwrap().to_vec();
            bytes.extend_from_slice(lines);
            bytes.extend_from_slice(b"\r\n");
            let HeadParse::Complete { head, .. } = parse_head(&bytes) else { panic!() };
            parse_upgrade(&head).map(|_| ()).map_err(|refusal| refusal.status)
        };
        assert_eq!(with(b""), Ok(()));
        assert_eq!(with(b"Content-Length: 0\r\n"), Ok(()));
        let table: [&[u8]; 10] = [
            b"Content-Length: 5\r\n",
            b"Content-Length: 0\r\nContent-Length: 5\r\n",
            b"Content-Length: 0\r\nContent-Length: 0\r\n",
            b"Content-Length: 0, 5\r\n",
            b"Content-Length: +0\r\n",
            b"Content-Length: \xff\r\n",
            b"Content-Length:\r\n",
            b"Transfer-Encoding: \xff\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            b"Transfer-Encoding:\r\n",
        ];
        for lines in table {
            assert_eq!(with(lines), Err(400), "{:?}", String::from_utf8_lossy(lines));
        }
    }

    #[test]
    fn a_refusal_names_the_header_that_a_proxy_has_dropped() {
        let table = [
            ("Upgrade: websocket\r\n", "header Upgrade: websocket is missing"),
            ("Connection: keep-alive, Upgrade\r\n", "header Connection: Upgrade is missing"),
            ("Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n", "headers Upgrade: websocket and"),
            ("Sec-WebSocket-Version: 13\r\n", "header Sec-WebSocket-Version: 13 is missing"),
        ];
        for (lines, text) in table {
            let request = REQUEST.replace(lines, "");
            assert_ne!(request, REQUEST);
            let HeadParse::Complete { head, .. } = parse_head(request.as_bytes()) else { panic!() };
            let refusal = parse_upgrade(&head).unwrap_err();
            assert_eq!(refusal.status, 426);
            assert!(refusal.body.contains(text), "{}", refusal.body);
        }
    }

    #[test]
    fn the_path_names_the_app() {
        for (path, key) in [("/app/key", "key"), ("/app/key/", "key"), ("/app/a%20b", "a%20b")] {
            assert_eq!(route_app(path), Ok(key));
        }
        for path in ["", "/", "/app", "/app/", "/app//", "/app/a/b", "/apps/key", "/x/app/key", "app/key"] {
            assert_eq!(route_app(path), Err(Close::PATH_NOT_FOUND), "{path}");
        }
    }

    #[test]
    fn protocol_versions_4_to_7_are_spoken_and_7_is_the_default() {
        let table = [
            ("", Ok(7)),
            ("client=js&version=abc", Ok(7)),
            ("X-Push-WS-Client=push-server 2.0.0", Ok(7)),
            ("protocol=", Ok(7)),
            ("protocol=7&flash=false", Ok(7)),
            ("protocol=4", Ok(4)),
            ("protocol=3", Err(4007)),
            ("protocol=0", Err(4007)),
            ("protocol=-1", Err(4007)),
            ("protocol=8", Err(4007)),
            ("protocol=99999999999999999999", Err(4007)),
            ("protocol=abc", Err(4006)),
            ("protocol=7.5", Err(4006)),
            ("protocol=-", Err(4006)),
        ];
        for (query, version) in table {
            assert_eq!(
                parse_protocol_version(&parse_query(query)).map_err(|close| close.code),
                version,
                "{query}"
            );
        }
    }
}
