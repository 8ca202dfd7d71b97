//! Apps that are kept outside the file, read like its tables `[[apps]]`: the same keys, bounds and faults.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use protocol::app::App;
use protocol::limits::AppLimits;
use toml::de::DeTable;

use super::app::parse_lone_app;
use super::fault::{Document, Fault};
use super::limits::ParsedLimits;
use super::section::Section;
use super::table::Table;
use machines::limits::Limits;

/// What an app is read with: the limits of the file, for those that it does not set itself and must not contradict. Clones
/// are the same reader, and follow the file together.
#[derive(Clone, Debug)]
pub struct AppReader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: RwLock<(Limits, AppLimits)>,
    version: AtomicU64,
}

impl AppReader {
    pub(super) fn new(server: Limits, app: AppLimits) -> Self {
        let shared = Shared { limits: RwLock::new((server, app)), version: AtomicU64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// The app of a table, which messages call `name`.
    pub fn read(&self, name: &str, table: &str) -> Result<App, Fault> {
        let document = Document::new(name, table, false);
        let root = DeTable::parse(table).map_err(|error| document.not_toml(&error))?;
        let section = Section::open(&document, Table::App, root.span().start, root.into_inner())?;
        let (server, app) = self.limits();
        parse_lone_app(section, &ParsedLimits::known(server, app))
    }

    /// The file has been read again: from now on its limits hold, as the other reader has them.
    pub fn follow(&self, newer: &Self) {
        let limits = newer.limits();
        let mut mine = self.shared.limits.write().unwrap_or_else(PoisonError::into_inner);
        if *mine != limits {
            *mine = limits;
            self.shared.version.fetch_add(1, Ordering::Release);
        }
    }

    /// How often its limits have changed.
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }

    fn limits(&self) -> (Limits, AppLimits) {
        self.shared.limits.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn an_app_from_elsewhere_reads_no_file_of_this_machine() {
        let reader = Config::default().app_reader();
        let app = "id = \"1\"\nkey = \"a\"\n";
        assert!(reader.read("store", &format!("{app}secret = \"s\"")).is_ok());
        for (text, key) in [
            (format!("{app}secret_file = \"/etc/hostname\""), "secret_file"),
            (
                "id = \"1\"\nkeys = [{ key_file = \"/etc/hostname\", secret = \"s\" }]".to_owned(),
                "keys.key_file",
            ),
        ] {
            let fault = reader.read("store", &text).unwrap_err().to_string();
            assert_eq!(fault, format!("store: apps.{key} is possible in the configuration file only"));
        }
    }
}
