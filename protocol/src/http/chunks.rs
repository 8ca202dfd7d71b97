//! A chunked body (RFC 9112 §7.1), read strictly and from where the last look ended.
//!
//! A proxy in front of us may end a line where we do not, and then a request hides in what it took for a body. So lines
//! end with CRLF and with nothing else, hold no control characters, and follow the grammar to the letter: a size in
//! hexadecimal digits, extensions of tokens and quoted strings, trailers that are header lines. Nothing is looked at
//! twice but once more when the body is joined, so a body costs what it is long, however small the packets it comes in.

use super::error::HttpError;
use crate::limits::HTTP_CHUNK_FRAMING_BYTES_MAX;

const TOO_BIG: HttpError = HttpError {
    status: 413,
    text: "The request body is longer than this server takes (http_body_bytes_max)",
};
const TOO_MUCH_FRAMING: HttpError = HttpError {
    status: 413,
    text: "The chunk sizes, chunk extensions and trailers of the request come to more than 32768 bytes",
};
const BAD_LINE_END: HttpError = HttpError::bad("A line of the chunked body does not end with CRLF");
const BAD_SIZE: HttpError = HttpError::bad("A chunk size of the body is not a hexadecimal number");
const BAD_EXTENSION: HttpError = HttpError::bad("A chunk extension of the body is not well formed");
const BAD_TRAILER: HttpError = HttpError::bad("A trailer of the chunked body is not a header line");

/// How far a chunked body has been read. Offsets count from its first byte.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// Where the line begins that comes next.
    line: usize,
    /// That line has been searched for its end up to here.
    searched: usize,
    /// What the sizes so far come to.
    body_bytes: usize,
    /// The last chunk has been seen.
    in_trailers: bool,
    /// The line behind the trailers has been seen.
    complete: bool,
}

/// How far a look has come.
pub(super) enum Progress {
    /// The body is complete.
    Complete,
    /// More is needed: so many bytes at least.
    Partial { bytes_min: usize },
}

impl Chunks {
    /// Reads on in `bytes`, the body from its beginning; what an earlier call has seen is there unchanged.
    pub(super) fn read_on(&mut self, bytes: &[u8], bytes_max: usize) -> Result<Progress, HttpError> {
        while !self.complete {
            let line = self.next_line(bytes)?;
            let end = line.map_or(self.searched, |line| self.line + line.len() + 2);
            // All that is not body must not grow without end, line by line or in one line.
            if end.saturating_sub(self.body_bytes) > HTTP_CHUNK_FRAMING_BYTES_MAX {
                return Err(TOO_MUCH_FRAMING);
            }
            let Some(line) = line else {
                return Ok(Progress::Partial { bytes_min: bytes.len() + 1 });
            };
            if self.in_trailers {
                if line.is_empty() {
                    self.complete = true;
                } else {
                    check_trailer(line)?;
                }
                self.pass_line(end);
                continue;
            }
            let size = parse_chunk_line(line, bytes_max)?;
            if size == 0 {
                self.in_trailers = true;
                self.pass_line(end);
                continue;
            }
            if self.body_bytes + size > bytes_max {
                return Err(TOO_BIG);
            }
            let data_end = end + size;
            match (bytes.get(data_end), bytes.get(data_end + 1)) {
                (Some(b'\r'), Some(b'\n')) => {}
                (None, _) | (Some(b'\r'), None) => {
                    // The size is read again when the rest has come: it is one short line.
                    return Ok(Progress::Partial { bytes_min: data_end + 2 });
                }
                _ => return Err(BAD_LINE_END),
            }
            self.body_bytes += size;
            self.pass_line(data_end + 2);
        }
        Ok(Progress::Complete)
    }

    /// How many bytes a body took that is complete.
    pub(super) fn bytes(&self) -> usize {
        self.line
    }

