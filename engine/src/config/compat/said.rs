//! A value of another server's file or variable, as loosely as those servers take it: a number may be a text, a switch may
//! be 1.

use protocol::json::{JsonError, Value, parse_entries};

/// What a key is set to.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Said {
    Null,
    Boolean(bool),
    /// As it is written.
    Number(String),
    Text(String),
    List(Vec<Entry>),
    /// With the name of each entry.
    Object(Vec<(String, Entry)>),
}

/// A value in a file, and at which byte it begins.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) at: usize,
    pub(super) said: Said,
}

impl Said {
    /// The entries of a file in JSON, whose top is an object.
    pub(super) fn of_json(text: &str) -> Result<Vec<(String, Entry)>, JsonError> {
        let entries = parse_entries(text.as_bytes())?;
        entries.into_iter().map(|(key, value)| Ok((key.into_owned(), entry(text, value)?))).collect()
    }

    /// The value of a variable: JSON where it is a list or an object, else a text.
    pub(super) fn of_variable(text: &str) -> Self {
        let is_json = text.trim_start().starts_with(['[', '{']);
        let wrapped = format!("{{\"value\":{text}}}");
        let read = is_json.then(|| Self::of_json(&wrapped).ok()).flatten();
        match read.and_then(|mut entries| entries.pop()) {
            Some((_, entry)) => entry.said,
            None => Self::Text(text.to_owned()),
        }
    }

    /// Whether it says nothing, so that a default holds.
    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            _ => false,
        }
    }

    /// A text, or a number as a text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            _ => None,
        }
    }

    /// True or false, or what JavaScript and PHP take for it.
    pub(super) fn boolean(&self) -> Option<bool> {
        if let Self::Boolean(is_true) = self {
            return Some(*is_true);
        }
        match self.text()?.to_ascii_lowercase().as_str() {
            "1" | "true" | "(true)" | "yes" | "on" => Some(true),
            "0" | "false" | "(false)" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    /// A number, with or without a fraction.
    pub(super) fn number(&self) -> Option<f64> {
        let text = self.text()?.trim().replace('_', "");
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }
}

fn entry(text: &str, value: Value<'_>) -> Result<Entry, JsonError> {
    // A value is a view of the text that it was read from.
    let at = (value.raw().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    let said = if value.is_string() {
        Said::Text(value.text()?.into_owned())
    } else if value.is_array() {
        let elements = value.elements()?.into_iter().map(|element| entry(text, element));
        Said::List(elements.collect::<Result<_, _>>()?)
    } else if value.is_object() {
        let entries = value.entries()?.into_iter();
        let entries = entries.map(|(key, value)| Ok((key.into_owned(), entry(text, value)?)));
        Said::Object(entries.collect::<Result<_, JsonError>>()?)
    } else {
        match value.raw() {
            "null" => Said::Null,
            "true" => Said::Boolean(true),
            "false" => Said::Boolean(false),
            number => Said::Number(number.to_owned()),
        }
    };
    Ok(Entry { at, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_knows_where_it_stands() {
        let text = "{\n  \"a\": [1, \"b\"]}";
        let entries = Said::of_json(text).unwrap();
        let [(key, Entry { at, said: Said::List(list) })] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!((&**key, &text[*at..=*at], &text[list[1].at..list[1].at + 3]), ("a", "[", "\"b\""));
    }

    #[test]
    fn scalars_are_taken_as_loosely_as_other_servers_take_them() {
        let text = |text: &str| Said::Text(text.to_owned());
        let table = [
            (text("1"), Some(true), Some(1.0)),
            (text("TRUE"), Some(true), None),
            (text("(false)"), Some(false), None),
            (text("10_000"), None, Some(10_000.0)),
            (text("0.5"), None, Some(0.5)),
            (text("-1"), None, Some(-1.0)),
            (text("inf"), None, None),
            (Said::Boolean(false), Some(false), None),
            (Said::Number("2".to_owned()), None, Some(2.0)),
            (Said::Null, None, None),
        ];
        for (said, boolean, number) in table {
            assert_eq!((said.boolean(), said.number()), (boolean, number), "{said:?}");
        }
    }

    #[test]
    fn a_variable_may_hold_json() {
        assert!(
            matches!(Said::of_variable("[{\"url\": \"http://h/\"}]"), Said::List(list) if list.len() == 1)
        );
        assert_eq!(Said::of_variable("[not json"), Said::Text("[not json".to_owned()));
        assert_eq!(Said::of_variable("6001"), Said::Text("6001".to_owned()));
    }
}
