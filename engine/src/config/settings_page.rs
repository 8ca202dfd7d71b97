//! `docs/settings.md`, made of the keys, so that it has all of them as they are. `UPDATE=1` writes it anew.

use std::fs;

use super::key::{Default, Key, Kind};
use super::table::Table;
use super::variables::variable_name;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");

const HEAD: &str = include_str!("settings_page.md");

fn page() -> String {
    let mut page = HEAD.to_owned();
    for table in Table::ALL {
        page.push_str(&match table {
            Table::Top => "\n## The top of the file\n\n".to_owned(),
            table => format!("\n## {}\n\n", table.title()),
        });
        table.keys().iter().for_each(|key| page.push_str(&entry(table, key)));
    }
    page
}

fn entry(table: Table, key: &Key) -> String {
    let variable = match table {
        _ if key.kind == Kind::Table => None,
        Table::App if key.name.ends_with("_file") => None,
        Table::App => Some(variable_name("app.", key.name)),
        table => table.is_single().then(|| variable_name(table.path(), key.name)),
    };
    let mut facts = vec![kind(table, key)];
    facts.extend(default(key));
    facts.extend(variable.map(|name| format!("`{name}`")));
    // All of an app is read again, which the head of the page says.
    if table.is_single() && key.kind != Kind::Table && table.is_read_again(key.name) {
        facts.push("read again".to_owned());
    }
    format!("* **`{}`** ({}): {}\n", key.name, facts.join("; "), key.meaning)
}

fn kind(table: Table, key: &Key) -> String {
    match key.kind {
        Kind::Text => "a text".to_owned(),
        Kind::Word(words) => {
            words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" or ")
        }
        Kind::List => "a text or a list of texts".to_owned(),
        Kind::Integer(min, max) => format!("{min} to {max}"),
        Kind::Code(codes) => codes.iter().map(u64::to_string).collect::<Vec<_>>().join(" or "),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Table => table
            .inner(key.name)
            .map_or_else(|| "a table of texts".to_owned(), |inner| format!("`{}`", inner.title())),
    }
}

fn default(key: &Key) -> Option<String> {
    match key.default {
        Default::None => None,
        Default::Value(value) => Some(format!("default `{value}`")),
        Default::Number(number) => Some(format!("default `{number}`")),
        Default::Follows(words, _) => Some(format!("default {words}")),
    }
}

#[test]
fn the_page_of_settings_has_every_key_as_it_is() {
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let known = fs::read_to_string(PAGE).unwrap();
    for (now, before) in page.lines().zip(known.lines()) {
        assert_eq!(now, before, "UPDATE=1 writes docs/settings.md anew");
    }
    assert_eq!(page.len(), known.len(), "UPDATE=1 writes docs/settings.md anew");
}

/// Of names with these ends, a page that operators follow has none that is not a key.
#[test]
fn keys_that_pages_name_are_there() {
    const ENDS: [&str; 12] = [
        "_max",
        "_second",
        "_ms",
        "_s",
        "_proxies",
        "_hosts",
        "_origins",
        "_origin",
        "_prefix",
        "_file",
        "_only",
        "_steering",
    ];
    let known = page();
    for name in ["refusals", "security", "tuning"] {
        let text = fs::read_to_string(format!("{}/../docs/{name}.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let words = text.split('`').skip(1).step_by(2).filter_map(|span| span.split([' ', '=']).next());
        let is_key = |word: &&str| {
            word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                && ENDS.iter().any(|end| word.ends_with(end))
        };
        for word in words.filter(is_key) {
            assert!(known.contains(&format!("`{word}`")), "docs/{name}.md names {word}, which is no key");
        }
    }
}
