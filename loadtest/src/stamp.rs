//! What an event carries so that its arrival can be judged: run, sequence number, intended send time.
//!
//! Owns the layout of `data`: `lt:RUN:SEQUENCE:INTENDED:xxx…`, fixed-width hexadecimal and nothing that JSON would
//! escape, so that a receiver finds it by its prefix and never parses JSON. The sender encodes, receivers parse;
//! an event of another run must never be taken for one of this run.

use std::hash::{BuildHasher, RandomState};

/// Prefix, run, and the colon behind it.
const HEAD_LEN: usize = 3 + 8 + 1;
const DIGITS: usize = 16;
const STREAM_SHIFT: u32 = 48;
const STAMP_LEN: usize = HEAD_LEN + DIGITS + 1 + DIGITS + 1;

/// One event's place in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Counts publishes of the run from 0.
    pub(crate) sequence: u64,
    /// When the schedule wanted it sent, in nanoseconds since the start of the run.
    pub(crate) intended_ns: u64,
}

/// Reads stamps of one run.
#[derive(Clone)]
pub(crate) struct Reader {
    head: [u8; HEAD_LEN],
    /// Where the last stamp was found: all events of a channel look alike, so the next one is there too.
    offset: usize,
}

impl Reader {
    pub(crate) fn new(run: u32) -> Self {
        let mut head = [0; HEAD_LEN];
        head.copy_from_slice(format!("lt:{run:08x}:").as_bytes());
        Self { head, offset: 0 }
    }

    /// The stamp in an event of this run, None in any other message.
    pub(crate) fn parse_message(&mut self, message: &[u8]) -> Option<Stamp> {
        if !message.get(self.offset..).is_some_and(|rest| rest.starts_with(&self.head)) {
            self.offset = message.windows(HEAD_LEN).position(|window| window == self.head)?;
        }
        let stamp = message.get(self.offset + HEAD_LEN..self.offset + STAMP_LEN)?;
        let (sequence, rest) = stamp.split_at(DIGITS);
        Some(Stamp { sequence: parse_hex(sequence)?, intended_ns: parse_hex(&rest[1..=DIGITS])? })
    }
}

/// Sequence numbers of one of several streams that come in on the same channel: 16 bits of stream, 48 of number.
pub(crate) fn in_stream(stream: u16, number: u64) -> u64 {
    u64::from(stream) << STREAM_SHIFT | number
}

pub(crate) fn split_stream(sequence: u64) -> (u16, u64) {
    ((sequence >> STREAM_SHIFT) as u16, sequence & ((1 << STREAM_SHIFT) - 1))
}

/// Appends `size` bytes of `data` (never fewer than the stamp needs, 47).
pub(crate) fn encode_data(out: &mut Vec<u8>, run: u32, stamp: Stamp, size: usize) {
    let end = out.len() + size.max(STAMP_LEN);
    let Stamp { sequence, intended_ns } = stamp;
    out.extend_from_slice(format!("lt:{run:08x}:{sequence:016x}:{intended_ns:016x}:").as_bytes());
    out.resize(end, b'x');
}

fn parse_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, &digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

/// A number that events of other runs do not carry.
pub(crate) fn random_run() -> u32 {
    RandomState::new().hash_one(std::process::id()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(run: u32, stamp: Stamp, size: usize) -> Vec<u8> {
        let mut message = br#"{"event":"e","channel":"c","data":""#.to_vec();
        encode_data(&mut message, run, stamp, size);
        message.extend_from_slice(b"\"}");
        message
    }

    #[test]
    fn stamp_survives_the_round_trip_at_any_size() {
        let mut reader = Reader::new(0xdead_beef);
        for (sequence, size) in [(0, 0), (1, 50), (u64::MAX, 200), (0x0123_4567_89ab_cdef, 5000)] {
            let stamp = Stamp { sequence, intended_ns: sequence ^ 0xff };
            assert_eq!(reader.parse_message(&message(0xdead_beef, stamp, size)), Some(stamp));
        }
    }

    #[test]
    fn streams_keep_their_numbers_apart() {
        assert_eq!(split_stream(in_stream(0xfedc, 5)), (0xfedc, 5));
        assert_eq!(in_stream(0, 5), 5);
    }

    #[test]
    fn data_has_exactly_the_size_asked_for() {
        let mut data = Vec::new();
        encode_data(&mut data, 7, Stamp { sequence: 1, intended_ns: 2 }, 200);
        assert_eq!(data.len(), 200);
    }

    #[test]
    fn other_messages_and_other_runs_have_no_stamp() {
        let mut reader = Reader::new(1);
        let stamp = Stamp { sequence: 3, intended_ns: 4 };
        let whole = message(1, stamp, 60);
        assert_eq!(reader.parse_message(&whole), Some(stamp));
        assert_eq!(reader.parse_message(&message(2, stamp, 60)), None);
        assert_eq!(reader.parse_message(br#"{"event":"pusher:ping","data":"{}"}"#), None);
        assert_eq!(reader.parse_message(b""), None);
        assert_eq!(reader.parse_message(&whole[..60]), None, "a stamp cut short");
        let mut damaged = whole.clone();
        damaged[50] = b'G';
        assert_eq!(reader.parse_message(&damaged), None);
        assert_eq!(reader.parse_message(&whole), Some(stamp), "a miss does not confuse the next message");
    }

    #[test]
    fn stamp_is_found_where_another_server_puts_it() {
        let mut reader = Reader::new(1);
        let stamp = Stamp { sequence: 3, intended_ns: 4 };
        let near = message(1, stamp, 60);
        let far = [b"{\"channel\":\"c\",".as_slice(), &near[1..]].concat();
        for message in [&near, &far, &near, &far] {
            assert_eq!(reader.parse_message(message), Some(stamp));
        }
    }
}
