//! Which server is asked, and for which app.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;

use corecast_client::{Credentials, Place, UrlError, parse_pusher_url};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::limits::PATIENCE;

/// A server and an app of it.
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) place: Place,
    pub(crate) app: Credentials,
}

impl Target {
    /// A server at a URL such as `https://realtime.example.com`, and an app of it.
    pub fn new(url: &str, app: Credentials) -> Result<Self, UrlError> {
        let (place, _) = Place::parse(url)?;
        Ok(Self { place, app })
    }

    /// Both in one URL: `http(s)://KEY:SECRET@HOST[:PORT][/PATH]/apps/ID`.
    pub fn of_url(url: &str) -> Result<Self, UrlError> {
        let (place, app) = parse_pusher_url(url)?;
        Ok(Self { place, app })
    }

    /// A connection to it, with TLS if its URL says so.
    pub(crate) fn dial(&self) -> io::Result<Stream> {
        let address = (self.place.name(), self.place.port).to_socket_addrs()?.next();
        let address = address.ok_or_else(|| io::Error::other("the host has no address"))?;
        let tcp = TcpStream::connect_timeout(&address, PATIENCE)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        if !self.place.tls {
            return Ok(Stream::Plain(tcp));
        }
        let name = ServerName::try_from(self.place.name().to_owned()).map_err(io::Error::other)?;
        let config = corecast_client::trust::for_sockets().map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(&config), name).map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(StreamOwned::new(session, tcp))))
    }
}

/// A socket, with TLS or without.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// The socket below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(stream) => stream.get_ref(),
        }
    }
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
