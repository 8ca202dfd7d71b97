//! What a check is.

use crate::ground::Ground;
use crate::verdict::Verdict;

/// One question to a server.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// `area.what_must_hold`.
    pub name: &'static str,
    /// What goes wrong for users of a server that fails it, and in which SDK.
    pub breaks: &'static str,
    pub(crate) play: fn(&Ground<'_>) -> Verdict,
}