    /// The data of all chunks, once they are complete.
    pub(super) fn join(&self, bytes: &[u8]) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.body_bytes);
        let mut rest = bytes;
        while body.len() < self.body_bytes {
            let Some((size, data)) = split_chunk_line(rest) else { break };
            let Some((data, behind)) = data.split_at_checked(size) else { break };
            body.extend_from_slice(data);
            rest = behind.get(2..).unwrap_or_default();
        }
        body
    }

    fn pass_line(&mut self, next: usize) {
        (self.line, self.searched) = (next, next);
    }

    // The next line without its end, or None if that has not come.
    fn next_line<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, HttpError> {
        let unseen = bytes.get(self.searched..).unwrap_or_default();
        let Some(offset) = unseen.iter().position(|byte| is_control(*byte)) else {
            self.searched = bytes.len();
            return Ok(None);
        };
        let end = self.searched + offset;
        match (bytes.get(end), bytes.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => Ok(bytes.get(self.line..end)),
            (Some(b'\r'), None) => {
                self.searched = end;
                Ok(None)
            }
            _ => Err(BAD_LINE_END),
        }
    }
}

// Of all control characters a line may hold the tab alone.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

// chunk-size [ chunk-ext ]
fn parse_chunk_line(line: &[u8], bytes_max: usize) -> Result<usize, HttpError> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extensions) = line.split_at_checked(digits).unwrap_or_default();
    if digits.is_empty() {
        return Err(BAD_SIZE);
    }
    check_extensions(extensions)?;
    parse_size(digits).filter(|size| *size <= bytes_max).ok_or(TOO_BIG)
}

// None when the number is beyond all sizes.
fn parse_size(digits: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok()?;
    usize::from_str_radix(text, 16).ok()
}

fn split_chunk_line(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((parse_size(bytes.get(..digits)?)?, bytes.get(end + 1..)?))
}

// *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )
fn check_extensions(bytes: &[u8]) -> Result<(), HttpError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = after_spaces(rest).strip_prefix(b";").ok_or(BAD_EXTENSION)?;
        rest = after_token(after_spaces(rest)).ok_or(BAD_EXTENSION)?;
        let Some(value) = after_spaces(rest).strip_prefix(b"=") else { continue };
        let value = after_spaces(value);
        rest = match value.strip_prefix(b"\"") {
            Some(quoted) => after_quoted(quoted),
            None => after_token(value),
        }
        .ok_or(BAD_EXTENSION)?;
    }
    Ok(())
}

// token ":" OWS value, where control characters have been looked for already.
fn check_trailer(line: &[u8]) -> Result<(), HttpError> {
    let is_header = after_token(line).is_some_and(|rest| rest.first() == Some(&b':'));
    if is_header { Ok(()) } else { Err(BAD_TRAILER) }
}

fn after_spaces(bytes: &[u8]) -> &[u8] {
    let spaces = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    bytes.get(spaces..).unwrap_or_default()
}

// What follows a token, which has one character at least.
fn after_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.iter().take_while(|byte| is_token(**byte)).count();
    if length == 0 { None } else { bytes.get(length..) }
}

