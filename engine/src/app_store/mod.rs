//! The app store: apps in an SQLite database, which commands change and servers read.
//!
//! `stored_app` is an app as it is kept, `tables` what it is kept in, and `file` reads and changes it. `error` says what
//! can be wrong. `watch` is the thread of a server that takes over what `changes` notices.
//! Settings are kept as they are written in the configuration file, so one reader decides what they may be. What must
//! never happen here: a secret in a message, or half a change.

mod changes;
mod counters;
mod error;
mod file;
mod stored_app;
mod tables;
mod watch;

use std::path::Path;

use protocol::app::App;

use crate::config::AppReader;

pub use counters::StoreCounters;
pub use error::StoreError;
pub use file::AppStore;
pub(crate) use stored_app::quoted;
pub use stored_app::{StoredApp, StoredKey};
pub use watch::watch_store;

/// The apps of the store at this path, which differ from these others. A store that is not there has none.
pub fn read_apps(path: &Path, reader: &AppReader, others: &[App]) -> Result<Vec<App>, StoreError> {
    let Some(store) = AppStore::open_existing(path)? else { return Ok(Vec::new()) };
    store.apps()?.iter().map(|stored| stored.checked(path, reader, others)).collect()
}
