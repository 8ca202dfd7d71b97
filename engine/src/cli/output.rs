//! What commands print on standard output. Messages about failures are lines of the log (`logging`).
//!
//! A reader that has gone ends a command without a word, as it ends every other command in a pipe. What must never happen
//! here: a character that a terminal would obey.

use std::fmt;
use std::io::{self, Write};

use logging::is_printable;

/// Why nothing more can be printed.
#[derive(Debug)]
pub(super) enum OutputError {
    /// The reader has gone.
    ReaderGone,
    /// The output cannot be written.
    Unwritable(io::Error),
}

impl fmt::Display for OutputError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReaderGone => out.write_str("the reader of standard output has gone"),
            Self::Unwritable(error) => write!(out, "standard output cannot be written: {error}"),
        }
    }
}

impl std::error::Error for OutputError {}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Unwritable(error),
        }
    }
}

/// Prints lines of text, with a space in place of everything that is neither printable nor a line end.
pub(super) fn print(text: &str) -> Result<(), OutputError> {
    write(&text.chars().map(|c| if is_printable(c) || c == '\n' { c } else { ' ' }).collect::<String>())
}

/// Prints lines of JSON. Unprintable characters can only be in its strings and are escaped there: it stays the same JSON.
pub(super) fn print_json_lines(lines: &str) -> Result<(), OutputError> {
    write(&escaped(lines))
}

fn write(text: &str) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn escaped(lines: &str) -> String {
    let mut text = String::with_capacity(lines.len());
    for c in lines.chars() {
        if is_printable(c) || c == '\n' {
            text.push(c);
        } else {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn escaped_json_says_the_same_without_control_characters() {
        let line = "{\"data\":\"a\u{9b}31m\u{7f}\u{202e}é日\u{2028}\"}\n";
        let text = escaped(line);
        assert_eq!(text, "{\"data\":\"a\\u009b31m\\u007f\\u202eé日\\u2028\"}\n");
        let (raw, shown): (Value, Value) =
            (serde_json::from_str(line).unwrap(), serde_json::from_str(&text).unwrap());
        assert_eq!(raw, shown);
    }
}
