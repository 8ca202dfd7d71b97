//! Ports: taken openly, refused to a second server, given up without losing a client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use crate::echo::{Echo, Scripted, read, serve, try_serve};
use corecast::driver::accept::{Acceptor, Entrance};
use corecast::driver::control::Clock;
use corecast::driver::introduction::Introduction;
use corecast::driver::listen::{accept, listen, local_address};
use corecast::driver::ring::{Kind, Ring, Sizes};
use corecast::driver::sockets::Sockets;
use corecast::driver::transport::TransportKind;
use machines::machine::{Door, Machine};

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[test]
fn a_port_can_be_served_again_as_soon_as_the_server_has_ended() {
    let first = serve(0, 2, false, |_, _| Echo);
    let port = first.address.port();
    let mut stream = first.connect();
    stream.write_all(b"x").unwrap();
    read(&mut stream, 1);
    first.stop().unwrap();
    // Its side of that connection is in TIME_WAIT now, since it has closed first.
    let second = serve(port, 2, false, |_, _| Echo);
    let mut stream = second.connect();
    stream.write_all(b"y").unwrap();
    assert_eq!(read(&mut stream, 1), b"y");
}

#[test]
fn a_second_server_on_a_live_port_is_refused_in_one_line() {
    let first = serve(0, 1, false, |_, _| Echo);
    let Err(refused) = try_serve(first.address.port(), 1, false, |_, _| Echo) else {
        panic!("two servers on one port");
    };
    let line = refused.to_string();
    assert!(line.starts_with("port taken") && !line.contains('\n'), "{line}");
}

#[test]
fn a_successor_takes_over_and_every_client_is_served() {
    let first = serve(0, 1, true, |_, _| Echo);
    let address = first.address;
    let second = serve(address.port(), 1, true, |_, _| Echo);
    let stopping = first.stop_meanwhile();
    // For more than the second and a half in which the first turns newcomers away: some have their SYN dropped and come again.
    let begun = Instant::now();
    let mut clients = Vec::new();
    while begun.elapsed() < Duration::from_millis(1_700) {
        clients.push(thread::spawn(move || greet(address)));
        thread::sleep(Duration::from_millis(20));
    }
    for client in clients {
        let answer = client.join().unwrap().unwrap();
        assert!(is_answer(&answer), "{answer:?}");
    }
    stopping.join().unwrap().unwrap();
    assert_eq!(greet(address).unwrap(), b"hello");
    second.stop().unwrap();
}

/// Sends a greeting; the answer is its echo, or what a server says that drains.
fn greet(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(20))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"hello")?;
    let mut answer = vec![0; 7];
    let length = stream.read(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

/// An echo, the words of a server that drains, or both when the drain begins just behind the echo.
fn is_answer(answer: &[u8]) -> bool {
    answer.starts_with(b"hello") || answer == b"drained"
}

/// Closes a listener whose queue holds five clients, and returns how many of them were accepted.
fn close_with_a_queue(listener: std::os::fd::OwnedFd) -> usize {
    let mut ring = Ring::new(Sizes { submissions: 8, completions: 64, sends: 0 }).unwrap();
    let entrance = Entrance {
        listener,
        door: Door::Public,
        transport: TransportKind::Plain,
        inherited: false,
        introduction: Introduction::None,
    };
    let mut acceptor = Acceptor::new(vec![entrance], &mut ring);
    let mut sockets = Sockets::new(ring);
    let mut machine = Scripted::new(Echo);
    let (clock, mut completions) = (Clock::start(), Vec::new());
    acceptor.begin_close(clock.now().mono_ms, 1_500);
    while !acceptor.is_closed() {
        acceptor.accept_some(&mut sockets, &mut machine, || false, clock.now());
        sockets.ring().wait(Duration::from_millis(10)).unwrap();
        sockets.ring().reap(&mut completions);
        for completion in completions.drain(..) {
            if completion.operation.kind == Kind::Listener {
                acceptor.handle_completion(completion, sockets.ring());
            }
        }
    }
    machine.connections()
}

#[test]
fn a_server_answers_newcomers_until_its_last_connection_is_gone() {
    let first = serve(0, 2, false, |_, _| Echo);
    let address = first.address;
    // The echo of so much does not fit into the kernel's buffers: the core waits for a client that does not read it.
    let mut resident = first.connect();
    resident.write_all(&vec![0; 16 << 20]).unwrap();
    let stopping = first.stop_meanwhile();
    // Longer than the time in which a listener beside a successor is closed.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        let answer = greet(address).unwrap();
        assert!(is_answer(&answer), "{answer:?}");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!stopping.is_finished());
    drop(resident);
    let gone = Instant::now();
    stopping.join().unwrap().unwrap();
    assert!(gone.elapsed() < Duration::from_secs(2), "{:?}", gone.elapsed());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn closing_a_listener_serves_its_queue_and_a_later_syn_reaches_the_successor() {
    let mut listener = listen(loopback(0), 1, false).unwrap();
    let address = local_address(&listener[0]).unwrap();
    let queued: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
    let listener = listener.remove(0);
    let closing = thread::spawn(move || close_with_a_queue(listener));
    thread::sleep(Duration::from_millis(200));
    let late = thread::spawn(move || {
        let mut late = TcpStream::connect_timeout(&address, Duration::from_secs(20)).unwrap();
        late.write_all(b"x").unwrap();
        late
    });
    assert_eq!(closing.join().unwrap(), 5);
    let successor = listen(address, 1, false).unwrap();
    let late = late.join().unwrap();
    let served = TcpStream::from(accept(successor[0].as_fd()).unwrap().0);
    assert_eq!(served.peer_addr().unwrap(), late.local_addr().unwrap());
    drop(queued);
}
