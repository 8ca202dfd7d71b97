//! The proxies that stand before a server.

use protocol::http::TrustedProxies;

/// Which proxies stand before a server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proxies {
    /// Whose word is taken for where a client is.
    pub trusted: TrustedProxies,
}
