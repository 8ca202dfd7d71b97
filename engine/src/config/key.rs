//! A key of the configuration: what it may be set to, what it is without being set, and what it means.
//!
//! Readers take their bounds from here, and `docs/settings.md`, `corecast config schema` and `config show` are made of it.

use super::Config;

/// A key that a table may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// As it is written in the file.
    pub(super) name: &'static str,
    /// What it may be set to. Its reader may know more.
    pub(super) kind: Kind,
    /// What holds if it is not set.
    pub(super) default: Default,
    /// Whether nobody may see its value.
    pub(super) is_secret: bool,
    /// What it decides, in whole sentences.
    pub(super) meaning: &'static str,
}

/// What a key may be set to. A variable of the environment is read by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// One text or several.
    List,
    /// A whole number within bounds.
    Integer(u64, u64),
    /// One of these numbers.
    Code(&'static [u64]),
    Boolean,
    /// A table, or a list of tables.
    Table,
}

/// What holds if a key is not set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Default {
    /// Nothing, or what its meaning says.
    None,
    /// A value, in TOML.
    Value(&'static str),
    Number(u64),
    /// What follows from the machine or from other settings: in words, and as a value in TOML.
    Follows(&'static str, fn(&Config) -> String),
}

impl Key {
    const fn new(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self { name, kind, default: Default::None, is_secret: false, meaning }
    }

    /// With this default, in TOML.
    pub(super) const fn or(self, value: &'static str) -> Self {
        Self { default: Default::Value(value), ..self }
    }

    /// With this number as its default.
    pub(super) const fn or_number(self, number: u64) -> Self {
        Self { default: Default::Number(number), ..self }
    }

    /// With a default that follows from something else.
    pub(super) const fn or_follows(self, words: &'static str, value: fn(&Config) -> String) -> Self {
        Self { default: Default::Follows(words, value), ..self }
    }

    /// Whose value nobody may see.
    pub(super) const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }
}

pub(super) const fn text(name: &'static str, meaning: &'static str) -> Key {
    Key::new(name, Kind::Text, meaning)
}

pub(super) const fn word(name: &'static str, words: &'static [&'static str], meaning: &'static str) -> Key {
    Key::new(name, Kind::Word(words), meaning)
}

pub(super) const fn list(name: &'static str, meaning: &'static str) -> Key {
    Key::new(name, Kind::List, meaning)
}

pub(super) const fn integer(name: &'static str, min: u64, max: u64, meaning: &'static str) -> Key {
    Key::new(name, Kind::Integer(min, max), meaning)
}

pub(super) const fn code(name: &'static str, codes: &'static [u64], meaning: &'static str) -> Key {
    Key::new(name, Kind::Code(codes), meaning)
}

pub(super) const fn boolean(name: &'static str, meaning: &'static str) -> Key {
    Key::new(name, Kind::Boolean, meaning)
}

pub(super) const fn table(name: &'static str, meaning: &'static str) -> Key {
    Key::new(name, Kind::Table, meaning)
}
