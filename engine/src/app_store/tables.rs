//! The tables of an app store: how they are made, read and written. The only file here with SQL.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::stored_app::{StoredApp, StoredKey};

/// The version of the tables that are made here. Older ones would be brought up to it when a store is opened for changes.
pub(super) const VERSION: i64 = 1;

/// Tells a store from other databases: "CCas".
pub(super) const APPLICATION: i64 = 0x4343_6173;

const TABLES: &str = "
CREATE TABLE apps (
    place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, enabled INTEGER NOT NULL, created_s INTEGER NOT NULL
) STRICT;
CREATE TABLE keys (
    app_id TEXT NOT NULL REFERENCES apps (id), place INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, secret TEXT NOT NULL,
    enabled INTEGER NOT NULL, created_s INTEGER NOT NULL, PRIMARY KEY (app_id, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE settings (
    app_id TEXT NOT NULL REFERENCES apps (id), name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;
";

/// Makes the tables in an empty database.
pub(super) fn create(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(&format!(
        "{TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
    ))
}

/// A number that SQLite tells by a pragma.
pub(super) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

/// Whether there is no table at all.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| Ok(row.get::<_, i64>(0)? == 0))
}

/// Every app, in the order in which they were added.
pub(super) fn apps(tx: &Transaction<'_>) -> rusqlite::Result<Vec<StoredApp>> {
    let mut select = tx.prepare("SELECT id, enabled, created_s FROM apps ORDER BY place")?;
    let heads = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    heads.map(|head| whole(tx, head?)).collect()
}

/// The app with this id.
pub(super) fn app(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<StoredApp>> {
    let select = "SELECT id, enabled, created_s FROM apps WHERE id = ?1";
    let head = tx.query_row(select, [id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    head.map(|head| whole(tx, head)).transpose()
}

fn whole(tx: &Transaction<'_>, head: (String, bool, u64)) -> rusqlite::Result<StoredApp> {
    let (id, enabled, created_s) = head;
    let mut select = tx.prepare_cached(
        "SELECT name, secret, enabled, created_s FROM keys WHERE app_id = ?1 ORDER BY place",
    )?;
    let key = |row: &rusqlite::Row<'_>| {
        let (name, secret, enabled, created_s) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(StoredKey { name, secret, enabled, created_s })
    };
    let keys = select.query_map([&id], key)?.collect::<rusqlite::Result<_>>()?;
    let mut select = tx.prepare_cached("SELECT name, value FROM settings WHERE app_id = ?1 ORDER BY name")?;
    let settings = select.query_map([&id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let settings = settings.collect::<rusqlite::Result<_>>()?;
    Ok(StoredApp { id, enabled, created_s, keys, settings })
}

/// Adds an app behind all others.
pub(super) fn insert(tx: &Transaction<'_>, app: &StoredApp) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO apps (id, enabled, created_s) VALUES (?1, ?2, ?3)",
        params![app.id, app.enabled, app.created_s],
    )?;
    insert_details(tx, app)
}

/// Replaces the app with the same id, which keeps its place.
pub(super) fn replace(tx: &Transaction<'_>, app: &StoredApp) -> rusqlite::Result<()> {
    delete_details(tx, &app.id)?;
    tx.execute("UPDATE apps SET enabled = ?2 WHERE id = ?1", params![app.id, app.enabled])?;
    insert_details(tx, app)
}

/// Deletes the app with this id. False if there is none.
pub(super) fn delete(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<bool> {
    delete_details(tx, id)?;
    Ok(tx.execute("DELETE FROM apps WHERE id = ?1", [id])? > 0)
}

/// Whether some app has this key.
pub(super) fn has_key(tx: &Transaction<'_>, key: &str) -> rusqlite::Result<bool> {
    tx.query_row("SELECT count(*) FROM keys WHERE name = ?1", [key], |row| Ok(row.get::<_, i64>(0)? > 0))
}

fn insert_details(tx: &Transaction<'_>, app: &StoredApp) -> rusqlite::Result<()> {
    for (place, key) in app.keys.iter().enumerate() {
        let StoredKey { name, secret, enabled, created_s } = key;
        tx.execute(
            "INSERT INTO keys VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![app.id, place as i64, name, secret, enabled, created_s],
        )?;
    }
    for (name, value) in &app.settings {
        tx.execute("INSERT INTO settings VALUES (?1, ?2, ?3)", params![app.id, name, value])?;
    }
    Ok(())
}

fn delete_details(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM keys WHERE app_id = ?1", [id])?;
    tx.execute("DELETE FROM settings WHERE app_id = ?1", [id])?;
    Ok(())
}
