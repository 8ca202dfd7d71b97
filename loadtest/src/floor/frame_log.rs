//! All frames that some subscriber still lacks, each encoded once, one behind the other.
//!
//! A position in the log is a count of bytes since the start, so a subscriber is one number and what it lacks is one slice:
//! all connections in step are given the very same bytes, and one that lags is given more of them. Must never hold a byte that
//! all have, nor forget one that a subscriber lacks.

#[derive(Default)]
pub(super) struct FrameLog {
    /// Position of the first byte that is kept.
    base: u64,
    bytes: Vec<u8>,
    /// Where the frames of this wake-up end.
    ends: Vec<u64>,
}

/// Below this, moving what is left to the front costs more than keeping what all have.
const FORGET_BYTES_MIN: u64 = 1024 * 1024;

impl FrameLog {
    /// Appends one frame.
    pub(super) fn append(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.bytes);
        self.ends.push(self.end());
    }

    pub(super) fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Ends of the frames that came since the last look.
    pub(super) fn ends(&self) -> &[u64] {
        &self.ends
    }

    #[inline]
    pub(super) fn between(&self, from: u64, to: u64) -> &[u8] {
        &self.bytes[(from - self.base) as usize..(to - self.base) as usize]
    }

    /// Nobody lacks anything before `position`.
    pub(super) fn forget_before(&mut self, position: u64) {
        self.ends.clear();
        if position == self.end() {
            self.base = position;
            self.bytes.clear();
        } else if position - self.base >= FORGET_BYTES_MIN.max(self.len() / 2) {
            self.bytes.drain(..(position - self.base) as usize);
            self.base = position;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(frames: &[&str]) -> FrameLog {
        let mut log = FrameLog::default();
        frames.iter().for_each(|frame| log.append(|out| out.extend_from_slice(frame.as_bytes())));
        log
    }

    #[test]
    fn what_a_subscriber_lacks_is_one_slice_from_its_position() {
        let mut log = log(&["one", "two"]);
        assert_eq!(log.ends(), [3, 6]);
        assert_eq!(log.between(3, 6), b"two");
        log.forget_before(6);
        assert!(log.is_empty());
        log.append(|out| out.extend_from_slice(b"three"));
        assert_eq!((log.ends(), log.between(6, 11)), ([11].as_slice(), b"three".as_slice()));
    }

    #[test]
    fn bytes_that_somebody_lacks_stay() {
        let long = "x".repeat(FORGET_BYTES_MIN as usize);
        let mut log = log(&[&long, "rest"]);
        log.forget_before(10);
        assert_eq!(log.between(10, 12), b"xx");
        log.forget_before(FORGET_BYTES_MIN);
        assert_eq!(log.len(), 4);
        assert_eq!(log.between(FORGET_BYTES_MIN, log.end()), b"rest");
    }
}
