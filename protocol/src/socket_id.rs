//! The id of a connection as clients and server SDKs see it: two numbers joined by a dot.
//!
//! Ours say where the connection lives: `(node << 16 | shard).(33 random bits << 20 | slot)`, so a publisher's
//! `socket_id` finds its connection without a table. The random bits keep ids of one slot apart and unguessable. Every
//! official server SDK checks `\A\d+\.\d+\z`, and both numbers stay within 2^53 for JavaScript.

use std::fmt;

const SHARD_BITS: u32 = 16;
const SLOT_BITS: u32 = 20;
const PART_MAX: u64 = 1 << 53;
const DIGITS_MAX: usize = 20;

/// Slots of one shard, from 0: what the low bits of the second number can name.
pub const SLOTS_MAX: u32 = 1 << SLOT_BITS;

/// The id of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SocketId {
    /// Node and shard.
    pub first: u64,
    /// Random bits and slot.
    pub second: u64,
}

impl SocketId {
    /// The id of a connection of this server. `slot` must be below `SLOTS_MAX`; of the random number the low 33 bits
    /// are used.
    pub fn new(node: u16, shard: u16, random_33_bits: u64, slot: u32) -> Self {
        debug_assert!(slot < SLOTS_MAX);
        Self {
            first: u64::from(node) << SHARD_BITS | u64::from(shard),
            second: (random_33_bits & ((1 << 33) - 1)) << SLOT_BITS | u64::from(slot & (SLOTS_MAX - 1)),
        }
    }

    /// The shard that would hold this connection, if the id is one of ours.
    pub fn shard(self) -> u16 {
        (self.first & 0xffff) as u16
    }

    /// The slot on its shard, if the id is one of ours.
    pub fn slot(self) -> u32 {
        (self.second & u64::from(SLOTS_MAX - 1)) as u32
    }

    /// An id from its text; `None` unless it is two decimal numbers up to 2^53 joined by a dot.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, second) = text.split_once('.')?;
        Some(Self { first: parse_part(first)?, second: parse_part(second)? })
    }
}

fn parse_part(digits: &str) -> Option<u64> {
    // `u64::from_str` would also take a plus sign.
    if digits.len() > DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|number| *number <= PART_MAX)
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = itoa::Buffer::new();
        f.write_str(digits.format(self.first))?;
        f.write_str(".")?;
        f.write_str(digits.format(self.second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_that_is_not_two_numbers_is_refused() {
        let bad = [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "1.2.3",
            "1.-2",
            "+1.2",
            "1.+2",
            " 1.2",
            "1.2\n",
            "1,2",
            "a.b",
            "١.٢",
            "9007199254740993.1",
            "1.99999999999999999999",
            "1.000000000000000000001",
        ];
        for text in bad {
            assert_eq!(SocketId::parse(text), None, "{text:?}");
        }
        assert_eq!(SocketId::parse("1234.1234"), Some(SocketId { first: 1234, second: 1234 }));
        assert_eq!(SocketId::parse("9007199254740992.0").map(|id| id.first), Some(PART_MAX));
    }

    proptest! {
        #[test]
        fn an_id_names_its_place_and_survives_its_text(node: u16, shard: u16, random: u64, slot in 0..SLOTS_MAX) {
            let id = SocketId::new(node, shard, random, slot);
            prop_assert_eq!((id.first >> SHARD_BITS, id.shard(), id.slot()), (u64::from(node), shard, slot));
            prop_assert!(id.first <= PART_MAX && id.second <= PART_MAX);
            prop_assert_eq!(SocketId::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn parsing_never_panics(text in ".{0,40}") {
            if let Some(id) = SocketId::parse(&text) {
                prop_assert_eq!(SocketId::parse(&id.to_string()), Some(id));
            }
        }
    }
}
