//! The proxies that stand before a server.

use protocol::http::TrustedProxies;

use super::ListenAddress;

/// Which proxies stand before a server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proxies {
    /// Whose word is taken for where a client is.
    pub trusted: TrustedProxies,
    /// The addresses of listeners whose connections must begin with a PROXY header.
    pub introduced: Vec<ListenAddress>,
}
