//! The body behind a request's head: where it ends, by Content-Length or in chunks (RFC 9112 §6).
//!
//! Two ways to read a head would be two ends of its body, so whatever is not one of the two to the letter is refused.

use super::error::HttpError;
use super::head::Head;

/// Where the body of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(usize),
    /// With its last chunk.
    Chunked,
}

const TOO_BIG: HttpError = HttpError {
    status: 413,
    text: "The request body is longer than this server takes (http_body_bytes_max)",
};
const BAD_LENGTH: HttpError = HttpError::bad("Content-Length must be one number");
const BAD_FRAMING: HttpError = HttpError::bad("Transfer-Encoding and Content-Length exclude each other");
const BAD_CODINGS: HttpError = HttpError::bad("Transfer-Encoding must be chunked, once");
const UNKNOWN_CODING: HttpError =
    HttpError { status: 501, text: "The only transfer coding known here is chunked" };

/// What the head says of the end of its body.
pub(super) fn parse_framing(head: &Head<'_>, bytes_max: usize) -> Result<Framing, HttpError> {
    let mut codings = head.raw_values("Transfer-Encoding");
    let mut lengths = head.raw_values("Content-Length");
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(Framing::Length(0)),
        (None, Some(length)) if lengths.next().is_none() => {
            parse_length(length, bytes_max).map(Framing::Length)
        }
        (None, Some(_)) => Err(BAD_LENGTH),
        (Some(_), Some(_)) => Err(BAD_FRAMING),
        (Some(_), None) if head.version_minor == 0 => Err(HttpError::bad("HTTP/1.0 has no transfer codings")),
        (Some(_), None) if codings.next().is_some() => Err(BAD_CODINGS),
        (Some(coding), None) => parse_codings(coding),
    }
}

impl Head<'_> {
    /// Whether it ends a request by itself. Refused is what has no certain end.
    pub fn check_no_body(&self) -> Result<(), HttpError> {
        match parse_framing(self, 0) {
            Ok(Framing::Length(0)) => Ok(()),
            _ => Err(HttpError::bad("This request cannot have a body")),
        }
    }
}

// Where chunked is not the last coding, once, nobody knows the end of the body (§6.3).
fn parse_codings(list: &[u8]) -> Result<Framing, HttpError> {
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let mut codings = list.rsplit(|byte| *byte == b',');
    if !codings.next().is_some_and(is_chunked) || codings.clone().any(is_chunked) {
        return Err(BAD_CODINGS);
    }
    if codings.next().is_some() { Err(UNKNOWN_CODING) } else { Ok(Framing::Chunked) }
}

fn parse_length(digits: &[u8], bytes_max: usize) -> Result<usize, HttpError> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BAD_LENGTH);
    }
    // Digits that fit no number are a number that is too big.
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    length.filter(|length| *length <= bytes_max).ok_or(TOO_BIG)
}
