//! What the driver relies on when it sends to many sockets with one system call, and that nobody notices that it does.

use std::io::{self, IoSlice, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use crate::echo::{Desk, Script, Scripted, read, wait_until};
use corecast::driver::flush::Flusher;
use corecast::driver::ring::{Ring, SendRing, Sizes};
use corecast::driver::sockets::{News, Sockets};
use corecast::driver::transport::TransportKind;
use machines::machine::{Effect, Machine, Now, Token};

const SENDS: u32 = 32;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    far.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (near, far)
}

/// What was told of a batch: who fell short, and by what; and how many were never seen.
fn send<'a>(ring: &mut SendRing, sends: &'a [(&TcpStream, Vec<IoSlice<'a>>)]) -> (Vec<Told>, usize) {
    let mut batch = ring.batch().expect("a ring that works");
    for (at, (socket, slices)) in sends.iter().enumerate() {
        assert!(batch.push(at, socket.as_fd(), slices));
    }
    let mut told = Vec::new();
    let unseen = batch.submit(|at, sent| told.push((at, sent.map_err(|error| error.kind()))));
    (told, unseen)
}

type Told = (usize, Result<usize, io::ErrorKind>);

#[test]
fn success_is_silent_and_the_bytes_may_be_overwritten_at_once() {
    let (near, mut far) = pair();
    let mut ring = SendRing::new(SENDS).unwrap();
    let mut expected = Vec::new();
    for round in 0..200u8 {
        let mut one = vec![round; 700];
        let mut several = [vec![!round; 300], vec![round / 2; 1], vec![round; 40]];
        {
            let slices = several.iter().map(|piece| IoSlice::new(piece)).collect();
            let sends = [(&near, vec![IoSlice::new(&one)]), (&near, slices)];
            assert_eq!(send(&mut ring, &sends), (Vec::new(), 0));
        }
        expected.extend_from_slice(&one);
        expected.extend(several.concat());
        one.fill(0xdd);
        several.iter_mut().for_each(|piece| piece.fill(0xdd));
        if round % 20 == 19 {
            assert!(read(&mut far, expected.len()) == expected, "what was sent is not what was given");
            expected.clear();
        }
    }
}

#[test]
fn full_and_broken_sockets_are_told_apart_to_the_byte_and_the_others_are_served() {
    let ((full, mut reader), (broken, _other), (well, mut far)) = (pair(), pair(), pair());
    broken.shutdown(std::net::Shutdown::Write).unwrap();
    let block = vec![7; 32 << 20];
    let halves = block.split_at(block.len() / 2);
    let mut ring = SendRing::new(SENDS).unwrap();
    let both = || vec![IoSlice::new(halves.0), IoSlice::new(halves.1)];
    let sends = [
        (&full, both()),
        (&broken, vec![IoSlice::new(&block)]),
        (&full, vec![IoSlice::new(&block)]),
        (&full, both()),
        (&well, vec![IoSlice::new(b"well")]),
    ];
    let (told, unseen) = send(&mut ring, &sends);
    assert_eq!(unseen, 0);
    let [(0, Ok(part)), rest @ ..] = &told[..] else { panic!("{told:?}") };
    let refused = |at| (at, Err(io::ErrorKind::WouldBlock));
    assert_eq!(rest, [(1, Err(io::ErrorKind::BrokenPipe)), refused(2), refused(3)]);
    assert!((1..block.len()).contains(part));
    assert_eq!(read(&mut far, 4), b"well");
    drop(full);
    assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), *part as u64);
}

#[test]
fn a_batch_takes_as_much_as_it_has_room_for() {
    let (near, mut far) = pair();
    let mut ring = SendRing::new(SENDS).unwrap();
    for slices in [&[IoSlice::new(b"x")][..], &[IoSlice::new(b"x"); 64]] {
        let mut batch = ring.batch().unwrap();
        let taken = (0..).take_while(|at| batch.push(*at, near.as_fd(), slices)).count();
        assert!((2..=SENDS as usize).contains(&taken), "{taken} of {} slices", slices.len());
        assert_eq!(batch.submit(|at, sent| panic!("{at}: {sent:?}")), 0);
        assert_eq!(read(&mut far, taken * slices.len()), vec![b'x'; taken * slices.len()]);
    }
}

#[test]
fn nothing_holds_a_socket_when_its_batch_is_submitted() {
    let (near, mut far) = pair();
    let (full, _reader) = pair();
    let mut ring = SendRing::new(SENDS).unwrap();
    let block = vec![1; 32 << 20];
    send(&mut ring, &[(&near, vec![IoSlice::new(b"last")]), (&full, vec![IoSlice::new(&block)])]);
    drop(near);
    let mut got = Vec::new();
    far.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"last");
}

#[test]
fn a_batch_that_is_not_submitted_is_never_sent() {
    let (near, mut far) = pair();
    let mut ring = SendRing::new(SENDS).unwrap();
    assert!(ring.batch().unwrap().push(0, near.as_fd(), &[IoSlice::new(b"never")]));
    assert!(ring.batch().is_none());
    drop(ring);
    near.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(far.read(&mut [0; 8]).unwrap(), 0);
}

/// Writes when it is told to. If it is strict and the kernel refuses somebody, all go, with what still waits for them.
struct Judge {
    strict: bool,
}

impl Script for Judge {
    fn bytes(&mut self, _desk: &mut Desk, _token: Token, _bytes: &[u8], _now: Now) {}

