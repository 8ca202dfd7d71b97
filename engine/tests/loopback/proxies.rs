//! Listeners behind proxies: what connections begin with there, whose word is taken for where a client is, and what garbage
//! costs those who send none.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

use crate::rig::PATIENCE;
use crate::rig::client::Client;
use crate::rig::http::Http;
use crate::rig::raw::encode_upgrade_with;
use crate::rig::server::{Server, binary, free_port};
use crate::rig::tls::Pair;

/// For 1.2.3.4:256.
const HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x0a\0\0\x01\x01\0\x1b\x58";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const TARGET: &str = "/app/loopback-key?protocol=7&client=js&version=8.4.0&flash=false";
const LIVE: &[u8] = b"GET /live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// A server, and its ports where connections begin with a PROXY header.
struct Proxied {
    server: Server,
    plain: u16,
    secure: u16,
    pair: Pair,
}

impl Proxied {
    fn start(file: &str, trusted: Option<&str>) -> Self {
        let [plain, secure, direct] = [(); 3].map(|()| free_port());
        let pair = Pair::make(file, "h");
        let at = |port| format!("127.0.0.1:{port}");
        let mut command = Command::new(binary());
        command.args(["serve", "--app", "loopback:loopback-key:loopback-secret", "--shards", "2"]);
        command.args(["--admin", "off", "--log-format", "json"]);
        command.args(["--listen", &at(direct), "--listen", &at(plain), "--tls-listen", &at(secure)]);
        command.args(["--tls-cert", pair.cert(), "--tls-key", pair.key()]);
        command.env("CORECAST_PROXY_PROTOCOL", format!("{},{}", at(plain), at(secure)));
        command.envs(trusted.map(|trusted| ("CORECAST_TRUSTED_PROXIES", trusted))).stdin(Stdio::null());
        Self { server: Server::start_command(command, direct), plain, secure, pair }
    }

    /// Ends the server, and gives the lines of its log.
    fn logged(mut self) -> Vec<Value> {
        assert_eq!(self.server.terminate().code(), Some(0));
        let text = self.server.take_errors();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn connect(port: u16, first: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    // One that is refused at once may be closed by now.
    let _ = stream.write_all(first);
    stream
}

/// Whether the server ends this connection without an answer.
fn is_ended(mut stream: TcpStream) -> bool {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer.is_empty()
}

fn of<'a>(lines: &'a [Value], event: &str, field: &str) -> Vec<&'a str> {
    let lines = lines.iter().filter(|line| line["event"] == event);
    lines.map(|line| line[field].as_str().unwrap_or_else(|| panic!("{line}"))).collect()
}

#[test]
fn a_connection_with_a_proxy_header_is_like_any_other_and_its_client_is_known() {
    let proxied = Proxied::start("introduced", Some("127.0.0.0/8"));
    let fields = [&HEADER[..14], b"\0\x13", &HEADER[16..], b"\x03\0\x04CRC!"].concat();
    for header in [HEADER, &fields, LOCAL] {
        let client = Client::connect(connect(proxied.plain, header), TARGET);
        assert_eq!(Http::on(connect(proxied.plain, header)).ask(LIVE).status, 200);
        client.abort();
    }
    let mut pieces = connect(proxied.plain, b"");
    for byte in HEADER {
        pieces.write_all(&[*byte]).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    Client::connect(pieces, TARGET).abort();
    let both = [HEADER, encode_upgrade_with(TARGET, "X-Forwarded-For: 6.6.6.6\r\n").as_bytes()].concat();
    let mut spoofed = connect(proxied.plain, &both);
    assert!(spoofed.read(&mut [0; 16]).unwrap() > 0);
    drop(spoofed);
    let session = ClientConnection::new(proxied.pair.client(), ServerName::try_from("h").unwrap()).unwrap();
    let mut secure = StreamOwned::new(session, connect(proxied.secure, HEADER));
    secure.write_all(LIVE).unwrap();
    let mut answer = String::new();
    secure.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let lines = proxied.logged();
    let addresses = of(&lines, "connection_closed", "address");
    let (known, local): (Vec<&str>, Vec<&str>) =
        addresses.iter().partition(|address| **address == "1.2.3.4:256");
    assert!(local.len() == 1 && local[0].starts_with("127.0.0.1:"), "{addresses:?}");
    assert_eq!(known.len(), 4, "a header goes before what is said in a head: {addresses:?}");
    assert!(of(&lines, "refused", "reason").is_empty(), "{lines:?}");
}

#[test]
fn one_without_a_proxy_header_is_closed_and_no_other() {
    let proxied = Proxied::start("garbage", None);
    let mut client = Client::connect(connect(proxied.plain, HEADER), TARGET);
    let garbage: [&[u8]; 12] = [
        b"GET /live HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 10.0.0.1 56324 443\r\nGET /live HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0b\x01\x02\x03\x04\x0a\0\0\x01\x01\0\x1b",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x01\x02\x03\x04\x0a\0\0\x01\x01\0\x1b\x58",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c\x01\x02\x03\x04\x0a\0\0\x01\x01\0\x1b\x58",
        b"\r\n\r\n\0\r\nQUIT\n\x2f\x11\0\x0c\x01\x02\x03\x04\x0a\0\0\x01\x01\0\x1b\x58",
        b"\r\n\r\n\0\r\nQUIX\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        &[0; 4096],
        &[0xff; 1],
    ];
    for port in [proxied.plain, proxied.secure] {
        for bytes in garbage {
            assert!(is_ended(connect(port, bytes)), "{bytes:?}");
        }
        for end in [0, 1, 15, 27] {
            let cut = connect(port, &HEADER[..end]);
            cut.shutdown(Shutdown::Write).unwrap();
            assert!(is_ended(cut), "{end}");
        }
        client.expect_pong();
    }
    // Bytes of a generator, with and without the signature before them.
    let mut seed = 7_u32;
    for round in 0..60 {
        let mut bytes: Vec<u8> = if round % 2 == 0 { HEADER[..12].to_vec() } else { Vec::new() };
        for _ in 0..round {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.push((seed >> 24) as u8);
        }
        let stream = connect(proxied.plain, &bytes);
        let _ = stream.shutdown(Shutdown::Write);
        assert!(is_ended(stream), "{bytes:?}");
    }
    client.expect_pong();
    proxied.server.connect().expect_pong();
    let lines = proxied.logged();
    let reasons = of(&lines, "refused", "reason");
    assert!(reasons[0].contains("does not begin with a PROXY header (proxy_protocol)"), "{reasons:?}");
    assert!(reasons[1].contains("is of version 1") && reasons[1].contains("send-proxy-v2"), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("longer than 2 KiB")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("malformed")), "{reasons:?}");
    assert!(reasons.len() <= 200, "of a flood the log has a part");
}