// What follows the closing quote of a string that has begun.
fn after_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        match bytes {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', _, rest @ ..] => bytes = rest,
            [b'\\'] | [] => return None,
            [_, rest @ ..] => bytes = rest,
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 100;

    // The body and what is left over, or the status, 100 for more.
    fn read(bytes: &[u8]) -> Result<(Vec<u8>, usize), u16> {
        let mut chunks = Chunks::default();
        match chunks.read_on(bytes, BYTES_MAX) {
            Ok(Progress::Complete) => Ok((chunks.join(bytes), bytes.len() - chunks.bytes())),
            Ok(Progress::Partial { .. }) => Err(100),
            Err(error) => Err(error.status),
        }
    }

    #[test]
    fn good_chunks_are_joined() {
        let table: [(&[u8], &[u8], usize); 12] = [
            (b"0\r\n\r\n", b"", 0),
            (b"000\r\n\r\nrest", b"", 4),
            (b"4\r\nbody\r\n0\r\n\r\nrest", b"body", 4),
            (b"2\r\nbo\r\n02\r\ndy\r\n0\r\n\r\n", b"body", 0),
            (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", 0),
            (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n", 0),
            (b"4;a\r\nbody\r\n0;b=c\r\n\r\n", b"body", 0),
            (b"4;a=b;c=\"d;\\\"e\"\r\nbody\r\n0\r\n\r\n", b"body", 0),
            (b"4 ; a = b\t;c\r\nbody\r\n0\r\n\r\n", b"body", 0),
            (b"4;ieof\r\nbody\r\n0\r\n\r\n", b"body", 0),
            (b"4\r\nbody\r\n0\r\nX: y\r\nEmpty:\r\nZ: \xe9\t1\r\n\r\nrest", b"body", 4),
            (b"0\r\nContent-Length: 5\r\n\r\n", b"", 0),
        ];
        for (bytes, body, left) in table {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(read(bytes), Ok((body.to_vec(), left)), "{text:?}");
        }
    }

    #[test]
    fn what_another_parser_could_read_differently_is_refused() {
        let table: [(&[u8], u16); 36] = [
            (b"\r\n", 400),
            (b"\n", 400),
            (b";\r\n", 400),
            (b"x\r\n", 400),
            (b"-1\r\n", 400),
            (b"+1\r\n", 400),
            (b" 1\r\n", 400),
            (b"0x1\r\n", 400),
            (b"1_0\r\n", 400),
            (b"5 \r\n", 400),
            (b"5\t\r\n", 400),
            (b"5;\r\n", 400),
            (b"5; \r\n", 400),
            (b"5;a=\r\n", 400),
            (b"5;a=b c\r\n", 400),
            (b"5;bad[=x\r\n", 400),
            (b"5;a=\"b\r\n", 400),
            (b"5;a=\"b\\\r\n", 400),
            (b"5 a\r\n", 400),
            (b"5;\0\r\n", 400),
            (b"5;a\0", 400),
            (b"5;a\x7f", 400),
            (b"1\nx\r\n0\r\n\r\n", 400),
            (b"2;\nxx\r\n45\r\n0\r\n\r\n", 400),
            (b"1;a\rb\r\nx\r\n", 400),
            (b"1\r\nx\n0\r\n\r\n", 400),
            (b"1\r\nxy\r\n", 400),
            (b"1\r\nx\r0", 400),
            (b"0\r\n\n", 400),
            (b"0\r\nX: y\n\n", 400),
            (b"0\r\nX: y\n\r\n", 400),
            (b"0\r\nno colon\r\n\r\n", 400),
            (b"0\r\n: y\r\n\r\n", 400),
            (b"0\r\nX : y\r\n\r\n", 400),
            (b"0\r\n X: y\r\n\r\n", 400),
            (b"0\r\nX: a\rb\r\n\r\n", 400),
        ];
        for (bytes, status) in table {
            assert_eq!(read(bytes), Err(status), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn sizes_and_framing_are_bounded() {
        let table: [(&[u8], u16); 6] = [
            (b"64\r\n", 100),
            (b"65\r\n", 413),
            (b"ffffffffffffffff\r\n", 413),
            (b"ffffffffffffffffffff\r\n", 413),
            (b"0000000000000000000000000000000000001\r\n", 100),
            (b"64", 100),
        ];
        for (bytes, status) in table {
            assert_eq!(read(bytes), Err(status), "{:?}", String::from_utf8_lossy(bytes));
        }
        let line = |bytes: usize| format!("1;{}", "x".repeat(bytes)).into_bytes();
        assert_eq!(read(&line(1_000)), Err(100));
        assert_eq!(read(&line(40_000)), Err(413));
        let trailers = |count: usize| format!("0\r\n{}", "a: b\r\n".repeat(count)).into_bytes();
        assert_eq!(read(&trailers(1_000)), Err(100));
        assert_eq!(read(&trailers(10_000)), Err(413));
    }

    #[test]
    fn a_body_byte_by_byte_is_read_in_the_time_of_its_length() {
        let extension = "x".repeat(20_000);
        let body = "1;a=b\r\nx\r\n".repeat(BYTES_MAX);
        let bytes = format!("{body}0;{extension}\r\n{}\r\n", "T: x\r\n".repeat(500)).into_bytes();
        let (mut chunks, mut moved) = (Chunks::default(), 0);
        for end in 1..=bytes.len() {
            let before = chunks.searched;
            let progress = chunks.read_on(&bytes[..end], BYTES_MAX).unwrap();
            // What is searched once is not searched again, but for the size line of a chunk whose data is missing.
            assert!(chunks.searched >= before && chunks.searched <= end);
            moved += chunks.searched - before;
            let complete = matches!(progress, Progress::Complete);
            assert_eq!(complete, end == bytes.len(), "{end}");
        }
        assert!(moved <= bytes.len());
        assert_eq!(chunks.join(&bytes), "x".repeat(BYTES_MAX).into_bytes());
    }
}