    fn blocked(&mut self, desk: &mut Desk, _token: Token) {
        if self.strict {
            desk.tokens().into_iter().for_each(|token| desk.close(token, b"last"));
        }
    }
}

/// A driver's flushing side: its connections, and the peers' ends.
struct Bench {
    sockets: Sockets,
    flusher: Flusher,
    machine: Scripted<Judge>,
    tokens: Vec<Token>,
    peers: Vec<TcpStream>,
}

impl Bench {
    fn new(together: bool, connections: usize) -> Self {
        let ring = Ring::new(Sizes { submissions: 64, completions: 1024, sends: 0 }).unwrap();
        let sends = together.then(|| SendRing::new(SENDS).unwrap());
        let mut sockets = Sockets::new(ring);
        let (nears, peers): (Vec<_>, Vec<_>) = (0..connections).map(|_| pair()).unzip();
        let mut attach = |near: TcpStream| {
            sockets.attach(TransportKind::Plain.over(near.into()).unwrap(), Vec::new()).unwrap()
        };
        let tokens = nears.into_iter().map(&mut attach).collect();
        Self {
            sockets,
            flusher: Flusher::new(sends),
            machine: Scripted::new(Judge { strict: false }),
            tokens,
            peers,
        }
    }

    fn write_to_all(&mut self, bytes: impl Fn(usize) -> Vec<u8>) {
        for (at, token) in self.tokens.iter().enumerate() {
            self.machine.desk.write(*token, &bytes(at));
        }
    }

    fn flush(&mut self) {
        while self.flusher.flush_slice(&mut self.machine, &mut self.sockets, Now::default()) {}
        self.sockets.ring().submit().unwrap();
    }

    /// Takes in which sockets can be written again.
    fn turn(&mut self) {
        let mut completions = Vec::new();
        self.sockets.ring().wait(Duration::from_millis(5)).unwrap();
        self.sockets.ring().reap(&mut completions);
        for completion in completions {
            if let News::Writable(token) = self.sockets.handle_completion(completion, 0) {
                self.machine.handle_writable(token);
            }
        }
        self.flush();
    }
}

fn frame(at: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|byte| (at * 31 + byte / 3) as u8).collect()
}

#[test]
fn every_outbox_goes_out_whole_and_once_whether_together_or_one_by_one() {
    for (together, connections, piece_bytes) in
        [(true, 3, 0), (true, 200, 0), (true, 200, 7), (true, 70, 1), (false, 200, 7)]
    {
        let mut bench = Bench::new(together, connections);
        bench.machine.desk.piece_bytes = piece_bytes;
        for round in 0..3 {
            bench.write_to_all(|at| frame(at + round, 100 + at % 5 * 70));
            bench.flush();
            for (at, far) in bench.peers.iter_mut().enumerate() {
                let expected = frame(at + round, 100 + at % 5 * 70);
                assert_eq!(read(far, expected.len()), expected, "{at} of {connections}, {piece_bytes}");
            }
        }
        for far in &bench.peers {
            far.set_nonblocking(true).unwrap();
            assert_eq!((&*far).read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }
}

#[test]
fn readers_that_stop_get_all_of_it_when_they_go_on() {
    let mut bench = Bench::new(true, 40);
    let block_bytes = |at: usize| if at.is_multiple_of(10) { 12 << 20 } else { 2000 };
    bench.write_to_all(|at| frame(at, block_bytes(at)));
    bench.flush();
    for (at, far) in bench.peers.iter_mut().enumerate().filter(|(at, _)| at % 10 != 0) {
        assert!(read(far, 2000) == frame(at, 2000), "{at}");
    }
    for at in [0, 10, 20, 30] {
        let mut far = bench.peers[at].try_clone().unwrap();
        let reading = thread::spawn(move || read(&mut far, 12 << 20) == frame(at, 12 << 20));
        wait_until("reading on", || {
            bench.turn();
            reading.is_finished()
        });
        assert!(reading.join().unwrap(), "{at}");
    }
}

#[test]
fn what_was_taken_is_told_before_anybody_is_judged() {
    let mut bench = Bench::new(true, 20);
    bench.machine.desk.write(bench.tokens[0], &vec![0; 32 << 20]);
    bench.flush();
    bench.machine.script.strict = true;
    bench.write_to_all(|at| frame(at, 100));
    bench.flush();
    while let Some(effect) = bench.machine.poll_effect() {
        match effect {
            Effect::Close { token, last } => bench.sockets.begin_close(token, last, 0),
            Effect::Free(token) => bench.sockets.free(token),
            effect => panic!("{effect:?}"),
        }
    }
    for (at, far) in bench.peers.iter_mut().enumerate().skip(1) {
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        assert_eq!(got, [&frame(at, 100), &b"last"[..]].concat(), "{at}");
    }
}

#[test]
fn peers_that_go_in_the_middle_hurt_nobody_else() {
    let mut bench = Bench::new(true, 60);
    let gone = bench.peers.split_off(40);
    let breaking = thread::spawn(move || {
        for mut far in gone {
            far.read_exact(&mut [0; 500]).unwrap();
            // With unread input this is a reset.
            drop(far);
        }
    });
    for round in 0..200 {
        bench.write_to_all(|at| frame(at + round, 1000));
        bench.turn();
        for (at, far) in bench.peers.iter_mut().enumerate() {
            assert!(read(far, 1000) == frame(at + round, 1000), "{at} in round {round}");
        }
    }
    breaking.join().unwrap();
}
