//! A descriptor that goes to another core keeps its bytes, all of them and in order, and is polled by one core only.

use std::io::Write;
use std::thread;

use crate::echo::{Desk, Script, read, serve};
use machines::cores::CoreId;
use machines::machine::{Now, Token};

/// Gives every connection to the other shard at its first bytes; what comes from there stays.
struct Passing {
    shard: u16,
}

impl Script for Passing {
    fn bytes(&mut self, desk: &mut Desk, token: Token, bytes: &[u8], _now: Now) {
        if self.shard == 0 && bytes.first() == Some(&b'!') {
            desk.hand_over(token, CoreId::Shard(1), &bytes[1..]);
        } else if self.shard == 1 && bytes.first() == Some(&b'!') {
            desk.hand_over(token, CoreId::Shard(0), &bytes[1..]);
        } else {
            desk.write(token, bytes);
        }
    }
}

#[test]
fn bytes_stay_in_order_while_the_connection_changes_cores() {
    let server = serve(0, 2, false, |shard, _| Passing { shard });
    for length in [0, 1, 1_000, 70_000, 3_000_000] {
        let mut stream = server.connect();
        let sent: Vec<u8> = (0..length).map(|byte: u32| (byte / 3 % 30) as u8).collect();
        let (mut writer, copy) = (stream.try_clone().unwrap(), sent.clone());
        let writing = thread::spawn(move || {
            writer.write_all(b"!").unwrap();
            copy.chunks(10_000).for_each(|chunk| writer.write_all(chunk).unwrap());
            writer.write_all(b"end").unwrap();
        });
        assert!(read(&mut stream, sent.len()) == sent, "{length} bytes");
        assert_eq!(read(&mut stream, 3), b"end");
        writing.join().unwrap();
    }
}

#[test]
fn a_connection_may_go_back_and_forth() {
    let server = serve(0, 2, false, |shard, _| Passing { shard });
    let mut stream = server.connect();
    for round in 0..200u8 {
        let word = [b'a' + round % 26; 3];
        stream.write_all(&[&b"!"[..], &word].concat()).unwrap();
        assert_eq!(read(&mut stream, 3), word);
    }
}

#[test]
fn the_api_core_takes_connections_over() {
    struct ToApi;
    impl Script for ToApi {
        fn bytes(&mut self, desk: &mut Desk, token: Token, bytes: &[u8], _now: Now) {
            desk.hand_over(token, CoreId::Api, bytes);
        }
    }
    let server = serve(0, 1, false, |_, _| ToApi);
    let mut streams: Vec<_> = (0..100).map(|_| server.connect()).collect();
    streams.iter_mut().for_each(|stream| stream.write_all(b"GET /").unwrap());
    assert!(streams.iter_mut().all(|stream| read(stream, 5) == b"GET /"));
}
