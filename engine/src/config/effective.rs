//! Every setting as it holds, with where it is from. What must never happen here: the value of a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use api::console::object::Object;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::fault::Document;
use super::key::{Default, Key, Kind};
use super::layer::{Origin, quoted, quoted_list};
use super::table::Table;
use crate::settings::ShownSetting;

/// What stands in place of a secret.
const MASKED: &str = "\"***\"";

/// A setting as it holds.
#[derive(Debug)]
pub struct Setting {
    /// The key's path, in which tables of a list have their number.
    pub path: String,
    /// Its value, written as in TOML and as in JSON. None: there is none.
    pub value: Option<String>,
    /// What holds if nobody sets it, in the same form, or in words where it follows from something else. None: nothing does.
    pub default: Option<String>,
    /// What kind of source it is from.
    pub origin: Origin,
    /// The place there; none for a default.
    pub place: Option<String>,
    /// Whether it is set to something else than its default.
    pub differs: bool,
    /// A running server follows a change of it.
    pub is_read_again: bool,
    /// Tells a value from another, even where it may not be seen.
    pub fingerprint: u64,
}

impl Setting {
    /// As operators are shown it.
    pub fn shown(&self) -> ShownSetting {
        let json = Object::default()
            .text("key", &self.path)
            .maybe_text("value", self.value.as_deref())
            .text("origin", self.origin.name())
            .maybe_text("where", self.place.as_deref())
            .maybe_text("default", self.default.as_deref())
            .plain("differs", self.differs)
            .end();
        ShownSetting { json, is_read_again: self.is_read_again }
    }

    /// The keys that a running server keeps as they were `before`, and that are different here.
    pub fn kept<'a>(before: &'a [Self], here: &'a [Self]) -> Vec<&'a str> {
        let fingerprints = |all: &'a [Self]| -> BTreeMap<&'a str, u64> {
            let kept = all.iter().filter(|setting| !setting.is_read_again);
            kept.map(|setting| (&*setting.path, setting.fingerprint)).collect()
        };
        let (before, here) = (fingerprints(before), fingerprints(here));
        let paths: BTreeSet<&str> = before.keys().chain(here.keys()).copied().collect();
        paths.into_iter().filter(|path| before.get(path) != here.get(path)).collect()
    }
}

fn fingerprint(value: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// All settings, in the order of the tables.
pub(super) fn settings(document: &Document<'_>, tree: &DeTable<'_>, config: &Config) -> Vec<Setting> {
    let mut collected = Collected { document, config, all: Vec::new() };
    collected.table(Table::Top, "", tree);
    collected.all
}

struct Collected<'a> {
    document: &'a Document<'a>,
    config: &'a Config,
    all: Vec<Setting>,
}

impl Collected<'_> {
    fn table(&mut self, table: Table, path: &str, entries: &DeTable<'_>) {
        for key in table.keys() {
            let path = format!("{path}{}", key.name);
            match (table.inner(key.name), entries.get_key_value(key.name)) {
                (Some(inner), Some((_, value))) => self.tables(inner, &path, value.get_ref()),
                (Some(inner), None) if inner.is_single() => {
                    self.table(inner, &format!("{path}."), &DeTable::new());
                }
                (Some(_), None) => {}
                (None, Some((name, value))) => {
                    let (origin, place) = self.document.origin(name.span().start);
                    let value = match value.get_ref() {
                        DeValue::String(one) if key.kind == Kind::List => quoted_list([&**one]),
                        value => written(value),
                    };
                    let fingerprint = fingerprint(Some(&value));
                    let value = if key.is_secret { MASKED.to_owned() } else { value };
                    let (is_read_again, differs) = (table.is_read_again(key.name), differs(&key, &value));
                    let (value, place) = (Some(value), Some(place));
                    self.all.push(Setting {
                        path,
                        value,
                        default: described_default(&key),
                        origin,
                        place,
                        differs,
                        is_read_again,
                        fingerprint,
                    });
                }
                (None, None) => self.default(table, path, &key),
            }
        }
    }

    fn tables(&mut self, inner: Table, path: &str, value: &DeValue<'_>) {
        if let Some(entries) = value.as_table() {
            self.table(inner, &format!("{path}."), entries);
        }
        let items = value.as_array().into_iter().flat_map(|list| list.iter().enumerate());
        for (index, item) in items {
            if let Some(entries) = item.get_ref().as_table() {
                self.table(inner, &format!("{path}.{index}."), entries);
            }
        }
    }

    fn default(&mut self, table: Table, path: String, key: &Key) {
        let value = match key.default {
            // An app without it is without it; what the server does not have is worth a line.
            Default::None if !table.is_single() => return,
            Default::None => None,
            Default::Value(value) => Some(value.to_owned()),
            Default::Number(number) => Some(number.to_string()),
            Default::Follows(_, value) => Some(value(self.config)),
        };
        // Limits of an app are those of all apps unless it has its own.
        if table != Table::AppLimits {
            // What follows from another setting changes with it: the other one is named.
            let fingerprint = match key.default {
                Default::Follows(words, _) => fingerprint(Some(words)),
                _ => fingerprint(value.as_deref()),
            };
            let is_read_again = table.is_read_again(key.name);
            let (origin, place, differs) = (Origin::Default, None, false);
            let default = value.clone();
            self.all.push(Setting {
                path,
                value,
                default,
                origin,
                place,
                differs,
                is_read_again,
                fingerprint,
            });
        }
    }
}

