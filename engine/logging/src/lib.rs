//! The log: one line on standard error for whatever an operator should know.
//!
//! Every line of the server is an event of `tracing`, made by [`say!`] or [`event!`], and becomes text or JSON here. Once
//! [`start`] has been called, a line only enters a bounded queue, and a thread of its own writes it: a log that blocks, is
//! full or has lost its reader costs lines, which are counted, and nothing else. Before that, and in commands that never
//! call it, a line is written at once. What must never happen here: a caller that waits for standard error, or an end of
//! the process because of it.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod door;
mod format;
mod level;
mod limits;
mod lines;
mod printable;

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;

use door::Door;
use format::Line;

use crate::limits::FLUSH_MAX;

pub use format::Format;
pub use level::{Level, level};
pub use printable::{blanked, is_printable};
#[doc(hidden)]
pub use tracing;

/// The target of our events.
#[doc(hidden)]
pub const TARGET: &str = "corecast";

static DOOR: OnceLock<Door> = OnceLock::new();

/// Logs what happened: its level, the name of the event, its fields as `tracing` writes them, and a sentence, formatted
/// like `format!`. A field without a value (`None`) is null in JSON. Nothing is formatted while the level is off.
#[macro_export]
macro_rules! event {
    ($level:ident, $name:literal, { $($fields:tt)* }, $($text:tt)+) => {
        $crate::tracing::event!(
            target: $crate::TARGET,
            $crate::tracing::Level::$level,
            event = $name,
            $($fields)*
            $($text)+
        )
    };
}

/// Writes one line to the log, formatted like `format!`, when it has no fields.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {
        $crate::event!(INFO, "note", {}, $($text)*)
    };
}

/// The same for what somebody should act on.
#[macro_export]
macro_rules! warn {
    ($($text:tt)*) => {
        $crate::event!(WARN, "warning", {}, $($text)*)
    };
}

/// From now on lines are written at once, in this process.
pub fn collect() {
    lines::collect();
}

/// From now on lines look like this, and so much is logged.
pub fn set(format: Format, level: Level) {
    format::set(format);
    lines::set_level(level);
}

/// From now on nobody waits for standard error. Its thread has the signal mask of this one.
pub fn start() -> io::Result<()> {
    if DOOR.get().is_none() {
        // Of two that start at once, one thread ends for lack of a sender.
        let _ = DOOR.set(Door::open(rustix::stdio::stderr())?);
    }
    Ok(())
}

/// Writes a line, or leaves that to the thread.
pub(crate) fn write(line: String) {
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
    let line = Line::new("panic", text).finish(Level::Error);
    match DOOR.get() {
        Some(door) => drop(door.finish(Some(line), FLUSH_MAX)),
        None => write(line),
    }
}

/// How many lines were lost, since the queue was full or standard error took none.
pub fn dropped() -> u64 {
    DOOR.get().map_or(0, Door::dropped)
}
