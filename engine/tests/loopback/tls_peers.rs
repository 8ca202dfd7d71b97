//! Peers with TLS that are slow, silent or hostile, and whom that hurts: themselves.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use tungstenite::{Message, WebSocket};

use crate::rig::server::wait_for;
use crate::rig::tls::{Pair, Secure, TlsStream, hear};
use crate::rig::{KEY, PATIENCE};

/// What a client says first.
fn hello(config: &Arc<ClientConfig>) -> (ClientConnection, Vec<u8>) {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    (connection, hello)
}

/// A client whose window is as small as the kernel makes it.
fn narrow(secure: &Secure, config: &Arc<ClientConfig>, channel: &str) -> WebSocket<TlsStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], secure.port)).into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), stream);
    let target = format!("ws://localhost/app/{KEY}?protocol=7");
    let (mut client, _) = tungstenite::client(target, stream).unwrap();
    assert_eq!(hear(&mut client)["event"], "pusher:connection_established");
    let subscribe = json!({"event": "pusher:subscribe", "data": {"channel": channel}});
    client.send(Message::text(subscribe.to_string())).unwrap();
    assert_eq!(hear(&mut client)["event"], "pusher_internal:subscription_succeeded");
    client
}

/// A server with these limits.
fn limited(pair: &Pair, name: &str, limits: &str) -> Secure {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls/peers-{name}.toml"));
    let app = "[[apps]]\nid = \"7\"\nkey = \"loopback-key\"\nsecret = \"loopback-secret\"\n";
    fs::write(&path, format!("{app}[limits]\n{limits}")).unwrap();
    Secure::start_with(pair, "1", &path)
}

#[test]
fn readers_with_small_windows_get_everything_whole_and_nobody_waits_for_them() {
    let pair = Pair::make("narrow", "localhost");
    let secure = Secure::start(&pair, "1", &[]);
    let config = pair.client();
    let mut slow: Vec<_> = (0..5).map(|_| narrow(&secure, &config, "tls-narrow")).collect();
    let mut quick = secure.subscribed(&config, "localhost", "tls-narrow");
    let mut rest = secure.server.http();
    let data = |round: usize| format!("{round}{}", "z".repeat(9_000));
    for round in 0..20 {
        rest.publish("tls-narrow", "news", &data(round));
        assert_eq!(hear(&mut quick)["data"], data(round), "while nobody else reads");
    }
    assert!(secure.metric("corecast_tls_unsent_bytes") > 0.0, "their windows are too large");
    for client in &mut slow {
        (0..20).for_each(|round| assert_eq!(hear(client)["data"], data(round)));
    }
    wait_for("all that waited to go", || (secure.metric("corecast_tls_unsent_bytes") == 0.0).then_some(()));
}

#[test]
fn a_handshake_has_its_own_time_and_the_head_has_its_own_behind_it() {
    let pair = Pair::make("times", "localhost");
    let secure = limited(&pair, "times", "tls_handshake_ms_max = 400\nhead_ms_max = 60000\n");
    let config = pair.client();
    let begun = Instant::now();
    let mut half = secure.tcp();
    let (_, said) = hello(&config);
    half.write_all(&said[..said.len() / 2]).unwrap();
    let mut silent = secure.shake_hands(&config, "localhost").unwrap();
    assert_eq!(half.read(&mut [0; 8]).unwrap_or(0), 0, "it is closed without a word");
    assert!(begun.elapsed() >= Duration::from_millis(390), "{:?}", begun.elapsed());
    assert_eq!(secure.handshakes("timeout"), 1.0);
    // Who has keys may say its head later than that.
    silent.write_all(b"GET /live HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    silent.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(secure);
    let secure = limited(&pair, "heads", "head_ms_max = 300\n");
    let mut silent = secure.shake_hands(&config, "localhost").unwrap();
    silent.write_all(b"GET /live HT").unwrap();
    let mut answer = String::new();
    silent.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("head_ms_max"), "{answer}");
}

#[test]
fn hellos_in_any_pieces_are_served_and_records_that_are_none_end_their_own_connection() {
    let pair = Pair::make("pieces", "localhost");
    let secure = Secure::start(&pair, "1", &[]);
    let config = pair.client();
    let mut client = secure.subscribed(&config, "localhost", "tls-pieces");
    // In segments of a byte, and in records of few bytes.
    let (mut connection, said) = hello(&config);
    let mut stream = secure.tcp();
    for byte in &said {
        stream.write_all(&[*byte]).unwrap();
    }
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).unwrap();
    }
    let (mut connection, said) = hello(&config);
    let mut stream = secure.tcp();
    for piece in said[5..].chunks(40) {
        let header = [0x16, 3, 1, 0, piece.len() as u8];
        stream.write_all(&[&header, piece].concat()).unwrap();
    }
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).unwrap();
    }
    let length = |bytes: usize| (bytes as u16).to_be_bytes();
    let record =
        |kind: u8, payload: Vec<u8>| [vec![kind, 3, 3], length(payload.len()).to_vec(), payload].concat();
    // A message that says that it has 16 MB, in records of the largest size.
    let mut endless = record(0x16, [vec![1, 0xff, 0xff, 0xff], vec![0; 16_380]].concat());
    for _ in 0..8 {
        endless.extend(record(0x16, vec![0; 16_384]));
    }
    let hostile = [
        ("a message without end", endless),
        ("a record that is too long", [&[0x16, 3, 3][..], &length(0xffff), &[0; 70_000]].concat()),
        ("data before there are keys", record(0x17, vec![7; 16_384])),
        ("alerts without end", record(0x15, vec![1, 90]).repeat(5_000)),
        ("a change of ciphers, again and again", record(0x14, vec![1]).repeat(5_000)),
        ("an empty record, again and again", record(0x16, Vec::new()).repeat(5_000)),
    ];
    for (what, bytes) in hostile {
        let failed = secure.handshakes("failed");
        let mut stream = secure.tcp();
        // The server may have closed before it has all.
        let _ = stream.write_all(&bytes);
        let _ = stream.read_to_end(&mut Vec::new());
        wait_for(what, || (secure.handshakes("failed") > failed).then_some(()));
        secure.server.publish("tls-pieces", "news", what);
        assert_eq!(hear(&mut client)["data"], what);
    }
    assert_eq!(secure.metric("corecast_tls_unsent_bytes"), 0.0);
}
