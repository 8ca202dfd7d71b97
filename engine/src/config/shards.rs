//! The settings of the file for shards: how many, on which processors, and which of them gets a new connection.

use super::fault::Fault;
use super::section::{Section, Value};
use crate::settings::{ShardCount, Shards, Steering};

pub(super) fn parse_shards(top: &mut Section<'_>) -> Result<Shards, Fault> {
    let mut shards = Shards::default();
    if let Some(value) = top.take("shards") {
        shards.count = count(&value)?;
    }
    if let Some(value) = top.take("pin") {
        shards.pin = value.boolean()?;
    }
    if let Some(value) = top.take("accept_steering") {
        shards.accept_steering = steering(&value)?;
    }
    Ok(shards)
}

fn count(value: &Value<'_>) -> Result<ShardCount, Fault> {
    let count = value.integer()?;
    ShardCount::new(count as usize).ok_or_else(|| value.fault("is not possible"))
}

fn steering(value: &Value<'_>) -> Result<Steering, Fault> {
    let text = value.text()?;
    text.parse().map_err(|why: String| value.wrong(&format!("{text:?}"), &why))
}
