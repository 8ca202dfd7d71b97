//! Apps that are kept outside the file, read like its tables `[[apps]]`: the same keys, bounds and faults.

use protocol::app::App;
use protocol::limits::AppLimits;
use toml::de::DeTable;

use super::app::parse_lone_app;
use super::fault::{Document, Fault};
use super::limits::ParsedLimits;
use super::section::Section;
use super::table::Table;
use machines::limits::Limits;

/// What an app is read with: the limits of the file, for those that it does not set itself and must not contradict.
#[derive(Clone, Debug)]
pub struct AppReader {
    pub(super) server: Limits,
    pub(super) app: AppLimits,
}

impl AppReader {
    /// The app of a table, which messages call `name`.
    pub fn read(&self, name: &str, table: &str) -> Result<App, Fault> {
        let document = Document { name, text: table, is_file: false };
        let root = DeTable::parse(table).map_err(|error| document.not_toml(&error))?;
        let section = Section::open(&document, Table::App, root.span().start, root.into_inner())?;
        parse_lone_app(section, &ParsedLimits::known(self.server.clone(), self.app.clone()))
    }
}
