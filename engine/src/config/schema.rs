//! The JSON Schema of the file, by which editors complete and check it.

use super::key::{Default, Key, Kind};
use super::layer::quoted;
use super::table::Table;

/// The schema, indented.
pub fn schema() -> String {
    let members = [
        ("$schema", quoted("https://json-schema.org/draft/2020-12/schema")),
        ("title", quoted("Corecast configuration")),
    ];
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    object(members.chain(of_table(Table::Top)), 0) + "\n"
}

fn of_table(table: Table) -> impl Iterator<Item = (String, String)> {
    let properties = table.keys().into_iter().map(move |key| (key.name.to_owned(), of_key(table, &key)));
    let depth = 2 * table.path().matches('.').count() + 1;
    [
        ("type".to_owned(), quoted("object")),
        ("additionalProperties".to_owned(), "false".to_owned()),
        ("properties".to_owned(), object(properties, depth)),
    ]
    .into_iter()
}

fn of_key(table: Table, key: &Key) -> String {
    let depth = 2 * table.path().matches('.').count() + 2;
    let mut members = match table.inner(key.name) {
        Some(inner) if inner.is_list() => {
            let items = object(of_table(inner), depth + 1);
            vec![("type".to_owned(), quoted("array")), ("items".to_owned(), items)]
        }
        Some(inner) => of_table(inner).collect(),
        None => of_kind(key.kind),
    };
    let mut meaning = key.meaning.to_owned();
    match key.default {
        Default::Value(value) => members.push(("default".to_owned(), value.to_owned())),
        Default::Number(number) => members.push(("default".to_owned(), number.to_string())),
        Default::Follows(words, _) => meaning.push_str(&format!(" By default {words}.")),
        Default::None => {}
    }
    members.insert(0, ("description".to_owned(), quoted(&meaning)));
    object(members.into_iter(), depth)
}

fn of_kind(kind: Kind) -> Vec<(String, String)> {
    let members: Vec<(&str, String)> = match kind {
        Kind::Text => vec![("type", quoted("string"))],
        Kind::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            vec![("enum", format!("[{}]", words.join(", ")))]
        }
        Kind::List => {
            let list =
                "[{ \"type\": \"string\" }, { \"type\": \"array\", \"items\": { \"type\": \"string\" } }]";
            vec![("anyOf", list.to_owned())]
        }
        Kind::Integer(min, max) => {
            vec![("type", quoted("integer")), ("minimum", min.to_string()), ("maximum", max.to_string())]
        }
        Kind::Code(codes) => vec![("enum", format!("{codes:?}"))],
        Kind::Boolean => vec![("type", quoted("boolean"))],
        Kind::Table => {
            vec![("type", quoted("object")), ("additionalProperties", "{ \"type\": \"string\" }".to_owned())]
        }
    };
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn object(members: impl Iterator<Item = (String, String)>, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let lines: Vec<String> =
        members.map(|(name, value)| format!("{indent}  {}: {value}", quoted(&name))).collect();
    format!("{{\n{}\n{indent}}}", lines.join(",\n"))
}
