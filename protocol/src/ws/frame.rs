//! Frames that the server sends: a header without a mask, and the payload (RFC 6455 §5.2).
//!
//! A `Frame` is one of them ready-made, shared by pointer between all who send it. The encoders append to a buffer and
//! never fail; a control frame's payload is cut to what fits rather than breaking the connection.

use std::sync::Arc;

use crate::limits::CLOSE_REASON_BYTES_MAX;

const FINAL: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// The first byte of a text frame.
pub(crate) const FINAL_TEXT: u8 = FINAL | TEXT;

/// One ready-made server frame, shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Arc<[u8]>,
    holds_json: bool,
}

/// A frame whose data is text, or that has none.
impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), holds_json: false }
    }
}

/// A frame whose data is text, or that has none.
impl From<&[u8]> for Frame {
    fn from(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), holds_json: false }
    }
}

impl Frame {
    /// The same frame, whose data is a string that holds JSON, or is not.
    #[must_use]
    pub fn holding_json(self, holds_json: bool) -> Self {
        Self { holds_json, ..self }
    }

    /// Whether its data is a string that holds JSON, which connections may take in its object form.
    pub fn holds_json(&self) -> bool {
        self.holds_json
    }

    /// Header and payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The length of header and payload, in bytes.
    #[allow(clippy::len_without_is_empty)] // a frame has a header, so it is never empty
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What stands behind the header.
    pub fn payload(&self) -> &[u8] {
        let header = match self.bytes.get(1).map(|byte| byte & 0x7f) {
            Some(127) => 10,
            Some(126) => 4,
            _ => 2,
        };
        self.bytes.get(header..).unwrap_or_default()
    }
}

/// The first of several server frames, its payload, and the frames behind it. None if there is no whole one.
pub(crate) fn split_frame(frames: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (header, payload) = match frames {
        [_, 127, length @ ..] => (10, u64::from_be_bytes(*length.first_chunk()?)),
        [_, 126, length @ ..] => (4, u16::from_be_bytes(*length.first_chunk()?).into()),
        [_, length, ..] => (2, u64::from(*length)),
        _ => return None,
    };
    let (whole, rest) = frames.split_at_checked(usize::try_from(payload).ok()?.checked_add(header)?)?;
    Some((whole, whole.get(header..)?, rest))
}

/// Appends a text frame.
pub fn encode_text_frame(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 10);
    append_text_frame(out, text.len(), |out| out.extend_from_slice(text.as_bytes()));
}

/// Appends a close frame. The reason is cut to 123 bytes, at the end of a character.
pub fn encode_close_frame(out: &mut Vec<u8>, code: u16, reason: &str) {
    let reason = reason.get(..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)).unwrap_or(reason);
    out.extend_from_slice(&[FINAL | CLOSE, reason.len() as u8 + 2]);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Appends a ping. The payload is cut to 125 bytes.
pub fn encode_ping(out: &mut Vec<u8>, payload: &[u8]) {
    append_control_frame(out, PING, payload);
}

/// Appends the pong to a ping with this payload, cut to 125 bytes.
pub fn encode_pong_frame(out: &mut Vec<u8>, payload: &[u8]) {
    append_control_frame(out, PONG, payload);
}

fn append_control_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    let payload = payload.get(..125).unwrap_or(payload);
    out.extend_from_slice(&[FINAL | opcode, payload.len() as u8]);
    out.extend_from_slice(payload);
}

// Appends a text frame whose payload `append` writes. The header is made for the estimate, and the payload is moved if
// that was wrong: only an estimate on the other side of 125 or 65,535 bytes costs anything.
pub(crate) fn append_text_frame(
    out: &mut Vec<u8>,
    payload_bytes_estimate: usize,
    append: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    let room = header(payload_bytes_estimate).1;
    out.resize(start + room, 0);
    append(out);
    let (bytes, header_bytes) = header(out.len() - start - room);
    let header = bytes.into_iter().take(header_bytes);
    out.splice(start..start + room, header);
}

/// The length of the header before a payload of so many bytes.
pub(crate) fn text_frame_header_bytes(payload_bytes: usize) -> usize {
    header(payload_bytes).1
}

// The header of a final text frame, and how many of its bytes count.
fn header(payload_bytes: usize) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let [first, second, length @ ..] = &mut bytes;
    *first = FINAL_TEXT;
    match payload_bytes {
        0..=125 => {
            *second = payload_bytes as u8;
            (bytes, 2)
        }
        126..=0xffff => {
            *second = 126;
            let [high, low, ..] = length;
            [*high, *low] = (payload_bytes as u16).to_be_bytes();
            (bytes, 4)
        }
        _ => {
            *second = 127;
            *length = (payload_bytes as u64).to_be_bytes();
            (bytes, 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_have_the_shortest_length() {
        let table: [(usize, &[u8]); 6] = [
            (0, b"\x81\x00"),
            (125, b"\x81\x7d"),
            (126, b"\x81\x7e\x00\x7e"),
            (65_535, b"\x81\x7e\xff\xff"),
            (65_536, b"\x81\x7f\0\0\0\0\0\x01\0\0"),
            (70_000, b"\x81\x7f\0\0\0\0\0\x01\x11\x70"),
        ];
        for (length, header) in table {
            let text = "x".repeat(length);
            let mut out = b"before".to_vec();
            encode_text_frame(&mut out, &text);
            assert_eq!(out, [b"before", header, text.as_bytes()].concat(), "{length}");
            let frame = Frame::from(&out[6..]);
            assert_eq!((frame.payload(), frame.len()), (text.as_bytes(), header.len() + length));
        }
    }

    #[test]
    fn control_frames_are_short() {
        let mut out = Vec::new();
        encode_close_frame(&mut out, 4001, "no app");
        assert_eq!(out, b"\x88\x08\x0f\xa1no app");
        out.clear();
        encode_close_frame(&mut out, 1000, "");
        assert_eq!(out, b"\x88\x02\x03\xe8");
        out.clear();
        encode_close_frame(&mut out, 1000, &"é".repeat(100));
        assert_eq!(out, [b"\x88\x7c\x03\xe8", "é".repeat(61).as_bytes()].concat());
        out.clear();
        encode_ping(&mut out, b"");
        encode_pong_frame(&mut out, b"hi");
        assert_eq!(out, b"\x89\x00\x8a\x02hi");
        out.clear();
        encode_pong_frame(&mut out, &[7; 200]);
        assert_eq!(out, [&b"\x8a\x7d"[..], &[7; 125]].concat());
    }

    #[test]
    fn clones_of_a_frame_share_its_bytes() {
        let frame = Frame::from(b"\x81\x02hi".to_vec());
        assert_eq!(frame.clone().as_bytes().as_ptr(), frame.as_bytes().as_ptr());
        assert_eq!(frame.payload(), b"hi");
        assert_eq!(Frame::from(Vec::new()).payload(), b"");
    }

    proptest! {
        #[test]
        fn a_wrong_estimate_changes_nothing(length in 0..70_000_usize, estimate in 0..140_000_usize) {
            let text = "y".repeat(length);
            let (mut right, mut wrong) = (b"ab".to_vec(), b"ab".to_vec());
            append_text_frame(&mut right, length, |out| out.extend_from_slice(text.as_bytes()));
            append_text_frame(&mut wrong, estimate, |out| out.extend_from_slice(text.as_bytes()));
            prop_assert!(right == wrong);
        }
    }
}
