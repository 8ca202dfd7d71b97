//! Flags and values that several commands share.
//!
//! Owns the flags of all scenarios (`target`), those of the floor (`floor`), what their help says (`help`), what a server is to all of them (`site`),
//! and how values are read (`values`), with the checks that one flag can pass alone. What one scenario adds stands in that
//! scenario's file. Nothing is read from the environment or from files.

mod floor;
pub(crate) mod help;
mod site;
mod target;
pub(crate) mod values;

pub(crate) use self::floor::{FloorMode, FloorOptions};
pub(crate) use self::site::{App, Encryption, Endpoint, Site};
pub(crate) use self::target::Target;
