//! The admin settings of the file: the address of the admin listener, and how metrics are named.

use std::net::SocketAddr;
use std::str::FromStr;

use super::fault::Fault;
use super::section::Value;

/// The default prefix of metric names.
pub const METRICS_PREFIX: &str = "corecast_";

const PREFIX_BYTES_MAX: usize = 64;

/// Where the admin listener is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admin {
    /// Nowhere.
    Off,
    /// At this address.
    At(SocketAddr),
}

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::At).map_err(|_| {
                format!("is no address; write IP:PORT, such as {:?}, or {:?}", "127.0.0.1:9601", "off")
            }),
        }
    }
}

pub(super) fn parse_admin(value: Value<'_>) -> Result<Admin, Fault> {
    let text = value.text()?;
    text.parse().map_err(|why: String| value.wrong(&format!("{text:?}"), &why))
}

/// A host name of the admin listener, as in a URL; without a port, because any port matches.
pub fn parse_admin_host(text: &str) -> Result<Box<str>, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 253 || !text.bytes().all(plain) {
        return Err(format!("is no host; write a name without port, such as {:?}", "corecast.internal"));
    }
    Ok(text.strip_suffix('.').unwrap_or(text).into())
}

pub(super) fn parse_admin_hosts(value: Value<'_>) -> Result<Vec<Box<str>>, Fault> {
    let host = |value: Value<'_>| {
        let text = value.text()?;
        parse_admin_host(text).map_err(|why| value.wrong(&format!("{text:?}"), &why))
    };
    value.texts()?.into_iter().map(host).collect()
}

pub(super) fn parse_prefix(value: Value<'_>) -> Result<Box<str>, Fault> {
    let text = value.text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = text.len() <= PREFIX_BYTES_MAX && text.bytes().all(plain);
    if !fits || text.starts_with(|first: char| first.is_ascii_digit()) {
        let why = format!("a name begins with up to {PREFIX_BYTES_MAX} of a-z A-Z 0-9 _, no digit first");
        return Err(value.wrong(&format!("{text:?}"), &why));
    }
    Ok(text.into())
}
