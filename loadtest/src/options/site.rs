//! A server as this program sees it: its addresses, whether it speaks TLS, what stands before `/app` and `/apps`, and an
//! app's credentials. `Site` is the part that receiving processes are told.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};

/// How long a server may take to accept a connection before a run.
const REACHABLE_PATIENCE: Duration = Duration::from_secs(5);

/// What a subscriber must know of the server, and how it gets there.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Site {
    pub(crate) ws: Endpoint,
    pub(crate) encryption: Encryption,
    pub(crate) path_prefix: String,
    pub(crate) key: String,
    pub(crate) secret: String,
    /// Taken in turn; none lets the kernel choose.
    pub(crate) sources: Vec<IpAddr>,
}

/// Whether TLS is spoken, and how its handshakes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Encryption {
    None,
    /// Where there is a ticket.
    Resumed,
    Full,
}

/// A name and what it stands for.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    /// HOST:PORT as it was given.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
}

impl Endpoint {
    pub(super) fn check_reachable(&self) -> Outcome<()> {
        let name = &self.name;
        TcpStream::connect_timeout(&self.address, REACHABLE_PATIENCE).map(drop).map_err(|error| {
            Failure::new(match error.kind() {
                ErrorKind::ConnectionRefused => {
                    format!("{name} refused the connection: is the server running there?")
                }
                ErrorKind::TimedOut => format!("{name} does not answer: is this the server's address?"),
                _ => format!("cannot connect to {name}: {error}"),
            })
        })
    }

    /// The name without its port.
    pub(crate) fn host(&self) -> &str {
        let host = self.name.rsplit_once(':').map_or(self.name.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// An app as its owner knows it.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) secret: String,
}
