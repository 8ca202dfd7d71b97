//! A server with TLS, the certificates that it shows, and clients that trust them.
//!
//! Certificates are made by openssl, as an operator's are, in the folder for tests.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::server::{Server, binary, free_port};
use super::{KEY, PATIENCE, is_count};

pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for some names, its own authority.
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pair {
    /// Written to files of this name, over what is there.
    pub(crate) fn make(file: &str, name: &str) -> Self {
        Self::make_for_days(file, name, 30)
    }

    pub(crate) fn make_for_days(file: &str, name: &str, days: u32) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tls");
        fs::create_dir_all(&directory).unwrap();
        let path = |end: &str| directory.join(format!("{file}.{end}"));
        let pair = Self { cert: path("pem"), key: path("key") };
        let (fresh_cert, fresh_key) = (path("pem.new"), path("key.new"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-subj", "/CN=test", "-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-addext", &format!("subjectAltName=DNS:{name}"), "-days", &days.to_string()])
            .arg("-keyout")
            .arg(&fresh_key)
            .arg("-out")
            .arg(&fresh_cert)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        fs::rename(fresh_key, &pair.key).unwrap();
        fs::rename(fresh_cert, &pair.cert).unwrap();
        pair
    }

    pub(crate) fn cert(&self) -> &str {
        self.cert.to_str().unwrap()
    }

    pub(crate) fn key(&self) -> &str {
        self.key.to_str().unwrap()
    }

    /// A client that trusts this certificate alone, and keeps its tickets.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.cert).unwrap()).unwrap();
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }
}

/// A server with a plain port and one with TLS.
pub(crate) struct Secure {
    pub(crate) server: Server,
    pub(crate) port: u16,
    pub(crate) admin: u16,
}

impl Secure {
    /// With the apps of the tests.
    pub(crate) fn start(pair: &Pair, shards: &str, more: &[&str]) -> Self {
        Self::start_by(pair, shards, more, Server::start)
    }

    /// With the apps of this file.
    pub(crate) fn start_with(pair: &Pair, shards: &str, config: &Path) -> Self {
        Self::start_by(pair, shards, &["--config", config.to_str().unwrap()], |arguments| {
            let port = free_port();
            let mut command = Command::new(binary());
            command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]).args(arguments);
            Server::start_command(command, port)
        })
    }

    fn start_by(pair: &Pair, shards: &str, more: &[&str], start: impl Fn(&[&str]) -> Server) -> Self {
        let (port, admin) = (free_port(), free_port());
        let (listen, tools) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{admin}"));
        let mut arguments = vec!["--shards", shards, "--tls-listen", &listen, "--admin", &tools];
        arguments.extend(["--tls-cert", pair.cert(), "--tls-key", pair.key()]);
        arguments.extend(more);
        Self { server: start(&arguments), port, admin }
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub(crate) fn shake_hands(&self, config: &Arc<ClientConfig>, name: &str) -> io::Result<TlsStream> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream =
            StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), self.tcp());
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    pub(crate) fn connect(&self, config: &Arc<ClientConfig>, name: &str) -> WebSocket<TlsStream> {
        self.connect_to(config, name, &format!("/app/{KEY}?protocol=7"))
    }

    pub(crate) fn connect_to(
        &self,
        config: &Arc<ClientConfig>,
        name: &str,
        target: &str,
    ) -> WebSocket<TlsStream> {
        let stream = self.shake_hands(config, name).unwrap();
        let (mut socket, _) = tungstenite::client(format!("ws://{name}{target}"), stream).unwrap();
        assert_eq!(hear(&mut socket)["event"], "pusher:connection_established");
        socket
    }

    /// What a request on a connection of its own is answered with.
    pub(crate) fn ask(&self, config: &Arc<ClientConfig>, request: &[u8]) -> String {
        let mut stream = self.shake_hands(config, "localhost").unwrap();
        stream.write_all(request).unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).unwrap();
        String::from_utf8(answer[..length].to_vec()).unwrap()
    }

    pub(crate) fn subscribed(
        &self,
        config: &Arc<ClientConfig>,
        name: &str,
        channel: &str,
    ) -> WebSocket<TlsStream> {
        let mut socket = self.connect(config, name);
        let subscribe = json!({"event": "pusher:subscribe", "data": {"channel": channel}});
        socket.send(Message::text(subscribe.to_string())).unwrap();
        assert_eq!(hear(&mut socket)["event"], "pusher_internal:subscription_succeeded");
        socket
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    pub(crate) fn handshakes(&self, result: &str) -> f64 {
        self.metric(&format!("corecast_tls_handshakes_total{{result=\"{result}\"}}"))
    }
}

/// The next event that does not say how many are subscribed.
pub(crate) fn hear(socket: &mut WebSocket<TlsStream>) -> Value {
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            let event: Value = serde_json::from_str(&text).unwrap();
            if !is_count(&event) {
                return event;
            }
        }
    }
}
