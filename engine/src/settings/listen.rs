//! Where clients and back ends connect.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use protocol::path_prefix::PathPrefix;

/// The default address.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 6001);

/// What the address of a Unix socket begins with.
const UNIX: &str = "unix:";

/// The addresses of a server, without that of the operator's tools.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// Addresses for WebSocket and REST.
    pub public: Vec<SocketAddr>,
    /// The same in the file system, for proxies on this machine.
    pub unix: Vec<PathBuf>,
    /// Additional addresses for back ends, whose connections go to the API core directly.
    pub api: Vec<SocketAddr>,
    /// Whether `[::]` accepts IPv6 only; otherwise it accepts IPv4 too, unless an IPv4 address has the same port.
    pub ipv6_only: bool,
    /// What a proxy puts before the paths of clients and back ends. They are served with it and without.
    pub path_prefix: PathPrefix,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            public: vec![LISTEN],
            unix: Vec::new(),
            api: Vec::new(),
            ipv6_only: false,
            path_prefix: PathPrefix::default(),
        }
    }
}

/// Where a server can listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListenAddress {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A path of the file system.
    Unix(PathBuf),
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(UNIX) {
            None => text.parse().map(Self::Tcp).map_err(|_| "write IP:PORT or unix:PATH"),
            Some("") => Err("write the path of a file behind unix:"),
            Some(path) => Ok(Self::Unix(path.into())),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_it_is_written() {
        for text in ["127.0.0.1:6001", "[::]:6001", "unix:/run/corecast.sock", "unix:relative"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for text in ["localhost:6001", "/run/corecast.sock", "unix:", ""] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }
}
