//! Why a command fails: one line for the operator, and the exit code.

use crate::config::Fault;

use super::output::OutputError;

/// The configuration or a flag is wrong (sysexits.h: EX_CONFIG).
pub(super) const EXIT_CONFIG: u8 = 78;
/// Something outside went wrong: a port is taken, io_uring is forbidden, the server does not answer.
const EXIT_FAILURE: u8 = 1;
/// The reader of the output has gone. A shell reports the same code for a command that SIGPIPE has ended.
pub(super) const EXIT_READER_GONE: u8 = 128 + 13;

/// One line for the operator, or none, and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) text: String,
}

impl Failure {
    /// The configuration or a flag is wrong.
    pub(super) fn config(text: impl Into<String>) -> Self {
        Self { code: EXIT_CONFIG, text: text.into() }
    }

    /// No app is configured; `wanted` says how to change that.
    pub(super) fn no_app(wanted: &str) -> Self {
        Self::config(format!(
            "no app is configured: {wanted} \
             (there are no built-in credentials; `corecast dev` makes some and keeps them for its next run)"
        ))
    }

    /// Something is wrong, and the output has said what.
    pub(super) fn told() -> Self {
        Self { code: EXIT_FAILURE, text: String::new() }
    }

    /// Something outside went wrong.
    pub(super) fn outside(error: impl ToString) -> Self {
        Self { code: EXIT_FAILURE, text: error.to_string() }
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::ReaderGone => Self { code: EXIT_READER_GONE, text: String::new() },
            OutputError::Unwritable(_) => Self::outside(error),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::config(fault.to_string())
    }
}
