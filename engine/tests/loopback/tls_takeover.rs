//! Two servers on one port with TLS: a successor takes over, and clients of both hear everything once.

use std::net::TcpStream;

use tungstenite::{Error, Message};

use crate::rig::server::{Server, free_port, wait_for};
use crate::rig::tls::{Pair, Secure, hear};

fn start(pair: &Pair, plain: u16, port: u16) -> Secure {
    let admin = free_port();
    let (listen, tools) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{admin}"));
    let files = ["--tls-cert", pair.cert(), "--tls-key", pair.key()];
    let flags = ["--shards", "2", "--takeover", "--tls-listen", &listen, "--admin", &tools];
    let ending = ["--drain-rate", "1000"];
    let server = Server::start_on(plain, &[&flags[..], &files, &ending].concat());
    Secure { server, port, admin }
}

#[test]
fn a_successor_takes_over_a_port_with_tls_and_nobody_misses_anything() {
    let pair = Pair::make("takeover", "localhost");
    let (plain, port) = (free_port(), free_port());
    let mut old = start(&pair, plain, port);
    let config = pair.client();
    let mut early: Vec<_> = (0..20).map(|_| old.subscribed(&config, "localhost", "tls-takeover")).collect();
    assert_eq!(old.handshakes("full") + old.handshakes("resumed"), 20.0);
    let new = start(&pair, plain, port);
    wait_for("the successor", || TcpStream::connect(("127.0.0.1", new.admin)).ok());
    wait_for("what the new one asked itself to be forgotten, whichever process has answered it", || {
        (new.handshakes("full") < 1.0).then_some(())
    });
    // Now both serve: the kernel gives newcomers to either.
    let mut late: Vec<_> = (0..20).map(|_| new.subscribed(&config, "localhost", "tls-takeover")).collect();
    wait_for("some of them to be with the successor", || {
        (new.handshakes("full") + new.handshakes("resumed") >= 1.0).then_some(())
    });
    for number in 0..10 {
        new.server.publish("tls-takeover", "news", &number.to_string());
        for client in early.iter_mut().chain(&mut late) {
            assert_eq!(hear(client)["data"], number.to_string());
        }
    }
    old.server.signal_end();
    // Those of the old one are told to come back, and do.
    for client in &mut early {
        loop {
            match client.read() {
                Ok(Message::Close(close)) => assert!((4100..4300).contains(&u16::from(close.unwrap().code))),
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    wait_for("the end of the old one", || old.server.ended());
    let mut back: Vec<_> = (0..20).map(|_| new.subscribed(&config, "localhost", "tls-takeover")).collect();
    new.server.publish("tls-takeover", "news", "again");
    for client in &mut back {
        assert_eq!(hear(client)["data"], "again");
    }
    assert!(new.handshakes("full") >= 1.0, "tickets of the old one are not known here");
}