#[test]
fn a_proxy_header_of_somebody_else_closes_its_connection() {
    let proxied = Proxied::start("stranger", Some("10.0.0.0/8"));
    for port in [proxied.plain, proxied.secure] {
        assert!(is_ended(connect(port, HEADER)) && is_ended(connect(port, LOCAL)));
    }
    proxied.server.connect().expect_pong();
    let lines = proxied.logged();
    let reasons = of(&lines, "refused", "reason");
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(reasons.iter().all(|reason| reason.contains("trusted_proxies")), "{reasons:?}");
}

/// Where a client seems to be whose upgrade has these lines, by the log: of a server that trusts these proxies.
fn addresses(trusted: &[&str], heads: &[&str]) -> Vec<String> {
    let arguments = [&["--shards", "1", "--admin", "off", "--log-format", "json"], trusted].concat();
    let mut server = Server::start(&arguments);
    for lines in heads {
        let mut stream = server.tcp();
        stream.write_all(encode_upgrade_with(TARGET, lines).as_bytes()).unwrap();
        // Each is gone before the next comes, so their lines are in order.
        assert!(stream.read(&mut [0; 512]).unwrap() > 0);
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(server.terminate().code(), Some(0));
    let text = server.take_errors();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    of(&lines, "connection_closed", "address").into_iter().map(str::to_owned).collect()
}

const FORWARDED: [(&str, &str); 7] = [
    ("X-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7"),
    ("X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n", "203.0.113.7"),
    ("X-Forwarded-For: 203.0.113.7:4711\r\n", "203.0.113.7:4711"),
    ("X-Forwarded-For: 2001:db8::7\r\n", "2001:db8::7"),
    ("Forwarded: for=\"[2001:db8::7]:4711\"\r\n", "[2001:db8::7]:4711"),
    ("X-Real-IP: 203.0.113.7\r\n", "203.0.113.7"),
    ("X-Forwarded-For: 6.6.6.6, 203.0.113.7, 127.0.0.3\r\n", "203.0.113.7"),
];

#[test]
fn what_an_untrusted_peer_says_of_its_address_is_ignored() {
    let heads = FORWARDED.map(|(lines, _)| lines);
    for trusted in [&[][..], &["--trusted-proxies", "10.0.0.0/8,203.0.113.0/24,::1"]] {
        let addresses = addresses(trusted, &heads);
        assert_eq!(addresses.len(), heads.len());
        assert!(addresses.iter().all(|address| address.starts_with("127.0.0.1:")), "{addresses:?}");
    }
}

#[test]
fn what_a_trusted_proxy_says_of_its_client_is_in_the_log_with_a_port_where_it_names_one() {
    let addresses = addresses(&["--trusted-proxies", "127.0.0.0/8"], &FORWARDED.map(|(lines, _)| lines));
    assert_eq!(addresses, FORWARDED.map(|(_, address)| address));
}
