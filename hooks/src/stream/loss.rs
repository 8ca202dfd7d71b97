//! What became of entries that were in the stream, as far as two looks at it tell. Pure.

use super::mark::Standing;
use crate::row::Position;

/// What became of entries that were in the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Loss {
    /// The last ones are gone: Redis was started anew, from less than it had.
    End,
    /// It was deleted and has grown again.
    Middle,
}

impl Loss {
    /// What was lost between then and now. `newest` is the last entry that was added here.
    pub(super) fn between(then: &Standing, now: &Standing, newest: Option<Position>) -> Option<Self> {
        if now.last < newest? {
            return Some(Self::End);
        }
        match (then.added, now.added) {
            (Some(then), Some(now)) => (now < then).then_some(Self::Middle),
            // Redis before 7 counts no entries, but the group went with them.
            _ => (then.group.is_some() && now.group.is_none()).then_some(Self::Middle),
        }
    }
}
