//! The bounds of the log.

use std::time::Duration;

/// Lines that wait to be written. Past it a line is dropped and counted.
pub(crate) const LINES_MAX: usize = 8_192;

/// The longest line, in bytes. It is written in one piece, so that lines of several processes do not mix in one pipe
/// (PIPE_BUF). Short lines that wait are written together up to so many bytes.
pub(crate) const LINE_BYTES_MAX: usize = 4_096;

/// The longest value of a field in JSON, in bytes. All fields of an event together leave room for its message.
pub(crate) const FIELD_BYTES_MAX: usize = 512;

/// How long the end of the process waits for lines that are still queued.
pub(crate) const FLUSH_MAX: Duration = Duration::from_millis(200);
