//! The admin listener: its address, the names that it answers to, the token of its console, and how metrics are named.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use crate::limits::TOKEN_BYTES_MAX;

/// The default address; soketi uses the same port for its metrics.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9601);

/// The default prefix of metric names.
const METRICS_PREFIX: &str = "corecast_";

/// From this length on a token is hard to guess.
const TOKEN_BYTES_GOOD: usize = 16;

/// The settings of the admin listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// Where it listens.
    pub address: AdminAddress,
    /// The host names that it answers to, besides IP addresses and localhost.
    pub hosts: Vec<Box<str>>,
    /// What operators sign in with at the console. None: there is no console.
    pub token: Option<AdminToken>,
    /// The prefix of all metric names.
    pub metrics_prefix: Box<str>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            address: AdminAddress::default(),
            hosts: Vec::new(),
            token: None,
            metrics_prefix: METRICS_PREFIX.into(),
        }
    }
}

/// Where the admin listener is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AdminAddress {
    /// Nowhere.
    Off,
    /// At this address, which the operator did not name: the server starts without it if another program has it.
    IfFree(SocketAddr),
    /// At this address.
    At(SocketAddr),
}

impl AdminAddress {
    /// The address, if there is to be one.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::IfFree(address) | Self::At(address) => Some(address),
        }
    }
}

impl Default for AdminAddress {
    fn default() -> Self {
        Self::IfFree(ADDRESS)
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(address) => address.fmt(out),
            None => out.write_str("off"),
        }
    }
}

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::At).map_err(|_| {
                format!("not an address; write IP:PORT, such as {:?}, or {:?}", "127.0.0.1:9601", "off")
            }),
        }
    }
}

/// What operators sign in with.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(Box<str>);

impl AdminToken {
    /// The token of this text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits =
            (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err(format!(
                "must be 1 to {TOKEN_BYTES_MAX} characters of printable ASCII without blanks"
            ));
        }
        Ok(Self(text.into()))
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// It takes no time to guess.
    pub fn is_weak(&self) -> bool {
        self.0.len() < TOKEN_BYTES_GOOD
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// A host name of the admin listener, as in a URL; without a port, because any port matches.
pub fn parse_admin_host(text: &str) -> Result<Box<str>, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 253 || !text.bytes().all(plain) {
        return Err(format!("not a host name; write it without a port, such as {:?}", "corecast.internal"));
    }
    Ok(text.strip_suffix('.').unwrap_or(text).into())
}
