//! An app of the store as text for a reader, as a row, or as JSON in the form of a table `[[apps]]`.

use protocol::json::encode_string;
use toml::de::{DeTable, DeValue};

use crate::app_store::{StoredApp, StoredKey};
use crate::cli::failure::Failure;
use crate::cli::table::{Table, utc};

/// Which secrets are shown.
#[derive(Debug)]
pub(super) enum Secrets<'a> {
    /// None.
    None,
    /// That of the key of this name.
    Of(&'a str),
    /// All.
    All,
}

impl Secrets<'_> {
    fn show(&self, key: &StoredKey) -> bool {
        match self {
            Self::None => false,
            Self::Of(name) => key.name == *name,
            Self::All => true,
        }
    }
}

/// A row per app.
pub(super) fn listed(apps: &[StoredApp]) -> String {
    let mut table = Table::new(&["id", "state", "keys", "settings", "added"]);
    for app in apps {
        let keys = app.keys.iter().filter(|key| key.enabled).count();
        let keys = match app.keys.len() - keys {
            0 => keys.to_string(),
            disabled => format!("{keys} + {disabled} disabled"),
        };
        let (settings, added) = (app.settings.len().to_string(), utc(app.created_s.saturating_mul(1000)));
        table.push([app.id.clone(), state(app.enabled).to_owned(), keys, settings, added]);
    }
    table.render()
}

/// A line per fact.
pub(super) fn text(app: &StoredApp, secrets: &Secrets<'_>) -> String {
    let mut lines = vec![("app", app.id.clone()), ("state", state(app.enabled).to_owned())];
    for key in &app.keys {
        let added = utc(key.created_s.saturating_mul(1000));
        let suffix = if key.enabled { "" } else { ", disabled" };
        lines.push(("key", format!("{}  (added {added}{suffix})", key.name)));
        if secrets.show(key) {
            lines.push(("secret", key.secret.clone()));
        }
    }
    lines.extend(app.settings.iter().map(|(name, value)| ("setting", format!("{name} = {value}"))));
    lines.iter().map(|(name, value)| format!("{name:<8} {value}\n")).collect()
}

fn state(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

/// A line of JSON, with a line end.
pub(super) fn json(app: &StoredApp, secrets: &Secrets<'_>) -> Result<String, Failure> {
    let settings: String = app.settings.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    let settings = DeTable::parse(&settings).map_err(|error| {
        Failure::outside(format!("a setting of the app {:?} is not TOML: {}", app.id, error.message()))
    })?;
    let mut text = format!("{{\"id\":{},\"enabled\":{},\"keys\":[", string(&app.id), app.enabled);
    let keys: Vec<String> = app.keys.iter().map(|key| key_json(key, secrets)).collect();
    text.push_str(&keys.join(","));
    text.push(']');
    for (name, value) in settings.get_ref().iter() {
        text.push_str(&format!(",{}:{}", string(name.get_ref()), value_json(value.get_ref())));
    }
    text.push_str("}\n");
    Ok(text)
}

fn key_json(key: &StoredKey, secrets: &Secrets<'_>) -> String {
    let secret =
        if secrets.show(key) { format!(",\"secret\":{}", string(&key.secret)) } else { String::new() };
    format!("{{\"key\":{}{secret},\"enabled\":{}}}", string(&key.name), key.enabled)
}

fn value_json(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => string(text),
        DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| string(integer.as_str()), |number| number.to_string()),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| value_json(item.get_ref())).collect();
            format!("[{}]", items.join(","))
        }
        DeValue::Table(entries) => {
            let entry = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                let name: &std::borrow::Cow<'_, str> = name.get_ref();
                format!("{}:{}", string(name), value_json(value.get_ref()))
            };
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(","))
        }
        // No setting is one of these.
        DeValue::Float(float) => string(float.as_str()),
        DeValue::Datetime(date) => string(&date.to_string()),
    }
}

fn string(text: &str) -> String {
    let mut json = Vec::with_capacity(text.len() + 2);
    encode_string(&mut json, text);
    String::from_utf8_lossy(&json).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> StoredApp {
        let key = |name: &str, enabled| StoredKey {
            name: name.to_owned(),
            secret: format!("secret-{name}\""),
            enabled,
            created_s: 0,
        };
        let mut app = StoredApp::new("1", key("a", false));
        app.keys.push(key("b", true));
        app.set("limits.connections_max", "0x10".to_owned());
        app.set("allowed_origins", "['a.com', \"b.com\"]".to_owned());
        app
    }

    #[test]
    fn json_is_a_table_of_the_file() {
        let table = [
            (Secrets::None, r#"{"key":"a","enabled":false},{"key":"b","enabled":true}"#),
            (
                Secrets::Of("b"),
                r#"{"key":"a","enabled":false},{"key":"b","secret":"secret-b\"","enabled":true}"#,
            ),
            (
                Secrets::All,
                r#"{"key":"a","secret":"secret-a\"","enabled":false},{"key":"b","secret":"secret-b\"","enabled":true}"#,
            ),
        ];
        for (secrets, keys) in table {
            let settings = r#""allowed_origins":["a.com","b.com"],"limits":{"connections_max":16}"#;
            let expected = format!("{{\"id\":\"1\",\"enabled\":true,\"keys\":[{keys}],{settings}}}\n");
            assert_eq!(json(&app(), &secrets).unwrap(), expected);
        }
    }

    #[test]
    fn a_reader_is_shown_no_secret_that_was_not_asked_for() {
        let shown = text(&app(), &Secrets::Of("b"));
        let expected = "app      1\nstate    enabled\nkey      a  (added 1970-01-01T00:00:00Z, disabled)\n\
            key      b  (added 1970-01-01T00:00:00Z)\nsecret   secret-b\"\n\
            setting  limits.connections_max = 0x10\nsetting  allowed_origins = ['a.com', \"b.com\"]\n";
        assert_eq!(shown, expected);
        assert!(!text(&app(), &Secrets::None).contains("secret"));
        let rows = "id  state    keys            settings  added\n 1  enabled  1 + 1 disabled         2  1970-01-01T00:00:00Z\n";
        assert_eq!(listed(&[app()]), rows);
    }
}
