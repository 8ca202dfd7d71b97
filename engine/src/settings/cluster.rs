//! Which cluster the server is a node of.

use std::time::Duration;

use bus::server::Server;

/// A cluster. Without servers the node is alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cluster {
    /// The Redis servers that join its nodes.
    pub servers: Vec<Server>,
    /// How long a node may be silent before the others take it for dead.
    pub lease: Duration,
    /// How long members of other nodes stay listed while their server is away.
    pub members_kept: Duration,
    /// What the names of all keys begin with, in braces.
    pub prefix: String,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            lease: Duration::from_secs(10),
            members_kept: Duration::from_secs(60),
            prefix: "corecast".to_owned(),
        }
    }
}
