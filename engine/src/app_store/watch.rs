//! The thread that looks whether commands have changed the store of a running server, and hands its apps over.
//!
//! A store that cannot be read, or that holds an app that no server could take, changes nothing: the apps stay as they
//! were, the log has one line, and a gauge shows it until it is mended. What must never happen here: a line per look.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use logging::say;
use protocol::app::App;

use super::changes::Changes;
use super::counters::StoreCounters;
use crate::config::AppReader;
use crate::driver::apps::{AppSource, AppsControl};

/// How often it looks: a change is there within a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Hands over what the store at this path has from now on, until the server has ended.
pub fn watch_store(
    path: &Path,
    reader: AppReader,
    apps: &Arc<AppsControl>,
    counters: Arc<StoreCounters>,
) -> io::Result<()> {
    let (path, apps) = (path.to_owned(), Arc::downgrade(apps));
    let limits = reader.version();
    let watch = Watch { changes: Changes::new(&path), path, reader, limits, apps, counters, fault: None };
    thread::Builder::new().name("app-store".to_owned()).spawn(move || watch.run()).map(drop)
}

struct Watch {
    path: PathBuf,
    changes: Changes,
    reader: AppReader,
    /// The version of the limits that apps were read with.
    limits: u64,
    apps: Weak<AppsControl>,
    counters: Arc<StoreCounters>,
    /// What was wrong at the last look.
    fault: Option<String>,
}

impl Watch {
    fn run(mut self) {
        while let Some(apps) = self.apps.upgrade() {
            self.look(&apps);
            drop(apps);
            thread::sleep(LOOK_EVERY);
        }
    }

    fn look(&mut self, apps: &AppsControl) {
        match self.take_over(apps) {
            Ok(false) => {}
            Ok(true) => {
                self.counters.fails(false);
                if self.fault.take().is_some() {
                    say!("app store: {} is read again", self.path.display());
                }
            }
            Err(fault) => {
                // It may be mended without a change to the store: in the configuration file.
                self.changes.look_anew();
                self.counters.fails(true);
                if self.fault.as_ref() != Some(&fault) {
                    say!("app store: {fault}; the apps stay as they were");
                    self.fault = Some(fault);
                }
            }
        }
    }

    /// Whether the store was read.
    fn take_over(&mut self, apps: &AppsControl) -> Result<bool, String> {
        let limits = self.reader.version();
        if limits != self.limits {
            self.limits = limits;
            self.changes.look_anew();
        }
        let Some(stored) = self.changes.look().map_err(|error| error.to_string())? else { return Ok(false) };
        let read = stored.iter().map(|app| app.checked(&self.path, &self.reader, &[]));
        let read: Result<Vec<App>, _> = read.collect();
        let read = read.map_err(|error| error.to_string())?;
        let changes = apps.replace(AppSource::Store, read);
        let changes = changes.map_err(|twin| format!("{}: {twin}", self.path.display()))?;
        if !changes.is_empty() {
            self.counters.add_change();
            say!("app store: {}: {changes}", self.path.display());
        }
        Ok(true)
    }
}
