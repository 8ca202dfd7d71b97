//! A fault of a configuration file, in one line: the file, the line, the key, and what would be right.
//!
//! What must never happen here: text of the file in a message, except known keys and values that are not secret. The TOML
//! parser's own report shows the line that it failed on, so only its reason is used.

use std::fmt;
use std::io;

use toml::de::DeTable;

use super::layer::{Layer, Mark, Origin};
use super::merge::moved;
use super::table::Table;

/// One message for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    text: String,
}

impl Fault {
    /// A fault of what stands in this place: a variable, a flag or a file.
    pub fn of(place: &str, what: &str) -> Self {
        Self { text: format!("{place}: {what}") }
    }

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

/// A file and its text, or a text that is in no file; and the layers above it.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    /// Whether faults name a line: a reader can look it up.
    pub(super) is_file: bool,
    /// The places beyond the text, in order: where the settings of layers are from.
    marks: Vec<Mark>,
    /// The first place that is not taken.
    end: usize,
}

impl<'a> Document<'a> {
    /// A text without layers above it.
    pub(super) fn new(name: &'a str, text: &'a str, is_file: bool) -> Self {
        Self { name, text, is_file, marks: Vec::new(), end: text.len() + 1 }
    }

    /// The settings of a layer, each at a place beyond all that are here already.
    pub(super) fn put_above(&mut self, layer: &'a Layer) -> Result<DeTable<'a>, Fault> {
        let start = self.end;
        self.end += layer.text().len() + 1;
        self.marks.extend(layer.marks().iter().map(|mark| Mark { at: start + mark.at, ..mark.clone() }));
        let root = DeTable::parse(layer.text()).map_err(|error| {
            let at = start + error.span().map_or(0, |span| span.start);
            self.fault(at, &format!("this is not TOML: {}", error.message()))
        })?;
        Ok(moved(root.into_inner(), start))
    }

    /// A fault at this place.
    pub(super) fn fault(&self, at: usize, what: &str) -> Fault {
        match self.mark(at) {
            Some(mark) => Fault::of(&mark.place, what),
            None if self.is_file => Fault::of(&format!("{}:{}", self.name, self.line(at)), what),
            None => Fault::of(self.name, what),
        }
    }

    /// This place in a sentence: `on line 7`, or `of --app`.
    pub(super) fn words(&self, at: usize) -> String {
        match self.mark(at) {
            Some(mark) => format!("of {}", mark.place),
            None => format!("on line {}", self.line(at)),
        }
    }

    /// What kind of source this place is in, and the place itself.
    pub(super) fn origin(&self, at: usize) -> (Origin, String) {
        match self.mark(at) {
            Some(mark) => (mark.origin, mark.place.clone()),
            None => (Origin::File, format!("{}:{}", self.name, self.line(at))),
        }
    }

    /// Whether this place is in a layer.
    pub(super) fn is_in_layer(&self, at: usize) -> bool {
        self.mark(at).is_some()
    }

    /// The mark of a place beyond the text.
    fn mark(&self, at: usize) -> Option<&Mark> {
        self.marks.iter().rev().find(|mark| mark.at <= at)
    }

    /// The line of this byte, counted from 1.
    fn line(&self, at: usize) -> usize {
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
        let document = Document::new("x", "a\nb\n\nc", true);
        let table = [(0, 1), (1, 1), (2, 2), (4, 3), (5, 4), (6, 4), (99, 4)];
        for (at, line) in table {
            assert_eq!(document.line(at), line, "{at}");
        }
    }
}
