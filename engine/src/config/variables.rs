//! The settings of the environment: `CORECAST_` and the path of a key, in capitals, joined by `_`.
//!
//! Each key of a table that stands in the file once has a variable; apps have `CORECAST_APPS`, or `CORECAST_APP_` and a key
//! for one app. `…_FILE` names a file that holds the value. A name that is none of these stops the start. What must never
//! happen here: a value in a message, unless its key may be shown.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use toml::de::DeValue;

use super::app_lines::parse_app_lines;
use super::env_file::{Line, env_lines};
use super::fault::Fault;
use super::foreign::{Meaning, meaning};
use super::key::{Key, Kind};
use super::layer::{Layer, LayerApp, Origin, quoted, quoted_list};
use super::nearest::nearest;
use super::service_links::{is_link_value, is_service_link};
use super::table::Table;

/// What all names begin with.
const PREFIX: &str = "CORECAST_";

/// Names of test suites and tools around the server, which it does not read itself.
const OTHERS: [&str; 5] = ["BIN", "COUNTING_BIN", "LOADTEST", "LONG", "JOURNAL_ROLE"];

/// And how others of them begin.
const OTHERS_PREFIXES: [&str; 2] = ["TEST_", "SIM_"];

/// The configuration file.
const CONFIG: &str = "CORECAST_CONFIG";
/// All apps.
const APPS: &str = "CORECAST_APPS";

/// The end of a name whose value is the path of a file, which holds the value that is meant.
const FILE_SUFFIX: &str = "_FILE";

const LINK_VALUE: &str = "this is a service link of Kubernetes, not a setting: write enableServiceLinks: false in the pod's \
                          spec, or set the variable there yourself";

/// Settings of the environment.
pub struct Variables {
    /// The configuration file that they name.
    pub config: Option<String>,
    /// Their settings.
    pub layer: Layer,
    /// The files that values were read from.
    pub files: Vec<String>,
    /// Names that Kubernetes has set for a Service, and nobody else.
    pub service_links: Vec<String>,
}

/// A variable: its value, and what messages call it.
struct Variable {
    text: String,
    place: String,
}

/// Variables that are not taken yet, by name.
type Left = BTreeMap<String, Variable>;

impl Variables {
    /// Reads the variables of this process, and below them those of a file. Blocks while it reads files.
    pub fn read(
        process: impl Iterator<Item = (OsString, OsString)>,
        env_file: Option<&Path>,
    ) -> Result<Self, Fault> {
        let mut left = of_process(process)?;
        if let Some(path) = env_file {
            for (name, variable) in of_file(path)? {
                let base = name.strip_suffix(FILE_SUFFIX).unwrap_or(&name);
                if !left.contains_key(base) && !left.contains_key(&format!("{base}{FILE_SUFFIX}")) {
                    left.insert(name, variable);
                }
            }
        }
        let config = left.remove(CONFIG).map(|variable| variable.text);
        let layer = Layer::new(Origin::Environment);
        let mut this = Self { config, layer, files: Vec::new(), service_links: Vec::new() };
        this.take_keys(&mut left)?;
        this.take_apps(&mut left)?;
        this.refuse_the_rest(left)?;
        Ok(this)
    }

    fn take_keys(&mut self, left: &mut Left) -> Result<(), Fault> {
        for (table, key) in single_keys() {
            if let Some(Taken { variable, .. }) = self.take(left, &variable_name(table.path(), key.name))? {
                let value = value(&variable, key.kind)?;
                self.layer.set(&variable.place, &format!("{}{}", table.path(), key.name), &value);
            }
        }
        Ok(())
    }

    fn take_apps(&mut self, left: &mut Left) -> Result<(), Fault> {
        let mut apps = Vec::new();
        if let Some(Taken { variable, is_file }) = self.take(left, APPS)? {
            // In a file a comma belongs to the secret that it stands in.
            let text = if is_file { variable.text } else { variable.text.replace(',', "\n") };
            let written = parse_app_lines(&text).map_err(|error| {
                let line = error.line.filter(|_| is_file).map_or_else(String::new, |line| format!(":{line}"));
                Fault::of(&format!("{}{line}", variable.place), &error.why)
            })?;
            apps.extend(written.iter().map(|(_, line)| LayerApp::written(&variable.place, line)));
        }
        apps.extend(self.take_app(left)?);
        self.layer.set_apps(&apps);
        Ok(())
    }

    /// The app of `CORECAST_APP_…`.
    fn take_app(&mut self, left: &mut Left) -> Result<Option<LayerApp>, Fault> {
        let mut settings = Vec::new();
        let keys = Table::App
            .keys()
            .into_iter()
            .filter(|key| key.kind != Kind::Table && !key.name.ends_with("_file"));
        for key in keys {
            let name = variable_name("app.", key.name);
            if let Some(Taken { variable, .. }) = self.take(left, &name)? {
                let value = value(&variable, key.kind)?;
                settings.push((variable.place, key.name, value));
            }
        }
        let Some((place, _, _)) = settings.first() else { return Ok(None) };
        let place = place.clone();
        let missing =
            ["id", "key", "secret"].into_iter().find(|needed| settings.iter().all(|it| it.1 != *needed));
        match missing {
            Some(key) => {
                let name = variable_name("app.", key);
                Err(Fault::of(&place, &format!("{name} is missing: an app needs an id, a key and a secret")))
            }
            None => Ok(Some(LayerApp { place, settings })),
        }
    }

