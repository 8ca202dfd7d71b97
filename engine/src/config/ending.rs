//! The settings of the file for how the server ends and whether it takes over.

use std::num::NonZeroU32;
use std::time::Duration;

use protocol::close::Close;

use super::fault::Fault;
use super::section::{Section, Value};
use crate::settings::Ending;

pub(super) fn parse_ending(top: &mut Section<'_>) -> Result<Ending, Fault> {
    let mut ending = Ending::default();
    if let Some(value) = top.take("drain_rate") {
        ending.drain_rate = drain_rate(&value)?;
    }
    if let Some(value) = top.take("drain_close") {
        ending.drain_close = Some(drain_close(&value)?);
    }
    if let Some(value) = top.take("ready_grace") {
        ending.ready_grace = Duration::from_secs(value.integer()?);
    }
    if let Some(value) = top.take("takeover") {
        ending.takeover = value.boolean()?;
    }
    Ok(ending)
}

fn drain_rate(value: &Value<'_>) -> Result<NonZeroU32, Fault> {
    let rate = value.integer()?;
    NonZeroU32::new(rate as u32).ok_or_else(|| value.fault("is not possible"))
}

fn drain_close(value: &Value<'_>) -> Result<Close, Fault> {
    match value.integer()? {
        4100 => Ok(Close::DRAINING),
        4200 => Ok(Close::RECONNECT),
        code => {
            let what = "must be 4100 (clients reconnect after a second) or 4200 (clients reconnect at once)";
            Err(value.wrong(&code.to_string(), what))
        }
    }
}
