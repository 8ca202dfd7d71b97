//! JSON objects, written member by member.

use std::fmt::Display;

use protocol::json::encode_string;

/// An object that is being written.
#[derive(Debug)]
pub struct Object(String);

impl Default for Object {
    fn default() -> Self {
        Self("{".to_owned())
    }
}

impl Object {
    /// A member that is a text.
    pub fn text(self, name: &str, text: &str) -> Self {
        let value = string(text);
        self.raw(name, &value)
    }

    /// A member that is a text, or null.
    pub fn maybe_text(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.raw(name, "null"),
        }
    }

    /// A member that is a number or a boolean.
    pub fn plain(self, name: &str, value: impl Display) -> Self {
        self.raw(name, &value.to_string())
    }

    /// The same, or null.
    pub fn maybe(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.plain(name, value),
            None => self.raw(name, "null"),
        }
    }

    /// A member that is written already.
    pub fn raw(mut self, name: &str, json: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&string(name));
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    /// The whole object.
    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A text as JSON.
pub fn string(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    encode_string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// These values as a list.
pub fn list(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    format!("[{}]", values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_its_members_in_order_and_texts_are_inert() {
        let inner = Object::default().plain("a", 1.5).plain("b", true).end();
        let text = "<img onerror>\u{1b}[31m\u{202e}\"";
        let json = Object::default()
            .text("t", text)
            .maybe("n", None::<u8>)
            .maybe_text("m", None)
            .raw("o", &list([inner]));
        let read: serde_json::Value = serde_json::from_str(&json.end()).unwrap();
        assert_eq!(read, serde_json::json!({"t": text, "n": null, "m": null, "o": [{"a": 1.5, "b": true}]}));
        assert_eq!((Object::default().end(), list([])), ("{}".to_owned(), "[]".to_owned()));
    }
}
