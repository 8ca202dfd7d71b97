//! WebSocket and REST over TLS, with certificates that are made here: what clients are shown, how they resume, and that
//! nobody pays for another's handshake.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::rig::http::{encode_event, encode_post};
use crate::rig::server::{Server, free_port, run, wait_for};
use crate::rig::{KEY, PATIENCE};

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for some names, its own authority.
pub(crate) struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

impl Pair {
    /// Written to files of this name, over what is there.
    pub(crate) fn make(file: &str, name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tls");
        fs::create_dir_all(&directory).unwrap();
        let path = |end: &str| directory.join(format!("{file}.{end}"));
        let pair = Self { cert: path("pem"), key: path("key") };
        let (fresh_cert, fresh_key) = (path("pem.new"), path("key.new"));
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
                "30",
            ])
            .args([
                "-subj",
                "/CN=test",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-addext",
                &format!("subjectAltName=DNS:{name}"),
            ])
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
struct Secure {
    server: Server,
    port: u16,
    admin: u16,
}

impl Secure {
    fn start(pair: &Pair, shards: &str, more: &[&str]) -> Self {
        let (port, admin) = (free_port(), free_port());
        let (listen, tools) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{admin}"));
        let mut arguments = vec!["--shards", shards, "--tls-listen", &listen, "--admin", &tools];
        arguments.extend(["--tls-cert", pair.cert(), "--tls-key", pair.key()]);
        arguments.extend(more);
        Self { server: Server::start(&arguments), port, admin }
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn shake_hands(&self, config: &Arc<ClientConfig>, name: &str) -> io::Result<TlsStream> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut stream =
            StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), self.tcp());
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    fn connect(&self, config: &Arc<ClientConfig>, name: &str) -> WebSocket<TlsStream> {
        let stream = self.shake_hands(config, name).unwrap();
        let target = format!("ws://{name}/app/{KEY}?protocol=7");
        let (mut socket, _) = tungstenite::client(target, stream).unwrap();
        assert_eq!(hear(&mut socket)["event"], "pusher:connection_established");
        socket
    }

    fn subscribed(&self, config: &Arc<ClientConfig>, name: &str, channel: &str) -> WebSocket<TlsStream> {
        let mut socket = self.connect(config, name);
        let subscribe = json!({"event": "pusher:subscribe", "data": {"channel": channel}});
        socket.send(Message::text(subscribe.to_string())).unwrap();
        assert_eq!(hear(&mut socket)["event"], "pusher_internal:subscription_succeeded");
        socket
    }

    fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    fn handshakes(&self, result: &str) -> f64 {
        self.metric(&format!("corecast_tls_handshakes_total{{result=\"{result}\"}}"))
    }
}

fn hear(socket: &mut WebSocket<TlsStream>) -> Value {
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            let event: Value = serde_json::from_str(&text).unwrap();
            if event["event"] != "pusher_internal:subscription_count" {
                return event;
            }
        }
    }
}

fn post(stream: &mut TlsStream, body: &str) -> String {
    stream.write_all(&encode_post("/apps/7/events", body)).unwrap();
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

#[test]
fn what_is_published_by_https_is_heard_over_wss_on_one_shard_and_on_three() {
    for shards in ["1", "3"] {
        let pair = Pair::make(&format!("trip{shards}"), "localhost");
        let secure = Secure::start(&pair, shards, &[]);
        let config = pair.client();
        let mut clients: Vec<_> =
            (0..8).map(|_| secure.subscribed(&config, "localhost", "tls-trip")).collect();
        let mut plain = secure.server.connect();
        plain.subscribe("tls-trip");
        let mut rest = secure.shake_hands(&config, "localhost").unwrap();
        assert_eq!(rest.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        for round in 0..20 {
            let answer = post(&mut rest, &encode_event("tls-trip", "news", &round.to_string()));
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            for client in &mut clients {
                assert_eq!(hear(client)["data"], round.to_string());
            }
            plain.expect("tls-trip", "news", &round.to_string());
        }
        // What is longer than a record comes whole.
        let long = "x".repeat(9_000);
        for _ in 0..8 {
            assert!(post(&mut rest, &encode_event("tls-trip", "news", &long)).starts_with("HTTP/1.1 200"));
        }
        for client in &mut clients {
            (0..8).for_each(|_| assert_eq!(hear(client)["data"], long.as_str()));
        }
    }
}

#[test]
fn a_client_resumes_on_any_core_and_both_kinds_of_handshake_are_counted() {
    let pair = Pair::make("resume", "localhost");
    let secure = Secure::start(&pair, "3", &[]);
    assert_eq!(secure.handshakes("full"), 0.0, "the server's own does not count");
    let config = pair.client();
    let kind = |socket: &WebSocket<TlsStream>| socket.get_ref().conn.handshake_kind();
    assert_eq!(kind(&secure.connect(&config, "localhost")), Some(HandshakeKind::Full));
    for _ in 0..9 {
        assert_eq!(kind(&secure.connect(&config, "localhost")), Some(HandshakeKind::Resumed));
    }
    assert_eq!((secure.handshakes("full"), secure.handshakes("resumed")), (1.0, 9.0));
    assert!((28.0..=30.0).contains(&secure.metric("corecast_certificate_days_left")));
}

#[test]
fn a_client_is_shown_the_certificate_for_the_name_that_it_asks_for_or_the_first() {
    let (one, other) = (Pair::make("one", "one.test"), Pair::make("other", "*.other.test"));
    let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tls/names.toml");
    let certificates =
        format!("[tls]\ncertificates = [{{ cert = \"{}\", key = \"{}\" }}]\n", other.cert(), other.key());
    fs::write(&config, certificates + "listen = \"127.0.0.1:1\"\n").unwrap();
    let secure = Secure::start(&one, "1", &["--config", config.to_str().unwrap()]);
    secure.connect(&one.client(), "one.test");
    secure.connect(&other.client(), "a.other.test");
    let error = secure.shake_hands(&other.client(), "one.test").unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    let mut roots = one.client();
    Arc::get_mut(&mut roots).unwrap().enable_sni = false;
    secure.connect(&roots, "one.test");
}

#[test]
fn garbage_silence_and_half_a_handshake_hurt_nobody_else() {
    let pair = Pair::make("garbage", "localhost");
    let secure = Secure::start(&pair, "1", &[]);
    let config = pair.client();
    let mut client = secure.subscribed(&config, "localhost", "tls-calm");
    let mut rest = secure.shake_hands(&config, "localhost").unwrap();
    let silent: Vec<_> = (0..50)
        .map(|round: usize| {
            let mut stream = secure.tcp();
            // The beginning of a hello that never ends.
            stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc][..1 + round % 9]).unwrap();
            stream
        })
        .collect();
    for garbage in [&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..], &[0x16; 600], &[0xff; 70_000]] {
        let mut stream = secure.tcp();
        // The server may have closed before it has all.
        let _ = stream.write_all(garbage);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 0x15, "no alert: {answer:?}");
        assert!(post(&mut rest, &encode_event("tls-calm", "news", "1")).starts_with("HTTP/1.1 200"));
        assert_eq!(hear(&mut client)["event"], "news");
    }
    assert!(secure.handshakes("failed") >= 3.0);
    drop(silent);
    wait_for("all that was begun to be counted", || (secure.handshakes("failed") >= 53.0).then_some(()));
}

