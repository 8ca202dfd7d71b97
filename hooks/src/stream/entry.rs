//! An entry of the stream: webman's fields `name`, `data` and `time`, with `id` and `app_id` beside them.
//!
//! Other programs may write to the stream too; entries that are not ours are skipped. What must never happen here: bytes of
//! an entry that stop its reader.

use protocol::app::Apps;
use redis::{Cmd, Value};

use crate::encoding::{UndecodableRow, decode_row, encode_row_data, encode_seconds};
use crate::row::{Position, Row};

/// Makes `add` the command that adds this row to the stream. `text` is room to work in.
pub(super) fn write_add(add: &mut Cmd, text: &mut Vec<u8>, key: &str, row: &Row) {
    text.clear();
    encode_row_data(text, row.id, row.time_ms, &row.event);
    add.clear();
    add.arg("XADD").arg(key).arg("*").arg("name").arg(row.event.name()).arg("data").arg(text.as_slice());
    text.clear();
    encode_seconds(text, row.time_ms);
    add.arg("time").arg(text.as_slice()).arg("id").arg(row.id).arg("app_id").arg(&*row.event.app().id);
}

/// An entry as Redis gives it: its place, and its fields if it still has them.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its place.
    pub(super) at: Position,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// The id of the row that it holds.
    pub(super) fn id(&self) -> Option<u64> {
        self.text("id")?.parse().ok()
    }

    /// The row that it holds, if it is an event of one of these apps.
    pub(super) fn row(&self, apps: &Apps) -> Result<Row, Foreign> {
        let text = |name| self.text(name).ok_or(Foreign::Field(name));
        let id = self.id().ok_or(Foreign::Field("id"))?;
        let time_ms = parse_seconds(text("time")?).ok_or(Foreign::Field("time"))?;
        decode_row(id, time_ms, text("app_id")?, text("name")?, text("data")?, apps).map_err(Foreign::Row)
    }

    /// True when it holds just this row.
    pub(super) fn holds(&self, row: &Row) -> bool {
        let mut data = Vec::new();
        encode_row_data(&mut data, row.id, row.time_ms, &row.event);
        self.id() == Some(row.id)
            && self.text("app_id") == Some(&*row.event.app().id)
            && self.field("data") == Some(data.as_slice())
    }

    /// About how many bytes it has.
    pub(super) fn bytes(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Its fields by name, where they are text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.field(name)?).ok()
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(field, _)| field == name.as_bytes()).map(|(_, value)| value.as_slice())
    }
}

/// Why an entry is no row of ours.
#[derive(Debug)]
pub(super) enum Foreign {
    /// This field is missing or is not what it should be.
    Field(&'static str),
    /// The fields are there, but they cannot be read here.
    Row(UndecodableRow),
}

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(name) => write!(f, "it has no right field {name:?}"),
            Self::Row(why) => why.fmt(f),
        }
    }
}

/// The entries of an XRANGE or XREVRANGE.
pub(super) fn parse_entries(answer: Value) -> Vec<Entry> {
    let Value::Array(entries) = answer else { return Vec::new() };
    entries.into_iter().filter_map(parse_entry).collect()
}

/// The entries of an XREAD or XREADGROUP of one stream.
pub(super) fn parse_read(answer: Value) -> Vec<Entry> {
    let Value::Array(mut streams) = answer else { return Vec::new() };
    match streams.pop() {
        Some(Value::Array(mut stream)) => stream.pop().map(parse_entries).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn parse_entry(entry: Value) -> Option<Entry> {
    let Value::Array(parts) = entry else { return None };
    let mut parts = parts.into_iter();
    let at = Position::parse(std::str::from_utf8(&bytes(parts.next()?)?).ok()?)?;
    // An entry that was deleted while it was pending has no fields.
    let fields = match parts.next() {
        Some(Value::Array(fields)) => parse_fields(fields),
        _ => Vec::new(),
    };
    Some(Entry { at, fields })
}

fn parse_fields(fields: Vec<Value>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut texts = fields.into_iter().map(|field| bytes(field).unwrap_or_default());
    std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect()
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

/// Seconds with any number of decimals, as PHP writes them too, in milliseconds.
fn parse_seconds(text: &str) -> Option<u64> {
    let (seconds, decimals) = text.split_once('.').unwrap_or((text, ""));
    let thousandths: String = decimals.chars().chain("000".chars()).take(3).collect();
    seconds.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(thousandths.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::app::App;
    use protocol::hook_event::HookEvent;

    use super::*;

    fn row() -> Row {
        let app = Arc::new(App::new("1", "k", "s"));
        Row {
            id: 7,
            time_ms: 1_700_000_000_042,
            event: HookEvent::ChannelOccupied { app, channel: "a".into() },
        }
    }

    fn entry(add: &Cmd) -> Entry {
        let texts: Vec<Value> = add
            .args_iter()
            .skip(3)
            .map(|arg| match arg {
                redis::Arg::Simple(bytes) => Value::BulkString(bytes.to_vec()),
                _ => Value::Nil,
            })
            .collect();
        parse_entry(Value::Array(vec![Value::BulkString(b"5-0".to_vec()), Value::Array(texts)])).unwrap()
    }

    #[test]
    fn a_row_comes_back_from_its_entry() {
        let mut add = Cmd::new();
        write_add(&mut add, &mut Vec::new(), "stream", &row());
        let entry = entry(&add);
        let apps = Apps::new(vec![App::new("1", "k", "s")]).unwrap();
        let back = entry.row(&apps).unwrap();
        assert_eq!((back.id, back.time_ms, back.event.name()), (7, 1_700_000_000_042, "channel_occupied"));
        assert_eq!(entry.text("time"), Some("1700000000.042"));
        assert!(entry.holds(&row()));
        assert!(!entry.holds(&Row { time_ms: 1, ..row() }));
        assert!(entry.row(&Apps::default()).is_err(), "an app that is not known here");
    }

    #[test]
    fn what_is_no_entry_of_ours_is_no_row() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let apps = Apps::new(vec![App::new("1", "k", "s")]).unwrap();
        for fields in [
            Value::Nil,
            Value::Array(vec![text("name")]),
            Value::Array(vec![text("name"), text("x"), text("data"), text("{"), text("time"), text("1")]),
        ] {
            let entry = parse_entry(Value::Array(vec![text("5-0"), fields])).unwrap();
            assert!(entry.row(&apps).is_err());
        }
        assert!(parse_entries(Value::Int(1)).is_empty());
        assert!(parse_read(Value::Nil).is_empty());
    }

    #[test]
    fn seconds_have_any_number_of_decimals() {
        for (text, ms) in [("1", 1_000), ("1.5", 1_500), ("1712.0429", 1_712_042), ("0.001", 1)] {
            assert_eq!(parse_seconds(text), Some(ms), "{text}");
        }
        for text in ["", "x", "1.x", "-1", "99999999999999999999"] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
    }
}
