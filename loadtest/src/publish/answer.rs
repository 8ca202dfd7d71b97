//! HTTP/1.1 answers to publishes: status, how long they are, and whether the connection lives on (RFC 9112 §6, §9.3).
//!
//! Pure. Bodies are skipped, not kept: a load generator only needs to know where the next answer starts. One thing is looked for in
//! them: soketi refuses with 200 and says so in the body only, and a publish that was refused must never pass for a lost event.
//! Called by `pool` with all bytes that a connection has received and not yet used.

use serde_json::Value;

/// Larger answers to a publish are not believed.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// How the body of a refusal begins where the status says 200.
const REFUSAL: &[u8] = br#"{"error":"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) keep_alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadAnswer;

/// The first answer and how many bytes it takes; None while it is not whole.
pub(crate) fn parse_answer(bytes: &[u8]) -> Result<Option<(Answer, usize)>, BadAnswer> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_len) = head.parse(bytes).map_err(|_| BadAnswer)? else {
        return Ok(None);
    };
    let status = head.code.ok_or(BadAnswer)?;
    let keep_alive = head.version == Some(1) && !has_token(head.headers, "connection", "close");
    let answer = Answer { status, keep_alive };
    let body = &bytes[head_len..];
    if has_token(head.headers, "transfer-encoding", "chunked") {
        return Ok(chunked_len(body)?.map(|len| (answer, head_len + len)));
    }
    let Some(length) = content_length(head.headers)? else {
        // Without any length the body ends with the connection; the status is all that counts.
        let keep_alive = keep_alive && status == 204;
        return Ok(Some((Answer { keep_alive, ..answer }, if keep_alive { head_len } else { bytes.len() })));
    };
    let Some(body) = body.get(..length) else { return Ok(None) };
    let refusal = if status == 200 { refusal_status(body) } else { None };
    Ok(Some((Answer { status: refusal.unwrap_or(status), ..answer }, head_len + length)))
}

/// The status that a body `{"error":…,"code":401}` stands for; 400 where it names none.
fn refusal_status(body: &[u8]) -> Option<u16> {
    if !body.starts_with(REFUSAL) {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let code = body["code"].as_u64().filter(|code| (400..600).contains(code));
    Some(code.map_or(400, |code| code as u16))
}

fn values<'h>(headers: &'h [httparse::Header<'_>], name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

fn has_token(headers: &[httparse::Header<'_>], name: &str, token: &str) -> bool {
    let mut tokens = values(headers, name).flat_map(|value| value.split(|&byte| byte == b','));
    tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn content_length(headers: &[httparse::Header<'_>]) -> Result<Option<usize>, BadAnswer> {
    let Some(value) = values(headers, "content-length").next() else { return Ok(None) };
    let length: u64 =
        std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()).ok_or(BadAnswer)?;
    if length > ANSWER_BYTES_MAX { Err(BadAnswer) } else { Ok(Some(length as usize)) }
}

/// Length of a chunked body, its last chunk included; trailers are not expected.
fn chunked_len(body: &[u8]) -> Result<Option<usize>, BadAnswer> {
    let mut at = 0;
    loop {
        let size = httparse::parse_chunk_size(&body[at..]).map_err(|_| BadAnswer)?;
        let httparse::Status::Complete((line_len, size)) = size else { return Ok(None) };
        if size > ANSWER_BYTES_MAX {
            return Err(BadAnswer);
        }
        at += line_len + size as usize + 2;
        if at > body.len() {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, keep_alive: bool) -> Answer {
        Answer { status, keep_alive }
    }

    #[test]
    fn answers_of_every_framing_are_understood() {
        let cases: [(&str, Answer, usize); 8] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP", answer(200, true), 4),
            ("HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", answer(200, true), 0),
            (
                "HTTP/1.1 401 No\r\nConnection: keep-alive, Close\r\nContent-Length: 1\r\n\r\nx",
                answer(401, false),
                0,
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", answer(200, false), 0),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nHT",
                answer(200, true),
                2,
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", answer(200, true), 0),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", answer(200, false), 0),
            ("HTTP/1.1 204 No Content\r\n\r\nHTTP", answer(204, true), 4),
        ];
        for (bytes, expected, rest) in cases {
            let parsed = parse_answer(bytes.as_bytes());
            assert_eq!(parsed, Ok(Some((expected, bytes.len() - rest))), "{bytes}");
        }
    }

    #[test]
    fn answer_cut_anywhere_is_not_whole() {
        for whole in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ] {
            for cut in 0..whole.len() {
                assert_eq!(parse_answer(&whole.as_bytes()[..cut]), Ok(None), "{whole} cut at {cut}");
            }
        }
    }

    #[test]
    fn refusal_under_a_good_status_is_a_refusal() {
        let cases = [
            (r#"{"error":"The secret authentication failed","code":401}"#, 401),
            (r#"{"error":"Too many requests","code":429}"#, 429),
            (r#"{"error":"no"}"#, 400),
            (r#"{"ok":true}"#, 200),
            (r#"{"error":"cut"#, 200),
        ];
        let told = |status: u16, body: &str| {
            let whole = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            parse_answer(whole.as_bytes()).unwrap().unwrap().0.status
        };
        for (body, status) in cases {
            assert_eq!(told(200, body), status, "{body}");
        }
        assert_eq!(told(503, r#"{"error":"no"}"#), 503);
    }

    #[test]
    fn nonsense_is_an_error_and_not_a_wait() {
        for bytes in [
            "\x01\x02\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert_eq!(parse_answer(bytes.as_bytes()), Err(BadAnswer), "{bytes}");
        }
    }
}
