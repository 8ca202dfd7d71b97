//! An app as the store keeps it: credentials, and settings as they are written in the configuration file.

use std::fmt;
use std::path::Path;

use protocol::app::App;

use super::error::StoreError;
use crate::config::AppReader;

/// An app, which may be none that a server could take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredApp {
    /// Names the app in the paths of the REST API.
    pub id: String,
    /// A disabled app refuses connections and REST calls.
    pub enabled: bool,
    /// When it was added, in seconds of Unix time.
    pub created_s: u64,
    /// Its keys, the oldest first.
    pub keys: Vec<StoredKey>,
    /// Settings by name, such as `limits.connections_max`, each with its value as a configuration file has it.
    pub settings: Vec<(String, String)>,
}

/// A key of an app.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The key itself, which is public.
    pub name: String,
    /// What signs for it.
    pub secret: String,
    /// A disabled key opens nothing.
    pub enabled: bool,
    /// When it was added, in seconds of Unix time.
    pub created_s: u64,
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, enabled, created_s, .. } = self;
        f.debug_struct("StoredKey")
            .field("name", name)
            .field("secret", &"[redacted]")
            .field("enabled", enabled)
            .field("created_s", created_s)
            .finish()
    }
}

impl StoredApp {
    /// An enabled app with one key.
    pub fn new(id: &str, key: StoredKey) -> Self {
        let created_s = key.created_s;
        Self { id: id.to_owned(), enabled: true, created_s, keys: vec![key], settings: Vec::new() }
    }

    /// Sets a setting, or replaces its value.
    pub fn set(&mut self, name: &str, value: String) {
        match self.settings.iter_mut().find(|(set, _)| set == name) {
            Some((_, old)) => *old = value,
            None => self.settings.push((name.to_owned(), value)),
        }
    }

    /// The app in the form of a table of the configuration file.
    pub fn table(&self) -> String {
        let mut table = format!("id = {}\nenabled = {}\nkeys = [", quoted(&self.id), self.enabled);
        for key in &self.keys {
            let (name, secret) = (quoted(&key.name), quoted(&key.secret));
            table.push_str(&format!("{{ key = {name}, secret = {secret}, enabled = {} }}, ", key.enabled));
        }
        table.push_str("]\n");
        for (name, value) in &self.settings {
            table.push_str(&format!("{name} = {value}\n"));
        }
        table
    }

    /// The app that a server makes of it, if it is sound and shares neither id nor key with these others.
    pub fn checked(&self, path: &Path, reader: &AppReader, others: &[App]) -> Result<App, StoreError> {
        let name = format!("{}: app {:?}", path.display(), self.id);
        let app = reader.read(&name, &self.table())?;
        if others.iter().any(|other| other.id == app.id) {
            return Err(StoreError::ElsewhereId { path: path.to_owned(), id: self.id.clone() });
        }
        let taken = |name: &str| others.iter().flat_map(App::keys).any(|key| *key.name == *name);
        match self.keys.iter().find(|key| taken(&key.name)) {
            Some(key) => Err(StoreError::ElsewhereKey { path: path.to_owned(), key: key.name.clone() }),
            None => Ok(app),
        }
    }
}

/// A text as the configuration file has it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn app(settings: &[(&str, &str)]) -> StoredApp {
        let key = |name: &str, enabled| StoredKey {
            name: name.to_owned(),
            secret: "hunter2\"\\\u{e9}".to_owned(),
            enabled,
            created_s: 0,
        };
        let mut app = StoredApp::new("1", key("a", false));
        app.keys.push(key("b", true));
        settings.iter().for_each(|(name, value)| app.set(name, (*value).to_owned()));
        app
    }

    fn checked(app: &StoredApp, others: &[App]) -> Result<App, String> {
        let reader = Config::parse("x", "[limits]\nchannels_per_event_max = 9").unwrap().app_reader();
        app.checked(Path::new("apps.db"), &reader, others).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_kept_is_read_as_a_table_of_the_file() {
        let stored = app(&[("client_events", "false"), ("limits.connections_max", "5")]);
        let app = checked(&stored, &[]).unwrap();
        assert!(app.enabled && !app.client_events);
        assert_eq!((app.limits.connections_max, app.limits.channels_per_event_max), (Some(5), 9));
        let keys: Vec<_> = app.keys().map(|key| (&*key.name, key.enabled)).collect();
        assert_eq!(keys, [("a", false), ("b", true)]);
    }

    #[test]
    fn faults_are_those_of_the_file_and_show_no_secret() {
        let table = [
            (
                ("client_event", "true"),
                "unknown key \"client_event\" in [[apps]]: did you mean \"client_events\"?",
            ),
            (("client_events", "1"), "apps.client_events must be true or false, not a number"),
            (
                ("limits.connections_max", "0"),
                "apps.limits.connections_max = 0: must be between 1 and 4294967295",
            ),
            (
                ("hooks", "[]"),
                "apps.hooks is possible in the configuration file only: an app store has no endpoints",
            ),
        ];
        for (setting, what) in table {
            let fault = checked(&app(&[setting]), &[]).unwrap_err();
            assert_eq!(fault, format!("apps.db: app \"1\": {what}"));
        }
        let mut spoiled = app(&[]);
        spoiled.keys[0].secret.push('\u{7}');
        let fault = checked(&spoiled, &[]).unwrap_err();
        assert!(fault.starts_with("apps.db: app \"1\": ") && !fault.contains("hunter"), "{fault}");
        assert!(!format!("{spoiled:?}").contains("hunter"));
    }

    #[test]
    fn an_app_of_the_file_keeps_its_id_and_its_key() {
        let of = |id, key| checked(&app(&[]), &[App::new(id, key, "s")]).map(drop);
        assert_eq!(of("2", "c"), Ok(()));
        let why = "apps.db: the app \"1\" of the store has the id of an app in the configuration file";
        assert_eq!(of("1", "c"), Err(why.to_owned()));
        let why = "apps.db: the key \"b\" of the store is that of an app in the configuration file";
        assert_eq!(of("2", "b"), Err(why.to_owned()));
    }
}
