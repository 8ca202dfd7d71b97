//! Epochs: each session of a node with a server has one of its own, never used before or after.

use std::fmt;

/// A session, as the server knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch(
    /// Random.
    pub u64,
);

impl fmt::Display for Epoch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl Epoch {
    /// The epoch that is written like this.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let digits = bytes.len() == 16 && bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let text = std::str::from_utf8(bytes).ok().filter(|_| digits)?;
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_written_in_one_way() {
        for number in [0, 1, 0xfedc_ba98_7654_3210, u64::MAX] {
            let epoch = Epoch(number);
            assert_eq!(Epoch::parse(epoch.to_string().as_bytes()), Some(epoch));
        }
        for other in ["", "1", "+000000000000001", "000000000000000A", "00000000000000001", "zz"] {
            assert_eq!(Epoch::parse(other.as_bytes()), None, "{other}");
        }
    }
}
