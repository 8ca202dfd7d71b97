//! The file of an app store, and the changes to it, each in one transaction.
//!
//! Only its owner may read it: it holds secrets. A store keeps no log beside the file, so a copy of the file is whole.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hooks::data_dir::keep_private;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::StoreError;
use super::stored_app::StoredApp;
use super::tables;
use crate::limits::APP_STORE_BUSY_MAX;

const ROOT: u32 = 0;

/// An open store.
#[derive(Debug)]
pub struct AppStore {
    connection: Connection,
    path: PathBuf,
}

impl AppStore {
    /// Opens the store at this path, or makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(store) = Self::open_existing(path)? {
            return Ok(store);
        }
        keep_private(path).map_err(|error| unreachable(path, error))?;
        let mut store = Self::connect(path)?;
        store.make_tables()?;
        store.check()?;
        Ok(store)
    }

    /// Opens the store at this path, if there is one.
    pub fn open_existing(path: &Path) -> Result<Option<Self>, StoreError> {
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreachable(path, error)),
            // What a command that was killed at once has left.
            Ok(found) if found.len() == 0 => return Ok(None),
            Ok(_) => {}
        }
        let store = Self::connect(path)?;
        // Rights are changed only of what is a store.
        store.check()?;
        keep_private(path).map_err(|error| unreachable(path, error))?;
        Ok(Some(store))
    }

    /// Every app, in the order in which they were added.
    pub fn apps(&self) -> Result<Vec<StoredApp>, StoreError> {
        let read = || tables::apps(&self.connection.unchecked_transaction()?);
        read().map_err(|error| self.broken(error))
    }

    /// A number that is another one after a change by others.
    pub(super) fn version(&self) -> Result<i64, StoreError> {
        tables::pragma(&self.connection, "data_version").map_err(|error| self.broken(error))
    }

    /// The app with this id.
    pub fn app(&self, id: &str) -> Result<StoredApp, StoreError> {
        let read = || tables::app(&self.connection.unchecked_transaction()?, id);
        read().map_err(|error| self.broken(error))?.ok_or_else(|| self.unknown(id))
    }

    /// Adds apps: all of them or none.
    pub fn add(&mut self, apps: &[StoredApp]) -> Result<(), StoreError> {
        let path = self.path.clone();
        self.write(|tx| {
            for app in apps {
                if tables::app(tx, &app.id).map_err(|error| broken(&path, error))?.is_some() {
                    return Err(StoreError::TakenId { path: path.clone(), id: app.id.clone() });
                }
                refuse_taken_keys(tx, &path, app, &[])?;
                tables::insert(tx, app).map_err(|error| broken(&path, error))?;
            }
            Ok(())
        })
    }

    /// Changes the app with this id, if `change` allows it. Returns what it is then.
    pub fn change<E: From<StoreError>>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut StoredApp) -> Result<(), E>,
    ) -> Result<StoredApp, E> {
        let (path, unknown) = (self.path.clone(), self.unknown(id));
        self.write(|tx| {
            let before = tables::app(tx, id).map_err(|error| broken(&path, error))?.ok_or(unknown)?;
            let mut app = before.clone();
            change(&mut app)?;
            let had: Vec<&str> = before.keys.iter().map(|key| key.name.as_str()).collect();
            refuse_taken_keys(tx, &path, &app, &had)?;
            tables::replace(tx, &app).map_err(|error| broken(&path, error))?;
            Ok(app)
        })
    }

    /// Deletes the app with this id.
    pub fn remove(&mut self, id: &str) -> Result<(), StoreError> {
        let (path, unknown) = (self.path.clone(), self.unknown(id));
        self.write(|tx| match tables::delete(tx, id).map_err(|error| broken(&path, error))? {
            true => Ok(()),
            false => Err(unknown),
        })
    }

    fn connect(path: &Path) -> Result<Self, StoreError> {
        check_owner(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| broken(path, error))?;
        connection.busy_timeout(APP_STORE_BUSY_MAX).map_err(|error| broken(path, error))?;
        connection.pragma_update(None, "foreign_keys", true).map_err(|error| broken(path, error))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    // Two commands may find an empty file at once; the second finds the tables of the first.
    fn make_tables(&mut self) -> Result<(), StoreError> {
        let path = self.path.clone();
        self.write(|tx| match tables::is_empty(tx) {
            Ok(true) => tables::create(tx).map_err(|error| broken(&path, error)),
            Ok(false) => Ok(()),
            Err(error) => Err(broken(&path, error)),
        })
    }

    fn check(&self) -> Result<(), StoreError> {
        let pragma = |name| tables::pragma(&self.connection, name).map_err(|error| broken(&self.path, error));
        if pragma("application_id")? != tables::APPLICATION {
            return Err(StoreError::NoStore(self.path.clone()));
        }
        match pragma("user_version")? {
            found if found > tables::VERSION => {
                Err(StoreError::Newer { path: self.path.clone(), found, known: tables::VERSION })
            }
            _ => Ok(()),
        }
    }

    fn write<T, E: From<StoreError>>(
        &mut self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let path = self.path.clone();
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let tx = tx.map_err(|error| broken(&path, error))?;
        let done = body(&tx)?;
        tx.commit().map_err(|error| broken(&path, error))?;
        Ok(done)
    }

    fn broken(&self, error: rusqlite::Error) -> StoreError {
        broken(&self.path, error)
    }

    fn unknown(&self, id: &str) -> StoreError {
        StoreError::UnknownId { path: self.path.clone(), id: id.to_owned() }
    }
}

fn unreachable(path: &Path, error: io::Error) -> StoreError {
    StoreError::Unreachable { path: path.to_owned(), error }
}

fn broken(path: &Path, error: rusqlite::Error) -> StoreError {
    StoreError::Sqlite { path: path.to_owned(), error }
}

/// Refuses keys that another app has, or that stand twice in this one, besides those that it `had`.
fn refuse_taken_keys(
    tx: &Transaction<'_>,
    path: &Path,
    app: &StoredApp,
    had: &[&str],
) -> Result<(), StoreError> {
    for (place, key) in app.keys.iter().enumerate() {
        let is_twice = app.keys.iter().take(place).any(|other| other.name == key.name);
        let is_new = !had.contains(&key.name.as_str());
        if is_twice || is_new && tables::has_key(tx, &key.name).map_err(|error| broken(path, error))? {
            return Err(StoreError::TakenKey { path: path.to_owned(), key: key.name.clone() });
        }
    }
    Ok(())
}

/// What belongs to root is as good as ours, and root may use what belongs to others.
fn check_owner(path: &Path) -> Result<(), StoreError> {
    let found = fs::metadata(path).map_err(|error| unreachable(path, error))?;
    let (me, user) = (rustix::process::geteuid().as_raw(), found.uid());
    match [me, ROOT].contains(&user) || me == ROOT {
        true => Ok(()),
        false => Err(StoreError::Owner { path: path.to_owned(), user }),
    }
}
