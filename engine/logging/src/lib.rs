//! The log: one line on standard error for whatever an operator should know.
//!
//! Every line of the server goes through [`say!`]. Once [`start`] has been called, a line only enters a bounded queue, and
//! a thread of its own writes it: a log that blocks, is full or has lost its reader costs lines, which are counted, and
//! nothing else. Before that, and in commands that never call it, a line is written at once. What must never happen here:
//! a caller that waits for standard error, or an end of the process because of it.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod door;
mod limits;
mod printable;

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;

use door::Door;

use crate::limits::{FLUSH_MAX, LINE_BYTES_MAX};

pub use printable::{blanked, is_printable};

/// What every line begins with.
const PREFIX: &str = "corecast: ";

static DOOR: OnceLock<Door> = OnceLock::new();

/// Writes one line to the log, formatted like `format!`.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {
        $crate::line(::std::format_args!($($text)*))
    };
}

/// From now on nobody waits for standard error. Its thread has the signal mask of this one.
pub fn start() -> io::Result<()> {
    if DOOR.get().is_none() {
        // Of two that start at once, one thread ends for lack of a sender.
        let _ = DOOR.set(Door::open(rustix::stdio::stderr())?);
    }
    Ok(())
}

/// What [`say!`] calls.
pub fn line(text: impl Display) {
    let line = encode(text);
    match DOOR.get() {
        Some(door) => door.send(line),
        None => drop(io::stderr().write_all(line.as_bytes())),
    }
}

/// Gives lines that are queued a moment to be written. For the end of the process.
pub fn finish() {
    if let Some(door) = DOOR.get() {
        door.finish(None, FLUSH_MAX);
    }
}

/// Says the last thing before the process ends by force: it may wait for a place in the queue, and for the writing, but
/// for no more than that moment.
pub fn finish_with(text: impl Display) {
    match DOOR.get() {
        Some(door) => drop(door.finish(Some(encode(text)), FLUSH_MAX)),
        None => line(text),
    }
}

/// How many lines were lost, since the queue was full or standard error took none.
pub fn dropped() -> u64 {
    DOOR.get().map_or(0, Door::dropped)
}

fn encode(text: impl Display) -> String {
    let text = format!("{PREFIX}{text}");
    let mut line = blanked(&text).into_owned();
    if line.len() >= LINE_BYTES_MAX {
        line.truncate(line.floor_char_boundary(LINE_BYTES_MAX - "…\n".len()));
        line.push('…');
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_of_printable_text_within_its_bound() {
        assert_eq!(encode("a\nb\u{1b}[2J\u{9b}c"), "corecast: a b [2J c\n");
        for long in ["x".repeat(5_000), "é".repeat(5_000), "x".repeat(4_086)] {
            let line = encode(&long);
            assert!(line.len() <= LINE_BYTES_MAX && line.ends_with("…\n"), "{}", line.len());
        }
        let longest = encode("x".repeat(LINE_BYTES_MAX - PREFIX.len() - 1));
        assert!(longest.len() == LINE_BYTES_MAX && longest.ends_with("x\n"));
    }
}
