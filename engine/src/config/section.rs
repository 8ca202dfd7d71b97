//! A table of the file whose keys are all known, and the values in it, each with its place.
//!
//! An unknown key is refused when the table is opened, so the reader of a table cannot overlook one. A value yields what it
//! is asked for, or the fault that says why not. Called by the readers of this folder.

use std::borrow::Cow;
use std::fs;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::advice::advice;
use super::fault::{Document, Fault};
use super::key::{Key, Kind};
use super::table::Table;

/// A table whose keys are known.
pub(super) struct Section<'a> {
    document: &'a Document<'a>,
    table: Table,
    at: usize,
    entries: DeTable<'a>,
}

impl<'a> Section<'a> {
    /// The table that begins at this byte, if all its keys are known. The first unknown key is refused.
    pub(super) fn open(
        document: &'a Document<'a>,
        table: Table,
        at: usize,
        entries: DeTable<'a>,
    ) -> Result<Self, Fault> {
        let unknown = entries.keys().filter(|key| !table.has(key.get_ref()));
        match unknown.min_by_key(|key| key.span().start) {
            Some(key) => Err(unknown_key(document, table, key)),
            None => Ok(Self { document, table, at, entries }),
        }
    }

    /// The value of a key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        let (document, table) = (self.document, self.table);
        let known = table.key(key);
        assert!(known.is_some(), "{key} is no key of {}", table.title());
        let (at, value) = self.entries.remove_entry(key)?;
        let key = known?;
        Some(Value { document, table, key, at: at.span().start, value: value.into_inner() })
    }

    /// The value of a key, or what the file holds that another key names. Blocks while it reads.
    pub(super) fn take_or_read(
        &mut self,
        key: &'static str,
        file_key: &'static str,
    ) -> Result<Option<Value<'a>>, Fault> {
        match (self.take(key), self.take(file_key)) {
            (Some(value), Some(_)) => {
                Err(value.fault(&format!("cannot stand beside {file_key}: give one of the two")))
            }
            (None, Some(file)) => file.read(self.table.key(key)).map(Some),
            (value, None) => Ok(value),
        }
    }

    /// The value of a required key.
    pub(super) fn need(&mut self, key: &'static str) -> Result<Value<'a>, Fault> {
        self.take(key).ok_or_else(|| self.missing(key))
    }

    /// A required key is not there.
    pub(super) fn missing(&self, key: &str) -> Fault {
        let what = format!("{}{key} is missing: each {} needs one", self.table.path(), self.table.title());
        self.document.fault(self.at, &what)
    }

    /// Where it begins, in a sentence.
    pub(super) fn place(&self) -> String {
        self.document.words(self.at)
    }

    /// A fault of the whole table.
    pub(super) fn fault(&self, what: &str) -> Fault {
        self.document.fault(self.at, &format!("{} {what}", self.table.title()))
    }
}

fn unknown_key(document: &Document<'_>, table: Table, key: &Spanned<Cow<'_, str>>) -> Fault {
    let name = key.get_ref();
    let place = if table == Table::Top { String::new() } else { format!(" in {}", table.title()) };
    let what = format!("unknown key {name:?}{place}: {}", advice(table, name));
    document.fault(key.span().start, &what)
}

/// What a key is set to.
pub(super) struct Value<'a> {
    document: &'a Document<'a>,
    table: Table,
    key: Key,
    at: usize,
    value: DeValue<'a>,
}

impl<'a> Value<'a> {
    /// Where its key stands, in a sentence.
    pub(super) fn place(&self) -> String {
        self.document.words(self.at)
    }

