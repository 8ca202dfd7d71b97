//! The settings of other Pusher-compatible servers, translated into ours: soketi's file, and the variables of soketi, of
//! Reverb and of back ends that use Pusher.
//!
//! A translation is a pure function of the keys that are given (`given`, `said`, with `soketi_file`): `soketi` with
//! `soketi_keys` and `webhooks`, and `laravel`; `sizes` brings limits within our bounds. What it comes to is a layer
//! (`translation`) or a file of ours (`written`). What must never happen here: a key that is passed over in silence, a secret
//! in a message.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use self::given::{Given, Keys};
use self::said::Said;
use self::soketi_file::add_file;
use self::soketi_keys::path_of_variable;
use self::written::written;
use super::env_file::{Line, env_lines};
use super::fault::Fault;
use super::layer::Origin;
use super::service_links::is_service_link;
use crate::settings::Memory;

mod given;
mod laravel;
mod said;
mod sizes;
mod soketi;
mod soketi_file;
mod soketi_keys;
mod translation;
mod webhooks;
mod written;

pub use translation::{IgnoredKey, Translation};

/// A server whose variables are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compat {
    /// soketi: `SOKETI_…`.
    Soketi,
    /// Laravel Reverb: `REVERB_…`.
    Reverb,
    /// A back end that uses Pusher: `PUSHER_…`.
    Pusher,
}

impl Compat {
    const ALL: [Self; 3] = [Self::Soketi, Self::Reverb, Self::Pusher];

    /// What all its variables begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Soketi => "SOKETI_",
            Self::Reverb => "REVERB_",
            Self::Pusher => "PUSHER_",
        }
    }

    /// The server that a file of variables is of. An application of Laravel may keep those of several, and says which it
    /// uses.
    fn of_variables(variables: &Variables) -> Option<Self> {
        let is_here = |compat: &Self| variables.keys().any(|name| name.starts_with(compat.prefix()));
        let used = ["BROADCAST_CONNECTION", "BROADCAST_DRIVER"].into_iter();
        let used = used.filter_map(|name| variables.get(name)?.0.parse().ok());
        used.chain(Self::ALL).find(is_here)
    }
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Soketi => "soketi",
            Self::Reverb => "reverb",
            Self::Pusher => "pusher",
        })
    }
}

impl FromStr for Compat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|compat| compat.to_string() == text);
        known.ok_or("soketi, reverb and pusher are possible")
    }
}

/// Whether a configuration file is read as soketi's.
pub fn is_soketi_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// Variables by name, each with what messages call it.
type Variables = BTreeMap<String, (String, String)>;

/// What a file of soketi's and the variables of a server come to. The environment of the process wins over the file of
/// variables. Blocks while it reads files.
pub fn translate(
    soketi_file: Option<&Path>,
    compat: Option<Compat>,
    process: impl Iterator<Item = (OsString, OsString)>,
    env_file: Option<&Path>,
) -> Result<Vec<Translation>, Fault> {
    translate_on(memory_bytes(), soketi_file, compat, process, env_file)
}

fn translate_on(
    memory_bytes: Option<u64>,
    soketi_file: Option<&Path>,
    compat: Option<Compat>,
    process: impl Iterator<Item = (OsString, OsString)>,
    env_file: Option<&Path>,
) -> Result<Vec<Translation>, Fault> {
    let mut translations = Vec::new();
    let mut soketi = Keys::on(memory_bytes);
    if let Some(path) = soketi_file {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| Fault::unreadable(&name, &error))?;
        add_file(&mut soketi, &name, &text)?;
    }
    let variables = match compat {
        Some(_) => all_variables(process, env_file)?,
        None => Variables::new(),
    };
    let is_soketi = soketi_file.is_some() || compat == Some(Compat::Soketi);
    if compat == Some(Compat::Soketi) {
        add_variables(&mut soketi, Compat::Soketi, &variables);
    }
    if is_soketi {
        translations.push(soketi::translate(soketi)?);
    }
    if let Some(compat) = compat.filter(|compat| *compat != Compat::Soketi) {
        translations.push(of_variables(compat, &variables, memory_bytes)?);
    }
    Ok(translations)
}

fn memory_bytes() -> Option<u64> {
    Memory::find().map(|memory| memory.bytes)
}

