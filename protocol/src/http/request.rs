//! Requests out of a buffer: the head over httparse, then the body by its framing.
//!
//! The caller keeps the bytes of a request until it is whole, and how far they have been read; `bytes_min` tells it when
//! another look is worth while. Whatever two parsers could read differently (several lengths, a length and chunks, a line
//! that ends without CR, several hosts) is refused. A refused request ends the connection, for nobody knows where the
//! next one begins.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::body::{Framing, parse_framing};
use super::chunks::{Chunks, Progress};
use super::error::HttpError;
use super::head::Head;
use super::host::{check_host, is_authority};
use crate::limits::{HTTP_HEADERS_CAP, HttpLimits};

const HEAD_TOO_LONG: HttpError =
    HttpError { status: 431, text: "The request head is too long (http_head_bytes_max)" };
const TOO_MANY_HEADERS: HttpError =
    HttpError { status: 431, text: "The request has too many headers (http_headers_max)" };
const UNKNOWN_VERSION: HttpError =
    HttpError { status: 505, text: "Only HTTP/1.0 and HTTP/1.1 are spoken here" };

/// The head at the beginning of `bytes`, within the default limits.
pub fn parse_head(bytes: &[u8]) -> HeadParse<'_> {
    parse_head_within(bytes, &HttpLimits::default())
}

/// The head at the beginning of `bytes`, within these limits.
pub fn parse_head_within<'a>(bytes: &'a [u8], limits: &HttpLimits) -> HeadParse<'a> {
    let mut lines = [const { MaybeUninit::uninit() }; HTTP_HEADERS_CAP];
    let lines = lines.get_mut(..limits.headers_max).unwrap_or_default();
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, lines);
    let head_bytes = match parsed {
        Ok(httparse::Status::Complete(head_bytes)) if head_bytes <= limits.head_bytes_max => head_bytes,
        Ok(httparse::Status::Partial) if bytes.len() < limits.head_bytes_max => return HeadParse::Partial,
        Ok(_) => return HeadParse::Refused(HEAD_TOO_LONG),
        Err(error) => return HeadParse::Refused(refusal_of(error, bytes)),
    };
    match read_head(&request, bytes.get(..head_bytes).unwrap_or_default()) {
        Ok(head) => HeadParse::Complete { head, bytes: head_bytes },
        Err(error) => HeadParse::Refused(error),
    }
}

// What httparse lets pass and two parsers could read differently.
fn read_head<'a>(request: &httparse::Request<'_, 'a>, bytes: &[u8]) -> Result<Head<'a>, HttpError> {
    let ends = memchr::memchr_iter(b'\n', bytes);
    if ends.map(|end| end.wrapping_sub(1)).any(|before| bytes.get(before) != Some(&b'\r')) {
        return Err(HttpError::bad("A line of the request head does not end with CRLF"));
    }
    let head = Head::of_parsed(request).ok_or(HttpError::bad("The request target must be a path"))?;
    if !head.target.is_ascii() {
        return Err(HttpError::bad("The request target holds bytes that must be percent-encoded"));
    }
    check_host(&head)?;
    if head.is_absolute() && !head.authority().is_some_and(|authority| is_authority(authority.as_bytes())) {
        return Err(HttpError::bad("The request target must name one host, or be a path"));
    }
    Ok(head)
}

/// The request at the beginning of `bytes`: head and whole body, within the default limits.
pub fn parse_request(bytes: &[u8]) -> RequestParse<'_> {
    parse_request_within(bytes, &HttpLimits::default())
}

/// The request at the beginning of `bytes`: head and whole body, within these limits.
pub fn parse_request_within<'a>(bytes: &'a [u8], limits: &HttpLimits) -> RequestParse<'a> {
    parse_request_on(&mut RequestProgress::default(), bytes, limits)
}

/// How far a request that is not whole has been read. Belongs to its bytes, of which none may change or go until it is
/// whole; the next request begins with another one.
#[derive(Debug, Default)]
pub struct RequestProgress {
    /// 0 until the head is complete.
    head_bytes: usize,
    framing: Option<Framing>,
    chunks: Chunks,
}

