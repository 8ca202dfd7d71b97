//! Why deliveries cannot begin.

use std::fmt;
use std::io;

use crate::dead_letters::DeadLettersError;
use crate::disk_fault::sqlite_passes;
use crate::sinks::SinkFault;

/// Deliveries cannot begin.
#[derive(Debug)]
pub enum StartError {
    /// An endpoint can never work.
    Sink(SinkFault),
    /// There is no place for dead letters.
    DeadLetters(DeadLettersError),
    /// The place for dead letters cannot be written.
    Unwritable(rusqlite::Error),
    /// No thread.
    Thread(io::Error),
}

impl StartError {
    /// Whether they may begin later, when there is room or the right to write.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::DeadLetters(error) => error.may_pass(),
            Self::Unwritable(error) => sqlite_passes(error),
            Self::Sink(_) | Self::Thread(_) => false,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sink(fault) => fault.fmt(f),
            Self::DeadLetters(error) => error.fmt(f),
            Self::Unwritable(error) => write!(f, "dead letters cannot be written: {error}"),
            Self::Thread(error) => write!(f, "no thread for the deliveries of hooks: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<SinkFault> for StartError {
    fn from(fault: SinkFault) -> Self {
        Self::Sink(fault)
    }
}

impl From<DeadLettersError> for StartError {
    fn from(error: DeadLettersError) -> Self {
        Self::DeadLetters(error)
    }
}

impl From<rusqlite::Error> for StartError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unwritable(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Thread(error)
    }
}
