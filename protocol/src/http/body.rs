//! The body behind a request's head, by its Content-Length or in chunks (RFC 9112 §6 and §7).
//!
//! A body by length is a view of the buffer; a chunked one is joined once it is complete. Chunk sizes, extensions and
//! trailers together are bounded apart from the body, so that tiny chunks cannot make us read for ever. Called by
//! `request` alone.

use std::borrow::Cow;

use super::request::{Head, HttpError};
use crate::limits::HTTP_CHUNK_FRAMING_BYTES_MAX;

/// What the bytes behind a head are as its body.
pub(super) enum BodyParse<'a> {
    /// A body, and how many bytes it took.
    Complete { body: Cow<'a, [u8]>, bytes: usize },
    /// More is needed: so many bytes behind the head at least.
    Partial { bytes_min: usize },
    /// No body that we take.
    Refused(HttpError),
}

const TOO_BIG: HttpError = HttpError {
    status: 413,
    text: "The request body is longer than this server takes (http_body_bytes_max)",
};
const BAD_LENGTH: HttpError = HttpError::bad("Content-Length must be one number");
const BAD_CHUNK: HttpError = HttpError::bad("The chunked body is not well formed");
const BAD_FRAMING: HttpError = HttpError::bad("Transfer-Encoding and Content-Length exclude each other");
const UNKNOWN_CODING: HttpError =
    HttpError { status: 501, text: "The only transfer coding known here is chunked" };

pub(super) fn parse_body<'a>(head: &Head<'_>, bytes: &'a [u8], bytes_max: usize) -> BodyParse<'a> {
    let framing = match parse_framing(head, bytes_max) {
        Ok(framing) => framing,
        Err(error) => return BodyParse::Refused(error),
    };
    match framing {
        Framing::Length(length) => match bytes.get(..length) {
            Some(body) => BodyParse::Complete { body: Cow::Borrowed(body), bytes: length },
            None => BodyParse::Partial { bytes_min: length },
        },
        Framing::Chunked => match parse_chunks(bytes, bytes_max) {
            Ok((body, bytes)) => BodyParse::Complete { body: Cow::Owned(body), bytes },
            Err(Unfinished::Partial { bytes_min }) => BodyParse::Partial { bytes_min },
            Err(Unfinished::Refused(error)) => BodyParse::Refused(error),
        },
    }
}

enum Framing {
    Length(usize),
    Chunked,
}

fn parse_framing(head: &Head<'_>, bytes_max: usize) -> Result<Framing, HttpError> {
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
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none() => {
            Ok(Framing::Chunked)
        }
        (Some(_), None) => Err(UNKNOWN_CODING),
    }
}

fn parse_length(digits: &[u8], bytes_max: usize) -> Result<usize, HttpError> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BAD_LENGTH);
    }
    // Digits that fit no number are a number that is too big.
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    length.filter(|length| *length <= bytes_max).ok_or(TOO_BIG)
}

enum Unfinished {
    Partial { bytes_min: usize },
    Refused(HttpError),
}

// The joined body, and how many bytes its chunks took.
fn parse_chunks(bytes: &[u8], bytes_max: usize) -> Result<(Vec<u8>, usize), Unfinished> {
    let mut body_bytes = 0;
    let mut chunks = Vec::new();
    let mut position = 0;
    loop {
        let (start, size) = parse_chunk_head(bytes, position, bytes_max)?;
        // All that lies before this chunk's data and is not body.
        let framing_bytes = start.saturating_sub(body_bytes);
        body_bytes += size;
        if body_bytes > bytes_max || framing_bytes > HTTP_CHUNK_FRAMING_BYTES_MAX {
            return Err(Unfinished::Refused(TOO_BIG));
        }
        if size == 0 {
            let end = parse_trailers(bytes, start)?;
            return Ok((chunks.concat(), end));
        }
        let end = start + size;
        let chunk = bytes.get(start..end).ok_or(Unfinished::Partial { bytes_min: end + 2 })?;
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(Unfinished::Refused(BAD_CHUNK)),
            None => return Err(Unfinished::Partial { bytes_min: end + 2 }),
        }
        chunks.push(chunk);
        position = end + 2;
    }
}

// Where the data of the chunk that begins at `position` starts, and its size.
fn parse_chunk_head(bytes: &[u8], position: usize, bytes_max: usize) -> Result<(usize, usize), Unfinished> {
    let rest = bytes.get(position..).unwrap_or_default();
    let line = rest.get(..rest.len().min(HTTP_CHUNK_FRAMING_BYTES_MAX)).unwrap_or_default();
    match httparse::parse_chunk_size(line) {
        Ok(httparse::Status::Complete((line_bytes, size))) => {
            let size = usize::try_from(size).ok().filter(|size| *size <= bytes_max);
            let size = size.ok_or(Unfinished::Refused(TOO_BIG))?;
            Ok((position + line_bytes, size))
        }
        Ok(httparse::Status::Partial) if line.len() < HTTP_CHUNK_FRAMING_BYTES_MAX => {
            Err(Unfinished::Partial { bytes_min: bytes.len() + 1 })
        }
        _ => Err(Unfinished::Refused(BAD_CHUNK)),
    }
}

// The end of the trailers, which nobody reads.
fn parse_trailers(bytes: &[u8], start: usize) -> Result<usize, Unfinished> {
    let trailers = bytes.get(start..).unwrap_or_default();
    let trailers = trailers.get(..HTTP_CHUNK_FRAMING_BYTES_MAX).unwrap_or(trailers);
    let mut position = start;
    for line in trailers.split_inclusive(|byte| *byte == b'\n') {
        position += line.len();
        match line {
            b"\r\n" | b"\n" => return Ok(position),
            [.., b'\n'] => {}
            _ => break,
        }
    }
    if trailers.len() < HTTP_CHUNK_FRAMING_BYTES_MAX {
        return Err(Unfinished::Partial { bytes_min: bytes.len() + 1 });
    }
    Err(Unfinished::Refused(BAD_CHUNK))
}
