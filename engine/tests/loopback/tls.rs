//! WebSocket and REST over TLS, with certificates that are made here: what clients are shown, how they resume, and that
//! nobody pays for another's handshake.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::{HandshakeKind, ProtocolVersion};
use tungstenite::WebSocket;

use crate::rig::http::{encode_event, encode_post};
use crate::rig::server::{binary, free_port, run, wait_for};
use crate::rig::tls::{Pair, Secure, TlsStream, hear};

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

#[test]
fn our_own_client_watches_by_wss_and_publishes_by_https() {
    let pair = Pair::make("own", "localhost");
    let secure = Secure::start(&pair, "1", &[]);
    let to = format!("https://localhost:{}", secure.port);
    let command = |verb: &str, arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(binary()).args([verb, "--to", &to]).args(arguments);
        command.args(["--app", "7:loopback-key:loopback-secret"]).env("SSL_CERT_FILE", &pair.cert);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut watch = command("watch", &["--json", "private-own"]).spawn().unwrap();
    let mut told = BufReader::new(watch.stderr.take().unwrap()).lines();
    assert!(told.any(|line| line.unwrap().contains("watching ")), "it has ended");
    let published = command("publish", &["private-own", "news", "by https"]).output().unwrap();
    assert!(published.status.success(), "{published:?}");
    let mut heard = BufReader::new(watch.stdout.take().unwrap()).lines();
    let heard = heard.find(|line| line.as_ref().unwrap().contains("news")).unwrap().unwrap();
    assert!(heard.contains("by https"), "{heard}");
    let pid = watch.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    watch.wait().unwrap();
    assert!(secure.handshakes("full") >= 2.0);
}
