//! What can be wrong while rows are moved: the Redis server, or the journal that they come from.

use std::fmt;

use crate::redis::fault::{RedisFault, RedisFaultKind};
use crate::source::SourceError;

/// One line for the operator that says what to do.
#[derive(Debug)]
pub(super) enum MoveFault {
    Journal(SourceError),
    Redis(RedisFault),
}

/// Which fault it is. Each is said once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MoveFaultKind {
    Journal,
    Redis(RedisFaultKind),
}

impl MoveFault {
    /// Which it is.
    pub(super) fn kind(&self) -> MoveFaultKind {
        match self {
            Self::Journal(_) => MoveFaultKind::Journal,
            Self::Redis(fault) => MoveFaultKind::Redis(fault.kind()),
        }
    }
}

impl fmt::Display for MoveFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(error) => {
                write!(f, "{} (look at the disk and at data_dir)", error.to_string().trim())
            }
            Self::Redis(fault) => fault.fmt(f),
        }
    }
}

impl From<RedisFault> for MoveFault {
    fn from(fault: RedisFault) -> Self {
        Self::Redis(fault)
    }
}
