//! How new connections are spread over the shards.

use std::str::FromStr;

use super::fault::Fault;
use super::section::Value;

/// What decides which shard gets a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Steering {
    /// The kernel, by a hash of the addresses: evenly.
    #[default]
    Hash,
    /// The processor that received its first packet: the shard beside that queue of the network card.
    Cpu,
}

impl FromStr for Steering {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "hash" => Ok(Self::Hash),
            "cpu" => Ok(Self::Cpu),
            _ => Err(format!("possible are {:?} and {:?}", "hash", "cpu")),
        }
    }
}

pub(super) fn parse_steering(value: Value<'_>) -> Result<Steering, Fault> {
    let text = value.text()?;
    text.parse().map_err(|why: String| value.wrong(&format!("{text:?}"), &why))
}