    /// The key that is set.
    pub(super) fn key(&self) -> &'static str {
        self.key.name
    }

    /// A fault of this value, without showing the value.
    pub(super) fn fault(&self, what: &str) -> Fault {
        self.document.fault(self.at, &format!("{}{} {what}", self.table.path(), self.key.name))
    }

    /// A fault of this value, which is shown.
    pub(super) fn wrong(&self, shown: &str, what: &str) -> Fault {
        self.fault(&format!("= {shown}: {what}"))
    }

    /// A whole number within the bounds of its key.
    pub(super) fn integer(&self) -> Result<u64, Fault> {
        let (min, max) = match self.key.kind {
            Kind::Integer(min, max) => (min, max),
            // What is none of these is refused by its reader, which says what each means.
            _ => (0, u64::MAX),
        };
        let DeValue::Integer(integer) = &self.value else { return Err(self.no_word("a whole number")) };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.and_then(|number| u64::try_from(number).ok());
        number
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| self.wrong(&integer.to_string(), &format!("must be between {min} and {max}")))
    }

    /// What the file holds that this names, as the value of another key in the same place.
    fn read(self, key: Option<Key>) -> Result<Self, Fault> {
        // Who answers for an app from elsewhere may not read the files of this machine.
        if !self.document.is_file {
            return Err(self.fault("is possible in the configuration file only"));
        }
        let path = self.filled_text()?;
        let text = fs::read_to_string(path).map_err(|error| {
            self.wrong(&format!("{path:?}"), &format!("the file cannot be read: {error}"))
        })?;
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        let key = key.unwrap_or(self.key);
        Ok(Self { key, value: DeValue::String(text.into()), ..self })
    }

    /// True or false.
    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        self.value.as_bool().ok_or_else(|| self.no_word("true or false"))
    }

    /// A text.
    pub(super) fn text(&self) -> Result<&str, Fault> {
        self.value.as_str().ok_or_else(|| self.of_other_kind("a string in quotes"))
    }

    /// A text that is not empty.
    pub(super) fn filled_text(&self) -> Result<&str, Fault> {
        match self.text()? {
            "" => Err(self.fault("is empty")),
            text => Ok(text),
        }
    }

    /// The values of a table with any keys.
    pub(super) fn texts_by_name(self) -> Result<Vec<(String, Self)>, Fault> {
        let (document, table, key) = (self.document, self.table, self.key);
        match self.value {
            DeValue::Table(entries) => Ok(entries
                .into_iter()
                .map(|(name, value)| {
                    let at = name.span().start;
                    (
                        name.into_inner().into_owned(),
                        Self { document, table, key, at, value: value.into_inner() },
                    )
                })
                .collect()),
            value => Err(Self { value, ..self }.of_other_kind("a table of strings")),
        }
    }

    /// One text or a list of them, each at its own place.
    pub(super) fn texts(self) -> Result<Vec<Self>, Fault> {
        if self.is_empty_list() {
            return Err(self.fault("is an empty list: leave the key out, or list at least one value"));
        }
        Ok(self.items().collect())
    }

    /// Whether it is a list of nothing.
    pub(super) fn is_empty_list(&self) -> bool {
        self.value.as_array().is_some_and(|list| list.is_empty())
    }

    /// One text or a list of them, which may be empty, each at its own place.
    pub(super) fn texts_if_any(self) -> Vec<Self> {
        self.items().collect()
    }

    /// A table of this kind.
    pub(super) fn section(self, table: Table) -> Result<Section<'a>, Fault> {
        self.section_or(table, &format!("a table, written {}", table.title()))
    }

    /// Tables of this kind.
    pub(super) fn sections(self, table: Table) -> Result<Vec<Section<'a>>, Fault> {
        let what = format!("a list of tables, each written {}", table.title());
        if !self.value.is_array() {
            return Err(self.of_other_kind(&what));
        }
        self.items().map(|item| item.section_or(table, &what)).collect()
    }

    fn section_or(self, table: Table, wanted: &str) -> Result<Section<'a>, Fault> {
        match self.value {
            DeValue::Table(entries) => Section::open(self.document, table, self.at, entries),
            value => Err(Self { value, ..self }.of_other_kind(wanted)),
        }
    }

    /// The items of a list, each at its own place; anything else is a list of one.
    fn items(self) -> impl Iterator<Item = Self> {
        let (document, table, key) = (self.document, self.table, self.key);
        let list = match self.value {
            DeValue::Array(list) => {
                list.into_iter().map(|item| (item.span().start, item.into_inner())).collect()
            }
            value => vec![(self.at, value)],
        };
        list.into_iter().map(move |(at, value)| Self { document, table, key, at, value })
    }

    /// What no word can stand for. A variable has only words, so there the word is shown.
    fn no_word(&self, wanted: &str) -> Fault {
        match self.value.as_str() {
            Some(word) if self.document.is_in_layer(self.at) => {
                self.wrong(&format!("{word:?}"), &format!("must be {wanted}"))
            }
            _ => self.of_other_kind(wanted),
        }
    }

    fn of_other_kind(&self, wanted: &str) -> Fault {
        self.fault(&format!("must be {wanted}, not {}", kind(&self.value)))
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