    /// A variable, or what the file holds that its `_FILE` names.
    fn take(&mut self, left: &mut Left, name: &str) -> Result<Option<Taken>, Fault> {
        let file_name = format!("{name}{FILE_SUFFIX}");
        match (left.remove(name), left.remove(&file_name)) {
            (None, None) => Ok(None),
            (Some(variable), None) => {
                if is_link_value(&variable.text) {
                    return Err(Fault::of(&variable.place, LINK_VALUE));
                }
                Ok(Some(Taken { variable, is_file: false }))
            }
            (None, Some(Variable { text: path, place })) => {
                let place = format!("{place} ({path})");
                let text = fs::read_to_string(&path)
                    .map_err(|error| Fault::of(&place, &format!("the file cannot be read: {error}")))?;
                self.files.push(path);
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                Ok(Some(Taken { variable: Variable { text, place }, is_file: true }))
            }
            (Some(variable), Some(_)) => Err(Fault::of(
                &variable.place,
                &format!("cannot stand beside {file_name}: give one of the two"),
            )),
        }
    }

    /// What is left is none of ours, and nobody may think that it has an effect.
    fn refuse_the_rest(&mut self, left: Left) -> Result<(), Fault> {
        for (name, variable) in left {
            let rest = name.strip_prefix(PREFIX).unwrap_or(&name);
            if is_service_link(rest, &variable.text) {
                self.service_links.push(name);
            } else if !OTHERS.contains(&rest) && !OTHERS_PREFIXES.iter().any(|start| rest.starts_with(start))
            {
                return Err(Fault::of(&variable.place, &format!("unknown variable: {}", advice(rest))));
            }
        }
        Ok(())
    }
}

/// A variable that is set, and whether its value is from a file.
struct Taken {
    variable: Variable,
    is_file: bool,
}

/// The keys that stand in the file once, each with its table.
fn single_keys() -> impl Iterator<Item = (Table, Key)> {
    let tables = Table::ALL.into_iter().filter(|table| table.is_single());
    let keys = tables.flat_map(|table| table.keys().into_iter().map(move |key| (table, key)));
    keys.filter(|(_, key)| key.kind != Kind::Table)
}

/// The names of all variables, without those that name files.
fn names() -> impl Iterator<Item = String> {
    let apps = ["id", "key", "secret"].map(|key| variable_name("app.", key));
    let keys = single_keys().map(|(table, key)| variable_name(table.path(), key.name));
    keys.chain(apps).chain([CONFIG.to_owned(), APPS.to_owned()])
}

/// The variable of a key, whose table has this path.
pub(super) fn variable_name(path: &str, key: &str) -> String {
    format!("{PREFIX}{path}{key}").replace('.', "_").to_uppercase()
}

/// What to write instead of a name that is none of ours.
fn advice(rest: &str) -> String {
    let all: Vec<String> = names().collect();
    let (base, suffix) = match rest.strip_suffix(FILE_SUFFIX) {
        Some(base) => (base, FILE_SUFFIX),
        None => (rest, ""),
    };
    let bare: Vec<String> = all.iter().map(|name| name[PREFIX.len()..].to_lowercase()).collect();
    if let Some(near) = nearest(base, bare.iter().map(String::as_str)) {
        // That one names a file already.
        let suffix = if near == "config" { "" } else { suffix };
        return format!("did you mean {PREFIX}{}{suffix}?", near.to_uppercase());
    }
    let keys = Table::ALL.into_iter().flat_map(Table::keys).map(|key| key.name);
    match meaning(base, keys) {
        Some(Meaning::Text(text)) => {
            text.replace("listen = \"0.0.0.0:6001\"", "CORECAST_LISTEN=0.0.0.0:6001")
        }
        Some(Meaning::Key(ours)) => {
            let named = single_keys().find(|(_, key)| key.name == ours);
            named.map_or_else(
                || format!("here it is called {ours:?}, a key of the configuration file"),
                |(table, key)| format!("here it is called {}", variable_name(table.path(), key.name)),
            )
        }
        None => format!("a variable is {PREFIX} and the path of a key, such as {PREFIX}LISTEN"),
    }
}

/// The value of a variable, in TOML. One that its key cannot have becomes a text, which the key's reader refuses.
fn value(variable: &Variable, kind: Kind) -> Result<String, Fault> {
    let text = variable.text.as_str();
    let is_number = |text: &str| text.parse::<u64>().is_ok() && !text.starts_with('+');
    Ok(match kind {
        Kind::Integer(..) | Kind::Code(_) if is_number(text) => {
            let digits = text.trim_start_matches('0');
            if digits.is_empty() { "0" } else { digits }.to_owned()
        }
        Kind::Boolean if ["true", "false"].contains(&text) => text.to_owned(),
        Kind::List if text.starts_with('[') => {
            DeValue::parse(text).map_err(|_| Fault::of(&variable.place, "this is no list in TOML"))?;
            text.to_owned()
        }
        Kind::List if text.is_empty() => "[]".to_owned(),
        Kind::List => quoted_list(text.split(',').map(str::trim)),
        _ => quoted(text),
    })
}

fn of_process(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Left, Fault> {
    let mut left = Left::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let Some(text) = value.to_str() else { return Err(Fault::of(name, "its value is not UTF-8")) };
        left.insert(name.to_owned(), Variable { text: text.to_owned(), place: name.to_owned() });
    }
    Ok(left)
}

/// The variables of a file, one NAME=VALUE per line.
fn of_file(path: &Path) -> Result<Left, Fault> {
    let file = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Fault::of(&file.to_string(), &format!("the file cannot be read: {error}")))?;
    let mut left = Left::new();
    for Line { number, name, value } in env_lines(&text)
        .map_err(|at| Fault::of(&format!("{file}:{at}"), "not a variable; write NAME=VALUE"))?
    {
        if name.starts_with(PREFIX) {
            left.insert(name.to_owned(), Variable { text: value, place: format!("{file}:{number}: {name}") });
        }
    }
    Ok(left)
}
