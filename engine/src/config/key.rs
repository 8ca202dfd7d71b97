//! A key of the configuration, and what it may be set to.

/// A key that a table may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key {
    /// As it is written in the file.
    pub(super) name: &'static str,
    /// What it may be set to. Its reader knows more.
    pub(super) kind: Kind,
}

/// What a key may be set to. A variable of the environment is read by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    /// One text or several.
    List,
    Integer,
    Boolean,
    /// A table, or a list of tables.
    Table,
}

pub(super) const fn text(name: &'static str) -> Key {
    Key { name, kind: Kind::Text }
}

pub(super) const fn list(name: &'static str) -> Key {
    Key { name, kind: Kind::List }
}

pub(super) const fn integer(name: &'static str) -> Key {
    Key { name, kind: Kind::Integer }
}

pub(super) const fn boolean(name: &'static str) -> Key {
    Key { name, kind: Kind::Boolean }
}

pub(super) const fn table(name: &'static str) -> Key {
    Key { name, kind: Kind::Table }
}
