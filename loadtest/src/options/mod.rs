//! Flags and values that several commands share.
//!
//! Owns the flags of all scenarios (`target`), those of the floor (`floor`) and how values are read (`values`), with the checks that one
//! flag can pass alone. What one scenario adds stands in that scenario's file. Nothing is read from the environment or from files.

mod floor;
mod target;
pub(crate) mod values;

pub(crate) use self::floor::{FloorMode, FloorOptions};
pub(crate) use self::target::{App, Endpoint, Site, Target};
