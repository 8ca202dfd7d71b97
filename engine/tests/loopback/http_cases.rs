//! What may stand between us and our peers reads requests too, and a request that it reads differently hides another one.
//! Here is our verdict on some two hundred and fifty of them: valid, ambiguous, and made to hide something.
//!
//! Each is sent to the public port, where a shard reads it, to the public port behind a request that has brought the
//! connection to the API core, to the port of the API core, and, unless it is of apps and clients alone, to the admin
//! port. A bar stands for CRLF. `@TARGET@` is the path and signed query of a publish of `@BODY@`.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::rig::http::{Answer, Http, encode_event, signed};
use crate::rig::server::{Server, binary, free_port};
use crate::rig::{KEY, PATIENCE};

use End::{Closed, Kept, Upgraded, Waits};

/// What becomes of the connection after the answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// It serves the next request.
    Kept,
    /// The server ends it.
    Closed,
    /// The server waits for more, and ends it when none can come.
    Waits,
    /// It is a WebSocket connection.
    Upgraded,
}

/// A name, what is sent, the statuses of all answers, and what becomes of the connection.
type Case = (&'static str, &'static [u8], &'static [u16], End);

/// Cases that share their beginning and their end.
struct Table {
    before: &'static str,
    cases: &'static [Case],
    after: &'static str,
    /// The operator's tools speak so, too.
    of_all_ports: bool,
}

const TABLES: [Table; 11] = [
    Table { before: "", cases: REQUEST_LINES, after: "", of_all_ports: true },
    Table { before: "GET /live HTTP/1.1|Host: localhost|", cases: HEADERS, after: "||", of_all_ports: true },
    Table { before: "GET /live HTTP/1.1|", cases: HOSTS, after: "||", of_all_ports: false },
    Table { before: "POST /live HTTP/1.1|Host: localhost|", cases: LENGTHS, after: "", of_all_ports: true },
    Table { before: "POST /live HTTP/1.1|Host: localhost|", cases: CODINGS, after: "", of_all_ports: true },
    Table {
        before: "POST /live HTTP/1.1|Host: localhost|Transfer-Encoding: chunked||",
        cases: CHUNKS,
        after: "",
        of_all_ports: true,
    },
    Table { before: "", cases: PIPELINES, after: "", of_all_ports: true },
    Table { before: "", cases: ROUTES, after: "", of_all_ports: false },
    Table { before: "", cases: PUBLISHES, after: "", of_all_ports: false },
    Table {
        before: "GET /app/loopback-key HTTP/1.1|Host: h|Upgrade: websocket|Connection: Upgrade|\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|Sec-WebSocket-Version: 13|",
        cases: UPGRADE_BODIES,
        after: "",
        of_all_ports: false,
    },
    Table { before: "", cases: UPGRADES, after: "", of_all_ports: false },
];

#[rustfmt::skip]
const REQUEST_LINES: &[Case] = &[
    ("plain", b"GET /live HTTP/1.1|Host: localhost||", &[200], Kept),
    ("HTTP/1.0", b"GET /live HTTP/1.0||", &[200], Closed),
    ("HTTP/1.0 that is kept", b"GET /live HTTP/1.0|Connection: keep-alive||", &[200], Kept),
    ("Connection: close", b"GET /live HTTP/1.1|Host: localhost|Connection: close||", &[200], Closed),
    ("close among others", b"GET /live HTTP/1.1|Host: localhost|Connection: x, Close||", &[200], Closed),
    ("an empty line before", b"|GET /live HTTP/1.1|Host: localhost||", &[200], Kept),
    ("three empty lines before", b"|||GET /live HTTP/1.1|Host: localhost||", &[200], Kept),
    ("an empty line of LF before", b"\nGET /live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("request line ends with LF", b"GET /live HTTP/1.1\nHost: localhost||", &[400], Closed),
    ("every line ends with LF", b"GET /live HTTP/1.1\nHost: localhost\n\n", &[400], Closed),
    ("a header ends with LF", b"GET /live HTTP/1.1|Host: localhost\nX: y||", &[400], Closed),
    ("the empty line is LF", b"GET /live HTTP/1.1|Host: localhost|\n", &[400], Closed),
    ("CR in the request line", b"GET /live\r HTTP/1.1|Host: localhost||", &[400], Closed),
    ("CR CR LF", b"GET /live HTTP/1.1\r|Host: localhost||", &[400], Closed),
    ("two spaces behind the method", b"GET  /live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("two spaces behind the target", b"GET /live  HTTP/1.1|Host: localhost||", &[400], Closed),
    ("a tab behind the method", b"GET\t/live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("a tab behind the target", b"GET /live\tHTTP/1.1|Host: localhost||", &[400], Closed),
    ("a space behind the version", b"GET /live HTTP/1.1 |Host: localhost||", &[400], Closed),
    ("a space before the method", b" GET /live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("no version", b"GET /live|Host: localhost||", &[400], Closed),
    ("HTTP/0.9", b"GET /live||", &[400], Closed),
    ("version 0.9", b"GET /live HTTP/0.9|Host: localhost||", &[505], Closed),
    ("version 1.2", b"GET /live HTTP/1.2|Host: localhost||", &[505], Closed),
    ("version 2.0", b"GET /live HTTP/2.0|Host: localhost||", &[505], Closed),
    ("version 3.0", b"GET /live HTTP/3.0|Host: localhost||", &[505], Closed),
    ("version 1.10", b"GET /live HTTP/1.10|Host: localhost||", &[400], Closed),
    ("version 1", b"GET /live HTTP/1|Host: localhost||", &[400], Closed),
    ("version 11", b"GET /live HTTP/11|Host: localhost||", &[400], Closed),
    ("version 1.x", b"GET /live HTTP/1.x|Host: localhost||", &[400], Closed),
    ("version 1,1", b"GET /live HTTP/1,1|Host: localhost||", &[400], Closed),
    ("version 1.1.1", b"GET /live HTTP/1.1.1|Host: localhost||", &[400], Closed),
    ("version -1.1", b"GET /live HTTP/-1.1|Host: localhost||", &[400], Closed),
    ("version in lower case", b"GET /live http/1.1|Host: localhost||", &[400], Closed),
    ("HTTPS/1.1", b"GET /live HTTPS/1.1|Host: localhost||", &[400], Closed),
    ("FTP/1.1", b"GET /live FTP/1.1|Host: localhost||", &[400], Closed),
    ("a space within the version", b"GET /live HTTP/ 1.1|Host: localhost||", &[400], Closed),
    ("a space within the target", b"GET /li ve HTTP/1.1|Host: localhost||", &[400], Closed),
    ("no method", b"/live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("method in lower case", b"get /live HTTP/1.1|Host: localhost||", &[405], Kept),
    ("unknown method", b"BREW /live HTTP/1.1|Host: localhost||", &[405], Kept),
    ("method with every sign of a token", b"A!#$%&'*+-.^_`~ /live HTTP/1.1|Host: localhost||", &[405], Kept),
    ("method with a colon", b"GE:T /live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("method with a bracket", b"GE(T /live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("method with NUL", b"GE\0T /live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("method that is not ASCII", b"G\xc3\x89T /live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("PUT", b"PUT /live HTTP/1.1|Host: localhost||", &[405], Kept),
    ("DELETE", b"DELETE /live HTTP/1.1|Host: localhost||", &[405], Kept),
    ("TRACE", b"TRACE /live HTTP/1.1|Host: localhost||", &[405], Kept),
    ("HEAD", b"HEAD /live HTTP/1.1|Host: localhost||", &[200], Kept),
    ("OPTIONS of a probe", b"OPTIONS /live HTTP/1.1|Host: localhost||", &[200], Kept),
    ("HAProxy's check", b"OPTIONS / HTTP/1.0||", &[200], Closed),
    ("HAProxy's check of a path", b"OPTIONS /ready HTTP/1.0||", &[200], Closed),
    ("OPTIONS of the server", b"OPTIONS * HTTP/1.1|Host: localhost||", &[200], Kept),
    ("GET of the server", b"GET * HTTP/1.1|Host: localhost||", &[400], Closed),
    ("CONNECT", b"CONNECT localhost:443 HTTP/1.1|Host: localhost:443||", &[400], Closed),
    ("HTTP/2 without leave", b"PRI * HTTP/2.0||SM||", &[505], Closed),
    ("target without a slash", b"GET live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("absolute target", b"GET http://localhost/live HTTP/1.1|Host: localhost||", &[200], Kept),
    ("absolute target of https", b"GET https://localhost:1/live?x HTTP/1.1|Host: localhost||", &[200], Kept),
    ("absolute target without a path", b"GET http://localhost HTTP/1.1|Host: localhost||", &[200], Kept),
    ("absolute target without Host", b"GET http://localhost/live HTTP/1.1||", &[400], Closed),
    ("absolute target of nobody", b"GET http:///live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("absolute target with a user", b"GET http://u@localhost/live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("raw UTF-8 in the target", b"GET /caf\xc3\xa9 HTTP/1.1|Host: localhost||", &[400], Closed),
    ("raw Latin-1 in the target", b"GET /caf\xe9 HTTP/1.1|Host: localhost||", &[400], Closed),
    ("raw UTF-8 in the query", b"GET /live?x=\xc3\xa9 HTTP/1.1|Host: localhost||", &[400], Closed),
    ("escapes in the query", b"GET /live?x=%C3%A9&y=%zz HTTP/1.1|Host: localhost||", &[200], Kept),
    ("NUL in the target", b"GET /live?\0 HTTP/1.1|Host: localhost||", &[400], Closed),
    ("DEL in the target", b"GET /live?\x7f HTTP/1.1|Host: localhost||", &[400], Closed),
    ("fragment in the target", b"GET /live#x HTTP/1.1|Host: localhost||", &[404], Kept),
    ("dot segments", b"GET /../live HTTP/1.1|Host: localhost||", &[404], Kept),
    ("two slashes", b"GET //live HTTP/1.1|Host: localhost||", &[404], Kept),
    ("escaped letters of the path", b"GET /%6Cive HTTP/1.1|Host: localhost||", &[404], Kept),
    ("TLS on the plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &[400], Closed),
    ("PROXY protocol", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2|GET /live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("SMTP", b"EHLO localhost|", &[400], Closed),
    ("SSH", b"SSH-2.0-x|", &[400], Closed),
    ("half a request line", b"GET /li", &[], Waits),
    ("half a head", b"GET /live HTTP/1.1|Host: localhost|", &[], Waits),
];

#[rustfmt::skip]
const HEADERS: &[Case] = &[
    ("empty value", b"X:", &[200], Kept),
    ("no space behind the colon", b"X:y", &[200], Kept),
    ("spaces and tabs around the value", b"X: \t y \t", &[200], Kept),
    ("tab within the value", b"X: a\tb", &[200], Kept),
    ("UTF-8 in the value", b"X: \xc3\xa9", &[200], Kept),
    ("Latin-1 in the value", b"X: \xe9", &[200], Kept),
    ("name with every sign of a token", b"!#$%&'*+-.^_`~09aZ: x", &[200], Kept),
    ("the same header twice", b"X: y|X: z", &[200], Kept),
    ("space before the colon", b"X : y", &[400], Closed),
    ("tab before the colon", b"X\t: y", &[400], Closed),
    ("space within the name", b"X Y: z", &[400], Closed),
    ("no colon", b"X", &[400], Closed),
    ("no name", b": y", &[400], Closed),
    ("name that is not ASCII", b"X\xc3\xa9: y", &[400], Closed),
    ("name with NUL", b"X\0: y", &[400], Closed),
    ("name with a bracket", b"X(: y", &[400], Closed),
    ("name in quotes", b"\"X\": y", &[400], Closed),
    ("NUL in the value", b"X: a\0b", &[400], Closed),
    ("CR in the value", b"X: a\rb", &[400], Closed),
    ("LF in the value", b"X: a\nb: c", &[400], Closed),
    ("vertical tab in the value", b"X: a\x0bb", &[400], Closed),
    ("DEL in the value", b"X: a\x7fb", &[400], Closed),
    ("value folded by a space", b"X: a| b", &[400], Closed),
    ("value folded by a tab", b"X: a|\tb", &[400], Closed),
    ("line of one space", b"X: a| ", &[400], Closed),
    ("smuggling: folded length", b"X: a| Content-Length: 4", &[400], Closed),
    ("Connection names an upgrade", b"Connection: upgrade", &[200], Kept),
    ("upgrade to HTTP/2", b"Upgrade: h2c|Connection: Upgrade, HTTP2-Settings|HTTP2-Settings: x", &[200], Kept),
    ("leave for no body", b"Expect: 100-continue", &[200], Kept),
    ("an unknown expectation", b"Expect: 200-ok", &[200], Kept),
    ("coding of no body", b"Content-Encoding: gzip", &[200], Kept),
    ("codings of the answer", b"TE: trailers, gzip|Accept-Encoding: gzip", &[200], Kept),
    ("an underscore for a hyphen", b"Content_Length: 5|Transfer_Encoding: chunked", &[200], Kept),
    ("bytes of a range", b"Range: bytes=0-0", &[200], Kept),
];

#[rustfmt::skip]
const HOSTS: &[Case] = &[
    ("name", b"Host: h", &[200], Kept),
    ("header in capitals", b"HOST: h", &[200], Kept),
    ("name and port", b"Host: h.example:80", &[200], Kept),
    ("empty port", b"Host: h:", &[200], Kept),
    ("underscore", b"Host: my_service", &[200], Kept),
    ("address", b"Host: 127.0.0.1:6001", &[200], Kept),
    ("address of version 6", b"Host: [::1]:6001", &[200], Kept),
    ("missing", b"X: y", &[400], Closed),
    ("empty", b"Host:", &[400], Closed),
    ("spaces alone", b"Host:   ", &[400], Closed),
    ("twice the same", b"Host: h|Host: h", &[400], Closed),
    ("twice another", b"Host: h|Host: other", &[400], Closed),
    ("once more with an empty one", b"Host: h|Host:", &[400], Closed),
    ("with a user", b"Host: user@h", &[400], Closed),
    ("with a path", b"Host: h/path", &[400], Closed),
    ("with a query", b"Host: h?x", &[400], Closed),
    ("with a fragment", b"Host: h#x", &[400], Closed),
    ("with a scheme", b"Host: http://h", &[400], Closed),
    ("list with a space", b"Host: a, b", &[400], Closed),
    ("list", b"Host: a,b", &[400], Closed),
    ("two words", b"Host: a b", &[400], Closed),
    ("two ports", b"Host: h:80:80", &[400], Closed),
    ("port that is no number", b"Host: h:http", &[400], Closed),
    ("port alone", b"Host: :80", &[400], Closed),
    ("bracket that stays open", b"Host: [::1", &[400], Closed),
    ("version 6 without brackets", b"Host: ::1", &[400], Closed),
    ("backslash", b"Host: h\\x", &[400], Closed),
    ("not ASCII", b"Host: h\xc3\xa9", &[400], Closed),
];

#[rustfmt::skip]
const LENGTHS: &[Case] = &[
    ("none", b"|", &[405], Kept),
    ("zero", b"Content-Length: 0||", &[405], Kept),
    ("right", b"Content-Length: 3||abc", &[405], Kept),
    ("leading zeros", b"Content-Length: 0003||abc", &[405], Kept),
    ("header in capitals", b"CONTENT-LENGTH: 3||abc", &[405], Kept),
    ("spaces around", b"Content-Length: \t3 \t||abc", &[405], Kept),
    ("another request behind", b"Content-Length: 3||abcGET /live HTTP/1.1|Host: localhost||", &[405, 200], Kept),
    ("one too few", b"Content-Length: 2||abcGET /live HTTP/1.1|Host: localhost||", &[405, 405], Kept),
    ("too many: nothing is waited for", b"Content-Length: 9||abc", &[405], Closed),
    ("leave for what nobody wants", b"Content-Length: 3|Expect: 100-continue||", &[405], Closed),
    ("twice the same", b"Content-Length: 3|Content-Length: 3||abc", &[400], Closed),
    ("twice another", b"Content-Length: 3|Content-Length: 0||abc", &[400], Closed),
    ("once more and empty", b"Content-Length: 3|Content-Length:||abc", &[400], Closed),
    ("list of the same", b"Content-Length: 3, 3||abc", &[400], Closed),
    ("list of others", b"Content-Length: 3, 4||abc", &[400], Closed),
    ("comma before", b"Content-Length: ,3||abc", &[400], Closed),
    ("comma behind", b"Content-Length: 3,||abc", &[400], Closed),
    ("empty", b"Content-Length:||", &[400], Closed),
    ("plus", b"Content-Length: +3||abc", &[400], Closed),
    ("minus", b"Content-Length: -3||abc", &[400], Closed),
    ("minus zero", b"Content-Length: -0||", &[400], Closed),
    ("hexadecimal", b"Content-Length: 0x3||abc", &[400], Closed),
    ("decimal point", b"Content-Length: 3.0||abc", &[400], Closed),
    ("exponent", b"Content-Length: 3e0||abc", &[400], Closed),
    ("underscore", b"Content-Length: 1_0||", &[400], Closed),
    ("space within", b"Content-Length: 1 0||", &[400], Closed),
    ("in quotes", b"Content-Length: \"3\"||abc", &[400], Closed),
    ("letters", b"Content-Length: three||", &[400], Closed),
    ("digits that are not ASCII", b"Content-Length: \xd9\xa3||abc", &[400], Closed),
    ("a byte that is no text", b"Content-Length: 3\xff||abc", &[400], Closed),
    ("semicolon behind", b"Content-Length: 3;x||abc", &[400], Closed),
    ("space before the colon", b"Content-Length : 3||abc", &[400], Closed),
    ("one more than is taken", b"Content-Length: 2097153||", &[413], Closed),
    ("beyond 64 bits", b"Content-Length: 18446744073709551619||abc", &[413], Closed),
    ("smuggling: length and chunks", b"Content-Length: 3|Transfer-Encoding: chunked||0||", &[400], Closed),
    ("smuggling: chunks and length", b"Transfer-Encoding: chunked|Content-Length: 3||0||", &[400], Closed),
];

#[rustfmt::skip]
const CODINGS: &[Case] = &[
    ("chunked", b"Transfer-Encoding: chunked||0||", &[405], Kept),
    ("in capitals", b"TRANSFER-ENCODING: CHUNKED||0||", &[405], Kept),
    ("spaces around", b"Transfer-Encoding: \tchunked ||0||", &[405], Kept),
    ("gzip in chunks", b"Transfer-Encoding: gzip, chunked||0||", &[501], Closed),
    ("unknown in chunks", b"Transfer-Encoding: xchunked, chunked||0||", &[501], Closed),
    ("chunked behind nothing", b"Transfer-Encoding: ,chunked||0||", &[501], Closed),
    ("chunked is not the last", b"Transfer-Encoding: chunked, gzip||0||", &[400], Closed),
    ("chunked before identity", b"Transfer-Encoding: chunked, identity||0||", &[400], Closed),
    ("chunked twice", b"Transfer-Encoding: chunked, chunked||0||", &[400], Closed),
    ("two lines of chunked", b"Transfer-Encoding: chunked|Transfer-Encoding: chunked||0||", &[400], Closed),
    ("a second line", b"Transfer-Encoding: chunked|Transfer-Encoding: x||0||", &[400], Closed),
    ("a first line", b"Transfer-Encoding: identity|Transfer-Encoding: chunked||0||", &[400], Closed),
    ("comma behind", b"Transfer-Encoding: chunked,||0||", &[400], Closed),
    ("gzip", b"Transfer-Encoding: gzip||", &[400], Closed),
    ("identity", b"Transfer-Encoding: identity||", &[400], Closed),
    ("empty", b"Transfer-Encoding:||0||", &[400], Closed),
    ("letter before", b"Transfer-Encoding: xchunked||0||", &[400], Closed),
    ("letter behind", b"Transfer-Encoding: chunkedx||0||", &[400], Closed),
    ("in quotes", b"Transfer-Encoding: \"chunked\"||0||", &[400], Closed),
    ("parameter", b"Transfer-Encoding: chunked;q=1||0||", &[400], Closed),
    ("a byte that is no text", b"Transfer-Encoding: \xff||0||", &[400], Closed),
    ("vertical tab before", b"Transfer-Encoding: \x0bchunked||0||", &[400], Closed),
    ("NUL behind", b"Transfer-Encoding: chunked\0||0||", &[400], Closed),
    ("space before the colon", b"Transfer-Encoding : chunked||0||", &[400], Closed),
    ("folded", b"Transfer-Encoding:| chunked||0||", &[400], Closed),
    ("LF before the value", b"Transfer-Encoding:\nchunked||0||", &[400], Closed),
];

#[rustfmt::skip]
const CHUNKS: &[Case] = &[
    ("no chunk", b"0||", &[405], Kept),
    ("one", b"3|abc|0||", &[405], Kept),
    ("two", b"1|a|2|bc|0||", &[405], Kept),
    ("capitals and leading zeros", b"00A|0123456789|000||", &[405], Kept),
    ("line ends as data", b"4||||0||", &[405], Kept),
    ("extensions", b"3;a;b=c;d=\"e;\\\"f\"|abc|0;x||", &[405], Kept),
    ("spaces around extensions", b"3 ; a = b|abc|0||", &[405], Kept),
    ("trailers", b"0|X: y|Z:||", &[405], Kept),
    ("another request behind", b"3|abc|0||GET /live HTTP/1.1|Host: localhost||", &[405, 200], Kept),
    ("unfinished: nothing is waited for", b"3|ab", &[405], Closed),
    ("no line end behind the data", b"3|abcd|0||", &[400], Closed),
    ("LF behind the data", b"3|abc\n0||", &[400], Closed),
    ("CR behind the data", b"3|abc\r0||", &[400], Closed),
    ("size too small", b"2|abc|0||", &[400], Closed),
    ("empty size", b"||", &[400], Closed),
    ("empty size with an extension", b";x|||", &[400], Closed),
    ("letter for a size", b"x|abc|0||", &[400], Closed),
    ("negative size", b"-3|abc|0||", &[400], Closed),
    ("plus", b"+3|abc|0||", &[400], Closed),
    ("0x", b"0x3|abc|0||", &[400], Closed),
    ("underscore", b"0_3|abc|0||", &[400], Closed),
    ("space before the size", b" 3|abc|0||", &[400], Closed),
    ("space behind the size", b"3 |abc|0||", &[400], Closed),
    ("tab behind the size", b"3\t|abc|0||", &[400], Closed),
    ("size larger than is taken", b"200001|", &[413], Closed),
    ("size beyond 64 bits", b"10000000000000003|abc|0||", &[413], Closed),
    ("LF behind the size", b"3\nabc|0||", &[400], Closed),
    ("CR behind the size", b"3\rabc|0||", &[400], Closed),
    ("LF behind the last size", b"0\n|", &[400], Closed),
    ("extension without a name", b"3;|abc|0||", &[400], Closed),
    ("extension without a value", b"3;a=|abc|0||", &[400], Closed),
    ("extension that is no token", b"3;bad[=x|abc|0||", &[400], Closed),
    ("quote that stays open", b"3;a=\"b|abc|0||", &[400], Closed),
    ("NUL in an extension", b"3;\0|abc|0||", &[400], Closed),
    ("CR in an extension", b"3;a\rb|abc|0||", &[400], Closed),
    ("trailer without a colon", b"0|x||", &[400], Closed),
    ("trailer without a name", b"0|: x||", &[400], Closed),
    ("trailer with a space before the colon", b"0|X : y||", &[400], Closed),
    ("folded trailer", b"0|X: y| z||", &[400], Closed),
    ("NUL in a trailer", b"0|X: \0||", &[400], Closed),
    ("CR in a trailer", b"0|X: a\rb||", &[400], Closed),
    ("LF behind a trailer", b"0|X: y\n|", &[400], Closed),
    ("LF for the last line", b"0|\n", &[400], Closed),
    ("smuggling: LF ends the line of an extension",
        b"2;\nxx|2d|0||GET /live HTTP/1.1|Host: localhost||0||", &[400], Closed),
    ("smuggling: LF ends the trailers",
        b"0|X: y\n\nGET /live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("smuggling: empty size ends the body",
        b"||GET /live HTTP/1.1|Host: localhost||", &[400], Closed),
    ("smuggling: CR ends the line",
        b"2;\rxx|2d|0||GET /live HTTP/1.1|Host: localhost||0||", &[400], Closed),
];

#[rustfmt::skip]
const PIPELINES: &[Case] = &[
    ("two", b"GET /live HTTP/1.1|Host: localhost||GET / HTTP/1.1|Host: localhost||", &[200, 200], Kept),
    ("an empty line between",
        b"GET /live HTTP/1.1|Host: localhost|||GET / HTTP/1.1|Host: localhost||", &[200, 200], Kept),
    ("a refused one between", b"GET /x HTTP/1.1|Host: localhost||GET / HTTP/1.1|Host: localhost||", &[404, 200], Kept),
    ("one behind the last",
        b"GET /live HTTP/1.1|Host: localhost|Connection: close||GET / HTTP/1.1|Host: localhost||", &[200], Closed),
    ("one behind HTTP/1.0", b"GET /live HTTP/1.0||GET / HTTP/1.1|Host: localhost||", &[200], Closed),
    ("one behind what is none", b"nonsense||GET / HTTP/1.1|Host: localhost||", &[400], Closed),
    ("nonsense behind one", b"GET /live HTTP/1.1|Host: localhost||nonsense||", &[200, 400], Closed),
    ("half of another", b"GET /live HTTP/1.1|Host: localhost||GET /", &[200], Waits),
    ("another version", b"GET /live HTTP/1.1|Host: localhost||GET / HTTP/1.0||", &[200, 200], Closed),
    ("four",
        b"GET /live HTTP/1.1|Host: localhost||POST /live HTTP/1.1|Host: localhost|Content-Length: 1||x\
          POST /live HTTP/1.1|Host: localhost|Transfer-Encoding: chunked||1|x|0||\
          OPTIONS * HTTP/1.1|Host: localhost||", &[200, 405, 405, 200], Kept),
];

#[rustfmt::skip]
const ROUTES: &[Case] = &[
    ("nothing there", b"GET /nothing HTTP/1.1|Host: h||", &[404], Kept),
    ("body for nobody", b"POST /nothing HTTP/1.1|Host: h|Content-Length: 2000000||{", &[404], Closed),
    ("no signature", b"GET /apps/7/channels HTTP/1.1|Host: h||", &[401], Kept),
    ("body without a signature", b"POST /apps/7/events HTTP/1.1|Host: h|Content-Length: 2000000||{", &[401], Closed),
    ("leave without a signature",
        b"POST /apps/7/events HTTP/1.1|Host: h|Content-Length: 9|Expect: 100-continue||", &[401], Closed),
    ("body for an unknown app", b"POST /apps/9/events HTTP/1.1|Host: h|Content-Length: 9||{", &[404], Closed),
    ("body by the wrong method", b"PUT /apps/7/events HTTP/1.1|Host: h|Content-Length: 9||{", &[405], Closed),
    ("packed body", b"POST /apps/7/events HTTP/1.1|Host: h|Content-Encoding: gzip|Content-Length: 3||abc", &[415], Kept),
    ("body that will be packed",
        b"POST /apps/7/events HTTP/1.1|Host: h|Content-Encoding: br|Content-Length: 3||a", &[415], Closed),
    ("OPTIONS of a call", b"OPTIONS /apps/7/events HTTP/1.1|Host: h||", &[200], Kept),
    ("metrics are not here", b"GET /metrics HTTP/1.1|Host: h||", &[404], Kept),
    ("any host", b"GET /live HTTP/1.1|Host: any.example||", &[200], Kept),
];

#[rustfmt::skip]
const PUBLISHES: &[Case] = &[
    ("by length", b"POST @TARGET@ HTTP/1.1|Host: h|Content-Length: 44||@BODY@", &[200], Kept),
    ("in one chunk", b"POST @TARGET@ HTTP/1.1|Host: h|Transfer-Encoding: chunked||2c|@BODY@|0||", &[200], Kept),
    ("identity", b"POST @TARGET@ HTTP/1.1|Host: h|Content-Encoding: identity|Content-Length: 44||@BODY@", &[200], Kept),
    ("without its last byte", b"POST @TARGET@ HTTP/1.1|Host: h|Content-Length: 45||@BODY@", &[], Waits),
    ("one byte too many", b"POST @TARGET@ HTTP/1.1|Host: h|Content-Length: 45||@BODY@ ", &[401], Kept),
    ("two", b"POST @TARGET@ HTTP/1.1|Host: h|Content-Length: 44||@BODY@\
              POST @TARGET@ HTTP/1.1|Host: h|Transfer-Encoding: chunked||2c|@BODY@|0||", &[200, 200], Kept),
    ("smuggling: a publish in an extension",
        b"POST @TARGET@ HTTP/1.1|Host: h|Transfer-Encoding: chunked||2c;\n@BODY@|0||", &[400], Closed),
];

#[rustfmt::skip]
const UPGRADE_BODIES: &[Case] = &[
    ("no body", b"|", &[101], Upgraded),
    ("length of zero", b"Content-Length: 0||", &[101], Upgraded),
    ("length", b"Content-Length: 5||", &[400], Closed),
    ("body", b"Content-Length: 5||abcde", &[400], Closed),
    ("zero and five", b"Content-Length: 0|Content-Length: 5||", &[400], Closed),
    ("twice zero", b"Content-Length: 0|Content-Length: 0||", &[400], Closed),
    ("list", b"Content-Length: 0, 5||", &[400], Closed),
    ("a length that is no text", b"Content-Length: \xff||", &[400], Closed),
    ("empty length", b"Content-Length:||", &[400], Closed),
    ("chunks", b"Transfer-Encoding: chunked||0||", &[400], Closed),
    ("a coding that is no text", b"Transfer-Encoding: \xff||", &[400], Closed),
    ("empty coding", b"Transfer-Encoding:||", &[400], Closed),
    ("chunks and length", b"Transfer-Encoding: chunked|Content-Length: 0||0||", &[400], Closed),
    ("host twice", b"Host: other||", &[400], Closed),
    ("LF behind a header", b"X: y\n|", &[400], Closed),
];

#[rustfmt::skip]
const UPGRADES: &[Case] = &[
    ("nothing of it", b"GET /app/loopback-key HTTP/1.1|Host: h||", &[426], Kept),
    ("no Upgrade", b"GET /app/loopback-key HTTP/1.1|Host: h|Connection: Upgrade|Sec-WebSocket-Version: 13||", &[426], Kept),
    ("no Connection", b"GET /app/loopback-key HTTP/1.1|Host: h|Upgrade: websocket|Sec-WebSocket-Version: 13||", &[426], Kept),
    ("no version", b"GET /app/loopback-key HTTP/1.1|Host: h|Upgrade: websocket|Connection: Upgrade|\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==||", &[426], Closed),
    ("version 8", b"GET /app/loopback-key HTTP/1.1|Host: h|Upgrade: websocket|Connection: Upgrade|\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|Sec-WebSocket-Version: 8||", &[426], Closed),
    ("no key", b"GET /app/loopback-key HTTP/1.1|Host: h|Upgrade: websocket|Connection: Upgrade|\
                 Sec-WebSocket-Version: 13||", &[400], Closed),
    ("HTTP/1.0", b"GET /app/loopback-key HTTP/1.0|Upgrade: websocket|Connection: Upgrade|\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|Sec-WebSocket-Version: 13||", &[426], Closed),
    ("POST", b"POST /app/loopback-key HTTP/1.1|Host: h|Upgrade: websocket|Connection: Upgrade|\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|Sec-WebSocket-Version: 13||", &[405], Closed),
    ("POST without it", b"POST /app/loopback-key HTTP/1.1|Host: h||", &[405], Kept),
    ("OPTIONS", b"OPTIONS /app/loopback-key HTTP/1.1|Host: h||", &[200], Kept),
];

/// What the operator's tools may call their listener.
#[rustfmt::skip]
const ADMIN_HOSTS: &[Case] = &[
    ("address", b"GET /metrics HTTP/1.1|Host: 127.0.0.1:9601||", &[200], Kept),
    ("address of version 6", b"GET /metrics HTTP/1.1|Host: [::1]||", &[200], Kept),
    ("localhost", b"GET /metrics HTTP/1.1|Host: LocalHost:9601||", &[200], Kept),
    ("a name of the list", b"GET /metrics HTTP/1.1|Host: corecast.internal||", &[200], Kept),
    ("no host", b"GET /metrics HTTP/1.0||", &[200], Closed),
    ("rebinding", b"GET /metrics HTTP/1.1|Host: evil.example||", &[421], Kept),
    ("rebinding of a probe", b"GET /ready HTTP/1.1|Host: evil.example:9601||", &[421], Kept),
    ("rebinding by an absolute target", b"GET http://evil.example/metrics HTTP/1.1|Host: localhost||", &[421], Kept),
    ("a name that begins with ours", b"GET /metrics HTTP/1.1|Host: localhost.evil.example||", &[421], Kept),
    ("a body for nobody", b"POST /metrics HTTP/1.1|Host: localhost|Content-Length: 9||{", &[405], Closed),
    ("OPTIONS", b"OPTIONS /metrics HTTP/1.1|Host: localhost||", &[200], Kept),
    ("upgrade", b"GET /app/loopback-key HTTP/1.1|Host: localhost|Upgrade: websocket|Connection: Upgrade|\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|Sec-WebSocket-Version: 13||", &[404], Kept),
];

const PROBE: &[u8] = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Where a case is sent, and what is sent and answered before it.
struct Way {
    name: &'static str,
    port: u16,
    before: &'static [u8],
}

struct Tried {
    public: [Way; 3],
    admin: Way,
    _server: Server,
}

fn start() -> Tried {
    let (port, api, admin) = (free_port(), free_port(), free_port());
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("http-cases.toml");
    let text = format!(
        "shards = 2\nlisten = \"127.0.0.1:{port}\"\napi_listen = \"127.0.0.1:{api}\"\nadmin = \"127.0.0.1:{admin}\"\n\
         admin_hosts = [\"corecast.internal\"]\n\
         [[apps]]\nid = \"7\"\nkey = \"{KEY}\"\nsecret = \"loopback-secret\"\n"
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new(binary());
    command.args(["serve", "--config"]).arg(&file).stdin(Stdio::null());
    let server = Server::start_command(command, port);
    fs::remove_file(file).unwrap();
    let way = |name, port, before| Way { name, port, before };
    Tried {
        public: [
            way("public port", port, b""),
            way("public port, second request", port, PROBE),
            way("API port", api, b""),
        ],
        admin: way("admin port", admin, b""),
        _server: server,
    }
}

/// What the rows of a table stand for.
fn encode(before: &str, bytes: &[u8], after: &str) -> Vec<u8> {
    let body = encode_event("cases", "e", "x");
    let target = signed("POST", "/apps/7/events", &[], &body);
    let mut rest = &[before.as_bytes(), bytes, after.as_bytes()].concat()[..];
    let mut encoded = Vec::new();
    while let Some((first, behind)) = rest.split_first() {
        let (text, taken) = match (first, rest.starts_with(b"@BODY@"), rest.starts_with(b"@TARGET@")) {
            (_, true, _) => (body.as_bytes(), 6),
            (_, _, true) => (target.as_bytes(), 8),
            (b'|', ..) => (&b"\r\n"[..], 1),
            _ => (&rest[..1], 1),
        };
        encoded.extend_from_slice(text);
        rest = if taken == 1 { behind } else { &rest[taken..] };
    }
    encoded
}

fn check(way: &Way, bytes: &[u8], statuses: &[u16], end: End) -> Result<(), String> {
    let mut stream = TcpStream::connect(("127.0.0.1", way.port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut http = Http::on(stream.try_clone().unwrap());
    if !way.before.is_empty() {
        http.ask(way.before);
    }
    stream.write_all(bytes).map_err(|error| error.to_string())?;
    if end == Waits {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    for expected in statuses {
        let has_body = *expected != 101 && !bytes.starts_with(b"HEAD");
        let answer = if has_body { http.read_answer() } else { http.read_head() };
        check_answer(&answer)?;
        if answer.status != *expected {
            return Err(format!("{} in place of {expected}: {}", answer.status, answer.body));
        }
    }
    match end {
        Kept => match http.ask(PROBE).status {
            200 => Ok(()),
            status => Err(format!("{status} for the next request")),
        },
        Closed | Waits if http.is_at_end() => Ok(()),
        Closed | Waits => Err("more came".into()),
        Upgraded => Ok(()),
    }
}

/// What every answer has, and what its status calls for.
fn check_answer(answer: &Answer) -> Result<(), String> {
    let needs: &[_] = match answer.status {
        101 => &["Sec-WebSocket-Accept"],
        405 => &["Date", "Allow"],
        415 => &["Date", "Accept-Encoding"],
        426 => &["Date", "Upgrade", "Sec-WebSocket-Version"],
        _ => &["Date"],
    };
    match needs.iter().find(|name| answer.header(name).is_none()) {
        Some(name) => Err(format!("no {name}: {}", answer.head)),
        None => Ok(()),
    }
}

#[test]
fn every_request_has_our_verdict_on_every_port() {
    let tried = start();
    let (mut wrong, mut cases) = (Vec::new(), 0);
    let mut run = |way: &Way, before: &str, case: &Case, after: &str| {
        let (name, bytes, statuses, end) = *case;
        let bytes = encode(before, bytes, after);
        if let Err(why) = check(way, &bytes, statuses, end) {
            wrong.push(format!("{name}, {}: {why}\n    {}", way.name, bytes.escape_ascii()));
        }
    };
    for table in &TABLES {
        for case in table.cases {
            cases += 1;
            let ways = tried.public.iter().chain(table.of_all_ports.then_some(&tried.admin));
            ways.for_each(|way| run(way, table.before, case, table.after));
        }
    }
    for case in ADMIN_HOSTS {
        cases += 1;
        run(&tried.admin, "", case, "");
    }
    assert!(wrong.is_empty(), "{} wrong verdicts:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 250, "{cases} cases");
}
