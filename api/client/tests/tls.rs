//! `wss://` and `https://`, through a proxy that ends TLS in front of a real server.
//!
//! Whom the machine trusts is read once in a process, so the clients run in a process of their own, with SSL_CERT_FILE set.
#![forbid(unsafe_code)]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "scenes/server.rs"]
mod server;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use corecast_client::{ApiClient, ConnectError, Event, Trigger, WsClient, WsOptions};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

const PORT: &str = "CORECAST_TLS_PORT";

#[test]
fn wss_and_https_reach_a_server_that_the_machine_trusts() {
    if let Ok(port) = std::env::var(PORT) {
        return talk(&port);
    }
    let server = server::Server::start(server::free_port(), 1);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let port = proxy(make_certificate(&folder), server.url().rsplit_once(':').unwrap().1.parse().unwrap());
    let run = |trusted: &Path| {
        let name = "wss_and_https_reach_a_server_that_the_machine_trusts";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture"]).env(PORT, port.to_string());
        command.env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR").output().unwrap()
    };
    let output = run(&folder.join("cert.pem"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The same, when nobody trusts that certificate.
    make_key_pair(&folder, "other", "other");
    let output = run(&folder.join("other-cert.pem"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("UnknownIssuer"), "{said}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// What the clients do in their own process.
fn talk(port: &str) {
    let connected =
        WsClient::connect(WsOptions::new(&format!("wss://localhost:{port}"), "client-key").unwrap());
    if let Err(ConnectError::Unreachable(why)) = &connected {
        panic!("{why}");
    }
    let client = connected.unwrap();
    let events = client.events();
    client.subscribe("c").unwrap().wait_subscribed().unwrap();
    let url = format!("https://client-key:client-secret@localhost:{port}/apps/7");
    // Larger than a record of TLS and than a read.
    let data = "x".repeat(90_000);
    ApiClient::from_url(&url).unwrap().trigger(&Trigger::new("c", "e", &*data)).unwrap();
    let mut messages =
        events.filter_map(|event| if let Event::Message(message) = event { Some(message) } else { None });
    assert_eq!(messages.next().unwrap().data, data);
}

fn make_key_pair(folder: &Path, name: &str, subject: &str) {
    let file = |what: &str| folder.join(format!("{name}-{what}.pem")).to_str().unwrap().to_owned();
    let (key, certificate) = (file("key"), file("cert"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", &format!("/CN={subject}"), "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", &key, "-out", &certificate])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn make_certificate(folder: &Path) -> Arc<ServerConfig> {
    make_key_pair(folder, "own", "localhost");
    std::fs::rename(folder.join("own-cert.pem"), folder.join("cert.pem")).unwrap();
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("own-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

/// Ends TLS on a port of its own and passes on what is inside. Returns the port.
fn proxy(config: Arc<ServerConfig>, server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (tls, plain) = (stream.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            // Whatever ends it ends this connection only.
            thread::spawn(move || drop(pass(session, tls, plain)));
        }
    });
    port
}

fn pass(mut session: ServerConnection, mut tls: TcpStream, mut plain: TcpStream) -> io::Result<()> {
    tls.set_nonblocking(true)?;
    plain.set_nonblocking(true)?;
    let mut buffer = [0; 16_384];
    loop {
        if would_block(session.read_tls(&mut tls))? == Some(0) {
            return Ok(());
        }
        session.process_new_packets().map_err(io::Error::other)?;
        while let Some(count) = would_block(session.reader().read(&mut buffer))?.filter(|count| *count > 0) {
            plain.set_nonblocking(false)?;
            plain.write_all(&buffer[..count])?;
            plain.set_nonblocking(true)?;
        }
        match would_block(plain.read(&mut buffer))? {
            Some(0) => return Ok(()),
            Some(count) => session.writer().write_all(&buffer[..count])?,
            None => thread::sleep(Duration::from_millis(1)),
        }
        while session.wants_write() && would_block(session.write_tls(&mut tls))?.is_some() {}
    }
}

fn would_block(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        other => other.map(Some),
    }
}
