//! Where a server is.

use std::fmt;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// Where a server is, and how to log in. Nothing shows its credentials.
#[derive(Clone)]
pub struct Server {
    url: Box<str>,
    info: ConnectionInfo,
    name: Box<str>,
}

impl Server {
    /// The server that a URL names: `redis://USER:PASSWORD@HOST:PORT/DATABASE`, or `rediss://` for TLS. An error says what is
    /// wrong without repeating the URL.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        const SHAPE: &str = "is not the URL of a Redis server; write redis://USER:PASSWORD@HOST:PORT/DATABASE, or \
                             rediss:// for TLS";
        if !["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(SHAPE);
        }
        let info = url.into_connection_info().map_err(|_| SHAPE)?;
        let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) = info.addr()
        else {
            return Err(SHAPE);
        };
        let database = info.redis_settings().db();
        let name = match database {
            0 => format!("{host}:{port}"),
            _ => format!("{host}:{port}/{database}"),
        };
        // What a broken connection has not delivered yet must not come later. The end of a long call must not wait until its
        // beginning is acknowledged.
        let tcp = TcpSettings::default().set_nodelay(true).set_linger_time(Duration::ZERO);
        Ok(Self { url: url.into(), info: info.set_tcp_settings(tcp), name: name.into() })
    }

    /// What all nodes call it: its host and port, and its database if that is not 0.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn info(&self) -> &ConnectionInfo {
        &self.info
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for Server {}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_by_its_place_and_never_by_its_credentials() {
        for (url, name) in [
            ("redis://redis", "redis:6379"),
            ("redis://:secret@127.0.0.1:7000", "127.0.0.1:7000"),
            ("rediss://user:secret@redis.example:6380/3", "redis.example:6380/3"),
        ] {
            let server = Server::parse(url).unwrap();
            assert_eq!(server.name(), name);
            assert!(!format!("{server:?}").contains("secret"));
        }
    }

    #[test]
    fn what_is_no_url_of_a_server_is_refused_without_repeating_it() {
        for url in
            ["", "redis", "redis://", "http://h", "unix:///s", "redis://h:x", "redis://user:secret@h:1:2"]
        {
            let why = Server::parse(url).unwrap_err();
            assert!(!why.contains("secret") && why.contains("redis://USER"), "{url}");
        }
    }
}
