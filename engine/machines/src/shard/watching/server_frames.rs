//! What the server says to a connection, read back from the bytes that the kernel has taken: whole frames, whatever the
//! pieces in which they went, each kept up to a bound.

use crate::limits::WATCHED_BYTES_MAX;
use crate::watching::{Excerpt, MessageKind};

/// Reads the frames of one connection.
#[derive(Debug, Default)]
pub(super) struct ServerFrames {
    /// Bytes of a frame whose beginning was not seen.
    skip: usize,
    header: Vec<u8>,
    /// How long the payload is, once the header has come.
    length: Option<u64>,
    came: u64,
    kept: Vec<u8>,
}

impl ServerFrames {
    /// The first so many bytes are the rest of a frame that was begun.
    pub(super) fn behind(skip: usize) -> Self {
        Self { skip, ..Self::default() }
    }

    /// So many bytes have gone. Calls `each` for each frame that ends in them.
    pub(super) fn read(&mut self, bytes: &[u8], mut each: impl FnMut(MessageKind, Excerpt)) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let mut rest = bytes.get(skipped..).unwrap_or_default();
        while let Some((first, behind)) = rest.split_first() {
            let Some(length) = self.length else {
                self.header.push(*first);
                rest = behind;
                self.length = payload_length(&self.header);
                self.end_when_whole(&mut each);
                continue;
            };
            let take = usize::try_from(length - self.came).unwrap_or(usize::MAX).min(rest.len());
            let (now, behind) = rest.split_at(take);
            let room = WATCHED_BYTES_MAX - self.kept.len();
            self.kept.extend_from_slice(now.get(..room).unwrap_or(now));
            self.came += take as u64;
            rest = behind;
            self.end_when_whole(&mut each);
        }
    }

    fn end_when_whole(&mut self, each: &mut impl FnMut(MessageKind, Excerpt)) {
        let Some(length) = self.length.filter(|length| *length == self.came) else { return };
        let kind = match self.header.first().map(|first| first & 0x0f) {
            Some(0x8) => MessageKind::Close,
            Some(0x9) => MessageKind::Ping,
            Some(0xa) => MessageKind::Pong,
            _ => MessageKind::Text,
        };
        each(kind, Excerpt::cut(length as usize, &self.kept));
        *self = Self::default();
    }
}

/// How long the payload is, if that is all of its header. A server masks nothing (RFC 6455 §5.1).
fn payload_length(header: &[u8]) -> Option<u64> {
    let (_, rest) = header.split_first()?;
    let (length, extended) = rest.split_first()?;
    match length {
        126 => Some(u64::from(u16::from_be_bytes(extended.try_into().ok()?))),
        127 => Some(u64::from_be_bytes(extended.try_into().ok()?)),
        length => Some(u64::from(*length)),
    }
}

#[cfg(test)]
mod tests {
    use protocol::ws::{encode_close_frame, encode_ping, encode_pong_frame, encode_text_frame};

    use super::*;

    fn stream() -> (Vec<u8>, Vec<(MessageKind, usize, usize)>) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for length in [0, 1, 125, 126, 4_095, 4_096, 4_097, 65_535, 65_536, 1 << 20] {
            encode_text_frame(&mut bytes, &"x".repeat(length));
            expected.push((MessageKind::Text, length, length.min(WATCHED_BYTES_MAX)));
        }
        encode_ping(&mut bytes, b"p");
        encode_pong_frame(&mut bytes, b"");
        encode_close_frame(&mut bytes, 4200, "r");
        expected.extend([(MessageKind::Ping, 1, 1), (MessageKind::Pong, 0, 0), (MessageKind::Close, 3, 3)]);
        (bytes, expected)
    }

    #[test]
    fn frames_are_read_whatever_the_pieces() {
        let (bytes, expected) = stream();
        for piece in [1, 2, 3, 7, 1_000, 70_000, bytes.len()] {
            let (mut frames, mut found) = (ServerFrames::default(), Vec::new());
            for piece in bytes.chunks(piece) {
                frames.read(piece, |kind, excerpt| found.push((kind, excerpt.bytes, excerpt.start.len())));
            }
            assert_eq!(found, expected, "pieces of {piece}");
        }
    }

    #[test]
    fn what_was_begun_before_is_passed_over() {
        let mut bytes = Vec::new();
        encode_text_frame(&mut bytes, "the first");
        let behind = bytes.len() - 4;
        encode_text_frame(&mut bytes, "second");
        let (mut frames, mut found) = (ServerFrames::behind(behind), Vec::new());
        for piece in bytes[4..].chunks(3) {
            frames.read(piece, |_, excerpt| found.push(String::from_utf8_lossy(&excerpt.start).into_owned()));
        }
        assert_eq!(found, ["second"]);
    }
}
