//! A row: one hook event with its id, as it lies in the journal and in the stream.
//!
//! The id is given by the journal alone, increases over all apps of a data directory, and is the same on every delivery.
//! What must never happen here: an id or a time made up on the way.

use std::fmt;

use protocol::hook_event::HookEvent;

/// One event on its way to the operator's back end.
#[derive(Clone, Debug)]
pub struct Row {
    /// Unique, increasing in order of occurrence; in webhooks a decimal string.
    pub id: u64,
    /// When it happened, in milliseconds of Unix time.
    pub time_ms: u64,
    /// What happened.
    pub event: HookEvent,
}

/// A place in a source of rows: (id, 0) in the journal, the two halves of an entry's id in a stream. Ordered as the rows
/// are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Position(pub u64, pub u64);

impl Position {
    /// A place from its text, as a stream's entries are named.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, second) = text.split_once('-')?;
        Some(Self(first.parse().ok()?, second.parse().ok()?))
    }

    /// The place just before this one.
    #[must_use]
    pub fn before(self) -> Self {
        match self {
            Self(0, 0) => self,
            Self(first, 0) => Self(first - 1, u64::MAX),
            Self(first, second) => Self(first, second - 1),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for place in [Position(0, 0), Position(1_700_000_000_000, 17), Position(u64::MAX, u64::MAX)] {
            assert_eq!(Position::parse(&place.to_string()), Some(place));
        }
        for text in ["", "1", "1-", "-1", "1-x", "1-2-3"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_lies_between_a_place_and_the_one_before_it() {
        assert_eq!(Position(5, 2).before(), Position(5, 1));
        assert_eq!(Position(5, 0).before(), Position(4, u64::MAX));
        assert_eq!(Position(0, 0).before(), Position(0, 0));
    }
}