/// The request at the beginning of `bytes`, of which earlier calls with this progress have seen a part.
pub fn parse_request_on<'a>(
    progress: &mut RequestProgress,
    bytes: &'a [u8],
    limits: &HttpLimits,
) -> RequestParse<'a> {
    if let Some(partial) = progress.read_body(bytes, limits) {
        return partial;
    }
    let (head, head_bytes) = match parse_head_within(bytes, limits) {
        HeadParse::Complete { head, bytes } => (head, bytes),
        HeadParse::Partial => return RequestParse::partial(bytes.len() + 1),
        HeadParse::Refused(error) => return RequestParse::Refused(error),
    };
    if progress.framing.is_none() {
        match parse_framing(&head, limits.body_bytes_max) {
            Ok(framing) => (progress.head_bytes, progress.framing) = (head_bytes, Some(framing)),
            Err(error) => return RequestParse::Refused(error),
        }
        match progress.read_body(bytes, limits) {
            Some(RequestParse::Partial { bytes_min, .. }) => {
                let continue_expected = bytes.len() == head_bytes && head.expects_continue();
                return RequestParse::Partial { head: Some(head), continue_expected, bytes_min };
            }
            Some(refused) => return refused,
            None => {}
        }
    }
    let (body, body_bytes) = progress.body(bytes.get(head_bytes..).unwrap_or_default());
    RequestParse::Complete { request: Request { head, body }, bytes: head_bytes + body_bytes }
}

impl RequestProgress {
    /// Whether the head is complete.
    pub fn has_head(&self) -> bool {
        self.framing.is_some()
    }

    // None when the body is complete, or the head is not.
    fn read_body<'a>(&mut self, bytes: &[u8], limits: &HttpLimits) -> Option<RequestParse<'a>> {
        let body = bytes.get(self.head_bytes..).unwrap_or_default();
        let bytes_min = match self.framing? {
            Framing::Length(length) if body.len() >= length => return None,
            Framing::Length(length) => length,
            Framing::Chunked => match self.chunks.read_on(body, limits.body_bytes_max) {
                Ok(Progress::Complete) => return None,
                Ok(Progress::Partial { bytes_min }) => bytes_min,
                Err(error) => return Some(RequestParse::Refused(error)),
            },
        };
        Some(RequestParse::partial(self.head_bytes + bytes_min))
    }

    // The body that is complete, and how many bytes it took.
    fn body<'a>(&self, bytes: &'a [u8]) -> (Cow<'a, [u8]>, usize) {
        match self.framing {
            Some(Framing::Chunked) => (Cow::Owned(self.chunks.join(bytes)), self.chunks.bytes()),
            Some(Framing::Length(length)) => (Cow::Borrowed(bytes.get(..length).unwrap_or_default()), length),
            None => (Cow::Borrowed(&[]), 0),
        }
    }
}

/// What bytes are as the head of a request.
#[derive(Debug)]
pub enum HeadParse<'a> {
    /// A head.
    Complete {
        /// The head.
        head: Head<'a>,
        /// Its length, blank line included.
        bytes: usize,
    },
    /// More is needed.
    Partial,
    /// No head that we take: answer and close.
    Refused(HttpError),
}

/// What bytes are as a request.
#[derive(Debug)]
pub enum RequestParse<'a> {
    /// A request.
    Complete {
        /// The request.
        request: Request<'a>,
        /// Its length; the next one begins behind it.
        bytes: usize,
    },
    /// More is needed.
    Partial {
        /// The head, from the one call that finds it complete.
        head: Option<Head<'a>>,
        /// The client waits for `100 Continue` before it sends the body, of which nothing has come.
        continue_expected: bool,
        /// No request can be complete before the buffer holds so many bytes: parsing sooner is a waste.
        bytes_min: usize,
    },
    /// No request that we take: answer and close.
    Refused(HttpError),
}

impl RequestParse<'_> {
    fn partial(bytes_min: usize) -> Self {
        Self::Partial { head: None, continue_expected: false, bytes_min }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Its head.
    pub head: Head<'a>,
    /// Its body, without any chunk framing.
    pub body: Cow<'a, [u8]>,
}

// The refusal of a head that is not well formed.
fn refusal_of(error: httparse::Error, bytes: &[u8]) -> HttpError {
    match error {
        httparse::Error::TooManyHeaders => TOO_MANY_HEADERS,
        httparse::Error::Version if names_a_version(bytes) => UNKNOWN_VERSION,
        _ => HttpError::bad("The request head is not well formed"),
    }
}

