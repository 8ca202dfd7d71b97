//! The name of a connection, which all who speak of one share.

/// Names a connection, to its driver and to its machine, from its coming until its slot is freed (`Effect::Free`). The
/// generation tells it from earlier tenants of its slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token {
    /// Place in the driver's slab.
    pub slot: u32,
    /// Counts the tenants of that place, from 1.
    pub generation: u32,
}
