//! A fault of a configuration file, in one line: the file, the line, the key, and what would be right.
//!
//! What must never happen here: text of the file in a message, except known keys and values that are not secret. The TOML
//! parser's own report shows the line that it failed on, so only its reason is used.

use std::fmt;
use std::io;

use super::table::Table;

/// One message for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    text: String,
}

impl Fault {
    pub(super) fn unreadable(name: &str, error: &io::Error) -> Self {
        Self { text: format!("{name}: the configuration file cannot be read: {error}") }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

/// A file and its text, or a text that is in no file.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    /// Whether faults name a line: a reader can look it up.
    pub(super) is_file: bool,
}

impl Document<'_> {
    /// A fault at this byte of the file.
    pub(super) fn fault(&self, at: usize, what: &str) -> Fault {
        let line = if self.is_file { format!(":{}", self.line(at)) } else { String::new() };
        Fault { text: format!("{}{line}: {what}", self.name) }
    }

    /// The line of this byte, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().iter().take(at);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    pub(super) fn not_toml(&self, error: &toml::de::Error) -> Fault {
        let at = error.span().map_or(self.text.len(), |span| span.start);
        let key = self.key_of_line(self.line(at)).map_or_else(String::new, |key| format!("{key}: "));
        self.fault(at, &format!("{key}this is not TOML: {}", error.message()))
    }

    /// The key that a line sets, if it is one of ours: anything else in a broken line may be a secret.
    fn key_of_line(&self, line: usize) -> Option<&str> {
        let (key, _) = self.text.lines().nth(line - 1)?.split_once('=')?;
        let key = key.trim();
        Table::ALL.iter().any(|table| table.has(key)).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        let document = Document { name: "x", text: "a\nb\n\nc", is_file: true };
        let table = [(0, 1), (1, 1), (2, 2), (4, 3), (5, 4), (6, 4), (99, 4)];
        for (at, line) in table {
            assert_eq!(document.line(at), line, "{at}");
        }
    }
}