// Whether the request line ends with `HTTP/` and a version, or may do so yet.
fn names_a_version(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let rest = bytes.get(start..).unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    let version = line.splitn(3, |byte| *byte == b' ').nth(2).unwrap_or_default();
    let fits = |(byte, sample): (&u8, &u8)| match sample {
        b'1' => byte.is_ascii_digit(),
        _ => byte == sample,
    };
    let is_long_enough = version.len() == 8 || (end.is_none() && version.len() < 8);
    is_long_enough && version.iter().zip(b"HTTP/1.1").all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};
    use proptest::prelude::*;

    fn head(bytes: &[u8]) -> Head<'_> {
        match parse_head(bytes) {
            HeadParse::Complete { head, bytes: head_bytes } => {
                assert_eq!(head_bytes, bytes.len());
                head
            }
            other => panic!("{other:?}"),
        }
    }

    fn head_status(bytes: &[u8]) -> u16 {
        match parse_head(bytes) {
            HeadParse::Complete { .. } => 200,
            HeadParse::Partial => 100,
            HeadParse::Refused(error) => error.status,
        }
    }

    fn with_header(line: &str) -> String {
        format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n")
    }

    #[test]
    fn targets_are_split_into_path_and_query() {
        let table = [
            ("/", "/", ""),
            ("/apps/1/events?a=b?c", "/apps/1/events", "a=b?c"),
            ("/apps/1/channels/a%2Cb", "/apps/1/channels/a%2Cb", ""),
            ("http://host:80/x?y", "/x", "y"),
            ("http://host", "/", ""),
            ("http://host?y=/z", "/", "y=/z"),
        ];
        for (target, path, query) in table {
            let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            let head = head(bytes.as_bytes());
            assert_eq!((head.target, head.path, head.query), (target, path, query));
            assert_eq!((head.method, head.version_minor), ("GET", 1));
        }
        for target in ["*", "host:80", "x", "http:///x", "http://user@h/", "http://", "/\u{e9}", "/?\u{65e5}"]
        {
            assert_eq!(
                head_status(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()),
                400,
                "{target}"
            );
        }
    }

    #[test]
    fn header_names_have_no_case_and_lines_keep_their_order() {
        let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nb:2\r\na: 3 \r\nC: \xff\r\n\r\n";
        let head = head(bytes);
        assert_eq!(head.header("a"), Some("1"));
        assert_eq!(head.header_values("A").collect::<Vec<_>>(), ["1", "3"]);
        assert_eq!((head.header("B"), head.header("c"), head.header("d")), (Some("2"), None, None));
    }

    #[test]
    fn a_connection_token_without_an_upgrade_header_is_plain_http() {
        let table = [
            ("Upgrade: websocket\r\nConnection: Upgrade", true),
            ("upgrade: WebSocket\r\nconnection: keep-alive, UPGRADE", true),
            ("Upgrade: h2c, websocket\r\nConnection: close\r\nConnection: upgrade", true),
            ("Connection: upgrade", false),
            ("Upgrade: websocket", false),
            ("Upgrade: h2c\r\nConnection: Upgrade", false),
            ("Upgrade: websocket\r\nConnection: upgrades", false),
        ];
        for (lines, is_upgrade) in table {
            assert_eq!(head(with_header(lines).as_bytes()).is_upgrade(), is_upgrade, "{lines}");
        }
        let nginx = with_header("Connection: upgrade");
        assert!(head(nginx.as_bytes()).keep_alive());
    }

    #[test]
    fn the_version_says_whether_a_connection_goes_on_by_default() {
        let table = [
            ("1.1", "X: y", true),
            ("1.1", "Connection: close", false),
            ("1.1", "Connection: foo, Close", false),
            ("1.1", "Connection: keep-alive", true),
            ("1.0", "X: y", false),
            ("1.0", "Connection: Keep-Alive", true),
            ("1.0", "Connection: keep-alive, close", false),
        ];
        for (version, line, keep_alive) in table {
            let bytes = format!("GET / HTTP/{version}\r\nHost: h\r\n{line}\r\n\r\n");
            assert_eq!(head(bytes.as_bytes()).keep_alive(), keep_alive, "{version} {line}");
        }
    }

    #[test]
    fn bad_heads_are_refused_with_their_status() {
        let many = "Host: h\r\n".to_owned() + &"a: b\r\n".repeat(HTTP_HEADERS_MAX - 1);
        let long = "x".repeat(HTTP_HEAD_BYTES_MAX);
        let exact =
            format!("GET / HTTP/1.1\r\nHost: h\r\na: {}\r\n\r\n", "x".repeat(HTTP_HEAD_BYTES_MAX - 32));
        assert_eq!(exact.len(), HTTP_HEAD_BYTES_MAX);
        let table = [
            (200, exact.clone()),
            (431, exact.replace("a:", "ab:")),
            (200, format!("GET / HTTP/1.1\r\n{many}\r\n")),
            (431, format!("GET / HTTP/1.1\r\n{many}a: b\r\n\r\n")),
            (431, format!("GET /{long}")),
            (431, format!("GET /{long} HTTP/1.1\r\n\r\n")),
            (431, "\r\n".repeat(HTTP_HEAD_BYTES_MAX)),
            (505, "GET / HTTP/2.0\r\n\r\n".into()),
            (505, "GET / HTTP/1.2\r\n\r\n".into()),
            (505, "PRI * HTTP/2.0".into()),
            (400, "GET / HTTP/1.10\r\n\r\n".into()),
            (400, "GET / HTTP/11\r\n\r\n".into()),
            (400, "GET / HTTP/2\r\n\r\n".into()),
            (400, "GET / http/1.1\r\n\r\n".into()),
            (400, "GET / FTP/1.1\r\n\r\n".into()),
            (400, "GET /a b HTTP/1.1\r\n\r\n".into()),
            (400, "GET / HTTP/1.1\nHost: h\n\n".into()),
            (400, "GET / HTTP/1.1\r\nHost: h\n\r\n".into()),
            (400, "GET / HTTP/1.1\r\nHost: h\r\n\n".into()),
            (400, "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n".into()),
            (400, "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n".into()),
            (200, "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n".into()),
            (400, "\x16\x03\x01\x02\x00\x01\x00".into()),
            (400, "G\0T / HTTP/1.1\r\n\r\n".into()),
            (400, "GET / HTTP/1.1\r\na b: c\r\n\r\n".into()),
            (400, "GET / HTTP/1.1\r\na : c\r\n\r\n".into()),
            (400, "GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n".into()),
            (400, "GET / HTTP/1.1\r\na: b\0c\r\n\r\n".into()),
            (100, "".into()),
            (100, "GET / HTTP/1.1\r\nHost".into()),
        ];
        for (status, bytes) in table {
            assert_eq!(head_status(bytes.as_bytes()), status, "{}", &bytes[..bytes.len().min(60)]);
        }
    }

    // The body, and how many bytes are left over, or the status of the refusal, 100 for more.
    fn request(bytes: &[u8]) -> Result<(Vec<u8>, usize), u16> {
        match parse_request(bytes) {
            RequestParse::Complete { request, bytes: used } => {
                Ok((request.body.to_vec(), bytes.len() - used))
            }
            RequestParse::Partial { .. } => Err(100),
            RequestParse::Refused(error) => Err(error.status),
        }
    }

    fn post(lines: &str, body: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n{body}")
    }

    #[test]
    fn a_request_names_one_host() {
        let table = [
            ("1.1", "Host: h", 200),
            ("1.1", "host: h:80", 200),
            ("1.1", "X: y", 400),
            ("1.1", "Host:", 400),
            ("1.1", "Host: h\r\nHost: h", 400),
            ("1.1", "Host: h\r\nHost: other", 400),
            ("1.1", "Host: user@h", 400),
            ("1.1", "Host: h/path", 400),
            ("1.1", "Host: a, b", 400),
            ("1.0", "X: y", 200),
            ("1.0", "Host: h", 200),
            ("1.0", "Host: h\r\nHost: h", 400),
            ("1.0", "Host: a, b", 400),
        ];
        for (version, lines, status) in table {
            let bytes = format!("GET / HTTP/{version}\r\n{lines}\r\n\r\n");
            assert_eq!(head_status(bytes.as_bytes()), status, "{version} {lines}");
        }
        let authority = |target: &str| {
            let bytes = format!("GET {target} HTTP/1.1\r\nHost: h:1\r\n\r\n");
            head(bytes.as_bytes()).authority().map(str::to_owned)
        };
        assert_eq!(authority("/x").as_deref(), Some("h:1"));
        assert_eq!(authority("/http://other/").as_deref(), Some("h:1"));
        assert_eq!(authority("http://other:2/x").as_deref(), Some("other:2"));
        assert_eq!(authority("http://other?x").as_deref(), Some("other"));
    }

    #[test]
    fn only_options_may_ask_for_the_whole_server() {
        assert_eq!(head(b"OPTIONS * HTTP/1.0\r\n\r\n").path, "*");
        assert_eq!(head_status(b"GET * HTTP/1.0\r\n\r\n"), 400);
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        let table = [
            ("X: y", "rest", Ok(("", 4))),
            ("Content-Length: 0", "rest", Ok(("", 4))),
            ("content-length: 4", "bodyrest", Ok(("body", 4))),
            ("Content-Length: 04", "body", Ok(("body", 0))),
            ("Content-Length: 5", "body", Err(100)),
            ("Content-Length: 2097152", "body", Err(100)),
            ("Content-Length: 2097153", "", Err(413)),
            ("Content-Length: 99999999999999999999999999", "", Err(413)),
            ("Content-Length: -1", "", Err(400)),
            ("Content-Length: +4", "body", Err(400)),
            ("Content-Length: 4, 4", "body", Err(400)),
            ("Content-Length: 0x4", "body", Err(400)),
            ("Content-Length:", "", Err(400)),
            ("Content-Length: \u{664}", "body", Err(400)),
            ("Content-Length: 4\r\nContent-Length: 4", "body", Err(400)),
            ("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n", Err(400)),
            ("Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\nrest", Ok(("body", 4))),
            ("Transfer-Encoding: Chunked", "2\r\nbo\r\n2;x=y\r\ndy\r\n00\r\nT: x\r\n\r\n", Ok(("body", 0))),
            ("Transfer-Encoding: chunked", "0\r\n\r\n", Ok(("", 0))),
            ("Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r", Err(100)),
            ("Transfer-Encoding: chunked", "4\r\nbo", Err(100)),
            ("Transfer-Encoding: chunked", "", Err(100)),
            ("Transfer-Encoding: chunked", "4\r\nbodyxx0\r\n\r\n", Err(400)),
            ("Transfer-Encoding: chunked", "x\r\n", Err(400)),
            ("Transfer-Encoding: chunked", "-1\r\n", Err(400)),
            ("Transfer-Encoding: chunked", "200001\r\n", Err(413)),
            ("Transfer-Encoding: chunked", "ffffffffffffffffffff\r\n", Err(413)),
            ("Transfer-Encoding: gzip, chunked", "0\r\n\r\n", Err(501)),
            ("Transfer-Encoding: gzip", "", Err(400)),
            ("Transfer-Encoding: chunked, gzip", "", Err(400)),
            ("Transfer-Encoding: chunked, chunked", "", Err(400)),
            ("Transfer-Encoding: chunked,", "", Err(400)),
            ("Transfer-Encoding: chunked;q=1", "", Err(400)),
            ("Transfer-Encoding: xchunked", "", Err(400)),
            ("Transfer-Encoding:", "", Err(400)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "", Err(400)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "", Err(400)),
        ];
        for (lines, body, expected) in table {
            let expected = expected.map(|(body, left): (&str, usize)| (body.as_bytes().to_vec(), left));
            assert_eq!(request(post(lines, body).as_bytes()), expected, "{lines:?} {body:?}");
        }
        assert_eq!(
            request(b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            Err(400)
        );
    }

    #[test]
    fn a_body_by_length_is_not_copied() {
        let bytes = post("Content-Length: 4", "body");
        let RequestParse::Complete { request, .. } = parse_request(bytes.as_bytes()) else { panic!() };
        assert!(matches!(request.body, Cow::Borrowed(b"body")));
    }

    #[test]
    fn many_small_chunks_and_long_bodies_are_bounded() {
        let chunked = |body: String| request(post("Transfer-Encoding: chunked", &body).as_bytes());
        assert!(chunked("1\r\nx\r\n".repeat(6_000) + "0\r\n\r\n").is_ok());
        assert_eq!(chunked("1\r\nx\r\n".repeat(7_000)), Err(413));
        let mebibyte = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
        assert!(chunked(format!("{mebibyte}{mebibyte}0\r\n\r\n")).is_ok());
        assert_eq!(chunked(format!("{mebibyte}{mebibyte}1\r\nx\r\n")), Err(413));
    }

    #[test]
    fn a_head_is_told_once_and_a_request_in_pieces_is_whole_at_its_end() {
        for bytes in [
            post("Content-Length: 4", "body"),
            post("Transfer-Encoding: chunked", "1\r\nb\r\n3;x=y\r\nody\r\n0\r\nT: x\r\n\r\n"),
        ] {
            let (mut progress, mut heads) = (RequestProgress::default(), 0);
            let limits = HttpLimits::default();
            for end in 0..bytes.len() {
                match parse_request_on(&mut progress, &bytes.as_bytes()[..end], &limits) {
                    RequestParse::Partial { head, bytes_min, .. } => {
                        heads += usize::from(head.is_some());
                        assert!(bytes_min > end && bytes_min <= bytes.len(), "{bytes_min} at {end}");
                    }
                    other => panic!("{end}: {other:?}"),
                }
            }
            assert_eq!(heads, 1);
            match parse_request_on(&mut progress, (bytes.clone() + "rest").as_bytes(), &limits) {
                RequestParse::Complete { request, bytes: used } => {
                    assert_eq!((&*request.body, request.head.path, used), (&b"body"[..], "/", bytes.len()));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_client_that_waits_for_leave_is_recognised_once() {
        let expected = |bytes: String| match parse_request(bytes.as_bytes()) {
            RequestParse::Partial { continue_expected, bytes_min, .. } => {
                (continue_expected, bytes_min - bytes.len())
            }
            other => panic!("{other:?}"),
        };
        let lines = "Content-Length: 4\r\nExpect: 100-Continue";
        assert_eq!(expected(post(lines, "")), (true, 4));
        assert_eq!(expected(post(lines, "b")), (false, 3));
        assert_eq!(expected(post("Content-Length: 4", "")), (false, 4));
        assert_eq!(expected(post("Transfer-Encoding: chunked", "5\r\nab")), (false, 5));
        let old = post(lines, "").replace("HTTP/1.1", "HTTP/1.0");
        assert_eq!(expected(old), (false, 4));
    }

    #[test]
    fn pipelined_requests_follow_each_other() {
        let bytes =
            [post("Content-Length: 1", "a"), post("Transfer-Encoding: chunked", "1\r\nb\r\n0\r\n\r\n")]
                .concat();
        let (first, left) = request(bytes.as_bytes()).unwrap();
        let (second, none) = request(&bytes.as_bytes()[bytes.len() - left..]).unwrap();
        assert_eq!((first.as_slice(), second.as_slice(), none), (&b"a"[..], &b"b"[..], 0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_a_refusal(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_request(&bytes);
            let framed = [b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", bytes.as_slice()].concat();
            let _ = parse_request(&framed);
            let headed = [b"GET / HTTP/1.1\r\nHost: h\r\n", bytes.as_slice(), b"\r\n\r\n"].concat();
            let _ = parse_request(&headed);
        }

        #[test]
        fn chunks_join_to_the_body_and_every_prefix_asks_for_more(
            chunks in proptest::collection::vec("[ -~]{1,40}", 0..8),
            upper: bool,
        ) {
            let size = |chunk: &String| if upper { format!("{:X}", chunk.len()) } else { format!("{:x}", chunk.len()) };
            let body: String = chunks.iter().map(|chunk| format!("{}\r\n{chunk}\r\n", size(chunk))).collect();
            let bytes = post("Transfer-Encoding: chunked", &format!("{body}0\r\n\r\n"));
            prop_assert_eq!(request(bytes.as_bytes()), Ok((chunks.concat().into_bytes(), 0)));
            for end in 0..bytes.len() {
                match parse_request(&bytes.as_bytes()[..end]) {
                    RequestParse::Partial { bytes_min, .. } => {
                        prop_assert!(bytes_min > end && bytes_min <= bytes.len(), "{} of {}: {}", end, bytes.len(), bytes_min);
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }

    #[test]
    fn the_longest_body_is_what_the_caller_says() {
        let short = HttpLimits { body_bytes_max: 10, ..HttpLimits::default() };
        let by_length = |bytes: usize| {
            format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\n\r\n{}", "x".repeat(bytes))
        };
        let chunked = |bytes: usize| {
            let chunk = format!("{bytes:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(bytes));
            format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}")
        };
        for text in [by_length(10), chunked(10)] {
            let parsed = parse_request_within(text.as_bytes(), &short);
            assert!(matches!(parsed, RequestParse::Complete { .. }), "{text}");
        }
        for text in [by_length(11), chunked(11)] {
            let RequestParse::Refused(error) = parse_request_within(text.as_bytes(), &short) else {
                panic!("{text}")
            };
            assert_eq!(error.status, 413);
            assert!(error.text.contains("http_body_bytes_max"), "{}", error.text);
        }
    }
}
