//! Notices what commands change in a store beside the server.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::error::StoreError;
use super::file::AppStore;
use super::stored_app::StoredApp;

/// A store that is looked at again and again.
#[derive(Debug)]
pub(super) struct Changes {
    path: PathBuf,
    seen: Seen,
}

#[derive(Debug)]
enum Seen {
    /// There was no store yet.
    Nothing,
    /// This store, in this version.
    Store { store: AppStore, file: FileId, version: i64 },
    /// A store that must be read in any case.
    Fault,
}

/// Device and number of a file: another one may take its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl Changes {
    /// The changes of the store at this path, from now on.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: Seen::Nothing }
    }

    /// All apps, if they may be others than at the last look that returned some. A store that has gone is a fault, until it
    /// is back; one that was never there has no apps and no fault.
    pub(super) fn look(&mut self) -> Result<Option<Vec<StoredApp>>, StoreError> {
        let before = std::mem::replace(&mut self.seen, Seen::Fault);
        let file = self.file()?;
        let store = match (before, file) {
            (Seen::Nothing, None) => {
                self.seen = Seen::Nothing;
                return Ok(None);
            }
            (Seen::Store { store, file: was, version }, Some(file)) if was == file => {
                if store.version()? == version {
                    self.seen = Seen::Store { store, file, version };
                    return Ok(None);
                }
                Some(store)
            }
            _ => AppStore::open_existing(&self.path)?,
        };
        let (Some(store), Some(file)) = (store, file) else { return Err(self.gone()) };
        // What changes after this is seen by the next look.
        let version = store.version()?;
        let apps = store.apps()?;
        self.seen = Seen::Store { store, file, version };
        Ok(Some(apps))
    }

    /// The next look reads everything, whether it has changed or not.
    pub(super) fn look_anew(&mut self) {
        self.seen = Seen::Fault;
    }

    fn file(&self) -> Result<Option<FileId>, StoreError> {
        match fs::metadata(&self.path) {
            Ok(found) if found.len() > 0 => Ok(Some(FileId(found.dev(), found.ino()))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Unreachable { path: self.path.clone(), error }),
        }
    }

    fn gone(&self) -> StoreError {
        StoreError::Unreachable { path: self.path.clone(), error: Errno::NOENT.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app_store::StoredKey;

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("corecast-changes-{}-{name}.db", std::process::id()));
        drop(fs::remove_file(&path));
        path
    }

    fn app(id: &str) -> StoredApp {
        let key =
            StoredKey { name: format!("key-{id}"), secret: "s".to_owned(), enabled: true, created_s: 0 };
        StoredApp::new(id, key)
    }

    fn ids(looked: Result<Option<Vec<StoredApp>>, StoreError>) -> Option<Vec<String>> {
        looked.unwrap().map(|apps| apps.into_iter().map(|app| app.id).collect())
    }

    #[test]
    fn a_look_returns_apps_after_each_change_alone() {
        let path = path("each");
        let mut changes = Changes::new(&path);
        assert_eq!(ids(changes.look()), None);
        let mut store = AppStore::open(&path).unwrap();
        assert_eq!(ids(changes.look()), Some(Vec::new()));
        assert_eq!(ids(changes.look()), None);
        store.add(&[app("1"), app("2")]).unwrap();
        assert_eq!(ids(changes.look()), Some(vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(ids(changes.look()), None);
        store.remove("1").unwrap();
        assert_eq!(ids(changes.look()), Some(vec!["2".to_owned()]));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_store_that_has_gone_is_a_fault_until_it_is_back() {
        let (path, aside) = (path("gone"), path("aside"));
        AppStore::open(&path).unwrap().add(&[app("1")]).unwrap();
        let mut changes = Changes::new(&path);
        assert_eq!(ids(changes.look()), Some(vec!["1".to_owned()]));
        fs::rename(&path, &aside).unwrap();
        for _ in 0..2 {
            assert!(changes.look().is_err());
        }
        fs::write(&path, "something else").unwrap();
        assert!(changes.look().is_err());
        fs::rename(&aside, &path).unwrap();
        assert_eq!(ids(changes.look()), Some(vec!["1".to_owned()]));
        assert_eq!(ids(changes.look()), None);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn another_file_under_the_name_is_read() {
        let (path, next) = (path("renamed"), path("next"));
        AppStore::open(&path).unwrap().add(&[app("1")]).unwrap();
        let mut changes = Changes::new(&path);
        assert_eq!(ids(changes.look()), Some(vec!["1".to_owned()]));
        AppStore::open(&next).unwrap().add(&[app("2")]).unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(ids(changes.look()), Some(vec!["2".to_owned()]));
        fs::remove_file(&path).unwrap();
    }
}