/// The variables of other servers that are there, where nobody has said whose are to be read.
pub fn unread(
    compat: Option<Compat>,
    process: impl Iterator<Item = (OsString, OsString)>,
    env_file: Option<&Path>,
) -> Result<Option<IgnoredKey>, Fault> {
    if compat.is_some() {
        return Ok(None);
    }
    let is_link = |compat: Compat, name: &str, text: &str| {
        name.strip_prefix(compat.prefix()).is_some_and(|rest| is_service_link(rest, text))
    };
    let (mut names, mut servers) = (Vec::new(), Vec::new());
    for (name, (text, _)) in all_variables(process, env_file)? {
        let Some(whose) = Compat::ALL.into_iter().find(|it| name.starts_with(it.prefix())) else { continue };
        if is_link(whose, &name, &text) {
            continue;
        }
        if !servers.contains(&whose) {
            servers.push(whose);
        }
        names.push(name);
    }
    let Some((first, others)) = names.split_first() else { return Ok(None) };
    let place = match others.len() {
        0 => first.clone(),
        others => format!("{first} and {others} more variables of other servers"),
    };
    let flags: Vec<String> = servers.iter().map(|server| format!("--compat {server}")).collect();
    let why = format!("{} reads them", flags.join(" or "));
    Ok(Some(IgnoredKey { key: names.join(", "), place, why }))
}

/// A file of ours, made of one of another server: soketi's JSON, or variables. `compat` says whose they are, where they do
/// not say it themselves. Blocks while it reads.
pub fn migrate(old: &Path, compat: Option<Compat>) -> Result<String, Fault> {
    migrate_on(memory_bytes(), old, compat)
}

fn migrate_on(memory_bytes: Option<u64>, old: &Path, compat: Option<Compat>) -> Result<String, Fault> {
    let name = old.display().to_string();
    if old.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("php")) {
        let what = "a program is not read: give the .env file whose variables it takes";
        return Err(Fault::of(&name, what));
    }
    let text = fs::read_to_string(old)
        .map_err(|error| Fault::of(&name, &format!("the file cannot be read: {error}")))?;
    if is_soketi_file(old) || text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
        let mut keys = Keys::on(memory_bytes);
        add_file(&mut keys, &name, &text)?;
        return Ok(written(&soketi::translate(keys)?, &name));
    }
    let variables = file_variables(&name, &text)?;
    let compat = compat.or_else(|| Compat::of_variables(&variables)).ok_or_else(|| {
        let all = Compat::ALL.map(Compat::prefix).join(", ");
        Fault::of(&name, &format!("it has no variable of another server: none begins with {all}"))
    })?;
    Ok(written(&of_variables(compat, &variables, memory_bytes)?, &name))
}

fn of_variables(
    compat: Compat,
    variables: &Variables,
    memory_bytes: Option<u64>,
) -> Result<Translation, Fault> {
    let mut keys = Keys::on(memory_bytes);
    add_variables(&mut keys, compat, variables);
    match compat {
        Compat::Soketi => soketi::translate(keys),
        Compat::Reverb => laravel::translate_reverb(keys),
        Compat::Pusher => laravel::translate_pusher(keys),
    }
}

fn add_variables(keys: &mut Keys, compat: Compat, variables: &Variables) {
    for (name, (text, place)) in variables {
        let Some(rest) = name.strip_prefix(compat.prefix()) else { continue };
        // A Service called like that server has variables that look like its own.
        let said = if is_service_link(rest, text) {
            Said::Null
        } else {
            Said::of_variable(&expanded(text, variables))
        };
        let path = match compat {
            Compat::Soketi => path_of_variable(rest).unwrap_or_else(|| name.clone()),
            _ => name.clone(),
        };
        keys.set(Given { path, key: name.clone(), place: place.clone(), origin: Origin::Environment, said });
    }
}

/// A text in which `${NAME}` stands for the value of that variable, as in files of variables of PHP and Node.
fn expanded(text: &str, variables: &Variables) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        match after.split_once('}').and_then(|(name, after)| Some((variables.get(name)?, after))) {
            Some(((value, _), after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn all_variables(
    process: impl Iterator<Item = (OsString, OsString)>,
    env_file: Option<&Path>,
) -> Result<Variables, Fault> {
    let mut variables = Variables::new();
    if let Some(path) = env_file {
        let file = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| Fault::of(&file, &format!("the file cannot be read: {error}")))?;
        variables = file_variables(&file, &text)?;
    }
    for (name, value) in process {
        if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
            let place = name.clone();
            variables.insert(name, (value, place));
        }
    }
    Ok(variables)
}

fn file_variables(file: &str, text: &str) -> Result<Variables, Fault> {
    let lines = env_lines(text)
        .map_err(|at| Fault::of(&format!("{file}:{at}"), "not a variable; write NAME=VALUE"))?;
    let of_line = |Line { number, name, value }: Line<'_>| {
        (name.to_owned(), (value, format!("{file}:{number}: {name}")))
    };
    Ok(lines.into_iter().map(of_line).collect())
}

#[cfg(test)]
mod tests;
