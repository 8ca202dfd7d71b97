//! The JSON file: nested objects from dotted paths, laid out for people as well.
//!
//! Owns the layout: a line per key, and a list on one line, since a plot has hundreds of points.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::{Serializer, Value, json};

use crate::failure::{Context, Outcome};

/// Puts a value at `group.name`, or at the top.
pub(super) fn insert(json: &mut Value, path: &str, value: Value) {
    match path.split_once('.') {
        None => json[path] = value,
        Some((group, rest)) => {
            if !json[group].is_object() {
                json[group] = json!({});
            }
            insert(&mut json[group], rest, value);
        }
    }
}

/// Replaces the file.
pub(crate) fn write_json(file: &Path, value: &Value) -> Outcome<()> {
    let doing = format!("cannot write {}", file.display());
    let mut text = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut text, Layout::default())).context(&doing)?;
    text.push(b'\n');
    std::fs::write(file, text).context(&doing)
}

/// Objects over several lines, lists and what is in them on one.
#[derive(Default)]
struct Layout {
    objects: PrettyFormatter<'static>,
    lists_open: u32,
}

impl Formatter for Layout {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.lists_open += 1;
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.lists_open -= 1;
        writer.write_all(b"]")
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.lists_open {
            0 => self.objects.begin_object(writer),
            _ => CompactFormatter.begin_object(writer),
        }
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.lists_open {
            0 => self.objects.end_object(writer),
            _ => CompactFormatter.end_object(writer),
        }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        match self.lists_open {
            0 => self.objects.begin_object_key(writer, first),
            _ => CompactFormatter.begin_object_key(writer, first),
        }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.lists_open {
            0 => self.objects.begin_object_value(writer),
            _ => CompactFormatter.begin_object_value(writer),
        }
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.lists_open {
            0 => self.objects.end_object_value(writer),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_paths_nest() {
        let mut json = json!({"a": null});
        for (path, value) in [("b", 1), ("a.x", 2), ("a.y.z", 3)] {
            insert(&mut json, path, json!(value));
        }
        assert_eq!(json, json!({"b": 1, "a": {"x": 2, "y": {"z": 3}}}));
    }

    #[test]
    fn lists_stand_on_one_line_and_objects_do_not() {
        let value = json!({"a": {"b": [[1, 2], {"c": "[{"}], "d": {}}, "e": []});
        let mut text = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut text, Layout::default())).unwrap();
        let text = String::from_utf8(text).unwrap();
        let expected =
            "{\n  \"a\": {\n    \"b\": [[1,2],{\"c\":\"[{\"}],\n    \"d\": {}\n  },\n  \"e\": []\n}";
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
