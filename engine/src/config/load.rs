//! `[load]`: when newcomers are told to come back later.

use super::fault::Fault;
use super::section::Value;
use super::table::Table;
use crate::settings::Load;

/// The marks of `[load]`, or the defaults without it.
pub(super) fn parse_load(value: Option<Value<'_>>) -> Result<Load, Fault> {
    let mut load = Load::default();
    let Some(value) = value else { return Ok(load) };
    let mut section = value.section(Table::Load)?;
    if let Some(value) = section.take("memory_high_bytes") {
        load.memory_high_bytes = Some(value.integer()?);
    }
    if let Some(value) = section.take("memory_low_bytes") {
        let low = value.integer()?;
        if let Some(high) = load.memory_high_bytes.filter(|high| low > *high) {
            let why = format!("must not be more than memory_high_bytes ({high})");
            return Err(value.wrong(&low.to_string(), &why));
        }
        load.memory_low_bytes = Some(low);
    }
    Ok(load)
}
