//! WebSocket frames as a client sees them (RFC 6455 §5): unmasked ones in, masked ones out.
//!
//! Owns the tight parser of the receive path: no copy, no allocation, one frame at a time. Only what Pusher servers
//! send is taken: single frames without extensions. Anything else is an error that ends this connection alone.
//! Called by `client_session`; the floor server borrows the length rules.

use std::fmt;

/// Larger frames are refused, so that one always fits the read buffer of a socket pool.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 192 * 1024;

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// Servers must unmask in earnest, so the key is not zero; it may be known, since no proxy is to be protected here.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
}

/// What a server must not send to a client that offered no extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    Reserved,
    Masked,
    Fragmented,
    Opcode(u8),
    TooLarge,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved => f.write_str("frame with reserved bits"),
            Self::Masked => f.write_str("masked frame from a server"),
            Self::Fragmented => f.write_str("fragmented message"),
            Self::Opcode(opcode) => write!(f, "frame with opcode {opcode:#x}"),
            Self::TooLarge => write!(f, "frame over {PAYLOAD_BYTES_MAX} bytes"),
        }
    }
}

/// The first frame of `bytes` and how many bytes it takes; None when it is not whole yet.
#[inline]
pub(crate) fn parse_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let &[first, second, ..] = bytes else { return Ok(None) };
    check_first(first)?;
    if second & 0x80 != 0 {
        return Err(FrameError::Masked);
    }
    let Some((length, start)) = parse_length(bytes) else { return Ok(None) };
    if length > PAYLOAD_BYTES_MAX as u64 || (first & 0x08 != 0 && length > 125) {
        return Err(FrameError::TooLarge);
    }
    let end = start + length as usize;
    Ok(bytes.get(start..end).map(|payload| (Frame { opcode: first & 0x0F, payload }, end)))
}

/// Payload length and where the length field ends; None when that is not whole yet. Ignores the mask bit.
#[inline]
pub(crate) fn parse_length(bytes: &[u8]) -> Option<(u64, usize)> {
    match bytes.get(1)? & 0x7F {
        126 => Some((u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4)),
        127 => Some((u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10)),
        short => Some((u64::from(short), 2)),
    }
}

/// Appends an unmasked frame header, as servers send it.
pub(crate) fn encode_server_header(out: &mut Vec<u8>, opcode: u8, length: usize) {
    encode_header(out, opcode, length, 0);
}

/// Appends a masked frame.
pub(crate) fn encode_client_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    encode_header(out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

fn encode_header(out: &mut Vec<u8>, opcode: u8, length: usize, mask_bit: u8) {
    out.push(0x80 | opcode);
    if length < 126 {
        out.push(mask_bit | length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(mask_bit | 126);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(mask_bit | 127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

#[inline]
fn check_first(first: u8) -> Result<(), FrameError> {
    match first {
        0x81 | 0x82 | 0x88 | 0x89 | 0x8A => Ok(()),
        _ if first & 0x70 != 0 => Err(FrameError::Reserved),
        _ if first & 0x80 == 0 || first & 0x0F == 0 => Err(FrameError::Fragmented),
        _ => Err(FrameError::Opcode(first & 0x0F)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_server_header(&mut out, opcode, payload.len());
        out.extend_from_slice(payload);
        out
    }

    #[test]
    fn frame_is_found_whole_and_never_before_its_last_byte() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, PAYLOAD_BYTES_MAX] {
            let payload = vec![b'a'; length];
            let mut bytes = server_frame(TEXT, &payload);
            let whole = bytes.len();
            bytes.extend_from_slice(b"next");
            assert_eq!(parse_frame(&bytes), Ok(Some((Frame { opcode: TEXT, payload: &payload }, whole))));
            for cut in (0..whole).step_by(1 + whole / 300).chain([whole - 1]) {
                assert_eq!(parse_frame(&bytes[..cut]), Ok(None), "length {length} cut at {cut}");
            }
        }
    }

    #[test]
    fn frames_in_one_read_come_out_one_by_one() {
        let mut bytes = server_frame(TEXT, b"one");
        bytes.extend(server_frame(PING, b""));
        bytes.extend(server_frame(CLOSE, &1000_u16.to_be_bytes()));
        let mut rest = bytes.as_slice();
        let mut opcodes = Vec::new();
        while let Some((frame, used)) = parse_frame(rest).unwrap() {
            opcodes.push(frame.opcode);
            rest = &rest[used..];
        }
        assert_eq!(opcodes, [TEXT, PING, CLOSE]);
        assert!(rest.is_empty());
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        let cases: [(&[u8], FrameError); 7] = [
            (&[0xC1, 0], FrameError::Reserved),
            (&[0x81, 0x80, 0, 0, 0, 0], FrameError::Masked),
            (&[0x01, 0], FrameError::Fragmented),
            (&[0x80, 0], FrameError::Fragmented),
            (&[0x83, 0], FrameError::Opcode(3)),
            (&[0x89, 126, 0, 126], FrameError::TooLarge),
            (&[0x81, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], FrameError::TooLarge),
        ];
        for (bytes, error) in cases {
            assert_eq!(parse_frame(bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn client_frame_carries_the_mask_bit_and_its_payload_under_the_mask() {
        let mut out = Vec::new();
        encode_client_frame(&mut out, TEXT, b"Hello");
        // The example of RFC 6455 §5.7.
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }
}
