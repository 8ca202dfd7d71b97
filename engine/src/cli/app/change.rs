//! Commands that change an app of the store: its settings, its keys, and whether it is served.

use clap::Args;

use super::Place;
use super::setting::{Setting, parse_limit, parse_name};
use super::view::Secrets;
use crate::app_store::{StoredApp, StoredKey};
use crate::cli::credentials::fresh_key;
use crate::cli::failure::Failure;
use crate::cli::output::print;
use crate::cli::table::now_ms;

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// The app's id
    id: String,
    /// A setting, as in a table [[apps]]
    #[arg(value_name = "NAME=VALUE", required_unless_present = "limit")]
    set: Vec<Setting>,
    /// A limit, as in a table [apps.limits]; repeatable
    #[arg(long, value_name = "NAME=NUMBER", value_parser = parse_limit)]
    limit: Vec<Setting>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(super) struct UnsetArgs {
    /// The app's id
    id: String,
    /// A setting, as in a table [[apps]], such as limits.connections_max
    #[arg(value_name = "NAME", required = true, value_parser = parse_name)]
    names: Vec<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(super) struct SwitchArgs {
    /// The app's id
    id: String,
    /// Only this key of the app
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The app's id
    id: String,
    #[command(flatten)]
    place: Place,
}

pub(super) fn set(args: &SetArgs) -> Result<(), Failure> {
    let found = args.place.find()?;
    let app = found.change(&args.id, |app| {
        for Setting { name, value } in args.set.iter().chain(&args.limit) {
            app.set(name, value.clone());
        }
        Ok(())
    })?;
    found.print(&[app], &Secrets::None)
}

pub(super) fn unset(args: &UnsetArgs) -> Result<(), Failure> {
    let found = args.place.find()?;
    let app = found.change(&args.id, |app| {
        for name in &args.names {
            if !app.settings.iter().any(|(set, _)| set == name) {
                return Err(Failure::config(format!("the app {:?} does not set {name}", app.id)));
            }
            app.settings.retain(|(set, _)| set != name);
        }
        Ok(())
    })?;
    found.print(&[app], &Secrets::None)
}

pub(super) fn switch(args: &SwitchArgs, enabled: bool) -> Result<(), Failure> {
    let found = args.place.find()?;
    let app = found.change(&args.id, |app| {
        match &args.key {
            Some(key) => key_of(app, key)?.enabled = enabled,
            None => app.enabled = enabled,
        }
        Ok(())
    })?;
    found.print(&[app], &Secrets::None)
}

pub(super) fn rotate(args: &RotateArgs) -> Result<(), Failure> {
    let found = args.place.find()?;
    let (name, secret) = fresh_key().map_err(Failure::outside)?;
    let key = StoredKey { name: name.clone(), secret, enabled: true, created_s: now_ms() / 1000 };
    let app = found.change(&args.id, |app| {
        app.keys.push(key);
        Ok(())
    })?;
    found.print(&[app], &Secrets::Of(&name))
}

pub(super) fn remove(args: &SwitchArgs) -> Result<(), Failure> {
    let found = args.place.find()?;
    if let Some(key) = &args.key {
        let app = found.change(&args.id, |app| {
            key_of(app, key)?;
            if app.keys.len() == 1 {
                let id = &app.id;
                let what =
                    format!("{key:?} is the only key of the app {id:?}: rotate it first, or remove the app");
                return Err(Failure::config(what));
            }
            app.keys.retain(|other| other.name != *key);
            Ok(())
        })?;
        return found.print(&[app], &Secrets::None);
    }
    let mut store = found.open()?;
    let app = store.app(&args.id)?;
    store.remove(&args.id)?;
    if found.json {
        found.print(&[app], &Secrets::None)
    } else {
        Ok(print(&format!("app {} is removed\n", app.id))?)
    }
}

fn key_of<'a>(app: &'a mut StoredApp, name: &str) -> Result<&'a mut StoredKey, Failure> {
    let unknown = Failure::config(format!("the app {:?} has no key {name:?}", app.id));
    app.keys.iter_mut().find(|key| key.name == name).ok_or(unknown)
}
