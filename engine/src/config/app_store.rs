//! Where apps are kept that commands change beside a running server.

use std::path::PathBuf;

use super::fault::Fault;
use super::section::Value;
use super::table::Table;

/// The file of `[app_store]`.
pub(super) fn parse_app_store(value: Option<Value<'_>>) -> Result<Option<PathBuf>, Fault> {
    let Some(value) = value else { return Ok(None) };
    let path = value.section(Table::AppStore)?.need("path")?;
    Ok(Some(PathBuf::from(path.filled_text()?)))
}
