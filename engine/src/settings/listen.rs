//! Where clients and back ends connect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use protocol::path_prefix::PathPrefix;

/// The default address.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 6001);

/// The addresses of a server, without that of the operator's tools.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// Addresses for WebSocket and REST.
    pub public: Vec<SocketAddr>,
    /// Additional addresses for back ends, whose connections go to the API core directly.
    pub api: Vec<SocketAddr>,
    /// Whether `[::]` accepts IPv6 only; otherwise it accepts IPv4 too, unless an IPv4 address has the same port.
    pub ipv6_only: bool,
    /// What a proxy puts before the paths of clients and back ends. They are served with it and without.
    pub path_prefix: PathPrefix,
}

impl Default for Listen {
    fn default() -> Self {
        Self { public: vec![LISTEN], api: Vec::new(), ipv6_only: false, path_prefix: PathPrefix::default() }
    }
}
