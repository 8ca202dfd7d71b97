//! What a server is started with.

pub mod capacity;
pub mod ending;
pub(crate) mod memory;
