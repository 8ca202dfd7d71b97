//! The settings of the file for the log.

use super::fault::Fault;
use super::section::{Section, Value};
use crate::settings::Log;

pub(super) fn parse_log(top: &mut Section<'_>) -> Result<Log, Fault> {
    let mut log = Log::default();
    if let Some(value) = top.take("log_format") {
        log.format = parsed(&value)?;
    }
    if let Some(value) = top.take("log_level") {
        log.level = parsed(&value)?;
    }
    Ok(log)
}

fn parsed<T: std::str::FromStr<Err = &'static str>>(value: &Value<'_>) -> Result<T, Fault> {
    let text = value.text()?;
    text.parse().map_err(|why| value.wrong(&format!("{text:?}"), why))
}
