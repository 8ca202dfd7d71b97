//! How a line looks: text for a reader, or one JSON object for a program.
//!
//! What must never happen here: a line that is longer than its bound, more than one line, or JSON that does not parse.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use tracing::field::{Field, Visit};

use crate::level::Level;
use crate::limits::{FIELD_BYTES_MAX, LINE_BYTES_MAX};
use crate::printable::blanked;

/// What every line of text begins with.
const PREFIX: &str = "corecast: ";
const CUT: &str = "…";
/// Room for the sentence about a connection that has ended, the most frequent one.
const TEXT_BYTES: usize = 256;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Format {
    /// A sentence.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

static IS_JSON: AtomicBool = AtomicBool::new(false);

/// From now on lines look like this.
pub(crate) fn set(format: Format) {
    IS_JSON.store(format == Format::Json, Ordering::Relaxed);
}

fn current() -> Format {
    if IS_JSON.load(Ordering::Relaxed) { Format::Json } else { Format::Text }
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// What is said in one line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Its name. Nothing in a line of text, like the other fields.
    event: String,
    message: String,
    /// The other fields, as JSON with a comma before each. Nothing in a line of text.
    fields: String,
    /// The fields that have a value, by their places.
    seen: u64,
    format: Format,
}

impl Line {
    /// An event and its sentence.
    pub(crate) fn new(event: &str, message: impl fmt::Display) -> Self {
        let mut line = Self { event: event.to_owned(), ..Self::empty() };
        line.say(format_args!("{message}"));
        line
    }

    /// One whose name and sentence come as fields.
    pub(crate) fn empty() -> Self {
        Self { format: current(), ..Self::default() }
    }

    /// Names the fields without a value.
    pub(crate) fn fill(&mut self, fields: &tracing::field::FieldSet) {
        if self.format == Format::Text {
            return;
        }
        for field in fields {
            if !self.has(&field) && field.name() != "message" {
                self.raw(field.name(), "null");
            }
        }
    }

    /// Adds a number.
    pub(crate) fn raw(&mut self, name: &str, value: impl fmt::Display) {
        if self.format == Format::Json {
            let _ = write!(self.fields, ",\"{name}\":{value}");
        }
    }

    /// The line, with its end.
    pub(crate) fn finish(self, level: Level) -> String {
        match self.format {
            Format::Text => text_line(self.message),
            Format::Json => {
                let time = humantime::format_rfc3339_millis(SystemTime::now());
                let mut line = format!("{{\"time\":\"{time}\",\"level\":\"{level}\",\"event\":\"");
                push_escaped(&mut line, &self.event, FIELD_BYTES_MAX);
                line.push_str("\",\"message\":\"");
                let room = LINE_BYTES_MAX.saturating_sub(line.len() + self.fields.len() + "\"}\n".len());
                push_escaped(&mut line, &self.message, room);
                line.push('"');
                line.push_str(&self.fields);
                line.push_str("}\n");
                line
            }
        }
    }

    fn has(&self, field: &Field) -> bool {
        self.seen & place(field) != 0
    }

    /// The sentence. In a line of text it is all there is, so it is written where it will stand.
    fn say(&mut self, text: fmt::Arguments<'_>) {
        self.message = String::with_capacity(TEXT_BYTES);
        if self.format == Format::Text {
            self.message.push_str(PREFIX);
        }
        let _ = self.message.write_fmt(text);
    }

    fn string(&mut self, field: &Field, value: &str) {
        self.seen |= place(field);
        match field.name() {
            "message" => self.say(format_args!("{value}")),
            _ if self.format == Format::Text => {}
            "event" => value.clone_into(&mut self.event),
            name => {
                let _ = write!(self.fields, ",\"{name}\":\"");
                push_escaped(&mut self.fields, value, FIELD_BYTES_MAX);
                self.fields.push('"');
            }
        }
    }

    fn number(&mut self, field: &Field, value: impl fmt::Display) {
        self.seen |= place(field);
        self.raw(field.name(), value);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.string(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.say(format_args!("{value:?}"));
        } else if self.format == Format::Json {
            self.string(field, &format!("{value:?}"));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.number(field, value);
        }
    }
}

/// A bit of its own for each of the first fields of an event; none has as many.
fn place(field: &Field) -> u64 {
    1 << (field.index() % 64)
}

fn text_line(text: String) -> String {
    let mut line = match blanked(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(blanked) => blanked,
    };
    if line.len() >= LINE_BYTES_MAX {
        line.truncate(line.floor_char_boundary(LINE_BYTES_MAX - CUT.len() - 1));
        line.push_str(CUT);
    }
    line.push('\n');
    line
}

/// Appends the inside of a JSON string: nothing that a terminal obeys, and no more bytes than that.
fn push_escaped(out: &mut String, text: &str, bytes_max: usize) {
    let text = blanked(text);
    let length = |c: char| c.len_utf8() + usize::from(matches!(c, '"' | '\\'));
    let whole = text.chars().map(length).sum::<usize>() <= bytes_max;
    let mut room = if whole { bytes_max } else { bytes_max.saturating_sub(CUT.len()) };
    for c in text.chars() {
        let Some(left) = room.checked_sub(length(c)) else { break };
        room = left;
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    if !whole && bytes_max >= CUT.len() {
        out.push_str(CUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_of_printable_text_within_its_bound() {
        let text_line = |text: &str| Line::new("", text).finish(Level::Info);
        assert_eq!(text_line("a\nb\u{1b}[2J\u{9b}c"), "corecast: a b [2J c\n");
        for long in ["x".repeat(5_000), "é".repeat(5_000), "x".repeat(4_086)] {
            let line = text_line(&long);
            assert!(line.len() <= LINE_BYTES_MAX && line.ends_with("…\n"), "{}", line.len());
        }
        let longest = text_line(&"x".repeat(LINE_BYTES_MAX - PREFIX.len() - 1));
        assert!(longest.len() == LINE_BYTES_MAX && longest.ends_with("x\n"));
    }

    #[test]
    fn a_line_of_json_is_one_object_within_its_bound() {
        for text in ["", "plain", "a\n\"b\"\\c\u{1b}\u{0}", &"\"".repeat(9_000), &"é".repeat(9_000)] {
            let mut line = Line { format: Format::Json, fields: ",\"n\":7".to_owned(), ..Line::default() };
            line.event = text.to_owned();
            line.say(format_args!("{text}"));
            let line = line.finish(Level::Warn);
            assert!(line.len() <= LINE_BYTES_MAX && line.ends_with("}\n"), "{}", line.len());
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&value["level"], &value["n"]), (&"warn".into(), &7.into()));
            let message = value["message"].as_str().unwrap();
            let wanted = blanked(text);
            assert!(wanted == message || wanted.starts_with(message.trim_end_matches(CUT)), "{message}");
            let time = value["time"].as_str().unwrap();
            assert!(humantime::parse_rfc3339(time).is_ok() && time.len() == "2026-01-01T00:00:00.000Z".len());
        }
    }

    #[test]
    fn a_format_is_called_what_it_is_parsed_from() {
        for format in [Format::Text, Format::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("JSON".parse::<Format>().is_err());
    }
}
