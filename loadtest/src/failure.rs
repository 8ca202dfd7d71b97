//! Why a run could not be measured: one sentence for the person at the terminal.
//!
//! Owns the error type of this program. A result that looks bad (loss, refusals, slowness) is never a `Failure`:
//! it belongs in the report. Everything that does I/O returns it.

use std::fmt;

pub(crate) type Outcome<T> = Result<T, Failure>;

/// A sentence that names what was tried and what the system answered.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    fn context(self, doing: impl fmt::Display) -> Outcome<T>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, doing: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{doing}: {error}")))
    }
}
