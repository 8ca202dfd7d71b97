//! How connections end: the last bytes arrive, then a FIN, and never a reset that would destroy them.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::echo::{Desk, Echo, Script, read, serve, wait_until};
use machines::machine::{Now, Token};

/// Stops reading at the first byte and closes at once.
struct Closing;

impl Script for Closing {
    fn bytes(&mut self, desk: &mut Desk, token: Token, _bytes: &[u8], _now: Now) {
        desk.pause(token);
        desk.close(token, b"bye");
    }
}

#[test]
fn the_peer_reads_the_last_bytes_and_then_the_end() {
    let server = serve(0, 1, false, |_, _| Closing);
    for _ in 0..50 {
        let mut stream = server.connect();
        stream.write_all(b"x").unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"bye");
    }
}

#[test]
fn the_last_bytes_arrive_though_input_is_left_unread() {
    let server = serve(0, 1, false, |_, _| Closing);
    for _ in 0..20 {
        let mut stream = server.connect();
        stream.write_all(&[0; 50_000]).unwrap();
        stream.write_all(&[0; 10_000]).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"bye");
    }
}

#[test]
fn what_was_echoed_arrives_when_the_peer_closes_its_half_only() {
    let server = serve(0, 1, false, |_, _| Echo);
    let mut stream = server.connect();
    let mut writer = stream.try_clone().unwrap();
    let sent = vec![5; 1_000_000];
    let copy = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    writing.join().unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
}

#[test]
fn a_drain_closes_everybody_and_the_server_ends_well() {
    let server = serve(0, 2, false, |_, _| Echo);
    let mut streams: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(b"x").unwrap();
        assert_eq!(read(stream, 1), b"x");
    }
    let stopping = server.stop_meanwhile();
    for mut stream in streams {
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"drained");
    }
    wait_until("the end of the server", || stopping.is_finished());
    stopping.join().unwrap().unwrap();
}
