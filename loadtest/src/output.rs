//! What is printed: reports on standard output, words for people on standard error.
//!
//! A reader that has gone keeps a run neither from its end nor from the files that it writes. What must never happen here: a
//! panic because nobody reads.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use crate::failure::{Context, Outcome};

/// Prints text on standard output.
pub(crate) fn print(text: impl Display) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("standard output cannot be written"),
    }
}

/// A line on standard error. One that cannot be written is not missed: what counts is in the report.
pub(crate) fn say(line: impl Display) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
