//! A source above the file: what the environment or the command line sets, as text in TOML whose every part knows where
//! it comes from.
//!
//! The readers of this folder read such a layer like the file, so each of their faults names the variable or the flag.

/// What kind of source a setting is from, the lowest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// None: it is a default.
    Default,
    /// The configuration file.
    File,
    /// A variable, or what it names.
    Environment,
    /// The command line.
    Flag,
}

impl Origin {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "env",
            Self::Flag => "flag",
        }
    }
}

/// Settings of one source, in TOML, in the order in which they were given.
#[derive(Clone)]
pub struct Layer {
    origin: Origin,
    text: String,
    marks: Vec<Mark>,
}

/// From here on a text is of this place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub(super) at: usize,
    pub(super) place: String,
    pub(super) origin: Origin,
}

/// An app of a layer.
pub struct LayerApp {
    /// Where it is from, for messages.
    pub place: String,
    /// Its id, key and secret, and what else is set of it: each with its place, its key and its value in TOML.
    pub settings: Vec<(String, &'static str, String)>,
}

/// The endpoints that each app gets in place of its own; no key of the file.
pub(super) const ENDPOINTS: &str = "endpoints of every app";

impl Layer {
    /// A source of this kind that sets nothing yet.
    pub fn new(origin: Origin) -> Self {
        Self { origin, text: String::new(), marks: Vec::new() }
    }

    /// What is set from here on is from a source of this kind.
    pub(super) fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// Sets a key of the file, by its path, to a value in TOML. `place` is what messages call its source.
    pub fn set(&mut self, place: &str, path: &str, value: &str) {
        self.mark(place);
        self.text.push_str(&format!("{path} = {value}\n"));
    }

    /// Replaces all apps of the sources below.
    pub fn set_apps(&mut self, apps: &[LayerApp]) {
        let Some(first) = apps.first() else { return };
        self.mark(&first.place);
        self.text.push_str("apps = [\n");
        for app in apps {
            self.mark(&app.place);
            self.text.push_str("{ ");
            for (index, (place, key, value)) in app.settings.iter().enumerate() {
                self.text.push_str(if index > 0 { ", " } else { "" });
                self.mark(place);
                self.text.push_str(&format!("{key} = {value}"));
            }
            self.text.push_str(" },\n");
        }
        self.text.push_str("]\n");
    }

    /// Replaces all endpoints of all apps by webhooks.
    pub fn set_webhooks(&mut self, place: &str, urls: &[String]) {
        self.mark(place);
        let tables: Vec<String> = urls.iter().map(|url| format!("{{ url = {} }}", quoted(url))).collect();
        self.text.push_str(&format!("{:?} = [{}]\n", ENDPOINTS, tables.join(", ")));
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    fn mark(&mut self, place: &str) {
        self.marks.push(Mark { at: self.text.len(), place: place.to_owned(), origin: self.origin });
    }
}

impl LayerApp {
    /// An app that is written `ID:KEY:SECRET`.
    pub fn written(place: &str, line: &str) -> Self {
        let mut parts = line.splitn(3, ':');
        let mut part = |name| {
            let value = quoted(parts.next().unwrap_or_default());
            (place.to_owned(), name, value)
        };
        let settings = vec![part("id"), part("key"), part("secret")];
        Self { place: place.to_owned(), settings }
    }
}

/// A text as a string of TOML, on one line.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of texts in TOML.
pub fn quoted_list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(quoted).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    #[test]
    fn a_quoted_text_is_read_as_it_was() {
        for text in ["", "a\"b\\c", "\n\r\t\u{0}\u{7f}\u{85}", "é€😀", "'''\"\"\""] {
            let line = format!("a = {}", quoted(text));
            assert_eq!(line.lines().count(), 1, "{line}");
            let table = DeTable::parse(&line).unwrap().into_inner();
            assert_eq!(table.get("a").and_then(|value| value.get_ref().as_str()), Some(text));
        }
    }
}
