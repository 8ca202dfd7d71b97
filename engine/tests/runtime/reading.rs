//! What the driver reads, and that it reads on: partial reads, pauses, many connections, idle cores.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::echo::{Desk, Echo, Script, read, serve};
use machines::machine::{Now, Token};

/// Pauses at each «p», for a tenth of a second.
struct Pausing {
    paused: Vec<Token>,
}

impl Script for Pausing {
    fn bytes(&mut self, desk: &mut Desk, token: Token, bytes: &[u8], now: Now) {
        desk.write(token, bytes);
        if bytes.contains(&b'p') {
            desk.pause(token);
            self.paused.push(token);
            desk.deadline = Some(now.mono_ms + 100);
        }
    }

    fn deadline(&mut self, desk: &mut Desk, _now: Now) {
        self.paused.drain(..).for_each(|token| desk.resume(token));
    }
}

fn talk(stream: &mut TcpStream, sent: &[u8]) {
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(sent).unwrap());
        assert_eq!(read(stream, sent.len()), sent);
    });
}

#[test]
fn more_bytes_than_any_buffer_holds_come_back_in_order() {
    let server = serve(0, 1, false, |_, _| Echo);
    let sent: Vec<u8> = (0..4_000_000u32).map(|byte| (byte / 7) as u8).collect();
    talk(&mut server.connect(), &sent);
}

#[test]
fn what_arrives_during_a_pause_is_read_after_it() {
    let server = serve(0, 1, false, |_, _| Pausing { paused: Vec::new() });
    let mut stream = server.connect();
    stream.write_all(b"p").unwrap();
    assert_eq!(read(&mut stream, 1), b"p");
    stream.write_all(b"during").unwrap();
    assert_eq!(read(&mut stream, 6), b"during");
    // And once more in one piece that is larger than the scratch: the pause begins in its middle.
    let mut sent = vec![b'x'; 200_000];
    sent[0] = b'p';
    talk(&mut stream, &sent);
}

#[test]
fn hundreds_of_connections_on_two_shards_are_all_served() {
    let server = serve(0, 2, false, |_, _| Echo);
    let mut streams: Vec<TcpStream> = (0..300).map(|_| server.connect()).collect();
    for round in 0..5u8 {
        streams.iter_mut().for_each(|stream| stream.write_all(&[round; 100]).unwrap());
        assert!(streams.iter_mut().all(|stream| read(stream, 100) == [round; 100]));
    }
}

#[test]
fn a_core_that_has_gone_to_sleep_answers_again() {
    let server = serve(0, 1, false, |_, _| Echo);
    let mut stream = server.connect();
    // Within the linger, at its end, and long after it.
    for pause in [0, 1, 15, 19, 20, 21, 40, 69, 70, 71, 150, 400] {
        thread::sleep(Duration::from_millis(pause));
        stream.write_all(b"ping").unwrap();
        assert_eq!(read(&mut stream, 4), b"ping");
    }
}
