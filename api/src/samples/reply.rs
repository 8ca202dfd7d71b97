//! The reply of a sample endpoint: a flat JSON object, nearly always of strings.

use protocol::json::encode_string;

/// A JSON object in the making.
pub(super) struct Reply {
    json: Vec<u8>,
}

impl Reply {
    pub(super) fn new() -> Self {
        Self { json: b"{".to_vec() }
    }

    /// With this string under this name.
    pub(super) fn with(mut self, name: &str, text: &str) -> Self {
        self.name(name);
        encode_string(&mut self.json, text);
        self
    }

    /// With this JSON under this name.
    pub(super) fn with_json(mut self, name: &str, json: &str) -> Self {
        self.name(name);
        self.json.extend_from_slice(json.as_bytes());
        self
    }

    pub(super) fn into_json(mut self) -> String {
        self.json.push(b'}');
        // Strings and ASCII alone were put together.
        String::from_utf8(self.json).unwrap_or_default()
    }

    fn name(&mut self, name: &str) {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        encode_string(&mut self.json, name);
        self.json.push(b':');
    }
}
