//! What readers ask the writer to release.

use std::collections::BTreeMap;

use crate::row::Position;

/// What need not be kept, and where endpoints are.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Release {
    /// Rows up to this id may go.
    pub(super) all: u64,
    /// Places that are not yet written.
    pub(super) places: BTreeMap<String, Position>,
}