#[test]
fn certificates_change_under_connections_and_a_bad_pair_changes_nothing() {
    let pair = Pair::make("swap", "localhost");
    let mut secure = Secure::start(&pair, "3", &[]);
    let before = pair.client();
    let mut clients: Vec<_> = (0..200).map(|_| secure.subscribed(&before, "localhost", "tls-swap")).collect();
    let hang_up = |secure: &Secure| {
        let pid = secure.server.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    };
    let good = fs::read(&pair.key).unwrap();
    fs::write(&pair.key, "nonsense").unwrap();
    hang_up(&secure);
    thread::sleep(std::time::Duration::from_millis(300));
    secure.connect(&before, "localhost");
    fs::write(&pair.key, good).unwrap();
    let after = Pair::make("swap", "localhost").client();
    hang_up(&secure);
    wait_for("the new certificate", || secure.shake_hands(&after, "localhost").ok().map(drop));
    // Without SIGHUP, within ten seconds.
    let begun = Instant::now();
    let last = Pair::make("swap", "localhost").client();
    wait_for("the certificate after that", || {
        thread::sleep(std::time::Duration::from_millis(100));
        secure.shake_hands(&last, "localhost").ok().map(drop)
    });
    assert!(begun.elapsed() < PATIENCE);
    secure.server.publish("tls-swap", "news", "all");
    clients.iter_mut().for_each(|client| assert_eq!(hear(client)["data"], "all"));
    drop(clients);
    assert_eq!(secure.server.terminate().code(), Some(0));
    let said = secure.server.take_errors();
    assert!(said.contains("certificates stay as they were") && said.contains("swap.key"), "{said}");
}

#[test]
fn a_reader_that_stops_gets_its_backlog_whole_when_it_reads_on() {
    let pair = Pair::make("slow", "localhost");
    let secure = Secure::start(&pair, "1", &[]);
    let config = pair.client();
    let mut slow = secure.subscribed(&config, "localhost", "tls-slow");
    let data = "y".repeat(9_000);
    (0..60).for_each(|round| secure.server.publish("tls-slow", &format!("e{round}"), &data));
    for round in 0..60 {
        let event = hear(&mut slow);
        assert_eq!(
            (event["event"].as_str(), event["data"].as_str()),
            (Some(&*format!("e{round}")), Some(&*data))
        );
    }
    assert_eq!(secure.metric("corecast_tls_unsent_bytes"), 0.0);
}

#[test]
fn a_caller_that_has_said_its_last_is_still_answered() {
    let pair = Pair::make("half", "localhost");
    let secure = Secure::start(&pair, "1", &[]);
    let mut rest = secure.shake_hands(&pair.client(), "localhost").unwrap();
    rest.write_all(&encode_post("/apps/7/events", &encode_event("c", "e", "1"))).unwrap();
    rest.conn.send_close_notify();
    rest.flush().unwrap();
    rest.sock.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    rest.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn what_cannot_be_shown_stops_the_start_and_names_the_files() {
    let (one, other) = (Pair::make("mine", "localhost"), Pair::make("theirs", "localhost"));
    let listen = format!("127.0.0.1:{}", free_port());
    let start = |more: &[&str]| {
        let arguments = ["serve", "--tls-listen", &listen, "--app", "1:k:s"];
        let (code, _, said) = run(&[&arguments[..], more].concat());
        (code, said)
    };
    let (code, said) = start(&["--tls-cert", one.cert(), "--tls-key", other.key()]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("mine.pem") && said.contains("theirs.key") && said.lines().count() == 1, "{said}");
    let (code, said) = start(&["--tls-cert", "no/such.pem", "--tls-key", other.key()]);
    assert!(code == Some(78) && said.contains("no/such.pem: cannot be read"), "{said}");
    let (code, said) = start(&["--tls-cert", one.cert(), "--tls-key", one.cert()]);
    assert!(code == Some(78) && said.contains("no private key"), "{said}");
    let (code, said) = start(&[]);
    assert!(code == Some(78) && said.contains("no certificate"), "{said}");
}