/// What would hold without a key that is set. What follows from something else is there in words.
fn described_default(key: &Key) -> Option<String> {
    match key.default {
        Default::Value(value) => Some(value.to_owned()),
        Default::Number(number) => Some(number.to_string()),
        Default::Follows(words, _) => Some(words.to_owned()),
        Default::None => None,
    }
}

/// Whether a value is another than the one that holds without it. What follows from the machine is never the same for sure.
fn differs(key: &Key, value: &str) -> bool {
    match key.default {
        Default::Value(default) => value != default,
        Default::Number(default) => value != default.to_string(),
        Default::Follows(..) | Default::None => true,
    }
}

/// A value as TOML and JSON both write it.
fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => quoted(number.as_str()),
        },
        DeValue::Boolean(is_true) => is_true.to_string(),
        DeValue::Array(list) => {
            let items: Vec<String> = list.iter().map(|item| written(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Float(number) => quoted(number.as_str()),
        DeValue::Datetime(time) => quoted(&time.to_string()),
        // No key of these values is without readers of its own.
        DeValue::Table(_) => MASKED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Vec<Setting> {
        let app = "[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"s\"\n";
        Config::parse_whole("x", &format!("{text}\n{app}"), &[]).unwrap().1
    }

    #[test]
    fn a_setting_is_shown_with_its_origin_and_default_and_no_secret() {
        let all = settings("admin_token = \"hunter2\"\nlog_level = \"warn\"");
        let shown = |path: &str| {
            let setting = all.iter().find(|setting| setting.path == path).unwrap();
            serde_json::from_str::<serde_json::Value>(&setting.shown().json).unwrap()
        };
        let level = serde_json::json!({
            "key": "log_level", "value": "\"warn\"", "origin": "file", "where": "x:2", "default": "\"info\"",
            "differs": true,
        });
        assert_eq!(shown("log_level"), level);
        assert_eq!(shown("admin_token")["value"], "\"***\"");
        assert_eq!(shown("shards")["origin"], "default");
    }

    #[test]
    fn each_setting_that_a_running_server_keeps_is_named_when_it_changes() {
        let before = settings("");
        let table = [
            ("", ""),
            ("[limits]\nevent_data_bytes_max = 5\nconnections_per_address_max = 3", ""),
            ("log_level = \"debug\"\n[load]\nmemory_high_bytes = 9", ""),
            ("listen = \"127.0.0.1:1\"", "listen"),
            ("admin = \"off\"\nshards = 3", "admin, shards"),
            ("[tls]\nlisten = \"127.0.0.1:1\"\ncert = \"c\"\nkey = \"k\"", "tls.listen"),
            ("[limits]\nhead_ms_max = 500\nhttp_idle_s = 5", "limits.head_ms_max, limits.http_idle_s"),
            ("[hooks]\ndata_dir = \"d\"", "hooks.data_dir"),
            ("trusted_proxies = \"10.0.0.0/8\"\ndrain_rate = 3", "drain_rate, trusted_proxies"),
        ];
        for (text, names) in table {
            assert_eq!(Setting::kept(&before, &settings(text)).join(", "), names, "{text}");
            assert_eq!(Setting::kept(&settings(text), &before).join(", "), names, "{text}");
        }
        let password = |word: &str| settings(&format!("[hooks]\nredis_url = \"redis://:{word}@h\""));
        assert_eq!(Setting::kept(&password("a"), &password("b")), ["hooks.redis_url"]);
    }
}
