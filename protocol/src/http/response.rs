//! Responses: a status line, the date, the headers that framing needs, and the body, in one piece. A response always has
//! a Content-Length unless it has no body by its status, so its end is known on a connection that goes on. Called by the api and by all that refuse a request.

use crate::json::encode_string;

/// Appends a whole response. `date` is the time as HTTP writes it (RFC 9110 §5.6.7), and may be empty where the time is not known; `content_type` may be empty if there
/// is nothing to name; `extra` are further header lines. Names and values come from us, never from a peer. A 426 says
/// to which protocol.
pub fn encode_response(
    out: &mut Vec<u8>,
    date: &str,
    status: u16,
    content_type: &str,
    body: &[u8],
    keep_alive: bool,
    extra: &[(&str, &str)],
) {
    out.reserve(192 + body.len());
    out.extend_from_slice(b"HTTP/1.1 ");
    append_number(out, status.into());
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    if !date.is_empty() {
        append_header(out, "Date", date);
    }
    if !content_type.is_empty() {
        append_header(out, "Content-Type", content_type);
    }
    // RFC 9110 §8.6.
    if status != 204 {
        out.extend_from_slice(b"Content-Length: ");
        append_number(out, body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    append_header(out, "Connection", connection(status, keep_alive));
    let upgrade: &[_] = if status == 426 { &UPGRADE } else { &[] };
    for (name, value) in upgrade.iter().chain(extra) {
        append_header(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// Appends the whole response of a refusal: the text stands in JSON under `error`. Returns how many bytes its body has.
pub fn encode_refusal(
    out: &mut Vec<u8>,
    date: &str,
    status: u16,
    text: &str,
    keep_alive: bool,
    extra: &[(&str, &str)],
) -> usize {
    let mut body = b"{\"error\":".to_vec();
    encode_string(&mut body, text);
    body.push(b'}');
    encode_response(out, date, status, "application/json", &body, keep_alive, extra);
    body.len()
}

/// The refusal of a connection that cannot be handed to the core that it is for. It is encoded before any of them comes,
/// so it has no date.
pub fn encode_busy(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode_refusal(&mut out, "", 503, text, false, &[("Retry-After", "1")]);
    out
}

/// What an answer must say besides that wants another protocol (RFC 9110 §15.5.22, RFC 6455 §4.4).
const UPGRADE: [(&str, &str); 2] = [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];

// A sender of Upgrade must name it here, too (RFC 9110 §7.8).
fn connection(status: u16, keep_alive: bool) -> &'static str {
    match (status == 426, keep_alive) {
        (false, true) => "keep-alive",
        (false, false) => "close",
        (true, true) => "Upgrade, keep-alive",
        (true, false) => "Upgrade, close",
    }
}

fn append_header(out: &mut Vec<u8>, name: &str, value: &str) {
    debug_assert!(!value.contains(['\r', '\n']));
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn append_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn responses_say_their_length_and_whether_the_connection_goes_on() {
        let mut out = Vec::new();
        encode_response(&mut out, DATE, 200, "application/json", b"{}", true, &[]);
        let first = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
            Connection: keep-alive\r\n\r\n{}";
        assert_eq!(String::from_utf8(out.clone()).unwrap(), first);
        encode_response(&mut out, DATE, 503, "", b"", false, &[("Retry-After", "1")]);
        let second = "HTTP/1.1 503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            Content-Length: 0\r\nConnection: close\r\nRetry-After: 1\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), format!("{first}{second}"));
    }

    #[test]
    fn a_refusal_is_json_of_the_length_that_it_says() {
        let mut out = Vec::new();
        let bytes = encode_refusal(&mut out, DATE, 400, "bad \"name\"", true, &[]);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!((body, body.len()), (r#"{"error":"bad \"name\""}"#, bytes));
        assert!(head.contains(&format!("\r\nContent-Length: {bytes}\r\n")), "{head}");
        let busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\
            Connection: close\r\nRetry-After: 1\r\n\r\n{\"error\":\"busy\"}";
        assert_eq!(String::from_utf8(encode_busy("busy")).unwrap(), busy);
    }

    #[test]
    fn an_answer_that_wants_another_protocol_names_it() {
        for (keep_alive, connection) in [(true, "Upgrade, keep-alive"), (false, "Upgrade, close")] {
            let mut out = Vec::new();
            encode_response(&mut out, DATE, 426, "", b"", keep_alive, &[]);
            let text = String::from_utf8(out).unwrap();
            let lines =
                format!("Connection: {connection}\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
            assert!(text.contains(&lines), "{text}");
        }
    }
}
