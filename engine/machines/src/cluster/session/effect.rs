//! What a session asks of its driver.

use crate::cluster::call::Call;
use crate::cluster::epoch::Epoch;

/// What the driver must do, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Open two connections to the server, one for calls and one for reading. Both together have this number.
    Connect(u64),
    /// Close both at once, and tell nothing more of this number.
    Close(u64),
    /// Call a script, behind those that were called before. What is asked for in one turn goes out together.
    Call(Call),
    /// Read what stands in the inbox behind an entry, or wait for it so long.
    Read {
        /// Whose inbox.
        epoch: Epoch,
        /// The number of the last entry that was taken.
        after: u64,
        /// How long, in milliseconds.
        block_ms: u64,
    },
    /// How many connections apps have on all other nodes.
    Elsewhere(Vec<(Box<str>, u64)>),
}
