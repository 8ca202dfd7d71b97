//! The id of a connection as clients and server SDKs see it: two numbers joined by a dot.
//!
//! Ours say where the connection lives: `(node << 16 | shard).(33 random bits << 20 | slot)`, so a publisher's
//! `socket_id` finds its connection without a table. The random bits keep ids of one slot apart and unguessable. Every
//! official server SDK checks `\A\d+\.\d+\z`, and both numbers stay within 2^53 for JavaScript.

use std::fmt;

use crate::limits::{SLOTS_MAX, SOCKET_ID_DIGITS_MAX, SOCKET_ID_PART_MAX};

const SHARD_BITS: u32 = 16;
const SLOT_BITS: u32 = SLOTS_MAX.trailing_zeros();

/// The id of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SocketId {
    /// Node and shard.
    pub first: u64,
    /// Random bits and slot.
    pub second: u64,
}

/// Where connections live: what all ids of one shard have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The number of the server among those that share their channels.
    pub node: u16,
    /// The shard's number on that server.
    pub shard: u16,
}

impl Place {
    /// The id of a connection here whose second number is known.
    pub fn socket_id(self, second: u64) -> SocketId {
        SocketId { first: u64::from(self.node) << SHARD_BITS | u64::from(self.shard), second }
    }
}

impl SocketId {
    /// The id of a connection of a Corecast server. `slot` must be below `SLOTS_MAX`; of the random number the low 33
    /// bits are used.
    pub fn new(place: Place, random_33_bits: u64, slot: u32) -> Self {
        debug_assert!(slot < SLOTS_MAX);
        let random = random_33_bits & ((1 << 33) - 1);
        place.socket_id(random << SLOT_BITS | u64::from(slot & (SLOTS_MAX - 1)))
    }

    /// Where this connection would live; `None`: no server has such an id.
    pub fn place(self) -> Option<Place> {
        let node = u16::try_from(self.first >> SHARD_BITS).ok()?;
        Some(Place { node, shard: (self.first & 0xffff) as u16 })
    }

    /// The slot on its shard, if a Corecast server has made the id.
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
    if digits.len() > SOCKET_ID_DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|number| *number <= SOCKET_ID_PART_MAX)
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
    fn a_first_number_beyond_all_nodes_is_no_place() {
        let last = Place { node: u16::MAX, shard: u16::MAX };
        assert_eq!(SocketId { first: (1 << 32) - 1, second: 0 }.place(), Some(last));
        assert_eq!(SocketId { first: 1 << 32, second: 0 }.place(), None);
    }

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
        assert_eq!(SocketId::parse("9007199254740992.0").map(|id| id.first), Some(SOCKET_ID_PART_MAX));
    }

    proptest! {
        #[test]
        fn an_id_names_its_place_and_survives_its_text(node: u16, shard: u16, random: u64, slot in 0..SLOTS_MAX) {
            let place = Place { node, shard };
            let id = SocketId::new(place, random, slot);
            prop_assert_eq!((id.place(), id.slot()), (Some(place), slot));
            prop_assert_eq!(place.socket_id(id.second), id);
            prop_assert!(id.first <= SOCKET_ID_PART_MAX && id.second <= SOCKET_ID_PART_MAX);
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
