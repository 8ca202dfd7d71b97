//! The end of connections: of one (`close`), of all (`drain`), of a silent one (`idle`), of a user's (`terminate`).

pub mod close;
pub mod drain;
pub mod idle;
pub(super) mod terminate;
